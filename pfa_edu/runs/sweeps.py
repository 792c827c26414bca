"""Sweeps: a grid of runs in one folder, described by keywords or a TOML file, run by any number of processes."""

from __future__ import annotations

import contextlib
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import pandas as pd

from .._files import reason, writable, write_csv, write_json
from ..errors import ConfigError, OutputError, unknown
from ..train.checkpoint import check_identity
from ..train.recipe import FIELDS, LATER
from . import store
from .experiments import COLUMNS
from .grid import check, run_grid
from .plans import Planned, plan, planned, settings_of, text

__all__ = ["HOW", "plan", "read_toml", "results", "settings", "sweep"]

FORMAT = "pfa_edu grid 1"
HOW = ("jobs", "threads", "minutes", "backend", "scheduler", "wait")  # what runs the grid, and does not make it
_BUSY_S = 60.0  # grid.json and results.csv are held for the time of writing them


def sweep(
    experiments: Any, rules: Any, seeds: Any = 1, *, out: str | Path = "out/sweep", jobs: int | None = None,
    threads: int = 1, minutes: float | None = None, backend: str = "loky", scheduler: str | None = None,
    wait: bool = True, progress: str = "auto", **settings: Any,
) -> pd.DataFrame:  # fmt: skip
    """Runs every combination that is not done yet and returns the tidy frame of all that are.

    What makes the grid (``experiments``, ``rules``, ``seeds``, ``settings``) is told at ``plan``; what runs it
    (``jobs``: by default one for each core, ``threads``, ``minutes``, ``backend``, ``scheduler``, ``wait``,
    ``progress``) at ``run_grid``.
    Each run's results are in ``out`` as they come, and all of them in ``results.csv`` when the sweep ends. A folder
    that holds a sweep already keeps it: the runs of this one are added to its own. So the same sweep may be started any
    number of times, side by side or later, with more seeds or values or without.
    """
    grid = planned(experiments, rules, seeds, out=out, **settings)
    runs = [run for run, _ in grid]
    check(runs, jobs, progress, minutes, threads, backend, scheduler)
    out = writable(out)
    mine = _add(grid, out, tell=progress != "none")
    try:
        run_grid(runs, jobs, progress, minutes, threads=threads, backend=backend, scheduler=scheduler, wait=wait)
    finally:
        with _held(out):
            write_csv(_collect(out, _read(out))[0], out / "results.csv")
    return _collect(out, mine)[0]


def results(out: str | Path, partial: bool = False) -> pd.DataFrame:
    """The tidy frame of every run of the sweeps in ``out`` that is done by now: at any time, from any process.

    Its columns are the configuration (experiment, scale, dataset, the rules' knobs, what the sweep has set), then rule,
    seed, epoch, layer, metric, value. ``partial``: also of the runs that are not done, as far as they have come.
    """
    frame, broken = _collect(Path(out), _read(Path(out)), partial)
    for why in broken:
        warnings.warn(f"left out: {why}", stacklevel=2)
    return frame


def read_toml(path: str | Path) -> dict[str, Any]:
    """The keywords for ``sweep`` that the file gives; ``examples/sweep.toml`` shows all of them."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    path = Path(path)
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors begin a file with a mark
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {reason(error)}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    recipe = given.pop("recipe", {})
    if not isinstance(recipe, dict):
        raise ConfigError(f"{path}: recipe {recipe!r} is not a table: write its fields under [recipe]")
    for name in ("experiments", "rules"):
        if name not in given:
            raise ConfigError(f"{path.name} does not say which {name}: examples/sweep.toml shows how")
    known = settings(given["experiments"])
    outer = None if known is None else [*(name for name in known if name not in FIELDS), "recipe"]
    for kind, table, names in (("key", given, outer), ("key of [recipe]", recipe, FIELDS)):
        for name in table:
            if names is not None and name not in names:
                raise unknown(f"{kind} in {path.name}", name, names)
    return {"out": f"out/{path.stem}", **given, **recipe}


def settings(experiments: Any = ()) -> list[str] | None:
    """Every keyword that ``sweep`` takes for these experiments; None if a function among them takes any."""
    known = settings_of(experiments or [])
    return known and ["experiments", "rules", "seeds", "out", *HOW, *known]


def _add(grid: list[Planned], out: Path, tell: bool) -> list[dict]:
    """Adds the runs to grid.json; returns what it says of each: folder, identity, and the columns before its rows."""
    mine: dict[str, dict[str, Any]] = {}
    for run, chosen in grid:
        knobs = {name: getattr(run.rule, name) for name, f in run.rule.knobs().items() if not run.rule.unsaid(f)}
        config = {"experiment": run.name, "scale": run.scale, "dataset": run.dataset, **knobs}
        config |= {name: text(value) for name, value in chosen.items() if name not in config}
        folder = run.kept_in.relative_to(out).as_posix()
        mine[folder] = {"folder": folder, "config": config, "identity": store.identity(run)}
    with _held(out):
        there = {run["folder"]: run for run in (_read(out) if (out / "grid.json").exists() else [])}
        for folder in mine.keys() & there.keys():
            if (out / folder / store.FILE).exists():
                check_identity(mine[folder]["identity"], there[folder]["identity"], out / folder)
        if mine.keys() - there.keys():
            write_json({"format": FORMAT, "runs": list((there | mine).values())}, out / "grid.json")
    if tell and (others := there.keys() - mine.keys()):
        print(f"{out} holds {len(others)} more runs, of other sweeps; results.csv has them too", flush=True)
    return list(mine.values())


def _read(out: Path) -> list[dict]:
    """The runs that grid.json tells of."""
    try:
        kept = json.loads((out / "grid.json").read_text(encoding="utf-8"))
        if kept["format"] != FORMAT:
            raise ValueError(f"its format is {kept['format']!r}, not {FORMAT!r}")
        return kept["runs"]
    except FileNotFoundError as error:
        raise OutputError(f"{out} holds no sweep: give the folder that one was run in") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"{out / 'grid.json'} cannot be read ({error}): delete it and start the sweep again, whose runs stay done"
        ) from error


def _collect(out: Path, runs: list[dict], partial: bool = False) -> tuple[pd.DataFrame, list[str]]:
    """One frame of those of the runs that are done, and which records are broken."""
    columns = list(dict.fromkeys(name for run in runs for name in run["config"]))
    frames, broken = [], []
    for run in runs:
        try:
            record = store.read(out / run["folder"])
        except OutputError as error:
            broken.append(str(error))
            continue
        if record and (record["state"] == "done" or partial) and record["identity"] == run["identity"]:
            recipe = {
                name: text(run["identity"].get(name, LATER.get(name))) for name in columns if name in FIELDS
            }  # of another sweep's axis
            frames.append(store.frame(record).assign(**recipe | run["config"]))
    columns += COLUMNS
    frame = pd.concat(frames, ignore_index=True).reindex(columns=columns) if frames else pd.DataFrame(columns=columns)
    return frame, broken


@contextlib.contextmanager
def _held(out: Path) -> Iterator[None]:
    """The sweep's own files, for the time of bringing them up to date: other processes may run the same sweep."""
    try:
        with filelock.FileLock(out / "sweep.lock", timeout=_BUSY_S):
            yield
    except filelock.Timeout as error:
        raise OutputError(f"{out / 'sweep.lock'} has been held for {_BUSY_S:.0f} s: see which process hangs") from error
