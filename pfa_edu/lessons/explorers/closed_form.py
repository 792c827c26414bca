"""Why PFA aligns: F_t = G W_t + a_t E, where weight decay fades a_t, and the angle falls to its floor.

    compute(steps, weight_decay, ratio, seed) → Faded → ClosedFormPicture

The closed form holds for whatever training does to W, so no network is trained here: W_t = a_t W_0 + s_t L, where L, a
random matrix as large as W_0, stands for what the task wrote into the weights, and s_t = √(1 − a_t²) keeps W's length.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...measure import angle
from ...plots import rule_look
from ...rules import alignment_limit, mismatch
from ...rules.product import draw_product
from .base import Explorer
from .controls import Number
from .heatmaps import FourMatrices
from .picture import INK, tidy

OUT, FAN_IN = 100, 256  # as in the paper's figure
LR, MOMENTUM = 0.01, 0.9  # as in the paper's MNIST experiment
LONGEST = 5000
CONTROLS = (
    Number("steps", "Training steps", "SGD steps at learning rate 0.01, momentum 0.9", 0, LONGEST, 0, 25,
           whole=True),
    Number("weight_decay", "Weight decay", "The paper takes 0.03 in its first epoch on MNIST", 1e-4, 0.1, 0.03,
           step=0.1, log=True),
    Number("ratio", "Ratio mid / out", "Mid neurons per output neuron", 1, 100, 10, step=0.05, log=True),
    Number("seed", "Seed", "Another draw of B, R, W and of what is learned", 0, 99, 0, whole=True),
)  # fmt: skip
QUESTION = "Predict first: what turns F towards W, and how far? Then move a control."
_GRID = (LONGEST * np.linspace(0, 1, 41) ** 2).round().astype(int)  # denser where the curves are steep


@dataclass(frozen=True)
class Start:
    """What is drawn before training. G = B Bᵀ (out, out); E = B R_0 − G W_0, W_0 and L (out, in)."""

    ratio: float
    G: Tensor
    E: Tensor
    W0: Tensor
    L: Tensor

    def weight(self, a: float) -> Tensor:
        """W_t (out, in) when ``a`` of its start is left."""
        return a * self.W0 + math.sqrt(max(0.0, 1 - a * a)) * self.L

    def feedback(self, a: float) -> Tensor:
        """F_t (out, in) by the closed form."""
        return self.G @ self.weight(a) + a * self.E


@dataclass(frozen=True)
class Faded:
    """The state after ``steps``, and the curves from 0 to ``LONGEST`` steps."""

    start: Start
    steps: int
    weight_decay: float
    a: float
    angle: float  # degrees between F_t and W_t
    grid: np.ndarray  # steps
    a_curve: list[float]
    angle_curve: list[float]  # degrees


@functools.lru_cache(maxsize=4)
def draw(ratio: float, seed: int) -> Start:
    """B, R_0, W_0 as PFA draws them; L as large as W_0."""
    mid = round(ratio * OUT)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        W0, L = (nn.init.xavier_uniform_(torch.empty(OUT, FAN_IN)) for _ in range(2))
        B, R0 = draw_product(W0, mid, orthogonal=False, density=1.0)
        G = B @ B.t()  # (out, out)
        return Start(mid / OUT, G, B @ R0 - G @ W0, W0, L)


@functools.lru_cache(maxsize=64)
def fading(weight_decay: float) -> list[float]:
    """a_t on the grid of steps."""
    return [mismatch(int(t), LR, MOMENTUM, weight_decay) for t in _GRID]


@functools.lru_cache(maxsize=64)
def falling(weight_decay: float, ratio: float, seed: int) -> list[float]:
    """The angle between F_t and W_t in degrees on the grid of steps."""
    start = draw(ratio, seed)
    return [angle(start.feedback(a), start.weight(a)).item() for a in fading(weight_decay)]


def compute(steps: int, weight_decay: float, ratio: float, seed: int) -> Faded:
    """F and W after ``steps`` of SGD with ``weight_decay``.

    >>> round(compute(steps=0, weight_decay=0.03, ratio=10, seed=0).a, 3)
    1.0
    """
    start, a = draw(ratio, seed), mismatch(steps, LR, MOMENTUM, weight_decay)
    now = angle(start.feedback(a), start.weight(a)).item()
    curve = falling(weight_decay, ratio, seed)
    return Faded(start, steps, weight_decay, a, now, _GRID, fading(weight_decay), curve)


def summary(result: Faded) -> str:
    return (
        f"After {result.steps} steps with weight decay {result.weight_decay:.3g}: a = {result.a:.3f}, the angle "
        f"between F and W is {result.angle:.1f}°; its floor at ratio {result.start.ratio:.3g} is "
        f"{alignment_limit(result.start.ratio):.1f}°."
    )


class ClosedFormPicture(FourMatrices):
    """G W, the mismatch a E, their sum F, and W, all on one scale; a_t and the angle over training time."""

    def __init__(self) -> None:
        super().__init__(("+", "=", "≈"))
        self.name_matrices("G W, the goal", "a E, the mismatch", "F = G W + a E", "W")
        style = rule_look("pfa")
        dot: dict[str, Any] = {
            "color": style.colour, "marker": style.marker, "markersize": 9, "markeredgecolor": "white", "zorder": 4,
        }  # fmt: skip
        line: dict[str, Any] = {"color": style.colour, "linewidth": 1.8}
        tidy(self.left, "What is left of the start: a", "Training steps", "a")
        self.left.set(xlim=(-0.01 * LONGEST, 1.01 * LONGEST), ylim=(-0.06, 1.1))
        self.angle_axes("The angle between F and W", "Training steps")
        self.right.set_xlim(-0.01 * LONGEST, 1.01 * LONGEST)
        (self._a, self._a_dot), (self._angle, self._angle_dot) = (
            self.live(ax.plot([], [], **line)[0], ax.plot([], [], **dot)[0]) for ax in (self.left, self.right)
        )
        self._a_text, self._angle_text = self.live(
            *(ax.text(0, 0, "", fontsize=10.5, fontweight="bold", color=INK) for ax in (self.left, self.right))
        )
        (self._floor,) = self.live(self.right.plot([], [], color=INK, linestyle=":", linewidth=1.6)[0])
        legend = self.right.legend(
            [self._floor], ["floor: arctan(1/√ratio)"], loc="upper right", frameon=False, fontsize=9
        )
        self.answers(self._a, self._angle, self._floor, legend)

    def show(self, result: Faded) -> None:
        start, a = result.start, result.a
        W = start.weight(a)
        scale = W.std().item()
        for place, matrix in enumerate((start.G @ W, a * start.E, start.feedback(a), W)):
            self.show_matrix(place, matrix, scale)
        self.show_cloud(start.feedback(a), W, result.angle, rule_look("pfa").colour)
        floor = alignment_limit(start.ratio)
        self._a.set_data(result.grid, result.a_curve)
        self._angle.set_data(result.grid, result.angle_curve)
        self._floor.set_data([0, LONGEST], [floor, floor])
        side = {"ha": "left" if result.steps < 0.8 * LONGEST else "right"}
        shift = 70 if side["ha"] == "left" else -70
        for dot, text, y, label, up in (
            (self._a_dot, self._a_text, a, f"{a:.3f}", 0.03),
            (self._angle_dot, self._angle_text, result.angle, f"{result.angle:.1f}°", 3),
        ):
            dot.set_data([result.steps], [y])
            text.set(x=result.steps + shift, y=y + up, text=label, **side)


def explorer() -> Explorer:
    """The explorer of the closed form: training time, weight decay, ratio, seed."""
    return Explorer(CONTROLS, compute, ClosedFormPicture(), summary, question=QUESTION, static={"steps": 900})
