"""The paper's experiments as named presets: run one, tidy results out."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock
import pandas as pd
import torch

from . import data as datasets
from .analysis import steps_to_fade
from .convert import convert
from .errors import ConfigError, OutputError, unknown
from .models import mlp
from .rules import KP, PFA, PFAo, Rule
from .rules import rule as rule_by_name
from .training import Recipe, Trainer, load_checkpoint, recipe_dict

COLUMNS = ["rule", "seed", "epoch", "layer", "metric", "value"]
SCALES = ("smoke", "classroom", "paper")


@dataclass(frozen=True)
class Preset:
    """An experiment at one scale. ``fade``: what the strong first decay leaves of the initial mismatch, a_t."""

    dataset: str
    hidden: tuple[int, ...]
    recipe: Recipe
    strong_decay: float
    gentle_decay: float
    fade: float | None  # None: the strong decay lasts one epoch, as in the paper


# The paper's MNIST network and settings to the letter (arXiv 2405.20594); a_t is 0.057 after its first epoch. On the
# small set an epoch is only 62 steps, so the strong decay lasts as many steps as a_t needs to become about as small.
_PAPER = Recipe(epochs=40, batch_size=64, lr=0.01, lr_drops=(20, 30))
PRESETS: dict[tuple[str, str], Preset] = {
    ("mnist", "paper"): Preset("mnist", (512, 512), _PAPER, 0.03, 9e-5, None),
    ("mnist", "classroom"): Preset(
        "mnist-5k", (512, 512), dataclasses.replace(_PAPER, epochs=30, lr_drops=(20, 25)), 0.03, 9e-5, 0.06
    ),
    ("mnist", "smoke"): Preset(
        "mnist-5k", (32, 32), dataclasses.replace(_PAPER, epochs=3, lr_drops=(2,)), 0.3, 9e-5, 0.06
    ),
}  # fmt: skip
EXPERIMENTS = tuple(dict.fromkeys(name for name, _ in PRESETS))


def preset(name: str, scale: str) -> Preset:
    if name not in EXPERIMENTS:
        raise unknown("experiment", name, EXPERIMENTS)
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    return PRESETS[name, scale]


def _closed(rule: Rule) -> Rule:
    """The experiments know that they train by SGD, so PFA takes the closed form wherever it holds."""
    if isinstance(rule, PFAo) or (isinstance(rule, PFA) and rule.density == 1):
        return dataclasses.replace(rule, form="closed")
    return rule


@dataclass
class Experiment:
    """One training run: a preset, a rule and a seed. ``run()`` trains it, or what is left of it; see ``experiment``."""

    name: str
    rule: Rule
    seed: int
    scale: str
    dataset: str
    out: Path | None
    recipe: Recipe
    hidden: tuple[int, ...]
    device: str
    net: torch.nn.Module | None = None
    frame: pd.DataFrame | None = None

    @property
    def folder(self) -> Path | None:
        """Where this run's checkpoint and metrics.csv are."""
        return None if self.out is None else Path(self.out) / f"{self.rule.label.replace(' ', '_')}-seed{self.seed}"

    @property
    def identity(self) -> dict:
        return {
            "experiment": self.name, "scale": self.scale, "dataset": self.dataset, "rule": self.rule.label,
            "form": getattr(self.rule, "form", ""), "seed": self.seed, "hidden": list(self.hidden),
            **recipe_dict(self.recipe),
        }  # fmt: skip

    def run(self, progress: str = "auto") -> Experiment:
        """Trains to the end, from the last checkpoint where there is one; returns itself with ``net`` and ``frame``.

        ``frame``: tidy, columns rule, seed, epoch (completed; 0 = before training), layer, metric, value.
        """
        data = datasets.load(self.dataset, self.device)
        trainer = self._trainer(data)
        with _held(self.folder) as folder:
            checkpoint = None if folder is None else folder / "checkpoint.pt"
            if checkpoint is not None and checkpoint.exists():
                trainer.resume(load_checkpoint(checkpoint, self.device))
            try:
                trainer.train(checkpoint, progress)
            except KeyboardInterrupt:
                where = f"epoch {trainer.epoch} is kept in {folder}" if trainer.epoch and folder else "nothing was kept"
                print(f"\ninterrupted: {where}; run the same again to go on", flush=True)
                raise
            finally:
                self.net, self.frame = trainer.net, self._tidy(trainer)
                if folder is not None and trainer.epoch:
                    write_csv(self.frame, folder / "metrics.csv")
        return self

    def _trainer(self, data: datasets.Dataset) -> Trainer:
        channels, height, width = data.input_shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            plain = mlp((channels * height * width, *self.hidden, data.classes))
            net = convert(plain, self.rule, init="xavier", inplace=True, verbose=False).to(self.device)
            return Trainer(net, data, self.recipe, self.seed, self.identity)

    def _tidy(self, trainer: Trainer) -> pd.DataFrame:
        frame = pd.DataFrame(trainer.rows, columns=["epoch", "layer", "metric", "value"])
        return frame.assign(rule=self.rule.label, seed=self.seed)[COLUMNS]


