"""One sample's way through a tiny network and its error's way back: which synapse would have to know which.

    compute(rule, stage, neuron, seed) → Paths → PathsPicture

Above, the forward path: 3-4-4-2 neurons, tanh (so that none falls silent) with a softmax output. Below, the error
neurons of the same layers: the value δ of each is what its forward neuron's synapses need to learn. The feedback
synapses between them are the rows of F that a rule puts where backprop needs W. A synapse is drawn as a dot on the
neuron it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as nnf
from matplotlib import colormaps
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex, to_rgba
from torch import Tensor

from ...nn.conversion import convert
from ...nn.layer import layers
from ...nn.models import mlp
from ...rules import rule as named
from .base import Explorer
from .controls import Choice, Number
from .heatmaps import COLOURS
from .picture import GREY, INK, Picture

SIZES = (3, 4, 4, 2)
STAGES = (
    "the input is there",
    "hidden layer 1 answers",
    "hidden layer 2 answers",
    "the output answers",
    "the output's error is known",
    "the error reaches hidden layer 2",
    "the error reaches hidden layer 1",
)
CONTROLS = (
    Number("stage", "Stage", "0: only the input; 6: every hidden neuron has its error", 0, 6, 0,
           whole=True),
    Choice("rule", "Feedback", "How the feedback synapses get their strength",
           {"Backprop: F = W": "bp", "Feedback alignment: F random, fixed": "fa", "Sign symmetry: F = s·sign(W)": "sf"},
           "bp"),
    Number("neuron", "Hidden neuron", "The neuron whose error is followed back, in the layer that it last reached", 1,
           4, 2, whole=True),
    Number("seed", "Seed", "Another draw of the sample, the weights and the feedback", 0, 99, 5, whole=True),
)  # fmt: skip


_POSITIVE, _NEGATIVE = (to_hex(colormaps[COLOURS](x)) for x in (0.82, 0.15))


@dataclass(frozen=True)
class Paths:
    """One sample in a network of ``SIZES``. Lists run over layers 1 to 3; index 0 of ``h`` is the input."""

    rule: str
    stage: int
    neuron: int  # from 1
    h: list[Tensor]  # activities, (size,) each; the last are the class probabilities
    delta: list[Tensor]  # errors dL/da of layers 1 to 3, (size,) each
    W: list[Tensor]  # (out, in) each
    F: list[Tensor]  # as W; F[0] is never used: nothing is sent back to the input

    @property
    def layer(self) -> int | None:
        """The hidden layer that the error reached last, 1 or 2; None before the error has set out."""
        return {5: 2, 6: 1}.get(self.stage)

    def needed(self) -> list[tuple[str, float, float]]:
        """For the chosen neuron: (the forward synapse that backprop needs, its strength, the feedback synapse's)."""
        if self.layer is None:
            return []
        W, F, j = self.W[self.layer], self.F[self.layer], self.neuron - 1
        return [(f"W{self.layer + 1}[{k + 1},{j + 1}]", W[k, j].item(), F[k, j].item()) for k in range(len(W))]


def compute(stage: int, rule: str, neuron: int, seed: int) -> Paths:
    """A sample of the first class goes forward, its cross-entropy error comes back by ``rule``.

    >>> paths = compute(stage=6, rule="bp", neuron=1, seed=0)
    >>> [d.shape[0] for d in paths.delta]
    [4, 4, 2]
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        x = 2 * torch.rand(SIZES[0]) - 1
        net = convert(mlp(SIZES), named(rule), verbose=False)
        found = list(layers(net).values())
        W = [layer.weight.detach().clone() for layer in found]
        F = [layer.feedback_weight().detach().clone() for layer in found]
        h = [x]
        for w in W:
            a = w @ h[-1]  # (out,); the biases are 0
            h.append(a.tanh() if len(h) < len(W) else a.softmax(0))
        delta = [h[-1] - nnf.one_hot(torch.tensor(0), SIZES[-1])]
        for layer in (2, 1):
            delta.insert(0, (F[layer].t() @ delta[0]) * (1 - h[layer] ** 2))  # dL/dh = Fᵀ δ, through the tanh
    return Paths(rule, stage, neuron, h, delta, W, F)


def summary(paths: Paths) -> str:
    told = f"Stage {paths.stage}: {STAGES[paths.stage]}."
    if paths.layer is None:
        return told
    copied = paths.rule == "bp"  # then the feedback's strength is the same number
    strengths = ", ".join(f"{name} = {w:+.2f}" + ("" if copied else f" ({f:+.2f})") for name, w, f in paths.needed())
    who = f"Neuron {paths.neuron} of hidden layer {paths.layer}"
    rest = {
        "bp": "its feedback synapses must equal them, after every step of learning again",
        "sf": "its feedback synapses (in brackets) must have their signs",
        "fa": "its feedback synapses (in brackets) know nothing of them",
    }[paths.rule]
    return f"{told} {who} would have to know {strengths}: {rest}."


class PathsPicture(Picture):
    """The forward path above, the error's path below; colour and width of a line are a synapse's sign and strength."""

    def __init__(self) -> None:
        super().__init__(11.5, 5.7)
        ax = self.figure.add_subplot()
        ax.set(xlim=(-0.7, 3.5), ylim=(-0.3, 2.3))
        ax.axis("off")
        self._forward: list[list[tuple[float, float]]] = [
            [(x, 2.0 - 0.26 * (i + (4 - n) / 2)) for i in range(n)] for x, n in enumerate(SIZES)
        ]
        self._errors = [[(x, y - 1.2) for x, y in column] for column in self._forward]
        for x, name in enumerate(("input", "hidden layer 1", "hidden layer 2", "output")):
            ax.text(x, 2.2, name, ha="center", fontsize=10.5, fontweight="bold", color=INK)
        for y, name in ((1.6, "forward →\nactivity h\nsynapses W"), (0.4, "← back\nerror δ\nsynapses F")):
            ax.text(-0.65, y, name, fontsize=10.5, color=INK, va="center")
        for left, name, colour in ((-0.65, "positive", _POSITIVE), (-0.32, "negative", _NEGATIVE)):
            ax.text(left, -0.26, f"— {name}", fontsize=9.5, color=colour, fontweight="bold")

        self._wires = LineCollection([], zorder=1)
        self._links = LineCollection([], zorder=3, colors=INK, linestyles=":", linewidths=1.6)
        for collection in (self._wires, self._links):
            ax.add_collection(collection, autolim=False)
        self._synapses = ax.scatter([0], [0], s=26, zorder=3.5, color=INK)
        self._neurons = ax.scatter([0], [0], c=[0.0], s=900, zorder=4, cmap=COLOURS, vmin=-1.3, vmax=1.3)
        (self._told,) = self.live(ax.text(1.5, -0.26, "", ha="center", fontsize=10.5, color=INK))
        self.live(self._wires, self._links, self._synapses, self._neurons)
        self._numbers = [
            [self.live(ax.text(*place, "", ha="center", va="center", fontsize=9, zorder=5))[0] for place in column]
            for column in self._columns
        ]

    @property
    def _columns(self) -> list[list[tuple[float, float]]]:
        """Where the neurons stand: input, three layers, then the error neurons of the three layers."""
        return self._forward + self._errors[1:]

    def show(self, paths: Paths) -> None:
        self._show_neurons(paths)
        self._show_wires(paths)
        self._told.set_text(self._caption(paths))

    def _show_neurons(self, paths: Paths) -> None:
        reached = [min(paths.stage, 3) >= x for x in range(4)] + [paths.stage >= 7 - x for x in (1, 2, 3)]
        ring = [layer == paths.layer for layer in (0, 1, 2, 3, 1, 2, 3)]
        places, values, widths, edges = [], [], [], []
        for c, (column, numbers) in enumerate(zip(self._columns, paths.h + paths.delta, strict=True)):
            for i, (place, number) in enumerate(zip(column, numbers.tolist(), strict=True)):
                chosen = ring[c] and i == paths.neuron - 1
                self._numbers[c][i].set_text(f"{number:.2f}".replace("-", "−") if reached[c] else "")
                self._numbers[c][i].set_color("white" if abs(number) > 0.8 else INK)
                places.append(place)
                values.append(number if reached[c] else 0.0)
                widths.append(3.0 if chosen else 0.8)
                edges.append(INK if chosen else GREY)
        self._neurons.set_offsets(places)
        self._neurons.set_array(np.array(values))
        self._neurons.set(linewidths=widths, edgecolors=edges)

    def _show_wires(self, paths: Paths) -> None:
        wires, strengths, alphas, links, dots = [], [], [], [], []
        for layer, (W, F) in enumerate(zip(paths.W, paths.F, strict=True)):
            for k, j in np.ndindex(*W.shape):
                chosen = paths.layer == layer and j == paths.neuron - 1
                told = 1.0 if chosen or paths.layer is None else 0.3
                forward = self._forward[layer][j], self._forward[layer + 1][k]
                wires.append(forward)
                strengths.append(W[k, j].item())
                alphas.append(told if paths.stage > layer else 0.1)
                if layer == 0:  # nothing is sent back to the input
                    continue
                back = self._errors[layer + 1][k], self._errors[layer][j]
                wires.append(back)
                strengths.append(F[k, j].item())
                alphas.append(told if paths.stage >= 7 - layer else 0.1)
                if chosen:
                    synapses = [_along(*forward, 0.84), _along(*back, 0.80)]  # each at the neuron that receives
                    dots += synapses
                    links += [synapses] if paths.rule != "fa" else []
        colours = [
            to_rgba(_POSITIVE if s > 0 else _NEGATIVE, alpha) for s, alpha in zip(strengths, alphas, strict=True)
        ]
        self._wires.set_segments(wires)
        self._wires.set(colors=colours, linewidths=[0.6 + 4.5 * abs(s) for s in strengths])
        self._links.set_segments(links)
        self._synapses.set_offsets(dots or np.empty((0, 2)))

    @staticmethod
    def _caption(paths: Paths) -> str:
        if paths.layer is None:
            return STAGES[paths.stage][0].upper() + STAGES[paths.stage][1:] + "."
        if paths.rule == "fa":
            return "Feedback alignment: F is drawn once and knows nothing of W."
        same = "strength" if paths.rule == "bp" else "sign"
        return f"Dotted: two synapses, on two different neurons, that must have the same {same}."


def _along(start: tuple[float, float], end: tuple[float, float], part: float) -> tuple[float, float]:
    return start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1])


def explorer() -> Explorer:
    """The explorer of the two paths: a stage of the computation, how the error comes back, one hidden neuron."""
    return Explorer(CONTROLS, compute, PathsPicture(), summary, live=False, static={"stage": 6})
