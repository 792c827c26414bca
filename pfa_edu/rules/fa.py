"""FA: feedback alignment."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from .base import Look, Rule, quiet
from .draw import check_density, check_init, drawn, mask, masked
from .feedback import Feedback, Layer, Path


class FA(Rule):
    """Feedback alignment (Lillicrap et al. 2016): F random and fixed.

    ``init``: the size of the random values, 'xavier', 'kaiming', or a gain on Xavier's.
    """

    name: ClassVar[str] = "fa"
    look: ClassVar[Look] = Look("FA", "#E69F00", "v")
    equation: ClassVar[str] = "F random, fixed"
    density: float = 1.0
    init: str | float = quiet("xavier")

    def __post_init__(self) -> None:
        object.__setattr__(self, "density", check_density(self.density))
        object.__setattr__(self, "init", check_init(self.init))

    def make(self, layer: Layer) -> Feedback:
        return Fixed(layer.weight, self.density, self.init)


class Fixed(Feedback):
    """``F`` (W's shape) random and fixed."""

    F: Tensor
    mask: Tensor | None

    def __init__(self, weight: Tensor, density: float = 1.0, init: str | float = "xavier"):
        super().__init__()
        F = drawn(tuple(weight.shape), weight, init).to(weight.dtype)
        exists = mask(tuple(weight.shape), density, weight)
        self.register_buffer("F", masked(F, exists))
        self.register_buffer("mask", exists)

    def path(self, weight: Tensor) -> Path:
        return Path(F=self.F)
