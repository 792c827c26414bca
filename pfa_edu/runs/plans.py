"""What a sweep consists of: experiment × rule × knobs × settings × seeds, each list an axis.

>>> runs = plan("mnist", ["bp", {"name": "pfa", "ratio": [1, 10]}], seeds=2, scale="smoke", lr=[0.01, 0.02])
>>> len(runs), runs[-1].folder.as_posix()
(12, 'out/sweep/runs/lr=0.02/mnist-smoke/pfa-seed1')
"""

from __future__ import annotations

import inspect
import itertools
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .._settings import whole
from ..errors import ConfigError, unknown
from ..rules import Rule
from ..rules import rule as rule_by_name
from ..train.freezing import frozen_layers
from ..train.recipe import FIELDS, checked
from .experiments import Experiment
from .presets import EXPERIMENTS, experiment, find

MOST = 100_000  # runs of one sweep
AXES = ["scale", "dataset", "network", "optimizer", "frozen", *FIELDS]  # what a list makes an axis of
PLACE = ["device", "engine", "precision", "data_root", "workers"]  # where and how all runs are run


class Planned(NamedTuple):
    """A run, and what the sweep has chosen for it."""

    run: Experiment
    chosen: dict[str, Any]


def plan(
    experiments: Any, rules: Any, seeds: Any = 1, *, out: str | Path = "out/sweep", **settings: Any
) -> list[Experiment]:
    """The grid's runs, checked, none of them begun.

    ``experiments``: names, 'module:function', or functions of your own that return an Experiment; one or a list.
    ``rules``: one or a list; each is a name ('pfa', 'module:Class' for one of your own), a rule, or a dict of a name
    and its knobs, ``{"name": "pfa", "ratio": [1, 10]}``. ``seeds``: how many, from 0, or a list of them.
    ``settings``: ``scale``, ``dataset``, ``network``, ``optimizer``, ``frozen``, fields of the recipe, and what a
    function of your own takes; ``device``, ``engine``, ``precision``, ``data_root``, ``workers``. Every list, of a knob
    or a setting, is an axis of the grid (a field that is a list itself, ``lr_drops``, needs a list of lists); the last
    five are one for all runs.
    """
    return [run for run, _ in planned(experiments, rules, seeds, out=out, **settings)]


def planned(experiments: Any, rules: Any, seeds: Any = 1, *, out: Any = "out/sweep", **settings: Any) -> list[Planned]:
    """The same, each run with what was chosen for it."""
    if not isinstance(out, (str, Path)):
        raise ConfigError(f"out {out!r}: the path of a folder")
    names, entries, seeds = _list("experiments", experiments), _list("rules", rules), _seeds(seeds)
    known = settings_of(names)
    axes: dict[str, list] = {}
    place: dict[str, Any] = {}
    for name, value in settings.items():
        if known is not None and name not in known:
            raise unknown("setting of a sweep", name, known)
        if value is None:
            continue
        if name in PLACE:
            place[name] = _one(name, value)
        else:
            axes[name] = _axis(name, value)
    sizes = {"experiments": len(names), "rules": sum(map(_count, entries)), "seeds": len(seeds)}
    sizes |= {name: len(values) for name, values in axes.items()}
    for name, size in sizes.items():
        if not size:
            raise ConfigError(f"{name} is empty, so the grid is empty: give it at least one value")
    if (n := math.prod(sizes.values())) > MOST:
        told = " × ".join(f"{size:,} {name}" for name, size in sizes.items() if size > 1)
        raise ConfigError(f"{told}: {n:,} runs, more than the {MOST:,} of one sweep. Leave values out, or make several")
    each = [rule for entry in entries for rule in _rules(entry)]
    runs = []
    for name, *values in itertools.product(names, *axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        words = [f"{k}={text(v)}" for k, v in chosen.items() if k not in ("scale", "dataset")]
        folder = Path(out, "runs", *([re.sub(r"[^\w.,=+-]", "_", "-".join(words))] if words else []))
        for seed, rule in itertools.product(seeds, each):
            run = experiment(name, rule, seed, **place, **chosen)
            run.out = folder
            runs.append(Planned(run, chosen))
    return runs


def settings_of(experiments: Any) -> list[str] | None:
    """The settings that these experiments take; None if a function of your own takes any."""
    known = [*AXES, *PLACE]
    for name in _list("experiments", experiments):
        if not isinstance(name, str) and not callable(name):
            raise ConfigError(f"experiment {name!r}: a name, 'module:function', or a function")
        build = find(name)
        if build in EXPERIMENTS.values():
            continue
        parameters = list(inspect.signature(build).parameters.values())[2:]  # after the rule and the seed
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            return None
        known += [p.name for p in parameters if p.name not in (*known, "out")]
    return known


def text(value: Any) -> Any:
    """A setting as one word, for a folder's name or a table's cell; numbers as they are."""
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value))
    if isinstance(value, (str, int, float)):
        return value
    named = getattr(value, "__name__", None) or getattr(value, "name", None)  # a function, a class; a dataset
    return named if isinstance(named, str) else repr(value)


def _list(name: str, value: Any) -> Any:
    """The values on an axis: those of a list, a tuple, a range or a numpy array, else the one."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, range) and len(value[: MOST + 1]) > MOST:
        raise ConfigError(f"{name} {value!r}: more than {MOST:,} values, the most that one sweep runs")
    return value if isinstance(value, (list, range)) else list(value) if isinstance(value, tuple) else [value]


def _seeds(seeds: Any) -> list[int]:
    values = _list("seeds", seeds)
    if isinstance(seeds, (list, tuple, range)) or getattr(seeds, "ndim", 0) > 0:
        return [whole("seed", seed, low=0) for seed in values]
    return list(range(whole("seeds", values[0], low=0, high=MOST, what="how many, from 0; a list says which")))


def _axis(name: str, value: Any) -> list:
    """The values that a setting takes in the grid, each checked."""
    values = _list(name, value)
    if name == "lr_drops" and not any(isinstance(one, (list, tuple)) for one in values):
        values = [values]  # a list is this field's own value
    if name in FIELDS:
        return [checked(name, one) for one in values]
    if name == "frozen":
        return [frozen_layers(one) for one in values]
    for one in values if name in AXES else ():
        if isinstance(one, (list, tuple, dict, int, float)):
            raise ConfigError(f"{name} {one!r}: a name, or a list of names")
    return values


def _one(name: str, value: Any) -> Any:
    if name == "workers":
        return whole(name, value, low=0)
    if not isinstance(value, (str, Path)):
        raise ConfigError(f"{name} {value!r}: a {'folder' if name == 'data_root' else 'name'}, one for the whole sweep")
    return value


def _count(entry: Any) -> int:
    """How many rules an entry of the list stands for."""
    return math.prod(len(_list(k, v)) for k, v in entry.items()) if isinstance(entry, Mapping) else 1


def _rules(entry: Any) -> Iterator[Rule]:
    """Those rules."""
    if isinstance(entry, Mapping) and "name" in entry:
        knobs = {name: _list(name, value) for name, value in entry.items()}
        for values in itertools.product(*knobs.values()):
            yield rule_by_name(**dict(zip(knobs, values, strict=True)))
    elif isinstance(entry, (Rule, str, type)):
        yield rule_by_name(entry)  # type: ignore[arg-type]  # a class is refused, with what to write instead
    else:
        raise ConfigError(
            f"rule {entry!r}: a name, a rule, or a name with its knobs, {{'name': 'pfa', 'ratio': [1, 10]}}"
        )
