"""The numbers of a training run: epochs, batch, learning rate, weight decay and their schedules."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .._settings import choice, real, whole
from ..errors import ConfigError, unknown


@dataclass(frozen=True)
class Recipe:
    """How to train: the paper's settings are SGD without Nesterov on cross-entropy (arXiv 2405.20594).

    ``lr`` is multiplied by ``lr_gamma`` after each of the epochs in ``lr_drops``. ``weight_decay`` holds on every
    trained parameter, R and F included, but for the first ``strong_steps`` steps, which take ``strong_decay``: that is
    what fades the initial mismatch of PFA, PFA-o and KP. ``strong_on``: 'all' parameters, as in the paper, or 'weights'
    only (W, R, F, a), which is all that fading needs: a short schedule has no time to grow batch norm's scales again.
    ``momentum`` is SGD's; another optimiser has settings of its own.

    >>> Recipe(epochs=3, batch_size=64, lr=0.1, lr_drops=(2,)).lr_at(2)
    0.05
    """

    epochs: int
    batch_size: int
    lr: float
    lr_drops: tuple[int, ...] = ()
    lr_gamma: float = 0.5
    momentum: float = 0.9
    weight_decay: float = 1e-4
    strong_decay: float = 0.0
    strong_steps: int = 0
    strong_on: str = "all"

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            object.__setattr__(self, name, checked(name, value))
        if bool(self.strong_decay) != bool(self.strong_steps):
            given, missing = ("decay", "steps") if self.strong_decay else ("steps", "decay")
            raise ConfigError(
                f"strong_{given} {getattr(self, f'strong_{given}')!r} without strong_{missing}: the strong phase needs "
                f"both, how strong and for how many steps (pe.steps_to_fade says how many)"
            )

    def lr_at(self, epoch: int) -> float:
        """Learning rate during ``epoch`` (the first is 0)."""
        return self.lr * self.lr_gamma ** sum(epoch >= drop for drop in self.lr_drops)

    def decay_at(self, step: int, weights: bool = True) -> float:
        """Weight decay at ``step`` (counted over the whole run, the first is 0), of weights or of other parameters."""
        strong = step < self.strong_steps and (weights or self.strong_on == "all")
        return self.strong_decay if strong else self.weight_decay

    def as_dict(self) -> dict[str, Any]:
        """As JSON and a run's identity have it: lists in place of tuples."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}


def checked(name: str, value: Any) -> Any:
    """The value of the recipe's field ``name`` as a plain Python value; ConfigError for one that cannot be."""
    if name not in FIELDS:
        raise unknown("setting", name, FIELDS)
    if name == "lr_drops":
        if not isinstance(value, Iterable) or isinstance(value, (str, bytes)):
            raise ConfigError(f"lr_drops {value!r}: the epochs after which the learning rate drops, as a list")
        return tuple(whole("lr_drops", epoch, low=0) for epoch in value)
    if name == "strong_on":
        return choice("strong_on", value, ["all", "weights"])
    if name in ("epochs", "batch_size"):
        return whole(name, value, low=1)
    if name == "strong_steps":
        return whole(name, value, low=0)
    if name == "lr":
        return real("learning rate", value, above=0)
    return real(name, value, low=0, high=0.999999 if name == "momentum" else float("inf"))


FIELDS = [field.name for field in dataclasses.fields(Recipe)]
