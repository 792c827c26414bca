"""The training loop: the paper's schedules, a checkpoint after every epoch, and a run that can be cut at any moment."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import nn

from ..data import Dataset, PictureFolder
from ..errors import ConfigError, DivergenceError, unknown
from ..measure import Tracker
from ..nn.modules import layers
from .checkpoint import check_identity, save_checkpoint
from .execution import Execution, Stepper, explain_memory
from .progress import Progress
from .ranks import Ranks

Row = tuple[int, str, str, float]  # epoch, layer, metric, value


@dataclass(frozen=True)
class Recipe:
    """SGD without Nesterov on cross-entropy, as the paper trains (arXiv 2405.20594).

    ``lr`` is multiplied by ``lr_gamma`` after each of the epochs in ``lr_drops``. ``weight_decay`` holds on every
    trained parameter, R and F included, but for the first ``strong_steps`` steps, which take ``strong_decay``: that is
    what fades the initial mismatch of PFA, PFA-o and KP. ``strong_on``: 'all' parameters, as in the paper, or 'weights'
    only (W, R, F, a), which is all that fading needs: a short schedule has no time to grow batch norm's scales again.
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

    def __post_init__(self):
        if self.strong_on not in ("all", "weights"):
            raise unknown("strong_on", self.strong_on, ["all", "weights"])
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)!r}: it must be at least 1")
        if not self.lr > 0:
            raise ConfigError(f"learning rate {self.lr!r}: it must be positive")

    def lr_at(self, epoch: int) -> float:
        """Learning rate during ``epoch`` (the first is 0)."""
        return self.lr * self.lr_gamma ** sum(epoch >= drop for drop in self.lr_drops)

    def decay_at(self, step: int, weights: bool = True) -> float:
        """Weight decay at ``step`` (counted over the whole run, the first is 0), of weights or of other parameters."""
        strong = step < self.strong_steps and (weights or self.strong_on == "all")
        return self.strong_decay if strong else self.weight_decay


