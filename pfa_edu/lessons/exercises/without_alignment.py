"""Lesson 9: feedback that starts at an angle, and the price of having no feedback at all."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...rules.soft import turned
from ..perturbation import tries_for
from .questions import Formula
from .verdict import Verdict


def check_soft_start(answer: Any) -> Verdict:
    """``answer(W, N, angle)``: F at exactly ``angle`` degrees to W, as long as W, in the plane of W and N."""
    return _SOFT.check(answer)


def _problems() -> list[tuple[Any, ...]]:
    stream = torch.Generator().manual_seed(0)
    drawn = [(torch.randn(3, 4, generator=stream).double(), torch.randn(3, 4, generator=stream).double() + 0.5)
             for _ in range(4)]  # fmt: skip
    return [(W, N, angle) for (W, N), angle in zip(drawn, (30.0, 60.0, 90.0, 10.0), strict=True)]


def _mixed(W: Tensor, N: Tensor, angle: float) -> Tensor:
    return math.cos(math.radians(angle)) * W + math.sin(math.radians(angle)) * N


def _across(W: Tensor, N: Tensor) -> Tensor:
    return N - (N * W).sum() / W.square().sum() * W


_SOFT = Formula(
    "A start at a chosen angle",
    ("W", "N", "angle"),
    _problems,
    lambda W, N, angle: turned(W, angle, N),
    [
        (_mixed, "N is neither orthogonal to W nor as long as W, so the angle is not the one asked for"),
        (lambda W, N, angle: _mixed(W, N / N.norm() * W.norm(), angle), "N is as long as W now, but it still has a "
         "part along W. Take that away first"),
        (lambda W, N, angle: _mixed(W, _across(W, N), angle), "N is orthogonal to W now, but not as long as W"),
        (lambda W, N, angle: math.cos(angle) * W + math.sin(angle) * _across(W, N) / _across(W, N).norm() * W.norm(),
         "the angle is in degrees; cos and sin take radians"),
        (lambda W, N, angle: _mixed(_across(W, N) / _across(W, N).norm() * W.norm(), W, angle), "cos and sin are "
         "exchanged: at 0 degrees F is W"),
    ],
    "Check your F with pe.angle(F, W), and compare F.norm() with W.norm().",
)  # fmt: skip


def check_tries(answer: Any) -> Verdict:
    """``answer(angle, n)``: estimates of weight perturbation to average for ``angle`` degrees, with ``n`` weights."""
    return _TRIES.check(answer)


_TRIES = Formula(
    "The price of an angle",
    ("angle", "n"),
    lambda: [(45.0, 11), (17.5, 1001), (60.0, 668_672), (5.0, 101)],
    tries_for,
    [
        (lambda angle, n: n / math.tan(math.radians(angle)) ** 2, "nearly: n counts the direction of the gradient "
         "itself, which is no error"),
        (lambda angle, n: (n - 1) / math.tan(math.radians(angle)), "the tangent falls as 1/√tries, and not as 1/tries"),
        (lambda angle, n: (n - 1) * math.tan(math.radians(angle)) ** 2, "this grows with the angle: is a worse "
         "direction dearer?"),
        (lambda angle, n: (n - 1) / math.tan(angle) ** 2, "the angle is in degrees; tan takes radians"),
        (lambda angle, n: ((n - 1) ** 0.5) / math.tan(math.radians(angle)), "this is the square root of it"),
    ],
    "tan(angle) = √((n − 1)/tries).",
)  # fmt: skip
