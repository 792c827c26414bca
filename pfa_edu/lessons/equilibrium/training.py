"""Seven ways for the feedback path to live in a network that settles: one class, told apart by what F does.

W always learns by the nudge, ∇W = d_above r_belowᵀ. F may stay where it is, learn by its own product, be pulled towards
W by homeostasis, or receive *W's* update: directly (Kolen-Pollack) or through B and R (PFA). For the last two the law
of lesson 2 holds under any optimiser that moves R by Bᵀ times W's step: F = G W + a E, where a fades by weight decay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import pandas as pd
import torch
from torch import Tensor

from ..._settings import choice, whole
from ...data import Dataset, batches, load
from ...measure import angle
from ...rules.draw import xavier
from ...rules.product import draw_product
from .estimate import error_angles, exact_error, nudged_error, updates
from .homeostasis import noise, pull
from .network import GAIN, Settling, rate

SIZES = (784, 64, 64, 10)
EPOCHS, BATCH, LR = 8, 100, 2e-3
STRONG, STRONG_EPOCHS, GENTLE = 12.0, 3, 0.5  # weight decay, decoupled: a is 0.05 after the strong epochs
HOMEOSTASIS = 1.0  # how much of the pull is added to the nudge's product
REST_STEPS, NUDGED_STEPS = 30, 12  # of settling, in training: measurements take more
_PROBE = 100  # test pictures on which errors are compared


@dataclass(frozen=True)
class Way:
    """What F does. ``start``: a 'copy' of W, 'random'; ``learns``: 'no', 'own', 'W' (W's step); ``ratio``: of PFA."""

    label: str
    start: str
    learns: str = "no"
    homeostasis: bool = False
    ratio: int | None = None


WAYS = {
    "tied": Way("F = W at every moment", "copy", "W"),
    "fixed": Way("F random, fixed", "random"),
    "own-copy": Way("F starts as W, learns by its own product", "copy", "own"),
    "own": Way("F random, learns by its own product", "random", "own"),
    "homeostasis": Way("F random, own product and homeostasis", "random", "own", homeostasis=True),
    "kp": Way("Kolen-Pollack: F takes W's steps", "random", "W"),
    "pfa": Way("PFA: F = B R, ratio 10", "random", "W", ratio=10),
}


class Learner:
    """A network, the way its F lives, and AdamW on all that learns: ``step(x, target)`` once a batch."""

    def __init__(self, way: str, seed: int = 0, sizes: tuple[int, ...] = SIZES, lr: float = LR, gain: float = GAIN):
        self.way, self.lr = WAYS[choice("way", way, WAYS)], lr
        self.net = net = Settling(sizes, seed, gain)
        self.stream = torch.Generator().manual_seed(seed)  # the homeostatic noise
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1000 + seed)
            if self.way.start == "random":
                self._draw(gain)
        learning = [*net.W, *net.b, *(net.F if self.way.learns == "own" else [])]
        matrices = net.W + (net.F if self.way.learns == "own" else [])
        groups: list[dict[str, Any]] = [{"params": matrices}, {"params": net.b, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=GENTLE)
        self.learning, self.a = learning, 1.0
        self._follow()

    def _draw(self, gain: float) -> None:
        """F at random; for what follows W also G (out, out) and the mismatch E = F − G W at the start."""
        net, self.G, self.E = self.net, [], []
        for i, W in enumerate(net.W[1:]):
            if self.way.ratio is None:
                net.F[i], G = xavier(tuple(W.shape), W, gain), torch.eye(len(W))
            else:
                B, R = draw_product(W, self.way.ratio * len(W), orthogonal=False, density=1.0)
                net.F[i], G = gain * (B @ R), B @ B.t()
            self.G.append(G)
            self.E.append(net.F[i] - G @ W)

    def _follow(self) -> None:
        """Where F takes W's steps: F = G W + a E, which needs no more than W."""
        if self.way.learns != "W":
            return
        for i, W in enumerate(self.net.W[1:]):
            self.net.F[i] = W if self.way.start == "copy" else torch.addmm(self.a * self.E[i], self.G[i], W)

    def decay(self, weight_decay: float) -> None:
        """The decay from now on: strong at first for what has a start to forget."""
        self.optimizer.param_groups[0]["weight_decay"] = weight_decay

    def step(self, x: Tensor, target: Tensor) -> None:
        """Rest, nudge both ways, and move every synapse by what it has seen."""
        net = self.net
        rest = net.settle(x, steps=REST_STEPS)
        dW, dF, db = updates(net, x, rest, nudged_error(net, x, target, rest, steps=NUDGED_STEPS))
        if self.way.homeostasis:
            for i, (up, down) in enumerate(zip(*pull(net, noise(net, len(x), self.stream)), strict=True)):
                dW[i + 1] += HOMEOSTASIS * up
                dF[i] += HOMEOSTASIS * down
        for p, grad in zip(self.learning, [*dW, *db, *dF], strict=False):
            p.grad = grad
        self.optimizer.step()
        if self.way.learns == "W":
            self.a *= 1 - self.lr * self.optimizer.param_groups[0]["weight_decay"]
            self._follow()


def train_way(
    way: str, seed: int = 0, epochs: int = EPOCHS, data: Dataset | None = None,
    tell: Callable[[str], object] = lambda text: None,
) -> pd.DataFrame:  # fmt: skip
    """A run: columns rule (the way), seed, epoch, layer, metric, value, as every run's; epoch 0 is before training.

    Metrics: test_accuracy in percent; error_angle of layers 1, 2, ... and path_alignment of W_2, W_3, ... in degrees;
    residual at rest, the largest over the probe.
    """
    data = load("mnist-5k") if data is None else data
    learner, targets = Learner(way, seed), torch.eye(cast(int, data.classes))
    x, order = data.train_x.flatten(1), torch.Generator().manual_seed(seed)
    rows = [(0, *row) for row in _measure(learner.net, data)]
    for epoch in range(1, whole("epochs", epochs, low=1) + 1):
        forgets = learner.way.learns == "W" and learner.way.start == "random" and epoch <= STRONG_EPOCHS
        learner.decay(STRONG if forgets else GENTLE)
        for index in batches(len(x), BATCH, order):
            learner.step(x[index], targets[data.train_y[index]])
        measured = _measure(learner.net, data)
        rows += [(epoch, *row) for row in measured]
        tell(f"{way} seed {seed} epoch {epoch}: " + " ".join(f"{m} {where} {v:.3g}" for where, m, v in measured))
    frame = pd.DataFrame(rows, columns=["epoch", "layer", "metric", "value"])
    frame.insert(0, "seed", seed)
    frame.insert(0, "rule", way)
    return frame


def study(ways: Iterable[str] = tuple(WAYS), seeds: int = 3, epochs: int = EPOCHS) -> pd.DataFrame:
    """The runs of every way and seed, one after the other."""
    data = load("mnist-5k")
    seeds = whole("seeds", seeds, low=1)
    return pd.concat([train_way(w, s, epochs, data) for s in range(seeds) for w in ways], ignore_index=True)


def _measure(net: Settling, data: Dataset) -> list[tuple[str, str, float]]:
    """(layer, metric, value): accuracy on all test pictures, the errors on the first few."""
    rest = net.settle(data.test_x)
    right = (rate(rest[-1]).argmax(1) == data.test_y).double().mean().item()
    x, target = data.test_x[:_PROBE].flatten(1), torch.eye(cast(int, data.classes))[data.test_y[:_PROBE]]
    rest = net.settle(x, steps=100)
    angles = error_angles(nudged_error(net, x, target, rest), exact_error(net, target, rest))
    found = [("network", "test_accuracy", 100 * right), ("network", "residual", net.residual(x, rest))]
    found += [(f"layer {i + 1}", "error_angle", a) for i, a in enumerate(angles)]
    paths = zip(net.F, net.W[1:], strict=True)
    return found + [(f"W{i + 2}", "path_alignment", angle(F, W).item()) for i, (F, W) in enumerate(paths)]