class Trainer:
    """Trains ``net`` on ``data`` by ``recipe``; everything that the rest of the run depends on is in ``state()``.

    ``identity`` says what run this is (names and numbers only); a checkpoint of another identity is refused.
    ``rows`` holds what was measured: (epochs completed, layer or 'network', metric, value). Accuracies are called after
    the part of the data that they are on; where there are validation images, the test images are looked at once, after
    the last epoch.
    ``ranks``: the processes that train it together; ``recipe.batch_size`` is what they take in one step all together.
    """

    def __init__(
        self, net: nn.Module, data: Dataset | PictureFolder, recipe: Recipe, seed: int, identity: dict[str, Any],
        execution: Execution | None = None, ranks: Ranks | None = None,
    ):  # fmt: skip
        self.net, self.data, self.recipe, self.seed, self.identity = net, data, recipe, seed, identity
        self.optimizer = torch.optim.SGD(
            self._groups(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay, fused=True
        )
        self.execution = execution or Execution()
        self.ranks = ranks or Ranks()
        self.ranks.each(recipe.batch_size)
        self.stepper = Stepper(net, data, self.optimizer, self.execution, self.ranks)
        self.order = torch.Generator().manual_seed(seed)  # on the CPU: one batch order for every device
        self.epoch = 0  # epochs completed
        self.rows: list[Row] = []
        self.tracker = Tracker(net, nnf.cross_entropy, data.probe())

    def train(self, checkpoint: Path | None = None, progress: str = "auto", deadline: float | None = None) -> None:
        """Trains what is left of the recipe's epochs, writing ``checkpoint`` after each.

        ``deadline``: a ``time.time()`` after which no further epoch is begun.
        """
        with (
            self.execution.numerics(),
            explain_memory(self.recipe.batch_size),
            Progress(self.title, self.recipe.epochs, self.epoch, progress) as bar,
        ):
            self.ranks.check_same(self.net)
            if self.epoch == 0 and not self.rows:
                self._evaluate()
            while self.epoch < self.recipe.epochs and self._in_time(deadline):
                start = time.perf_counter()
                loss = self._one_epoch()
                seconds = time.perf_counter() - start
                self.epoch += 1
                self._add("seconds", seconds)
                self._add("train_loss", loss)
                for setting in ("lr", "weight_decay"):  # as they were in the epoch's last step
                    self._add(setting, self.optimizer.param_groups[0][setting])
                self.ranks.take_statistics(self.net)
                self.ranks.check_same(self.net)
                accuracy = self._evaluate()
                if checkpoint is not None:
                    self.ranks.first(lambda: save_checkpoint(checkpoint, self.state()))
                bar.advance(self.epoch, loss, accuracy, seconds)

    def _in_time(self, deadline: float | None) -> bool:
        return deadline is None or self.ranks.first(lambda: time.time() < deadline)  # one clock decides for all

    def _groups(self) -> list[dict[str, Any]]:
        """The optimiser's parameter groups: all in one, or weights and their feedback apart from the rest."""
        parameters = list(self.net.parameters())
        if self.recipe.strong_on == "all":
            return [{"params": parameters, "weights": True}]
        mine = {id(p) for layer in layers(self.net).values() for p in (layer.weight, *layer.feedback_parameters())}
        apart = [{"params": [p for p in parameters if (id(p) in mine) == w], "weights": w} for w in (True, False)]
        return [group for group in apart if group["params"]]

    @property
    def title(self) -> str:
        known = self.identity
        return f"{known.get('experiment', 'run')} {known.get('rule', '')} seed {known.get('seed', self.seed)}"

    def _add(self, metric: str, value: float) -> None:
        self.rows.append((self.epoch, "network", metric, float(value)))

    def _one_epoch(self) -> float:
        """One pass over the training set; returns the mean loss."""
        recipe, groups = self.recipe, self.optimizer.param_groups
        plan = self.ranks.share(self.data.plan(recipe.batch_size, self.order))  # (steps, batch / ranks, choices)
        first = self.epoch * len(plan)
        for group in groups:
            group["lr"] = recipe.lr_at(self.epoch)
        losses = torch.empty(len(plan), device=self.data.device)
        self.net.train()
        with self._stream():
            for i, choice in enumerate(self.data.stream(plan)):
                for group in groups:
                    group["weight_decay"] = recipe.decay_at(first + i, group["weights"])
                losses[i] = self.stepper.step(choice)
                if i % 100 == 99 and losses.device.type == "cpu":  # a GPU would wait here: there, once an epoch
                    self._check(self._over_ranks(losses[: i + 1]), first)
        losses = self._over_ranks(losses)
        self._check(losses, first)
        return losses.mean().item()

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

    def _evaluate(self) -> float:
        """Accuracy and loss on the watched part, the tracker's angles, and at the very end the test set."""
        accuracy = self._score(self.data.watched)
        if self.epoch == self.recipe.epochs and self.data.held_back:
            self._score(self.data.held_back)
        self.tracker.record(self.epoch)
        self.rows += self.tracker.rows
        self.tracker.rows = []
        return accuracy

    @torch.no_grad()
    def _score(self, part: str) -> float:
        """Records accuracy (percent) and loss on 'validation' or 'test'; returns the accuracy."""
        self.net.eval()
        totals = torch.zeros(3, dtype=torch.float64, device=self.stepper.device)  # images, right, loss
        for images, labels in self.data.pieces(part, self.ranks.rank, self.ranks.size):
            out = self.stepper.predict(images)  # (piece, classes)
            right, loss = (out.argmax(1) == labels).sum(), nnf.cross_entropy(out, labels, reduction="sum")
            totals += torch.stack([torch.full_like(loss, len(labels)), right, loss]).double()
        self.net.train()
        images, right, loss = self.ranks.sum(totals).tolist()
        self._add(f"{part}_accuracy", 100 * right / images)
        self._add(f"{part}_loss", loss / images)
        return 100 * right / images

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
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.order.set_state(state["order"].cpu())
        self.epoch, self.rows = state["epoch"], [tuple(r) for r in state["rows"]]


def recipe_dict(recipe: Recipe) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(recipe).items()}
