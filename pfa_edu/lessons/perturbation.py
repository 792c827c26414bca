"""Learning without any feedback path: try a small random change, and keep it as far as the loss fell.

Two kinds. *Weight perturbation* (Cauwenberghs 1993; Jabri & Flower 1992) adds noise σξ to every weight; *node
perturbation* adds it to every neuron's input a = W h + b, for each sample on its own. One number comes back for all of
them, how much the loss changed:

    weights  ĝ = (L(W + σξ) − L(W)) / σ · ξ
    nodes    ĝ = mean over the samples s of (L_s(a + σξ_s) − L_s(a)) / σ · ξ_s h_sᵀ

Both are unbiased as σ → 0: E[(g·ξ) ξ] = g. Their trouble is variance. With n weights E‖ĝ − g‖² = (n + 1) ‖g‖², since
of n random directions only one is the gradient's. So the tangent of the angle to the gradient is √((n − 1)/m) after m
tries, and the tries that a given angle costs grow with the network. A feedback path has no such price.

>>> from pfa_edu import alignment_limit
>>> round(tries_for(alignment_limit(ratio=10), weights=668_672))  # for a step of 784-512-512-10 as good as PFA's path
6686710
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pandas as pd
import torch
import torch.nn.functional as nnf
from torch import Tensor

from .._settings import real, whole
from ..errors import ConfigError
from ..measure import angle

SIGMA = 1e-3
LossOf = Callable[[Tensor, Tensor], Tensor]  # (output, y) → one loss for each sample, (batch,)


def each_loss(output: Tensor, y: Tensor) -> Tensor:
    """The cross-entropy of each sample, (batch,)."""
    return nnf.cross_entropy(output, y, reduction="none")


def forward(
    weights: Sequence[Tensor], x: Tensor, noise: Sequence[Tensor] | None = None
) -> tuple[Tensor, list[Tensor]]:  # fmt: skip
    """A ReLU network without biases: its output (batch, classes), and the input h (batch, in) of each layer.

    ``noise``: what is added to a = W h, (batch, out) for each layer.
    """
    h, inputs = x.flatten(1), []
    for i, W in enumerate(weights):
        inputs.append(h)
        h = nnf.linear(h, W)  # (batch, out)
        if noise is not None:
            h = h + noise[i]
        if i < len(weights) - 1:
            h = h.relu()
    return h, inputs


def gradient(weights: Sequence[Tensor], x: Tensor, y: Tensor, loss: LossOf = each_loss) -> list[Tensor]:
    """Backprop's gradient of the mean loss, to compare with."""
    held = [W.detach().requires_grad_() for W in weights]
    with torch.enable_grad():
        return list(torch.autograd.grad(loss(forward(held, x)[0], y).mean(), held))


@torch.no_grad()
def weight_perturbation(
    weights: Sequence[Tensor], x: Tensor, y: Tensor, tries: int = 1, sigma: float = SIGMA, both_ways: bool = True,
    generator: torch.Generator | None = None, loss: LossOf = each_loss,
) -> list[Tensor]:  # fmt: skip
    """The mean of ``tries`` estimates of the gradient of the mean loss, (out, in) for each layer.

    ``both_ways``: (L(W + σξ) − L(W − σξ)) / 2σ, whose error falls as σ² and not as σ; twice the forward passes.
    """
    sigma = real("sigma", sigma, above=0, what="the size of the change that is tried")
    total = [torch.zeros_like(W) for W in weights]
    rest = loss(forward(weights, x)[0], y).mean()
    for _ in range(whole("tries", tries, low=1)):
        xi = [_normal(W, W.shape, generator) for W in weights]
        up = loss(forward([W + sigma * n for W, n in zip(weights, xi, strict=True)], x)[0], y).mean()
        if both_ways:
            down = loss(forward([W - sigma * n for W, n in zip(weights, xi, strict=True)], x)[0], y).mean()
            change = (up - down) / (2 * sigma)
        else:
            change = (up - rest) / sigma
        for t, n in zip(total, xi, strict=True):
            t += change / tries * n
    return total


@torch.no_grad()
def node_perturbation(
    weights: Sequence[Tensor], x: Tensor, y: Tensor, tries: int = 1, sigma: float = SIGMA, both_ways: bool = True,
    generator: torch.Generator | None = None, loss: LossOf = each_loss,
) -> list[Tensor]:  # fmt: skip
    """As :func:`weight_perturbation`, with noise on the neurons: every sample has its own, and its own loss tells.

    The synapse's part is local: the noise of the neuron behind it times the rate before it, h of the undisturbed pass.
    """
    sigma = real("sigma", sigma, above=0, what="the size of the change that is tried")
    total = [torch.zeros_like(W) for W in weights]
    output, inputs = forward(weights, x)
    rest, batch = loss(output, y), len(x)
    for _ in range(whole("tries", tries, low=1)):
        xi = [_normal(W, (batch, len(W)), generator) for W in weights]  # (batch, out) each
        up = loss(forward(weights, x, [sigma * n for n in xi])[0], y)  # (batch,)
        if both_ways:
            change = (up - loss(forward(weights, x, [-sigma * n for n in xi])[0], y)) / (2 * sigma)
        else:
            change = (up - rest) / sigma
        for t, n, h in zip(total, xi, inputs, strict=True):
            t += (change[:, None] * n).t() @ h / (batch * tries)  # (out, in)
    return total


def angles(weights: Sequence[Tensor], x: Tensor, y: Tensor, tries: Sequence[int], seed: int = 0) -> pd.DataFrame:
    """Degrees between both estimates and the gradient after each number of ``tries``, beside what the formula expects.

    The formula is that of weight perturbation; it knows nothing but the number of weights.
    """
    stream = torch.Generator().manual_seed(seed)
    g = torch.cat([G.flatten() for G in gradient(weights, x, y)])
    rows = {}
    for m in tries:
        found = [
            torch.cat([G.flatten() for G in method(weights, x, y, m, generator=stream)])
            for method in (weight_perturbation, node_perturbation)
        ]
        rows[m] = [*(angle(f, g).item() for f in found), expected_angle(m, len(g))]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["weights", "nodes", "weights, formula"])


def tries_for(degrees: float, weights: int) -> float:
    """Estimates of weight perturbation that have to be averaged for ``degrees`` to the gradient: (n − 1)/tan².

    The mean of m estimates is g along g, and has √((n − 1)/m)·‖g‖ across it, for a large m. PFA's limit angle at the
    ratio ρ has tan² = 1/ρ, so weight perturbation needs ρ·(n − 1) tries to point as well: for every step.
    """
    degrees = real("degrees", degrees, above=0, what="to the gradient; 0 would take for ever")
    if degrees >= 90:
        raise ConfigError(f"degrees {degrees}: it must be below 90, where an estimate says nothing")
    return (whole("weights", weights, low=1) - 1) / math.tan(math.radians(degrees)) ** 2


def expected_angle(tries: int, weights: int) -> float:
    """The angle in degrees between the mean of ``tries`` estimates and the gradient of a network of ``weights``.

    >>> round(expected_angle(1, 10_000), 1), round(expected_angle(10_000, 10_000))
    (89.4, 45)
    """
    m, n = whole("tries", tries, low=1), whole("weights", weights, low=1)
    return math.degrees(math.atan(math.sqrt((n - 1) / m)))


def _normal(like: Tensor, shape: Sequence[int], generator: torch.Generator | None) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=like.dtype).to(like.device)
