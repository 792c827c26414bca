"""Sweeps: experiment × rule × knobs × seeds as one grid in one folder, described by keywords or a TOML file.

>>> runs = plan("mnist", ["bp", {"name": "pfa", "ratio": [1, 10]}], seeds=2, scale="smoke", lr=[0.01, 0.02])
>>> len(runs), runs[-1].folder.as_posix()
(12, 'out/sweep/runs/lr=0.02/mnist-smoke/pfa-seed1')
"""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from . import store
from ..errors import ConfigError, OutputError, unknown
from .experiments import COLUMNS, Experiment, _held, experiment, write_csv
from .grid import check, run_grid
from ..rules import Rule
from ..rules import rule as rule_by_name
from ..train.trainer import Recipe

FORMAT = "pfa_edu grid 1"
_FIELDS = {field.name: field.type for field in dataclasses.fields(Recipe)}


def sweep(
    experiments: str | list, rules: Any, seeds: int | list[int] = 1, *, out: str | Path = "out/sweep",
    jobs: int | None = None, threads: int = 1, minutes: float | None = None, backend: str = "loky",
    scheduler: str | None = None, progress: str = "auto", **settings,
) -> pd.DataFrame:  # fmt: skip
    """Runs every combination that is not done yet and returns the tidy frame of all: ``results(out)``.

    What makes the grid (``experiments``, ``rules``, ``seeds``, ``settings``) is told at ``plan``; what runs it
    (``jobs``: by default one for each core, ``threads``, ``minutes``, ``backend``, ``scheduler``, ``progress``) at
    ``run_grid``.
    Each run's results are in ``out`` as soon as it ends, and all of them in ``results.csv`` when the grid does.
    """
    runs = plan(experiments, rules, seeds, out=out, **settings)
    check(runs, jobs, threads, backend, scheduler)
    out = Path(out)
    with _held(out):
        _keep(runs, out, [name for name in settings if name in _FIELDS])
        try:
            run_grid(runs, jobs, progress, minutes, threads=threads, backend=backend, scheduler=scheduler)
        finally:
            frame = results(out)
            write_csv(frame, out / "results.csv")
    return frame


def plan(
    experiments: str | list, rules: Any, seeds: int | list[int] = 1, *, out: str | Path = "out/sweep",
    scale: str | list = "classroom", dataset: str | list | None = None, device: str | None = None,
    engine: str | None = None, precision: str | None = None, data_root: str | Path | None = None,
    workers: int | None = None, **recipe,
) -> list[Experiment]:  # fmt: skip
    """The grid's runs, checked, none of them begun.

    ``rules``: one or a list; each is a name, a rule, or a dict of a name and its knobs, ``{"name": "pfa", "ratio": [1,
    10]}``. ``seeds``: how many, from 0, or a list of them. ``device`` to ``workers``: as ``experiment`` takes them.
    ``recipe``: fields of the recipe. Every list, of a knob or a field too, is an axis of the grid (a field that is a
    list itself, ``lr_drops``, needs a list of lists).
    """
    if not isinstance(out, (str, Path)):
        raise ConfigError(f"out {out!r}: the path of a folder")
    axes = {"scale": _list(scale), "dataset": _list(dataset)}
    for name, value in recipe.items():
        if name not in _FIELDS:
            raise unknown("setting of a sweep", name, settings())
        axes[name] = _axis(name, value)
    axes = {name: values for name, values in axes.items() if values != [None]}
    seeds = range(seeds) if isinstance(seeds, int) and not isinstance(seeds, bool) else _list(seeds)
    rules = [rule for entry in _list(rules) for rule in _rules(entry)]
    for name, axis in {"experiments": _list(experiments), "rules": rules, "seeds": seeds, **axes}.items():
        if not len(axis):
            raise ConfigError(f"{name} is empty, so the grid is empty: give it at least one value")
    place = {"device": device, "engine": engine, "precision": precision, "data_root": data_root, "workers": workers}
    runs = []
    for name, *values in itertools.product(_list(experiments), *axes.values()):
        changes = dict(zip(axes, values, strict=True))
        chosen = [f"{k}={_text(v)}" for k, v in changes.items() if k not in ("scale", "dataset")]
        folder = Path(out, "runs", *(["-".join(chosen)] if chosen else []))
        runs += [experiment(name, r, s, out=folder, **place, **changes) for s in seeds for r in rules]
    return runs