def experiment(
    name: str, rule: Rule | str, seed: int = 0, scale: str = "classroom", *, dataset: str | None = None,
    out: str | Path | None = "runs", device: str | None = None, **changes,
) -> Experiment:  # fmt: skip
    """The experiment ``name`` ('mnist') at ``scale`` ('smoke', 'classroom', 'paper'), ready to ``run()``.

    ``dataset``: another than the preset's. ``out``: the folder that keeps it (None keeps nothing). ``device``: 'cpu' or
    'cuda', by default a GPU where there is one. ``changes``: fields of the recipe, e.g. ``epochs=5``.

    >>> from pfa_edu import PFA
    >>> experiment("mnist", PFA(ratio=10), seed=0, scale="paper").recipe.strong_steps
    937
    """
    chosen = preset(name, scale)
    rule = _closed(rule_by_name(rule) if isinstance(rule, str) else rule)
    dataset = dataset or chosen.dataset
    if dataset not in datasets.NAMES:
        raise unknown("dataset", dataset, datasets.NAMES)
    if not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"seed {seed!r}: a whole number, 0 or more")
    fields = [f.name for f in dataclasses.fields(Recipe)]
    for change in changes:
        if change not in fields:
            raise unknown("setting", change, fields)
    recipe = dataclasses.replace(chosen.recipe, **changes)
    if isinstance(rule, (PFA, PFAo, KP)) and not {"strong_decay", "strong_steps"} & set(changes):
        train = 4000 if dataset == "mnist-5k" else 60000
        steps = train // recipe.batch_size
        if chosen.fade is not None:
            steps = steps_to_fade(chosen.fade, recipe.lr, recipe.momentum, chosen.strong_decay)
        recipe = dataclasses.replace(recipe, strong_decay=chosen.strong_decay, strong_steps=steps,
                                     weight_decay=changes.get("weight_decay", chosen.gentle_decay))  # fmt: skip
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    out = None if out is None else Path(out)
    return Experiment(name, rule, seed, scale, dataset, out, recipe, chosen.hidden, device)


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Atomic, six significant digits."""
    part = path.with_suffix(".csv.part")
    try:
        frame.to_csv(part, index=False, float_format="%.6g")
        os.replace(part, path)
    except OSError as error:
        raise OutputError(f"could not write {path}: {error}. Free some space or choose another folder") from error


@contextlib.contextmanager
def _held(folder: Path | None) -> Iterator[Path | None]:
    """The run's folder, made and locked: two runs in one folder would overwrite each other."""
    if folder is None:
        yield None
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / "run.lock", timeout=0)
        lock.acquire()
    except filelock.Timeout as error:
        raise OutputError(f"{folder} is in use by another run: wait for it, or choose another folder") from error
    except OSError as error:
        raise OutputError(f"cannot write in {folder} ({error}): choose another folder") from error
    try:
        yield folder
    finally:
        lock.release()


def summary_json(frame: pd.DataFrame) -> str:
    """The last epoch of every rule and seed, as JSON (for scripts)."""
    last = frame[
        (frame.metric == "test_accuracy") & (frame.epoch == frame.groupby(["rule", "seed"]).epoch.transform("max"))
    ]
    return json.dumps(last[["rule", "seed", "epoch", "value"]].to_dict("records"))
