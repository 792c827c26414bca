"""DFA: direct feedback alignment."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from torch import Tensor

from .._settings import whole
from ..errors import ConfigError
from .base import Look, Rule, hidden, quiet
from .draw import check_density, check_init, drawn, mask, masked
from .feedback import Feedback, Layer


class DFA(Rule):
    """Direct feedback alignment (Nøkland 2016): the output error reaches every layer through its own fixed D.

    ``outputs``: the size of the network's output (number of classes). ``convert()`` fills it in, from its example or
    from the last registered layer; say it yourself where the head is tied or is not the last. Inputs are taken to be
    batch first.
    ``init``: the size of the values in D, 'xavier', 'kaiming', or a gain on Xavier's.
    ``output``: where the network returns several tensors, the key or the index of the one whose error is meant.
    """

    name: ClassVar[str] = "dfa"
    look: ClassVar[Look] = Look("DFA", "#56B4E9", "s")
    equation: ClassVar[str] = "D, output error to all"
    outputs: int | None = hidden(None)
    output: str | int | None = hidden(None)
    density: float = 1.0
    init: str | float = quiet("xavier")

    def __post_init__(self) -> None:
        if self.outputs is not None:
            outputs = whole("DFA's outputs", self.outputs, low=1, what="the size of the network's output")
            object.__setattr__(self, "outputs", outputs)
        object.__setattr__(self, "density", check_density(self.density))
        object.__setattr__(self, "init", check_init(self.init))

    def for_network(self, outputs: int) -> DFA:
        return self if self.outputs is not None else dataclasses.replace(self, outputs=outputs)

    def make(self, layer: Layer) -> Feedback:
        if self.outputs is None:
            raise ConfigError(
                "DFA must know the size of the network's output: say DFA(outputs=10), or use convert(model, DFA()), "
                "which finds it"
            )
        fan_in = layer.weight.shape[1] * getattr(layer, "groups", 1)
        return Direct(layer.weight, fan_in, self.outputs, self.density, self.init)


class Direct(Feedback):
    """``D`` (classes, in, ...) carries the output error to the layer's input; there is no F."""

    direct: ClassVar[bool] = True
    D: Tensor

    def __init__(
        self, weight: Tensor, fan_in: int, classes: int, density: float = 1.0, init: str | float = "xavier"
    ):  # fmt: skip
        super().__init__()
        shape = (classes, fan_in, *weight.shape[2:])
        D = drawn(shape, weight, init).to(weight.dtype)
        exists = mask(shape, density, weight)
        self.register_buffer("D", masked(D, exists))
        self.register_buffer("mask", exists)
