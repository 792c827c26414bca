"""The training loop: the paper's schedules, a checkpoint after every epoch, and a run that can be cut at any moment."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import nn
from tqdm.auto import tqdm

from .analysis import Tracker
from .data import Dataset, batches
from .errors import CheckpointError, ConfigError, DivergenceError, OutputError

FORMAT = "pfa_edu checkpoint 1"
Row = tuple[int, str, str, float]  # epoch, layer, metric, value


@dataclass(frozen=True)
class Recipe:
    """SGD without Nesterov on cross-entropy, as the paper trains (arXiv 2405.20594).

    ``lr`` is multiplied by ``lr_gamma`` after each of the epochs in ``lr_drops``. ``weight_decay`` holds on every
    trained parameter, R and F included, but for the first ``strong_steps`` steps, which take ``strong_decay``: that is
    what fades the initial mismatch of PFA, PFA-o and KP.
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

    def __post_init__(self):
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)!r}: it must be at least 1")
        if not self.lr > 0:
            raise ConfigError(f"learning rate {self.lr!r}: it must be positive")

    def lr_at(self, epoch: int) -> float:
        """Learning rate during ``epoch`` (the first is 0)."""
        return self.lr * self.lr_gamma ** sum(epoch >= drop for drop in self.lr_drops)

    def decay_at(self, step: int) -> float:
        """Weight decay at ``step`` (counted over the whole run, the first is 0)."""
        return self.strong_decay if step < self.strong_steps else self.weight_decay


class Trainer:
    """Trains ``net`` on ``data`` by ``recipe``; everything that the rest of the run depends on is in ``state()``.

    ``identity`` says what run this is (names and numbers only); a checkpoint of another identity is refused.
    ``rows`` holds what was measured: (epochs completed, layer or 'network', metric, value).
    """

    def __init__(self, net: nn.Module, data: Dataset, recipe: Recipe, seed: int, identity: dict[str, Any]):
        self.net, self.data, self.recipe, self.identity = net, data, recipe, identity
        self.optimizer = torch.optim.SGD(
            net.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay, fused=True
        )
        self.order = torch.Generator().manual_seed(seed)  # on the CPU: one batch order for every device
        self.epoch = 0  # epochs completed
        self.rows: list[Row] = []
        self.tracker = Tracker(net, nnf.cross_entropy, (data.train_x[:256], data.train_y[:256]))
        self.random = torch.get_rng_state()  # the stream that brSF draws from, apart from the user's own

    def train(self, checkpoint: Path | None = None, progress: str = "auto") -> None:
        """Trains what is left of the recipe's epochs, writing ``checkpoint`` after each."""
        if self.epoch == 0 and not self.rows:
            self._evaluate()
        bar = progress_bar(self.identity_line(), self.recipe.epochs, self.epoch, progress)
        with bar:
            while self.epoch < self.recipe.epochs:
                start = time.perf_counter()
                loss = self._one_epoch()
                self.epoch += 1
                self._add("seconds", time.perf_counter() - start)
                self._add("train_loss", loss)
                for setting in ("lr", "weight_decay"):  # as they were in the epoch's last step
                    self._add(setting, self.optimizer.param_groups[0][setting])
                self._evaluate()
                if checkpoint is not None:
                    save_checkpoint(checkpoint, self.state())
                bar.advance(self.epoch, loss, self.rows)

    def identity_line(self) -> str:
        return (
            f"{self.identity.get('experiment', 'run')} {self.identity.get('rule', '')} seed {self.identity.get('seed')}"
        )

    def _add(self, metric: str, value: float) -> None:
        self.rows.append((self.epoch, "network", metric, float(value)))

    def _one_epoch(self) -> float:
        """One pass over the training set; returns the mean loss."""
        recipe, data, group = self.recipe, self.data, self.optimizer.param_groups[0]
        count = len(data.train_y) // recipe.batch_size
        first = self.epoch * count
        group["lr"] = recipe.lr_at(self.epoch)
        losses = torch.empty(count, device=data.train_x.device)
        self.net.train()
        with _stream(self):
            indices = batches(len(data.train_y), recipe.batch_size, self.order, device=data.train_x.device)
            for i, index in enumerate(indices):
                group["weight_decay"] = recipe.decay_at(first + i)
                loss = nnf.cross_entropy(self.net(data.train_x[index]), data.train_y[index])
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                losses[i] = loss.detach()
                if i % 100 == 99:  # looking at every loss would make a GPU wait at every step
                    self._check(losses[: i + 1], first)
        self._check(losses, first)
        return losses.mean().item()

    def _check(self, losses: torch.Tensor, first: int) -> None:
        bad = (~losses.isfinite()).nonzero()
        if len(bad):
            kept = f"epoch {self.epoch} is kept in the last checkpoint" if self.epoch else "no epoch was completed"
            raise DivergenceError(
                f"the loss became {losses[bad[0, 0]].item()} in epoch {self.epoch + 1} at step "
                f"{first + bad[0, 0].item()} ({self.identity_line()}); {kept}. Lower the learning "
                f"rate ({self.recipe.lr_at(self.epoch):g}) or the weight decay"
            )

    @torch.no_grad()
    def _evaluate(self) -> None:
        """Accuracy and loss on the test set, and the tracker's angles, at the present number of completed epochs."""
        self.net.eval()
        x, y = self.data.test_x, self.data.test_y
        out = torch.cat([self.net(part) for part in x.split(1000)])  # (N, classes)
        self._add("test_accuracy", (out.argmax(1) == y).double().mean().item() * 100)
        self._add("test_loss", nnf.cross_entropy(out, y).item())
        self.net.train()
        self.tracker.record(self.epoch)
        self.rows += self.tracker.rows
        self.tracker.rows = []

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on."""
        return {
            "format": FORMAT, "identity": self.identity, "epoch": self.epoch, "rows": list(self.rows),
            "net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(),
            "order": self.order.get_state(), "random": self.random,
        }  # fmt: skip

    def resume(self, state: dict[str, Any]) -> None:
        """Goes on from ``state()`` of the same run, bit for bit on the same CPU with the same number of threads."""
        differ = differences(state["identity"], self.identity)
        if differ:
            raise CheckpointError(
                f"the checkpoint belongs to another run: {differ}. Choose another folder for this one"
            )
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.order.set_state(state["order"].cpu())
        self.random = state["random"].cpu()
        self.epoch, self.rows = state["epoch"], [tuple(r) for r in state["rows"]]


@contextlib.contextmanager
def _stream(trainer: Trainer):
    """The trainer's own random stream while it trains; the caller's is put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(trainer.random)
        yield
        trainer.random = torch.get_rng_state()


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes atomically: a cut at any moment leaves either the old checkpoint or the new one, whole."""
    part = path.with_suffix(".part")
    try:
        with open(part, "wb") as f:
            torch.save(state, f)
            f.flush()
            os.fsync(f.fileno())
        os.replace(part, path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise OutputError(
            f"could not write {path} ({error}): the checkpoint of the epoch before is untouched. Free some space or "
            f"choose another folder, then run the same command again to go on"
        ) from error


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Reads what ``save_checkpoint`` wrote; CheckpointError for a truncated or foreign file."""
    way_out = "delete it to begin this run again, or choose another folder"
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path} cannot be read as a checkpoint (truncated or foreign): {way_out}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of this version of pfa_edu ({FORMAT}): {way_out}")
    return state


