"""Callbacks: what a user's own code, or a rule, does before and after the epochs and steps of a training run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from .._settings import whole
from ..errors import ConfigError
from ..rules import Rule

if TYPE_CHECKING:
    from .trainer import Trainer

MOMENTS = ("before_training", "before_epoch", "before_step", "on_step", "on_epoch")


class Callback:
    """Subclass it and define what you need; rules have the same five methods.

    ``run`` is the :class:`Trainer`: ``run.net``, ``run.optimizer``, ``run.data``, ``run.recipe``, ``run.seed``,
    ``run.epoch`` (epochs completed), ``run.step`` (steps taken), ``run.loss`` (of the last step, a scalar tensor),
    ``run.rows`` (all that was measured). ``run.log(metric, value)`` adds a row to the results.

    >>> class Print(Callback):
    ...     def on_epoch(self, run):
    ...         print(run.epoch, run.last("test_accuracy"))
    """

    def before_training(self, run: Trainer) -> None:
        """Once, before the first epoch; not when a run that was cut goes on."""

    def before_epoch(self, run: Trainer) -> None:
        """Before every epoch."""

    def before_step(self, run: Trainer) -> None:
        """Before the forward pass of every step."""

    def on_step(self, run: Trainer) -> None:
        """After the optimiser's step."""

    def on_epoch(self, run: Trainer) -> None:
        """After an epoch was measured, before its checkpoint is written."""


class TrackSteps(Callback):
    """Measures every ``every`` steps, not only after every epoch: alignment often happens within the first one.

    The rows have a fraction for their epoch: 0.25 is a quarter through the first. ``until``: the epoch after which it
    is enough. A measurement costs a little more than two passes over 256 samples, and changes nothing in training.

    >>> TrackSteps(every=20, until=1).every
    20
    """

    def __init__(self, every: int, until: float = float("inf")):
        self.every = whole("every", every, low=1, what="steps between two measurements")
        self.until = until

    def on_step(self, run: Trainer) -> None:
        epoch = run.step / run.steps_per_epoch
        ends = run.step % run.steps_per_epoch == 0  # the trainer itself measures there
        if run.step % self.every == 0 and not ends and epoch <= self.until:
            run.tracker.record(epoch)
            run.rows += run.tracker.take()


class Callbacks:
    """The rules' and the user's hooks, by the moment at which they are called. Empty moments cost nothing."""

    def __init__(self, hooks: Iterable[Any]):
        self._at: dict[str, list[Callable[[Any], None]]] = {moment: [] for moment in MOMENTS}
        for hook in hooks:
            if callable(hook) and not isinstance(hook, (Callback, Rule)):
                self._at["on_epoch"].append(hook)  # a plain function
                continue
            if not isinstance(hook, (Callback, Rule)):
                raise ConfigError(f"callback {hook!r}: a pe.Callback, or a function that takes the run")
            for moment in MOMENTS:
                if getattr(type(hook), moment) not in (getattr(Callback, moment), getattr(Rule, moment)):
                    self._at[moment].append(getattr(hook, moment))

    def wanted(self, moment: str) -> bool:
        """Whether anything is called then."""
        return bool(self._at[moment])

    def call(self, moment: str, run: Trainer) -> None:
        for hook in self._at[moment]:
            hook(run)
