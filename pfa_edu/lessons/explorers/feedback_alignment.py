"""FA's surprise, live: a network trained through fixed random feedback, and backprop's twin beside it.

    start(width, depth, size, lr, seed) → Run; step(run) trains it a little → AlignmentPicture

The data are mnist-5k, real digits: no download. At every point the gradient angle is measured at FA's present weights,
on 256 training digits that never change, between FA's weight gradient and the one that backprop would take there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from ...data import Dataset, batches, load
from ...errors import DivergenceError
from ...measure import gradient_angle, path_alignment
from ...nn.conversion import convert
from ...nn.layer import layers
from ...nn.models import mlp
from ...plots import rule_look
from ...rules import BP, FA
from ...train.step import train_step
from .controls import Number
from .live import LiveExplorer
from .picture import INK, Picture, tidy
from .threads import one_thread

BATCH, MOMENTUM, WEIGHT_DECAY = 64, 0.9, 1e-4  # as in the paper's MNIST experiment
EVERY, LAST = 10, 1000  # steps between two points, steps in all
DEEPEST = 3
MEAN_OF = 5  # points that the thick line of the gradient angle averages
_SHADES, _STYLES = ("#F2B631", "#B97F00", "#6B4900", "#2E1F00"), ("-", "--", "-.", (0, (1, 1)))  # FA's colour, by layer
CONTROLS = (
    Number("width", "Neurons per layer", "Size of every hidden layer", 16, 256, 64, step=16, whole=True),
    Number("depth", "Hidden layers", "Each hidden layer's error comes through one more random matrix", 1, DEEPEST, 2,
           whole=True),
    Number("lr", "Learning rate", "Of SGD with momentum 0.9", 0.001, 0.03, 0.005, step=0.1, log=True),
    Number("size", "Initial size", "Of the first weights: 1 is Xavier's size; small ones are soon forgotten", 0.1, 1, 1,
           step=0.1),
    Number("seed", "Seed", "Another draw of the weights, the feedback and the batches", 0, 99, 0, whole=True),
)  # fmt: skip


@dataclass
class Run:
    """Two networks with the same first weights, trained on the same batches: by FA and by BP."""

    nets: dict[str, nn.Module]  # 'fa', 'bp'
    optimizers: dict[str, torch.optim.Optimizer]
    data: Dataset
    order: torch.Generator
    batches: list[Tensor] = field(default_factory=list)  # what is left of the epoch
    step: int = 0
    steps: list[int] = field(default_factory=list)  # of the points below
    accuracy: dict[str, list[float]] = field(default_factory=lambda: {"fa": [], "bp": []})  # percent, test set
    gradient: list[list[float]] = field(default_factory=list)  # per point: degrees, hidden layers from the input on
    path: list[list[float]] = field(default_factory=list)  # per point: degrees ∠(F, W), layers that send an error back


def start(width: int, depth: int, size: float, lr: float, seed: int) -> Run:
    """A fresh run, measured before its first step."""
    data = load("mnist-5k")
    digits = int(data.train_y.max()) + 1
    sizes = (math.prod(data.input_shape), *[width] * depth, digits)
    nets: dict[str, nn.Module] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        nets["fa"] = convert(mlp(sizes), FA(), verbose=False)
        with torch.no_grad():
            for layer in layers(nets["fa"]).values():
                layer.weight.mul_(size)
        nets["bp"] = convert(mlp(sizes), BP(), verbose=False)
    twin = nets["bp"].state_dict()
    nets["bp"].load_state_dict({name: value for name, value in nets["fa"].state_dict().items() if name in twin})
    optimizers: dict[str, torch.optim.Optimizer] = {
        rule: torch.optim.SGD(net.parameters(), lr=lr, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
        for rule, net in nets.items()
    }
    run = Run(nets, optimizers, data, torch.Generator().manual_seed(seed))
    measure(run)
    return run


@one_thread()
def step(run: Run) -> bool:
    """Half of the way to the next point, for both networks; returns whether there is more to do."""
    for _ in range(EVERY // 2):
        if run.step >= LAST:
            return False
        if not run.batches:
            run.batches = list(batches(len(run.data.train_y), BATCH, run.order))
        index = run.batches.pop()
        x, y = run.data.train_x[index], run.data.train_y[index]  # (64, 1, 28, 28), (64,)
        for rule, net in run.nets.items():
            loss = train_step(net, run.optimizers[rule], nnf.cross_entropy, x, y)
            if not loss.isfinite():
                raise DivergenceError(f"the loss of {rule} grew beyond bounds: lower the learning rate")
        run.step += 1
    if run.step % EVERY == 0:
        measure(run)
    return run.step < LAST


def measure(run: Run) -> None:
    """Adds a point: accuracy of both networks, and FA's angles."""
    run.steps.append(run.step)
    with torch.no_grad():
        for rule, net in run.nets.items():
            right = net(run.data.test_x).argmax(1) == run.data.test_y  # (1000,)
            run.accuracy[rule].append(right.double().mean().item() * 100)
    angles = gradient_angle(run.nets["fa"], nnf.cross_entropy, run.data.train_x[:256], run.data.train_y[:256])
    run.gradient.append(list(angles.values())[:-1])  # the output layer's is exact: its error needs no feedback
    run.path.append(list(path_alignment(run.nets["fa"]).values())[1:])  # the first layer sends nothing back


