"""What the lesson looks at before it trains: does the network settle, is its error right, what does asymmetry cost?

All of it on one network with its initial weights, on digits; each function takes a second or two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import pandas as pd
import torch
from torch import Tensor

from ..._settings import whole
from ...data import load
from ...rules.draw import xavier
from ...rules.soft import turned
from .estimate import BETA, error_angles, exact_error, nudged_error
from .network import DAMPING, Settling

SIZES = (784, 64, 64, 10)


def some_digits(n: int = 100, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """The first ``n`` test digits of mnist-5k, (n, 784), and their targets, (n, 10): 1 at the digit, 0 elsewhere."""
    data = load("mnist-5k")
    x = data.test_x[: whole("n", n, low=1)].flatten(1).to(dtype)
    return x, torch.eye(cast(int, data.classes), dtype=dtype)[data.test_y[:n]]


def residuals(net: Settling, x: Tensor, damping: float = DAMPING, steps: int = 60) -> list[float]:
    """The residual after 0, 1, 2, ... ``steps`` from inputs of 0."""
    u = net.settle(x, steps=0)
    found = [net.residual(x, u)]
    for _ in range(steps):
        u = net.settle(x, start=u, steps=1, damping=damping)
        found.append(net.residual(x, u))
    return found


def by_beta(net: Settling, x: Tensor, target: Tensor, betas: Iterable[float], steps: int = 400) -> pd.DataFrame:
    """How far the nudged error is from the exact one, ‖d − δ‖/‖δ‖ by beta and layer: columns beta, layer, value."""
    rest = net.settle(x, steps=steps)
    exact = exact_error(net, target, rest)
    rows = []
    for beta in betas:
        found = nudged_error(net, x, target, rest, beta, steps)
        off = [float((d - e).norm() / e.norm()) for d, e in zip(found, exact, strict=True)]
        rows += [(beta, f"layer {i + 1}", value) for i, value in enumerate(off)]
    return pd.DataFrame(rows, columns=["beta", "layer", "value"])


def dial(angles: Iterable[float] = range(0, 91, 15), seeds: int = 3, sizes: Sequence[int] = SIZES) -> pd.DataFrame:
    """The bias of the error against the angle between F and W: columns angle, seed, layer, value in degrees.

    F = cos α W + sin α N, N random and as long as W. The output layer is left out: its error hardly needs F.
    """
    x, target = some_digits()
    rows = []
    for seed in range(whole("seeds", seeds, low=1)):
        net = Settling(sizes, seed, dtype=torch.float64)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1000 + seed)
            random = [xavier(tuple(W.shape), W) for W in net.W[1:]]
        for alpha in angles:
            net.F = [turned(W, alpha, N) for W, N in zip(net.W[1:], random, strict=True)]
            rest = net.settle(x, steps=100)
            found = error_angles(nudged_error(net, x, target, rest, BETA), exact_error(net, target, rest))
            rows += [(alpha, seed, f"layer {i + 1}", value) for i, value in enumerate(found[:-1])]
    return pd.DataFrame(rows, columns=["angle", "seed", "layer", "value"])
