"""What a lesson shows: a grid of runs, or results that are kept with the package, with their figures and their table.

>>> results = study("mnist", ["bp", "fa"], scale="smoke", out=None)   # doctest: +SKIP
>>> results.figures["accuracy"], results.table                        # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from .. import plots
from .._files import write_csv
from .._settings import whole
from ..errors import ConfigError, DataError, unknown
from ..plots import published
from ..rules import Rule
from ..rules import rule as rule_by_name
from ..runs.grid import run_grid
from ..runs.presets import Preset, experiment, preset

FIGURES = ("accuracy", "path_alignment", "norm_ratio", "by_depth", "gradient_angle")
_DEEP = 7  # layers, and 'network': in a shallower network the curves over time show every layer
_HERE = Path(__file__).parent


class Figures(Mapping[str, plots.Figure]):
    """Figures by name, each drawn when it is asked for, and kept in ``out`` as PNG and SVG."""

    def __init__(self, draw: Mapping[str, Callable[[], plots.Figure]], out: Path | None):
        self._draw, self._out = draw, out

    def __getitem__(self, name: str) -> plots.Figure:
        if name not in self._draw:
            raise unknown("figure", name, self._draw)
        figure = self._draw[name]()
        if self._out is not None:
            plots.save(figure, self._out, name)
        return figure

    def __iter__(self) -> Iterator[str]:
        return iter(self._draw)

    def __len__(self) -> int:
        return len(self._draw)


class Study:
    """Results with all that is shown of them.

    ``frame``: tidy, as runs return it. ``about``: what was run, in a few words below every title. ``settings``: the
    preset whose published curves stand behind ours, None for none. ``out``: the folder that figures and tables go to.
    """

    def __init__(self, frame: pd.DataFrame, about: str = "", settings: Preset | None = None, out: Path | None = None):
        if frame.empty:
            raise ConfigError("there are no results yet: no run has completed an epoch. Give it more minutes")
        self.frame, self.about, self.out = frame, about, out
        name = settings.published if settings is not None else None
        self.published = None if name is None else published.curves(name)
        self.leaves = None if settings is None else settings.leaves
        deep = frame["layer"].nunique() > _DEEP
        names = [name for name in FIGURES if name != "by_depth" or deep]
        self.figures = Figures({name: getattr(self, f"_{name}") for name in names}, out)

    @property
    def limits(self) -> dict[str, float]:
        """Where theory lets each rule's path angle end, in degrees, for the rules of which it says so."""
        known = {label: rule_by_name(label).limit() for label in self.frame["rule"].unique()}
        return {label: limit for label, limit in known.items() if limit is not None}

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per rule: the numbers after its last epoch, beside the paper's."""
        return plots.table(self.frame, self.published, leaves=self.leaves)

    def __str__(self) -> str:
        return plots.format_table(self.table)

    @property
    def epochs(self) -> pd.DataFrame:
        """How many epochs stand behind each curve, by rule and seed."""
        done = self.frame.groupby(["rule", "seed"], sort=False)["epoch"].max()
        return done.unstack("seed").loc[plots.in_order(self.frame["rule"])].rename_axis(columns="epochs, by seed")

    def save(self) -> Study:
        """Writes results.csv, table.csv and every figure to ``out``."""
        if self.out is None:
            raise ConfigError("out is None: say which folder the results go to, out='out/mnist'")
        write_csv(self.frame, self.out / "results.csv")
        write_csv(self.table, self.out / "table.csv")
        for _ in self.figures.values():
            pass
        return self

    def _accuracy(self) -> plots.Figure:
        return plots.accuracy(self.frame, self.published, about=self.about, leaves=self.leaves)

    def _path_alignment(self) -> plots.Figure:
        return plots.path_alignment(self.frame, self.published, self.limits, self.about, leaves=self.leaves)

    def _norm_ratio(self) -> plots.Figure:
        return plots.norm_ratio(self.frame, self.published, self.about, leaves=self.leaves)

    def _by_depth(self) -> plots.Figure:
        return plots.by_depth(self.frame, self.published, self.about, leaves=self.leaves)

    def _gradient_angle(self) -> plots.Figure:
        return plots.gradient_angle(self.frame, self.about)


def study(
    name: str, rules: str | Iterable[str | Rule], *, seeds: int = 1, scale: str = "classroom", ratio: float = 10,
    dataset: str | None = None, out: str | Path | None = None, jobs: int = 1, minutes: float | None = None,
    **settings: Any,
) -> Study:  # fmt: skip
    """Runs what is missing of a grid of ``rules`` and ``seeds`` (0, 1, ...), and returns all of it.

    ``rules``: names ('bp,pfa' too) or rules; ``ratio`` is that of every rule which is named and has one. ``out``: runs,
    results and figures go there, and a run that was cut goes on from there. ``minutes``: no epoch is begun after so
    many; 0 shows what is there. ``settings``: as :func:`pfa_edu.experiment` takes them.
    """
    chosen, folder = preset(name, scale), _folder(out)
    runs = [
        experiment(name, r, s, scale, dataset=dataset, out=None if folder is None else folder / "runs", **settings)
        for s in range(whole("seeds", seeds, low=1, high=10_000))
        for r in chosen_rules(rules, ratio=ratio)
    ]
    frame = run_grid(runs, jobs=jobs, minutes=minutes)
    about = f"{dataset or chosen.dataset}, {scale} scale, ratio {ratio:g}"
    same = dataset in (None, chosen.dataset)  # other pictures have no published curve
    return Study(frame, about, chosen if same else None, folder)


def chosen_rules(rules: str | Iterable[str | Rule], **knobs: Any) -> list[Rule]:
    """The rules that are meant; ``knobs`` are those of every rule that is given by name and has them.

    >>> chosen_rules("bp, pfa", ratio=20)
    [BP(), PFA(ratio=20, density=1.0, form='auto')]
    """
    given = [part.strip() for part in rules.split(",")] if isinstance(rules, str) else list(rules)
    made = [rule_by_name(one) for one in given]
    fits = [{} if isinstance(one, Rule) else {k: v for k, v in knobs.items() if k in r.knobs()}
            for one, r in zip(given, made, strict=True)]  # fmt: skip
    return [rule_by_name(r, **with_) for r, with_ in zip(made, fits, strict=True)]


def committed(name: str) -> pd.DataFrame:
    """The results of real runs that are kept with the package, in ``figures/NAME/results.csv``.

    >>> committed("mnist")["seed"].nunique()
    5
    """
    for place in (_HERE.parent, _HERE.parent.parent):  # inside an installed package, or beside it in a checkout
        kept = place / "figures" / name / "results.csv"
        if kept.exists():
            return pd.read_csv(kept)
    raise DataError(f"no results called {name!r} came with this installation: set train=True to make them")


def load(name: str, experiment_name: str, scale: str, out: str | Path | None = None) -> Study:
    """The study of the results that are kept with the package under ``name``."""
    settings = preset(experiment_name, scale)
    return Study(committed(name), f"{settings.dataset}, {scale} scale, ratio 10", settings, _folder(out))


def _folder(out: str | Path | None) -> Path | None:
    """Where results go; None keeps nothing. An empty name would silently be the current folder."""
    if out == "":
        raise ConfigError("out '': the path of a folder, or None to keep nothing")
    return None if out is None else Path(out)