def results(out: str | Path) -> pd.DataFrame:
    """The tidy frame of every run of the sweep in ``out`` that is done by now: at any time, from any process.

    Its columns are the configuration (experiment, scale, dataset, the rules' knobs, what the sweep set of the recipe),
    then rule, seed, epoch, layer, metric, value.
    """
    out = Path(out)
    try:
        kept = json.loads((out / "grid.json").read_text(encoding="utf-8"))
        if kept["format"] != FORMAT:
            raise ValueError(f"its format is {kept['format']!r}, not {FORMAT!r}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{out} holds no sweep ({error}): give the folder that one was run in") from error
    frames = []
    for run in kept["runs"]:
        record = store.read(out / run["folder"])
        if record and record["state"] == "done" and record["identity"] == run["identity"]:
            frames.append(store.frame(record).assign(**run["config"]))
    columns = [*kept["columns"], *COLUMNS]
    return pd.concat(frames, ignore_index=True).reindex(columns=columns) if frames else pd.DataFrame(columns=columns)


def read_toml(path: str | Path) -> dict[str, Any]:
    """The keywords for ``sweep`` that the file gives; ``examples/sweep.toml`` shows all of them."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    path = Path(path)
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error
    recipe = given.pop("recipe", {})
    if not isinstance(recipe, dict):
        raise ConfigError(f"{path}: recipe {recipe!r} is no table: write its fields under [recipe]")
    outer = [name for name in settings() if name not in _FIELDS]
    for kind, table, known in (("key", given, [*outer, "recipe"]), ("key of [recipe]", recipe, list(_FIELDS))):
        for name in table:
            if name not in known:
                raise unknown(f"{kind} in {path.name}", name, known)
    for name in ("experiments", "rules"):
        if name not in given:
            raise ConfigError(f"{path.name} does not say which {name}: examples/sweep.toml shows how")
    return {"out": f"out/{path.stem}", **given, **recipe}


def settings() -> list[str]:
    """Every keyword that ``sweep`` takes."""
    both = [*inspect.signature(sweep).parameters, *inspect.signature(plan).parameters, *_FIELDS]
    return [name for name in dict.fromkeys(both) if name not in ("settings", "recipe", "progress")]


def _keep(runs: list[Experiment], out: Path, fields: list[str]) -> None:
    """grid.json: which runs the sweep consists of, and the configuration that goes before each one's rows."""
    configs = [{"experiment": e.name, "scale": e.scale, "dataset": e.dataset} | _knobs(e, fields) for e in runs]
    columns = list(dict.fromkeys(name for config in configs for name in config))
    kept = [
        {"folder": e.folder.relative_to(out).as_posix(), "config": config, "identity": e.identity}
        for e, config in zip(runs, configs, strict=True)
    ]
    store.write_json({"format": FORMAT, "columns": columns, "runs": kept}, out / "grid.json")


def _knobs(e: Experiment, fields: list[str]) -> dict[str, Any]:
    """The knobs of the rule, and ``fields`` of the recipe."""
    knobs = {f.name: getattr(e.rule, f.name) for f in dataclasses.fields(e.rule) if f.name not in ("form", "outputs")}
    return knobs | {name: _text(getattr(e.recipe, name)) for name in fields}


def _rules(entry: Any) -> Iterator[Rule]:
    """Every rule that an entry of the list stands for."""
    if isinstance(entry, Rule):
        yield entry
    elif isinstance(entry, str):
        yield rule_by_name(entry)
    elif isinstance(entry, Mapping) and "name" in entry:
        knobs = {name: _list(value) for name, value in entry.items()}
        for values in itertools.product(*knobs.values()):
            yield rule_by_name(**dict(zip(knobs, values, strict=True)))
    else:
        raise ConfigError(
            f"rule {entry!r}: a name, a rule, or a name with its knobs, {{'name': 'pfa', 'ratio': [1, 10]}}"
        )


def _list(value: Any) -> list:
    return list(value) if isinstance(value, (list, tuple, range)) else [value]


def _axis(name: str, value: Any) -> list:
    """The values that a field of the recipe takes in the grid, each of the field's own type."""
    if not _FIELDS[name].startswith("tuple"):
        numbers = (int,) if _FIELDS[name] == "int" else (int, float)
        for one in _list(value):
            if not isinstance(one, numbers) or isinstance(one, bool):
                raise ConfigError(f"{name} {one!r}: {'a whole number' if numbers == (int,) else 'a number'}")
        return _list(value)
    values = (
        [tuple(_list(one)) for one in value]
        if _list(value) and isinstance(_list(value)[0], list)
        else [tuple(_list(value))]
    )
    for one in values:
        if not all(isinstance(epoch, int) for epoch in one):
            raise ConfigError(f"{name} {list(one)!r}: whole numbers, epochs")
    return values


def _text(value: Any) -> Any:
    """A list as one word, for a file's name or a table's cell."""
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else value
