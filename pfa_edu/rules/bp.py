"""BP: backpropagation, the reference that every other rule is compared with."""

from __future__ import annotations

from typing import ClassVar

from .base import Look, Rule
from .feedback import Layer


class BP(Rule):
    """Backpropagation: F = W, which takes symmetric synapses between every pair of neurons."""

    name: ClassVar[str] = "bp"
    look: ClassVar[Look] = Look("BP", "#000000", "o")
    equation: ClassVar[str] = "F = W"

    def make(self, layer: Layer) -> None:
        return None

    def limit(self, out: float = float("inf")) -> float:
        return 0.0
