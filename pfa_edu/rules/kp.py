"""KP: Kolen-Pollack learning."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from .base import Look, Rule, quiet
from .draw import check_init, drawn
from .feedback import Feedback, Layer, Path


class KP(Rule):
    """Kolen-Pollack (Kolen & Pollack 1994; Akrout et al. 2019): F is its own weight and receives W's gradient.

    Learning leaves F − W as it is: only weight decay makes it fade, see :class:`PFA`.
    ``init``: the size of the values that F starts with, 'xavier', 'kaiming', or a gain on Xavier's.
    """

    name: ClassVar[str] = "kp"
    look: ClassVar[Look] = Look("KP", "#CC79A7", "X", 1.2)
    equation: ClassVar[str] = "F learns as W does"
    aligns_by_decay: ClassVar[bool] = True
    init: str | float = quiet("xavier")

    def __post_init__(self) -> None:
        object.__setattr__(self, "init", check_init(self.init))

    def make(self, layer: Layer) -> Feedback:
        return KolenPollack(layer.weight, self.init)

    def limit(self, out: float = float("inf")) -> float:
        return 0.0


class KolenPollack(Feedback):
    """``F`` (W's shape) is a parameter of its own that receives W's gradient."""

    def __init__(self, weight: Tensor, init: str | float = "xavier"):
        super().__init__()
        self.F = nn.Parameter(drawn(tuple(weight.shape), weight, init).to(weight.dtype))

    def path(self, weight: Tensor) -> Path:
        return Path(F=self.F)
