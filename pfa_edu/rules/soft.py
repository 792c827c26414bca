"""One-time soft alignment: feedback that starts at an angle to W and then never changes.

Cheon, Bae & Paik 2025 (arXiv 2505.20892): if F points roughly along W once, before learning, feedback alignment with
that fixed F trains deep networks. W then moves away from F, or stays near it, as learning has it. How the first rough
alignment comes about (development, a genetic blueprint) is left open: it is weight transport, done once and badly.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from .._settings import real
from ..errors import ConfigError
from .base import Look, Rule
from .fa import Fixed
from .feedback import Feedback, Layer


class Soft(Rule):
    """FA whose fixed F starts at exactly ``angle`` degrees to W, as long as W is then.

    0: F is a copy of the initial W; 90: F is orthogonal to it, as FA's nearly is. In between
    F = cos(angle) W + sin(angle) N, with N random, orthogonal to W and as long. W's length at the start of an
    experiment is Xavier's, so F is also as long as FA's.

    >>> from pfa_edu import Linear, path_alignment
    >>> round(path_alignment(Linear(20, 10, rule=Soft(angle=30)))["linear"], 3)
    30.0
    """

    name: ClassVar[str] = "soft"
    look: ClassVar[Look] = Look("FA, soft start", "#4D9221", "h", 1.1)
    equation: ClassVar[str] = "F fixed, at an angle to the first W"
    angle: float = 45

    def __post_init__(self) -> None:
        angle = real("angle", self.angle, low=0, high=180, what="degrees between F and the initial W")
        object.__setattr__(self, "angle", angle)

    def make(self, layer: Layer) -> Feedback:
        return SoftStart(layer.weight, self.angle)


class SoftStart(Fixed):
    """``F`` (W's shape) at an angle to the weight it is made beside, and fixed."""

    def __init__(self, weight: Tensor, angle: float):
        super().__init__(weight)  # draws F as FA does: that draw is the random part
        self.F = turned(weight.detach(), angle, self.F)


def turned(W: Tensor, angle: float, direction: Tensor) -> Tensor:
    """cos(angle) W + sin(angle) N: at exactly ``angle`` degrees to W and as long as W.

    N is the part of ``direction`` (W's shape) that is orthogonal to W, stretched to W's length.

    >>> turned(torch.tensor([3.0, 0.0]), 90, torch.tensor([1.0, 1.0])).round(decimals=3).tolist()
    [0.0, 3.0]
    """
    w = W.double()
    N = direction.double()
    length = w.norm()
    if W.numel() < 2 or not length > 0:
        raise ConfigError(
            f"a weight of shape {tuple(W.shape)} and length {length:g} has no angle to anything: draw it first "
            "(pfa_edu.convert's init='xavier'), and give it more than one entry"
        )
    for _ in range(2):  # twice: the first subtraction leaves a rounding error along W
        N = N - (N * w).sum() / length.square() * w
    alpha = torch.deg2rad(torch.tensor(float(angle), dtype=torch.float64, device=W.device))
    return (alpha.cos() * w + alpha.sin() * length / N.norm() * N).to(W.dtype)