def summary(run: Run) -> str:
    angles = ", ".join(f"fc{i} {angle:.0f}°" for i, angle in enumerate(run.gradient[-1], start=1))
    accuracy = {rule: values[-1] for rule, values in run.accuracy.items()}
    return (
        f"Step {run.step} of {LAST}. Test accuracy: FA {accuracy['fa']:.1f} %, BP {accuracy['bp']:.1f} %. "
        f"FA's gradient to backprop's: {angles}."
    )


class AlignmentPicture(Picture):
    """Accuracy of FA and BP; FA's gradient angle per hidden layer; the angle between F and W."""

    def __init__(self) -> None:
        super().__init__(11.5, 4.4)
        accuracy, gradient, path = self.figure.subplots(1, 3)
        tidy(accuracy, "Test accuracy", "Training steps", "%")
        tidy(
            gradient,
            "FA's gradient and backprop's",
            f"Training steps (thick: mean of {MEAN_OF} points)",
            "angle in degrees",
        )
        tidy(path, "FA's feedback F and the weights W", "Training steps", "∠(F, W) in degrees")
        accuracy.set_ylim(0, 102)
        for ax in (accuracy, gradient, path):
            ax.set_xlim(-0.01 * LAST, 1.01 * LAST)
        for ax in (gradient, path):
            ax.set(ylim=(0, 115), yticks=[0, 15, 30, 45, 60, 75, 90])
            ax.axhline(90, color=INK, linestyle=":", linewidth=1.3)
            ax.text(LAST, 91.5, "90°: random", fontsize=9, color=INK, ha="right")
        self._accuracy = {
            rule: self.live(
                accuracy.plot([], [], color=rule_look(rule).colour, linewidth=1.8, linestyle=line,
                              label=rule_look(rule).label)[0]
            )[0]
            for rule, line in (("bp", "--"), ("fa", "-"))
        }  # fmt: skip
        accuracy.legend(loc="lower right", frameon=False, fontsize=9)
        self._raw = self.live(*(gradient.plot([], [], linewidth=0.8, alpha=0.5)[0] for _ in range(DEEPEST)))
        self._gradient = self.live(*(gradient.plot([], [], linewidth=2.2)[0] for _ in range(DEEPEST)))
        self._path = self.live(*(path.plot([], [], linewidth=2.2)[0] for _ in range(DEEPEST)))
        self._depth = 0
        self._axes = gradient, path

    def _name_lines(self, depth: int) -> None:
        """A layer has the same colour and line style in both panels: the darker, the nearer to the output."""
        for lines, first in ((self._raw, 0), (self._gradient, 0), (self._path, 1)):
            for i, line in enumerate(lines, start=first):
                line.set(color=_SHADES[i], linestyle=_STYLES[i], label=f"fc{i + 1}")
        for ax, lines in zip(self._axes, (self._gradient, self._path), strict=True):
            ax.legend(handles=lines[:depth], loc="lower left", frameon=False, fontsize=9, ncols=depth)
        for line in self._raw:
            line.set_linestyle("-")
        self._depth = depth
        self.reframe()

    def show(self, run: Run) -> None:
        depth = len(run.gradient[0])
        if depth != self._depth:
            self._name_lines(depth)
        for rule, line in self._accuracy.items():
            line.set_data(run.steps, run.accuracy[rule])
        gradient, path = np.array(run.gradient), np.array(run.path)  # (points, depth) each
        mean = pd.DataFrame(gradient).rolling(MEAN_OF, min_periods=1).mean().to_numpy()
        for lines, points in ((self._raw, gradient), (self._gradient, mean), (self._path, path)):
            for i, line in enumerate(lines):
                line.set_data((run.steps, points[:, i]) if i < depth else ([], []))


def explorer() -> LiveExplorer:
    """The live explorer of feedback alignment. Nothing is trained before Play or Step is pressed."""
    return LiveExplorer(
        CONTROLS, start, AlignmentPicture(), summary, step=step, static_steps=2 * LAST // EVERY, live=False
    )
