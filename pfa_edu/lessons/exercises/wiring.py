"""Lessons 0 and 1: which synapses feedback needs, the error of one hidden neuron, and why FA turns W towards F."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor

from .questions import Formula
from .verdict import Verdict

_LAYERS = [(784, 512, 10), (512, 10, 10), (30, 20, 1), (5, 8, 3)]  # fan_in, out, ratio


def check_feedback_synapses(answer: Any) -> Verdict:
    """``answer(fan_in, out, ratio)``: how many feedback synapses PFA needs for one layer, those of B and of R."""
    return _SYNAPSES.check(answer)


_SYNAPSES = Formula(
    "PFA's feedback synapses",
    ("fan_in", "out", "ratio"),
    lambda: _LAYERS,
    lambda i, o, r: r * o * o + r * o * i,
    [
        (lambda i, o, r: o * i, "this is the size of W, and of FA's F. PFA's error passes through two matrices"),
        (lambda i, o, r: r * o, "this counts the mid neurons. How many synapses does each of them have?"),
        (lambda i, o, r: r * o * i, "this is R alone: the error also has to reach the mid neurons"),
        (lambda i, o, r: r * o * o, "this is B alone: the error also has to leave the mid neurons"),
        (lambda i, o, r: r * o * i + o * i, "this counts R, and W once more. What is the shape of B?"),
        (lambda i, o, r: o * i + r * o * o + r * o * i, "this counts W too, which is not feedback"),
    ],
    "Write down the shapes of B and R. How many mid neurons are there?",
)


def check_pairs(answer: Any) -> Verdict:
    """``answer(sizes)``: how many pairs of synapses must be equal under backprop; ``sizes`` as (784, 512, 512, 10)."""
    return _PAIRS.check(answer)


def _products(sizes: tuple[int, ...]) -> list[int]:
    return [a * b for a, b in itertools.pairwise(sizes)]


_PAIRS = Formula(
    "Pairs that must be equal",
    ("sizes",),
    lambda: [((784, 512, 512, 10),), ((5, 4, 3),), ((7, 6, 5, 4, 3),), ((9, 2),)],
    lambda sizes: sum(_products(sizes)[1:]),
    [
        (lambda sizes: sum(_products(sizes)), "this counts the first layer too. Does any neuron below it need "
         "an error?"),
        (lambda sizes: sum(_products(sizes)[:-1]), "the last layer is missing, but the first is counted. Which of them "
         "has a layer below that needs an error?"),
        (lambda sizes: 2 * sum(_products(sizes)[1:]), "this counts both synapses of a pair: how many pairs are they?"),
        (lambda sizes: sum(sizes[1:]), "this counts neurons. How many synapses join two layers?"),
        (lambda sizes: sum(sizes[1:-1]), "this counts hidden neurons. How many synapses leave each of them?"),
        (lambda sizes: sum(_products(sizes)[1:]) + sum(sizes[2:]), "this counts biases: no error travels through one"),
        (lambda sizes: math.prod(sizes[1:]), "this multiplies the layers with each other: add up one pair of layers "
         "after the other"),
    ],
    "Which matrices does an error travel through? Count the entries of each.",
)  # fmt: skip


def check_hidden_error(answer: Any) -> Verdict:
    """``answer(a, W, delta, j)``: backprop's error of hidden ReLU neuron ``j`` (from 0), one number.

    ``a`` (hidden,) are the hidden layer's sums before the ReLU, ``W`` (out, hidden) the weights above, ``delta`` (out,)
    the errors above.
    """
    return _HIDDEN.check(answer)


def _neurons() -> list[tuple[Any, ...]]:
    g = torch.Generator().manual_seed(3)
    sizes = [(4, 3), (3, 3), (5, 2), (3, 3)]  # hidden, out
    drawn = [
        [torch.randn(*shape, generator=g, dtype=torch.float64) for shape in ((h,), (o, h), (o,))] for h, o in sizes
    ]
    # every problem has neurons that fire and neurons that are silent, and both are asked for
    return [(a, W, delta, int(j)) for a, W, delta in drawn for j in (a.argmax(), a.argmin())]


def _error(a: Tensor, W: Tensor, delta: Tensor, j: int) -> Tensor:
    return (a[j] > 0) * (W[:, j] @ delta)


_HIDDEN = Formula(
    "The error of one hidden neuron",
    ("a", "W", "delta", "j"),
    _neurons,
    _error,
    [
        (lambda a, W, d, j: W[:, j] @ d, "the slope f′(a) is missing: what reaches a neuron that is silent?"),
        (lambda a, W, d, j: a[j].relu() * (W[:, j] @ d), "this multiplies by the activity f(a). It is the slope f′(a) "
         "that belongs here: 0 or 1 for a ReLU"),
        (lambda a, W, d, j: a[j] * (W[:, j] @ d), "this multiplies by a itself. It is the slope f′(a) that belongs "
         "here: 0 or 1 for a ReLU"),
        (lambda a, W, d, j: (a[j] > 0) * W[:, j].sum() * d.sum(), "this adds up the weights and the errors first, and "
         "then multiplies: each error has to travel through its own synapse"),
        (lambda a, W, d, j: (a[j] > 0) * W[:, j].sum(), "the errors of the layer above are missing"),
        (lambda a, W, d, j: (a > 0) * (W.T @ d), "this is the whole layer's δ: one neuron's is asked for"),
        (lambda a, W, d, j: (a[j] > 0) * (W[:, j].sign() @ d), "this uses the signs of W: that is sign symmetry"),
        (lambda a, W, d, j: -_error(a, W, d, j), "the sign is turned"),
    ],
    "Neuron j's synapses onto the layer above are column j of W. Each carries one δ back, multiplied by its strength",
)  # fmt: skip


def check_second_update(answer: Any) -> Verdict:
    """``answer(F, e, x, eta)``: what FA's second step adds to W₂, (out, hidden), to lowest order in ``eta``.

    One linear hidden layer that starts at W₁ = 0. ``F`` (out, hidden), ``e`` (out,) the output error, ``x`` (in,).
    """
    return _SECOND.check(answer)


def _samples() -> list[tuple[Any, ...]]:
    g = torch.Generator().manual_seed(4)
    shapes = [(3, 4, 5, 0.1), (4, 4, 4, 0.5), (2, 6, 3, 0.02)]  # out, hidden, in, eta
    return [
        (*(torch.randn(*shape, generator=g, dtype=torch.float64) for shape in ((o, h), (o,), (i,))), eta)
        for o, h, i, eta in shapes
    ]


_SECOND = Formula(
    "Why FA turns W towards F",
    ("F", "e", "x", "eta"),
    _samples,
    lambda F, e, x, eta: eta**2 * (x @ x) * torch.outer(e, F.T @ e),
    [
        (lambda F, e, x, eta: eta * (x @ x) * torch.outer(e, F.T @ e), "η appears twice: once in the step that "
         "made W₁, once in this one"),
        (lambda F, e, x, eta: eta**2 * torch.outer(e, F.T @ e), "the input is missing: how large is W₁ x after the "
         "first step?"),
        (lambda F, e, x, eta: eta * torch.outer(e, F.T @ e), "one η and the input are missing: write out W₁ x "
         "after the first step"),
        (lambda F, e, x, eta: -(eta**2) * (x @ x) * torch.outer(e, F.T @ e), "the sign is turned. With e = y − W₂W₁x, "
         "gradient descent adds η e hᵀ"),
        (lambda F, e, x, eta: (eta**2 * (x @ x) * torch.outer(e, F.T @ e)).T, "this is transposed: W₂ has one row per "
         "output"),
        (lambda F, e, x, eta: eta * torch.outer(F.T @ e, x), "this is the first step, which makes W₁. W₂'s second step "
         "is asked for"),
        (lambda F, e, x, eta: torch.zeros_like(F), "W₂'s first step is zero, since W₁ x is. The second is not"),
        (lambda F, e, x, eta: eta**2 * (x @ x) * (e @ e) * F, "close: F is multiplied by a number here. It should be "
         "multiplied by a matrix made of e"),
    ],
    "W₂ gains η e hᵀ with h = W₁ x. Put in the W₁ that the first step has made",
)  # fmt: skip
