"""The numbers of a training run: epochs, batch, learning rate, weight decay and their schedules."""

from __future__ import annotations

import dataclasses
import math
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
    ``decay_on``: 'all' parameters, or 'weights' only, as is usual for transformers: biases, norms, positions and
    embedding tables are then spared. ``warm_up``: so many steps in which the learning rate climbs to ``lr``.
    ``cosine``: after them it falls along half a cosine, to this part of ``lr`` in the last step; 1: it does not.

    >>> Recipe(epochs=3, batch_size=64, lr=0.1, lr_drops=(2,)).lr_at(2)
    0.05
    >>> slow = Recipe(epochs=2, batch_size=64, lr=0.1, warm_up=4, cosine=0.1)  # of 10 steps an epoch
    >>> [round(slow.lr_in(step, 10), 4) for step in (0, 3, 19)]
    [0.025, 0.1, 0.01]
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
    decay_on: str = "all"
    warm_up: int = 0
    cosine: float = 1.0

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

    @property
    def every_step(self) -> bool:
        """Whether the learning rate changes from step to step, not from epoch to epoch."""
        return self.warm_up > 0 or self.cosine != 1

    def lr_in(self, step: int, steps_per_epoch: int) -> float:
        """Learning rate in ``step`` (counted over the whole run, the first is 0)."""
        lr = self.lr_at(step // steps_per_epoch)
        if step < self.warm_up:
            return lr * (step + 1) / self.warm_up
        left = self.epochs * steps_per_epoch - 1 - self.warm_up  # of the steps after the warm-up, but for the last
        done = (step - self.warm_up) / left if left > 0 else 1.0
        return lr * (self.cosine + (1 - self.cosine) * (1 + math.cos(math.pi * done)) / 2)

    def decay_at(self, step: int, weights: bool = True) -> float:
        """Weight decay at ``step`` (counted over the whole run, the first is 0), of weights or of other parameters."""
        strong = step < self.strong_steps and (weights or self.strong_on == "all")
        gentle = self.weight_decay if weights or self.decay_on == "all" else 0.0
        return self.strong_decay if strong else gentle

    def as_dict(self) -> dict[str, Any]:
        """As JSON and a run's identity have it: lists in place of tuples.

        What came later than the first runs that are kept is in it only where it is used, so that they stay the same.
        """
        given = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}
        return {k: v for k, v in given.items() if k not in LATER or v != LATER[k]}


def checked(name: str, value: Any) -> Any:
    """The value of the recipe's field ``name`` as a plain Python value; ConfigError for one that cannot be."""
    if name not in FIELDS:
        raise unknown("setting", name, FIELDS)
    if name == "lr_drops":
        if not isinstance(value, Iterable) or isinstance(value, (str, bytes)):
            raise ConfigError(f"lr_drops {value!r}: the epochs after which the learning rate drops, as a list")
        return tuple(whole("lr_drops", epoch, low=0) for epoch in value)
    if name in ("strong_on", "decay_on"):
        return choice(name, value, ["all", "weights"])
    if name in ("epochs", "batch_size"):
        return whole(name, value, low=1)
    if name in ("strong_steps", "warm_up"):
        return whole(name, value, low=0)
    if name == "cosine":
        return real(name, value, low=0, high=1, what="what is left of the learning rate in the last step")
    if name == "lr":
        return real("learning rate", value, above=0)
    return real(name, value, low=0, high=0.999999 if name == "momentum" else float("inf"))


FIELDS = [field.name for field in dataclasses.fields(Recipe)]
LATER = {f.name: f.default for f in dataclasses.fields(Recipe) if f.name in ("decay_on", "warm_up", "cosine")}
"""Fields that came after the first kept runs, and what a run has that does not name them."""
