"""One training run, of a preset or of your own network, data, loss and optimiser: resumable, tidy results out."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as nnf
from torch import nn

from .. import data as datasets
from .._files import write_csv
from .._settings import whole
from ..errors import ConfigError, unknown
from ..nn.conversion import convert
from ..nn.layer import layers
from ..rules import Rule
from ..rules import rule as rule_by_name
from ..train import ranks as parallel
from ..train.checkpoint import load_checkpoint
from ..train.execution import Execution
from ..train.freezing import Frozen, freeze, frozen_layers
from ..train.optimizer import Optimizer
from ..train.recipe import Recipe
from ..train.step import Loss
from ..train.trainer import Trainer
from . import store
from .networks import Network, made, name_of
from .where import held_by_first, usable

COLUMNS = ["rule", "seed", "epoch", "layer", "metric", "value"]
MOST_SEED = 10**12  # the stream of an epoch is seeded by a million times as much, which has to fit into 64 bits
Data = datasets.Dataset | datasets.PictureFolder | datasets.Text


@dataclass
class Experiment:
    """A network, data, a rule and a recipe. ``run()`` trains it, or what is left of it.

    ``network``: a function that builds it, of nothing or of (input_shape, classes), or a name that ``models.build``
    takes. ``data``: a :class:`~pfa_edu.data.Dataset` (``data.from_tensors``, ``data.from_torch``), or a dataset's name.
    ``loss``: ``loss(net(x), y)``, a mean over the batch. ``optimizer``: a :class:`~pfa_edu.Optimizer`, a class or the
    name of one in torch.optim. ``callbacks``: see :class:`~pfa_edu.Callback`. ``skip``, ``init``: as ``convert`` takes
    them; the network is built from ``seed``, so all rules start from the same weights. ``frozen``: how many of the
    lowest layers keep their initial values, or their names and patterns: the control of what training them gains.
    ``name``: what the run's folder is called, ``out``/NAME/RULE-seedN (``out=None`` keeps nothing).

    >>> from pfa_edu import PFA, data
    >>> x, y = torch.randn(64, 8), torch.randint(3, (64,))
    >>> mine = data.from_tensors("mine", train=(x, y), test=(x, y))
    >>> def network():
    ...     return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    >>> e = Experiment(network, mine, PFA(ratio=10), Recipe(epochs=2, batch_size=16, lr=0.1), out=None)
    >>> e.run(progress="none").frame.metric.unique()[:2].tolist()
    ['test_accuracy', 'test_loss']
    """

    network: Network
    data: str | Data
    rule: Rule
    recipe: Recipe
    seed: int = 0
    name: str = "mine"
    out: Path | None = Path("runs")
    loss: Loss = nnf.cross_entropy
    optimizer: Optimizer = field(default_factory=Optimizer)
    callbacks: tuple[Any, ...] = ()
    init: str = "keep"
    skip: tuple[str, ...] = ()
    frozen: Frozen = 0
    device: str | None = None
    execution: Execution = field(default_factory=Execution)
    scale: str = ""
    subset: int | None = None
    data_root: str | None = None
    workers: int | None = None
    train_images: int | None = None  # of a folder of pictures, which may change between two runs
    group: str = ""
    net: nn.Module | None = field(default=None, repr=False)
    frame: pd.DataFrame | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.rule = rule_by_name(self.rule)
        self.optimizer = Optimizer.of(self.optimizer)
        self.seed = whole("seed", self.seed, low=0, high=MOST_SEED)
        self.out = None if self.out is None else Path(self.out)
        self.skip = (self.skip,) if isinstance(self.skip, str) else tuple(self.skip)
        self.frozen = frozen_layers(self.frozen)
        self.device = usable(self.device)
        self.execution.check(torch.device(self.device))
        if isinstance(self.data, str) and self.data not in datasets.NAMES:
            raise unknown("dataset", self.data, datasets.NAMES)
        if not isinstance(self.recipe, Recipe):
            raise ConfigError(f"recipe {self.recipe!r}: a pe.Recipe(epochs=..., batch_size=..., lr=...)")
        if not callable(self.loss):
            raise ConfigError(f"loss {self.loss!r}: a function of (net(x), y) that returns a scalar")
        self.group = self.group or "-".join(part for part in (self.name, self.scale) if part)

    @property
    def dataset(self) -> str:
        """The name of the data."""
        return self.data if isinstance(self.data, str) else self.data.name

    @property
    def folder(self) -> Path | None:
        """Where this run's checkpoint and metrics.csv are: ``out``/mnist-classroom/pfa-seed0."""
        lower = f"{self.frozen}" if isinstance(self.frozen, int) else ",".join(self.frozen)
        lower = re.sub(r"[^\w.,-]", "_", lower)
        group = f"{self.group}-frozen={lower}" if self.frozen else self.group
        return self.out and self.out / group / f"{self.rule.label.replace(' ', '_')}-seed{self.seed}"

    @property
    def kept_in(self) -> Path:
        """The same folder, of a run that must have one; a ConfigError for a run that keeps nothing."""
        if self.folder is None:
            raise ConfigError(
                f"the run {self.rule.label!r} keeps nothing (out=None), so it has no folder: give it an out"
            )
        return self.folder

    @property
    def identity(self) -> dict[str, Any]:
        """What run this is, as names and numbers: only a run of the same identity goes on from its checkpoint."""
        same = {
            "experiment": self.name, "scale": self.scale, "dataset": self.dataset, "subset": self.subset,
            "network": self.network if isinstance(self.network, str) else self._structure, "rule": self.rule.label,
            "form": getattr(self._in_form(), "form", ""), "seed": self.seed, "precision": self.execution.precision,
            **self.recipe.as_dict(),
        }  # fmt: skip
        own = {  # said only where it is not what a preset has
            "train_images": self.train_images,
            "data": self._fingerprint,
            "loss": None if self.loss is nnf.cross_entropy else name_of(self.loss),
            "optimizer": None if self.optimizer == Optimizer() else repr(self.optimizer),
            "skip": list(self.skip) or None,
            "frozen": (self.frozen if isinstance(self.frozen, int) else list(self.frozen)) or None,
            "callbacks": [c.changes for c in self.callbacks if isinstance(getattr(c, "changes", None), str)] or None,
        }
        return same | {name: value for name, value in own.items() if value is not None}

    def run(self, progress: str = "auto", deadline: float | None = None) -> Experiment:
        """Trains to the end, from the last checkpoint where there is one; returns itself with ``net`` and ``frame``.

        ``deadline``: a ``time.time()`` after which no further epoch is begun; the same run called again goes on.
        ``frame``: tidy, columns rule, seed, epoch (completed; 0 = before training), layer, metric, value. It is in the
        run's metrics.csv too, brought up to date after every epoch.
        """
        with parallel.join(usable(self.device)) as ranks, held_by_first(self.folder, ranks) as folder:
            trainer = self.trainer(self.load(), ranks)
            keep = functools.partial(self.keep, trainer, folder)
            checkpoint = None if folder is None else folder / "checkpoint.pt"
            if checkpoint is not None:
                kept = ranks.first(lambda: load_checkpoint(checkpoint) if checkpoint.exists() else None)
                if kept is not None:
                    trainer.resume(kept, checkpoint.parent)
                    ranks.first(keep)  # a run that was killed between the two files
            if ranks.size > 1 and progress != "none" and ranks.is_first:
                each, batch = ranks.each(self.recipe.batch_size), self.recipe.batch_size
                print(f"{ranks.size} processes, {each} samples each of every batch of {batch}; schedules as for one")
            try:
                trainer.train(checkpoint, progress if ranks.is_first else "none", deadline, keep)
            except KeyboardInterrupt:
                where = f"epoch {trainer.epoch} is kept in {folder}" if trainer.epoch and folder else "nothing was kept"
                print(f"\ninterrupted: {where}; run the same again to go on", flush=True)
                raise
            finally:
                self.look(trainer)
        return self

    def keep(self, trainer: Trainer, folder: Path | None) -> None:
        """After an epoch: the results so far, here and in the run's folder."""
        self.look(trainer)
        if folder is not None and trainer.epoch and self.frame is not None:
            write_csv(self.frame, folder / "metrics.csv")
            store.progress(folder, self)

    def look(self, trainer: Trainer) -> None:
        """Takes the trainer's network and results for this run's."""
        self.net, self.frame = trainer.net, self._tidy(trainer)

    def load(self) -> Data:
        """The data, on the device."""
        device = usable(self.device)
        data: Data
        if isinstance(self.data, str):
            data = datasets.load(self.data, device, self.data_root, self.workers)
        else:
            data = self.data.to(device)
        if self.subset is not None:
            if isinstance(data, datasets.PictureFolder):
                raise ConfigError(
                    f"subset {self.subset}: only a dataset in memory can be cut, and {data.name} is not one"
                )
            if isinstance(data, datasets.Text):
                return data.subset(self.subset)
            data = data.subset(self.subset, None if data.validation_x is None else self.subset * 2 // 5)
        return data

    def trainer(self, data: Data, ranks: parallel.Ranks | None = None) -> Trainer:
        """A Trainer at the start of this run: the network drawn from the seed, nothing trained."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            plain = made(self.network, self.dataset, data.input_shape, data.classes)
            net = convert(plain, self._in_form(), skip=self.skip, init=self.init, inplace=True, verbose=False)
            first = next(iter(layers(net).values()))
            chosen = self.rule.under(self.optimizer.cls, first=True)
            if chosen != self._in_form():  # the data ask for no error: what sends one need not be computed
                first.set_rule(chosen.for_network(list(layers(net).values())[-1].weight.shape[0]))  # as convert() does
            freeze(net, self.frozen)
            net.to(self.device)
            pictures = any(isinstance(m, nn.Conv2d) for m in net.modules())
            # Measured on one CPU core: a step of ResNet-20 at batch 128 takes 0.77 of the time with channels last.
            execution = dataclasses.replace(self.execution, channels_last=pictures)
            return Trainer(
                net, data, self.recipe, self.seed, self.identity, execution, ranks, loss_fn=self.loss,
                optimizer=self.optimizer, callbacks=self.callbacks,
            )  # fmt: skip

    @property
    def _fingerprint(self) -> str | None:
        """Of data that a name does not tell: your own, or a text that another version of Python has otherwise."""
        if isinstance(self.data, str):
            return datasets.load(self.data).fingerprint if self.data in datasets.TEXTS else None
        return getattr(self.data, "fingerprint", None)

    def _in_form(self) -> Rule:
        return self.rule.under(self.optimizer.cls)

    @cached_property
    def _structure(self) -> str:
        """The function's name, and a hash of the layers that it builds: an edited network is another one."""
        with torch.random.fork_rng(devices=[]):
            data = self.load()
            text = repr(made(self.network, self.dataset, data.input_shape, data.classes))
        return f"{name_of(self.network)} {hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"

    def _tidy(self, trainer: Trainer) -> pd.DataFrame:
        frame = pd.DataFrame(trainer.rows, columns=["epoch", "layer", "metric", "value"])
        return frame.assign(rule=self.rule.label, seed=self.seed)[COLUMNS]
