"""Which optimiser trains a run: SGD as in the paper, or any of torch's or your own, by class and settings."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from .._settings import imported
from ..errors import ConfigError, unknown
from .recipe import Recipe


class Optimizer:
    """An optimiser class and its settings; learning rate and weight decay come from the recipe, and SGD's momentum.

    ``kind``: a class, its name in ``torch.optim``, or 'module:Class'.

    >>> Optimizer("AdamW", betas=(0.9, 0.95))
    Optimizer('AdamW', betas=(0.9, 0.95))
    >>> Optimizer().is_sgd
    True
    """

    def __init__(self, kind: str | type[torch.optim.Optimizer] = torch.optim.SGD, **settings: Any):
        self.cls = kind if isinstance(kind, type) else _named(kind)
        if not (isinstance(self.cls, type) and issubclass(self.cls, torch.optim.Optimizer)):
            raise ConfigError(f"optimizer {kind!r} is not a torch.optim.Optimizer")
        known = inspect.signature(self.cls).parameters
        for name in settings:
            if name in ("lr", "weight_decay") or (self.is_sgd and name == "momentum"):
                raise ConfigError(f"optimizer setting {name!r}: it belongs to the recipe, Recipe({name}=...)")
            if name not in known:
                raise unknown(f"setting of {self.cls.__name__}", name, [n for n in known if n != "params"])
        self.settings = settings

    @classmethod
    def of(cls, given: Optimizer | str | type[torch.optim.Optimizer] | None) -> Optimizer:
        """``given`` itself, or what it names; None is the paper's SGD."""
        return given if isinstance(given, Optimizer) else cls() if given is None else cls(given)

    @property
    def is_sgd(self) -> bool:
        """Whether the laws of plain SGD hold: PFA's closed form, a_t."""
        return self.cls is torch.optim.SGD

    def make(
        self, groups: list[dict[str, Any]], recipe: Recipe, recorded: bool = False
    ) -> torch.optim.Optimizer:  # fmt: skip
        """``recorded``: in a CUDA graph, so that Adam and its like have to count their steps on the GPU."""
        settings: dict[str, Any] = {"lr": recipe.lr, **self.settings}
        if "weight_decay" in inspect.signature(self.cls).parameters:
            settings["weight_decay"] = recipe.weight_decay
        if recorded and "capturable" in inspect.signature(self.cls).parameters:
            settings["capturable"] = True
        if self.is_sgd:
            settings = {"momentum": recipe.momentum, "fused": True, **settings}
        return self.cls(groups, **settings)

    def __repr__(self) -> str:
        text = "".join(f", {name}={value!r}" for name, value in sorted(self.settings.items()))
        return f"Optimizer({self.cls.__name__!r}{text})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Optimizer) and (self.cls, self.settings) == (other.cls, other.settings)

    __hash__ = None  # type: ignore[assignment]  # its settings may hold lists


def _named(name: str) -> type:
    if ":" in name:
        return imported(name, "optimizer")
    known = {n: c for n, c in vars(torch.optim).items() if inspect.isclass(c) and n != "Optimizer"}
    if name not in known:
        raise unknown("optimizer", name, known)
    return known[name]
