"""The training loop: schedules, callbacks, a checkpoint after every epoch, and a run that can be cut at any moment."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import nn

from ..data import Dataset, PictureFolder, Text
from ..errors import ConfigError, DivergenceError
from ..measure import Tracker
from ..measure.tracker import Row
from ..nn.layer import layers
from ..rules import rules_in
from .callbacks import Callbacks
from .checkpoint import check_identity, fitting, save_checkpoint
from .execution import Execution, Stepper, explain_memory
from .optimizer import Optimizer
from .progress import Progress
from .ranks import Ranks
from .recipe import Recipe
from .scoring import score
from .step import Loss

_ENGINE = ("capturable", "fused", "foreach")  # settings of an optimiser that say how, not what, it computes


class Trainer:
    """Trains ``net`` on ``data`` by ``recipe``; everything that the rest of the run depends on is in ``state()``.

    ``identity`` says what run this is (names and numbers only); a checkpoint of another identity is refused.
    ``rows`` holds what was measured: (epochs completed, layer or 'network', metric, value). Accuracies are called after
    the part of the data that they are on; where there are validation images, the test images are looked at once, after
    the last epoch.
    ``ranks``: the processes that train it together; ``recipe.batch_size`` is what they take in one step all together.
    ``loss_fn(net(x), y)``: a scalar, a mean over the batch. ``callbacks``: :class:`Callback` objects, or functions of
    the run that are called after every epoch; the rules' own hooks come first.
    """

    def __init__(
        self, net: nn.Module, data: Dataset | PictureFolder | Text, recipe: Recipe, seed: int, identity: dict[str, Any],
        execution: Execution | None = None, ranks: Ranks | None = None, *, loss_fn: Loss = nnf.cross_entropy,
        optimizer: Optimizer | str | type[torch.optim.Optimizer] | None = None, callbacks: Iterable[Any] = (),
    ):  # fmt: skip
        self.net, self.data, self.recipe, self.seed, self.identity = net, data, recipe, seed, identity
        self.loss_fn = loss_fn
        self.execution = execution or Execution()
        recorded = self.execution.engine == "graph"
        self.optimizer = Optimizer.of(optimizer).make(self._groups(), recipe, recorded)
        self.callbacks = Callbacks([*rules_in(net), *callbacks])
        self.ranks = ranks or Ranks()
        self.ranks.each(recipe.batch_size)
        self.stepper = Stepper(net, data, self.optimizer, self.execution, self.ranks, loss_fn, recipe.every_step)
        self.order = torch.Generator().manual_seed(seed)  # on the CPU: one batch order for every device
        self.epoch = self.step = 0  # completed
        self.loss: torch.Tensor | None = None  # of the last step
        self.rows: list[Row] = []
        self.tracker = Tracker(net, loss_fn, data.probe())

    def train(
        self, checkpoint: Path | None = None, progress: str = "auto", deadline: float | None = None,
        kept: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        """Trains what is left of the recipe's epochs, writing ``checkpoint`` after each and then calling ``kept``.

        ``deadline``: a ``time.time()`` after which no further epoch is begun.
        """
        with (
            self.execution.numerics(),
            explain_memory(self.recipe.batch_size),
            Progress(self.title, self.recipe.epochs, self.epoch, progress) as bar,
        ):
            self.begin()
            while self.epoch < self.recipe.epochs and self._in_time(deadline):
                start = time.perf_counter()
                losses = self._one_epoch()
                seconds = time.perf_counter() - start
                accuracy = self.end_epoch(losses, seconds, checkpoint, kept)
                bar.advance(self.epoch, losses.mean().item(), accuracy, seconds)

    def begin(self) -> None:
        """What comes before a run's first epoch: its callbacks and the first measurement."""
        self.ranks.check_same(self.net)
        if self.epoch == 0 and not self.rows:
            with self._stream():
                self.callbacks.call("before_training", self)
            self._evaluate()

    def end_epoch(
        self, losses: torch.Tensor, seconds: float, checkpoint: Path | None, kept: Callable[[], None] | None
    ) -> float | None:
        """What comes after an epoch whose steps had ``losses`` (steps,): measurements, callbacks, the checkpoint.

        Returns the accuracy on the watched part, in percent. DivergenceError if a loss is not finite.
        """
        self._check(losses, self.epoch * len(losses))
        self.epoch += 1
        self.log("seconds", seconds)
        self.log("train_loss", losses.mean().item())
        for setting in ("lr", "weight_decay"):  # as they were in the epoch's last step
            self.log(setting, self.optimizer.param_groups[0].get(setting, 0.0))
        self.ranks.take_statistics(self.net)
        self.ranks.check_same(self.net)
        accuracy = self._evaluate()
        self.callbacks.call("on_epoch", self)
        if checkpoint is not None:
            self.ranks.first(lambda: save_checkpoint(checkpoint, self.state()))
        if kept is not None:
            self.ranks.first(kept)
        return accuracy

    def _in_time(self, deadline: float | None) -> bool:
        return deadline is None or self.ranks.first(lambda: time.time() < deadline)  # one clock decides for all

    def _groups(self) -> list[dict[str, Any]]:
        """The optimiser's parameter groups: all in one, or weights and their feedback apart from the rest."""
        parameters = list(self.net.parameters())
        if self.recipe.strong_on == self.recipe.decay_on == "all":
            return [{"params": parameters, "weights": True}]
        mine = {id(p) for layer in layers(self.net).values() for p in (layer.parameter, *layer.feedback_parameters())}
        apart = [{"params": [p for p in parameters if (id(p) in mine) == w], "weights": w} for w in (True, False)]
        return [group for group in apart if group["params"]]

    @property
    def title(self) -> str:
        known = self.identity
        return f"{known.get('experiment', 'run')} {known.get('rule', '')} seed {known.get('seed', self.seed)}"

    @property
    def steps_per_epoch(self) -> int:
        """A last short batch is dropped."""
        return self.data.train_size // self.recipe.batch_size

    def log(self, metric: str, value: float, layer: str = "network") -> None:
        """Adds a measurement of the present epoch to the results."""
        self.rows.append((self.epoch, layer, metric, float(value)))

    def last(self, metric: str, layer: str = "network") -> float:
        """The newest value of ``metric``; ConfigError if it was never measured."""
        for _, where, what, value in reversed(self.rows):
            if (where, what) == (layer, metric):
                return value
        there = ", ".join(dict.fromkeys(row[2] for row in self.rows)) or "nothing yet"
        raise ConfigError(f"no {metric!r} of {layer!r} was measured; there is {there}")

    def _one_epoch(self) -> torch.Tensor:
        """One pass over the training set; returns the loss of every step, (steps,)."""
        recipe, groups = self.recipe, self.optimizer.param_groups
        plan = self.ranks.share(self.data.plan(recipe.batch_size, self.order))  # (steps, batch / ranks, choices)
        first = self.epoch * len(plan)
        for group in groups:
            group["lr"] = recipe.lr_at(self.epoch)
        losses = torch.empty(len(plan), device=self.data.device)
        self.net.train()
        with self._stream():
            self.step = first
            self.callbacks.call("before_epoch", self)
            for i, choice in enumerate(self.data.stream(plan)):
                for group in groups:
                    if recipe.every_step:
                        group["lr"] = recipe.lr_in(first + i, len(plan))
                    if "weight_decay" in group:
                        group["weight_decay"] = recipe.decay_at(first + i, group["weights"])
                self.step = first + i
                self.callbacks.call("before_step", self)
                losses[i] = self.loss = self.stepper.step(choice)
                self.step += 1
                self.callbacks.call("on_step", self)
                if i % 100 == 99 and losses.device.type == "cpu":  # a GPU would wait here: there, once an epoch
                    self._check(self._over_ranks(losses[: i + 1]), first)
        return self._over_ranks(losses)

    def _over_ranks(self, losses: torch.Tensor) -> torch.Tensor:
        """The whole batches' losses, from those of this rank's parts."""
        return self.ranks.sum(losses.clone()) / self.ranks.size

    @contextlib.contextmanager
    def _stream(self) -> Iterator[None]:
        """An epoch's own random stream (brSF and dropout draw from it); the caller's is put back afterwards.

        It follows from seed and epoch alone, so that a run that goes on, on whatever device, needs nothing kept.
        """
        cuda = [self.data.device.index] if self.data.device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(self.seed * 1_000_003 + self.epoch + 1)
            yield

    def _check(self, losses: torch.Tensor, first: int) -> None:
        bad = (~losses.isfinite()).nonzero()
        if len(bad):
            kept = f"epoch {self.epoch} is kept in the last checkpoint" if self.epoch else "no epoch was completed"
            raise DivergenceError(
                f"the loss became {losses[bad[0, 0]].item()} in epoch {self.epoch + 1} at step "
                f"{first + bad[0, 0].item()} ({self.title}); {kept}. Lower the learning "
                f"rate ({self.recipe.lr_at(self.epoch):g}) or the weight decay"
            )

    def _evaluate(self) -> float | None:
        """Accuracy (percent) and loss on the watched part, the tracker's angles, and at the very end the test set."""
        accuracy = self._score(self.data.watched)
        if self.epoch == self.recipe.epochs and self.data.held_back:
            self._score(self.data.held_back)
        self.tracker.record(self.epoch)
        self.rows += self.tracker.take()
        return accuracy

    def _score(self, part: str) -> float | None:
        """Records accuracy (percent) and loss on a part of the data; returns the accuracy, None for a regression."""
        accuracy, loss = score(self.net, self.data, part, self.stepper.predict, self.loss_fn, self.ranks)
        if accuracy is not None:
            self.log(f"{part}_accuracy", accuracy)
        self.log(f"{part}_loss", loss)
        return accuracy

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on."""
        return {
            "identity": self.identity, "epoch": self.epoch, "rows": list(self.rows), "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(), "order": self.order.get_state(),
        }  # fmt: skip

    def resume(self, state: dict[str, Any], where: Path | str = "the checkpoint") -> None:
        """Goes on from ``state()`` of the same run, bit for bit on the same CPU with the same number of threads.

        ``where`` it was found: for the CheckpointError if it is another run's.
        """
        check_identity(self.identity, state["identity"], where)
        with fitting(where):
            self.net.load_state_dict(state["net"])
            own = [{name: g[name] for name in _ENGINE if name in g} for g in self.optimizer.param_groups]
            self.optimizer.load_state_dict(state["optimizer"])
            for group, mine in zip(self.optimizer.param_groups, own, strict=True):
                group |= mine
            self.order.set_state(state["order"].cpu())
            self.epoch, self.rows = state["epoch"], [tuple(r) for r in state["rows"]]
