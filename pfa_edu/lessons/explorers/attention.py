"""An error on its way through attention, alive: how far do F's degrees turn the update of each projection?

compute(angle, depth) → Turned → AttentionPicture. Blocks of a transformer before training, on random tokens, with a
random error at their output. Nothing but F differs from backprop.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...measure import gradient_angle
from ...nn.conversion import convert
from ...nn.transformers import KINDS, Block, part_of
from ...plots.looks import layer_colours
from ...rules.soft import Soft
from .base import Explorer
from .controls import Choice, Number
from .picture import GREY, INK, Picture, tidy

WIDTH, HEADS, TOKENS, BATCH = 48, 3, 32, 8
DEPTHS = (1, 2, 4)  # blocks
SHOWN = KINDS[1:7]  # q, k, v, out, up, down
CONTROLS = (
    Number("angle", "F to W", "Degrees between F and W in every projection", 0, 90, 90, step=2.5),
    Choice("depth", "Blocks", "How many blocks the error travels through", {str(d): d for d in DEPTHS}, 4),
)


@dataclass(frozen=True)
class Turned:
    """Degrees between each update and backprop's: ``by_kind['q'][i]`` is that of q in block i, 0 near the input."""

    angle: float
    depth: int
    by_kind: dict[str, list[float]]

    def mean(self, kind: str) -> float:
        """Over the blocks."""
        return sum(self.by_kind[kind]) / self.depth


def compute(angle: float, depth: int, seed: int = 0) -> Turned:
    """Every F at ``angle`` degrees to its W, in ``depth`` blocks.

    >>> one = compute(angle=20, depth=1)
    >>> round(one.mean("v")), round(one.mean("down"))  # down hears the error itself
    (19, 0)
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        plain = nn.Sequential(*(Block(WIDTH, HEADS, causal=True) for _ in range(depth)))
        blocks = convert(plain, Soft(angle), verbose=False)
        tokens = torch.randn(BATCH, TOKENS, WIDTH)
        error = torch.randn(BATCH, TOKENS, WIDTH)  # dL/d(output of the last block)
        found = gradient_angle(blocks, _sends, tokens, error)
    kinds = {kind: [a for name, a in found.items() if part_of(f"blocks.{name}")[1] == kind] for kind in SHOWN}
    return Turned(angle, depth, kinds)


def _sends(out: Tensor, error: Tensor) -> Tensor:
    """A loss whose gradient at ``out`` is ``error``."""
    return (out * error).sum()


def summary(result: Turned) -> str:
    blocks = "1 block" if result.depth == 1 else f"{result.depth} blocks, their mean"
    turned = ", ".join(f"{kind} {result.mean(kind):.0f}°" for kind in SHOWN)
    return f"F {result.angle:g}° off W, {blocks}: the updates are turned by {turned}."


class AttentionPicture(Picture):
    """Gradient angle of each projection, a colour for each block."""

    def __init__(self) -> None:
        super().__init__(9.0, 4.0)
        ax = self.figure.subplots()
        tidy(ax, "How far each update is turned away from backprop's", "Projection", "Gradient angle in degrees")
        ax.set_xticks(range(len(SHOWN)), SHOWN)
        ax.set(ylim=(-4, 109), yticks=range(0, 106, 15), xlim=(-0.5, len(SHOWN) - 0.3))
        deepest = max(DEPTHS)
        colours = layer_colours([str(i) for i in range(deepest)])
        self._lines = [
            ax.plot([], [], "o", color=colours[str(i)], markersize=9, label=f"block {i + 1}")[0] for i in range(deepest)
        ]
        self._path = ax.axhline(0, color=GREY, linestyle=":", linewidth=1.4)
        self._word = ax.text(len(SHOWN) - 0.35, 0, "", fontsize=9.5, color=INK, ha="right", va="bottom")
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9)
        self.live(*self._lines, self._path, self._word)
        self.answers(*self._lines)

    def show(self, result: Turned) -> None:
        for i, line in enumerate(self._lines):
            there = i < result.depth
            places = [k + 0.12 * (i - (result.depth - 1) / 2) for k in range(len(SHOWN))]
            line.set_data(*((places, [result.by_kind[kind][i] for kind in SHOWN]) if there else ([], [])))
        self._path.set_ydata([result.angle, result.angle])
        self._word.set_text("∠(F, W)")
        self._word.set_position((len(SHOWN) - 0.35, result.angle))


def explorer() -> Explorer:
    """The explorer of attention: the angle of every F, and the number of blocks."""
    question = "Which projections are turned by more than F is, and which by less? Move the slider."
    return Explorer(
        CONTROLS, compute, AttentionPicture(), summary, live=False, question=question, static={"angle": 17.5}
    )