def progress_kind(kind: str) -> str:
    """'bar', 'line' or 'none'; what 'auto' means here."""
    if kind not in ("auto", "bar", "line", "none"):
        raise ConfigError(f"progress {kind!r}: 'auto', 'bar', 'line' or 'none'")
    if kind == "auto":
        return os.environ.get("PFA_EDU_PROGRESS") or ("bar" if sys.stderr.isatty() else "line")
    return kind


class progress_bar:
    """A tqdm bar in a terminal or a live notebook; elsewhere (a file, papermill, CI) one line an epoch."""

    def __init__(self, title: str, total: int, done: int, kind: str = "auto"):
        self.title, self.total, self.kind = title, total, (kind := progress_kind(kind))
        self.bar = tqdm(total=total, initial=done, desc=title, unit="epoch") if kind == "bar" else None
        if done and kind == "line" and done < total:
            print(f"{title}: going on after epoch {done}", flush=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.bar is not None:
            self.bar.close()

    def advance(self, epoch: int, loss: float, rows: list[Row]) -> None:
        last = {metric: value for e, layer, metric, value in rows if e == epoch and layer == "network"}
        if self.bar is not None:
            self.bar.set_postfix(loss=f"{loss:.3f}", test=f"{last['test_accuracy']:.2f}%")
            self.bar.update()
        elif self.kind == "line":
            print(
                f"{self.title}: epoch {epoch}/{self.total}  loss {loss:.4f}  test {last['test_accuracy']:.2f} %  "
                f"{last['seconds']:.1f} s",
                flush=True,
            )


def differences(there: dict[str, Any], here: dict[str, Any]) -> str:
    """In words, where two identities differ; empty if they are of one run."""
    differ = [k for k in here | there if here.get(k) != there.get(k)]
    return ", ".join(f"{k} {there.get(k)!r} there, {here.get(k)!r} here" for k in differ)


def recipe_dict(recipe: Recipe) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(recipe).items()}
