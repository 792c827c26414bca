"""SF: sign symmetry."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from .._settings import choice
from .base import Look, Rule, quiet
from .draw import check_density, check_init, drawn, init_scale, mask, masked
from .feedback import Feedback, Layer, Path


class SF(Rule):
    """Sign symmetry (Liao et al. 2016; Xiao et al. 2019): F shares W's signs.

    ``kind``: 'uniform' (uSF: one magnitude, the paper's SF), 'fixed' (frSF: random magnitudes, drawn once),
    'batch' (brSF: random magnitudes, drawn again for every batch).
    ``init``: the size of the magnitudes, 'xavier', 'kaiming', or a gain on Xavier's.
    """

    name: ClassVar[str] = "sf"
    look: ClassVar[Look] = Look("SF", "#009E73", "*", 1.6)
    equation: ClassVar[str] = "F = s·sign(W)"
    kind: str = "uniform"
    density: float = 1.0
    init: str | float = quiet("xavier")

    def __post_init__(self) -> None:
        choice("kind of sign symmetry", self.kind, ["uniform", "fixed", "batch"])
        object.__setattr__(self, "density", check_density(self.density))
        object.__setattr__(self, "init", check_init(self.init))

    def make(self, layer: Layer) -> Feedback:
        return SignSymmetric(layer.weight, self.kind, self.density, self.init)


class SignSymmetric(Feedback):
    """``F`` has W's signs, and ``kind`` sets its magnitude.

    uniform: s = sqrt(2/(fan_in+fan_out)); fixed: ``M`` = abs(Xavier), drawn once; batch: ``M`` drawn again, in place,
    in every training forward pass.
    """

    M: Tensor | None
    mask: Tensor | None

    def __init__(self, weight: Tensor, kind: str = "uniform", density: float = 1.0, init: str | float = "xavier"):
        super().__init__()
        self.kind = kind
        self.scale = init_scale(weight, init)
        M = None if kind == "uniform" else drawn(tuple(weight.shape), weight, init).abs().to(weight.dtype)
        self.register_buffer("M", M)
        self.register_buffer("mask", mask(tuple(weight.shape), density, weight))

    def path(self, weight: Tensor) -> Path:
        magnitude = self.scale if self.M is None else self.M
        return Path(F=masked(weight.detach().sign() * magnitude, self.mask))

    def new_batch(self) -> None:
        """brSF's new magnitude: the absolute value of a uniform draw is uniform on [0, sqrt(3)·s)."""
        if self.kind == "batch" and self.M is not None:
            with torch.no_grad():
                self.M.uniform_(0, math.sqrt(3) * self.scale)
