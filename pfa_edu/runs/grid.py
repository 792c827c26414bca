"""Many runs at once: the one engine under ``run_grid`` and ``sweep``. joblib and its backends do all the scheduling."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import pandas as pd
import torch

from . import store
from .backends import BACKENDS, pool
from .board import Board
from ..errors import ConfigError, GridError, OutputError, PfaEduError, unknown
from .experiments import Experiment
from ..train.progress import kind_here

_SHOWN = 10  # runs whose every epoch may be a line of the page; of more, each run is one


class Run(NamedTuple):
    """A run of the grid, the folder of its record, and the name that tells it from the others."""

    experiment: Experiment
    folder: Path
    name: str


def run_grid(
    experiments: Iterable[Experiment], jobs: int | None = 1, progress: str = "auto", minutes: float | None = None, *,
    threads: int | None = None, backend: str = "loky", scheduler: str | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Runs what is not done yet, ``jobs`` at a time (None: one for each core), and returns one tidy frame of them all.

    Every run keeps its own folder, so a grid that was cut goes on where it was. A run that fails is reported and does
    not stop the others; a GridError at the end lists them all, and asking again runs what failed or is missing.

    ``minutes``: no epoch is begun after so many; the frame holds what is there by then, and asking again goes on.
    ``threads``: of torch in each run. By default one in a process of its own, so that runs do not fight for cores, and
    whatever torch has in this process (``jobs=1``). A run's last digits depend on it.
    ``backend``: 'loky' (processes of this machine), 'dask' (the cluster whose scheduler is at the address
    ``scheduler``) or 'ray' (the cluster at ``scheduler``, else one that ray finds or starts). On a cluster its workers
    decide how many runs go at once, and every machine must see the folders under the same path.
    """
    experiments = list(experiments)
    jobs = check(experiments, jobs, threads, backend, scheduler)
    deadline = None if minutes is None else time.time() + 60 * minutes
    kind = kind_here(progress)
    alone = backend == "loky" and jobs == 1  # in this process, where a run can show its own progress
    threads = threads or (torch.get_num_threads() if alone else 1)
    with tempfile.TemporaryDirectory() as scratch:
        runs = _runs(experiments, Path(scratch))
        todo = []
        for run in runs:
            run.experiment.frame = store.results(run.folder, run.experiment)
            if run.experiment.frame is None:
                store.forget(run.folder)
                todo.append(run)
        with Board(todo, len(runs), kind, f"{threads} thread{'s' * (threads > 1)} each") as board:
            shows = alone and (kind != "line" or len(todo) <= _SHOWN)
            how = How(threads, kind if shows else None, deadline, os.getpid() if backend == "loky" else None)
            _run_all(todo, jobs, backend, scheduler, how)
        for run in todo:
            record = store.read(run.folder)
            run.experiment.frame = store.frame(record) if record["state"] in ("done", "cut") else None
    frames = [e.frame for e in experiments if e.frame is not None]
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    if board.failed:
        told = "\n".join(f"  {name}: {why}" for name, why in board.failed.items())
        error = GridError(
            f"{len(board.failed)} of {len(runs)} runs failed, the other {len(frames)} are done and kept:\n{told}\n"
            f"Run the same again to take up only these"
        )
        error.frame = frame
        raise error
    return frame


def check(experiments: list[Experiment], jobs: Any, threads: Any, backend: str, scheduler: str | None) -> int:
    """ConfigError for everything that can be seen to be wrong before anything runs; returns how many at a time."""
    if not experiments:
        raise ConfigError("an empty grid: there is nothing to run. Give it at least one rule and one seed")
    for name, value in (("jobs", jobs), ("threads", threads)):
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ConfigError(f"{name} {value!r}: how many, at least 1")
    if backend not in BACKENDS:
        raise unknown("backend", backend, BACKENDS)
    if backend == "dask" and not scheduler:
        raise ConfigError("backend 'dask' hands the grid to a cluster: say where its scheduler is, tcp://HOST:8786")
    if backend == "loky" and scheduler:
        raise ConfigError(f"scheduler {scheduler!r}: backend 'loky' has none. Say backend 'dask' or 'ray'")
    folders = Counter(e.folder for e in experiments)
    if backend != "loky" and None in folders:
        raise ConfigError(f"backend {backend!r} needs folders that its workers see too: out=None has none")
    for folder, times in folders.items():
        if folder and times > 1:
            raise ConfigError(
                f"{times} runs of the grid share the folder {folder}: give each its own rule, seed or out"
            )
    if jobs is None:
        import joblib

        jobs = max(1, joblib.cpu_count() // (threads or 1))  # the cores that this process may use, not all there are
    return jobs


def _runs(experiments: list[Experiment], scratch: Path) -> list[Run]:
    """With a folder for the records of those that keep none."""
    folders = [e.folder and e.folder.absolute() for e in experiments]
    kept = [folder.parent for folder in folders if folder]
    common = os.path.commonpath(kept) if kept else scratch
    return [
        Run(e, folder, str(folder.relative_to(common)))
        if folder
        else Run(e, scratch / str(i), f"{e.rule.label} seed {e.seed}")
        for i, (e, folder) in enumerate(zip(experiments, folders, strict=True))
    ]


class How(NamedTuple):
    """Of each run: torch's threads, how it shows its progress (None: in its log), when to begin no further epoch."""

    threads: int
    show: str | None
    deadline: float | None
    parent: int | None  # the process whose end is the end of a worker


def _run_all(todo: list[Run], jobs: int, backend: str, scheduler: str | None, how: How) -> None:
    """Until every run is done, cut by the deadline, or failed.

    Whatever its run does, a task returns; what ends joblib's call is the death of a worker (killed, out of memory), and
    it may take the other workers with it. So the runs that were lost go on from their checkpoints: among the others the
    first time, alone the second, and if such a one dies it has failed.
    """
    lost: Counter[Path] = Counter()
    while todo:
        batch = [run for run in todo if lost[run.folder] < 2] or todo[:1]
        tasks = [(_for_travel(run.experiment), run.folder, how) for run in batch]
        try:
            with pool(backend, scheduler, jobs, how.threads) as parallel:
                parallel(_delayed(*task) for task in tasks)
            _await_records(batch)
        except PfaEduError:
            raise
        except Exception as error:  # each backend has its own
            dead = [run for run in batch if store.state(run.folder) == "running"]
            if not dead:
                told = f"{type(error).__name__}: {error}"
                raise PfaEduError(f"the backend {backend!r} cannot run the grid: {told}") from error
            lost.update(run.folder for run in dead)
            if len(batch) == 1:
                told = f"{type(error).__name__}: the process died under it, alone too (killed, out of memory?)"
                store.write(batch[0].folder, batch[0].experiment, "failed", traceback=told)
        todo = [run for run in todo if store.state(run.folder) not in store.ENDED]


def _for_travel(e: Experiment) -> Experiment:
    """Without its results, and with a folder that means the same in whatever folder a worker was started."""
    return dataclasses.replace(e, net=None, frame=None, out=e.out and Path(e.out).absolute())


def _await_records(batch: list[Run], patience_s: float = 60) -> None:
    """All tasks have ended, so the records are written; a network's file system may show them a little later."""
    give_up = time.monotonic() + patience_s
    for run in batch:
        while store.state(run.folder) not in store.ENDED:
            if time.monotonic() > give_up:
                raise OutputError(
                    f"{run.name} was run, but nothing of it is in {run.folder}: the workers must see this folder "
                    f"under the same path, on a file system that all machines share"
                )
            time.sleep(0.5)


def _delayed(*args):
    import joblib  # here, not above: what only looks at a finished grid need not wait for it

    return joblib.delayed(_work)(*args)


_alone = threading.Lock()  # torch's random stream and stdout are the process's: one run at a time in each


def _work(e: Experiment, folder: Path, how: How) -> None:
    """One run, wherever the backend puts it. Its outcome is its record; nothing is returned or raised."""
    if how.parent not in (None, os.getpid()):
        _end_with(how.parent)
    folder.mkdir(parents=True, exist_ok=True)
    before = torch.get_num_threads()
    # The file lock: after a sweep was killed, a cluster may still be busy with one of its runs. That is waited for.
    with _alone, filelock.FileLock(folder / "grid.lock"):
        if store.results(folder, e) is not None:
            return
        store.write(folder, e, "running")
        start = time.perf_counter()
        try:
            torch.set_num_threads(how.threads)
            with contextlib.nullcontext() if how.show else _log(folder / "log.txt"):
                e.run(how.show or "line", how.deadline)
        except Exception:
            store.write(folder, e, "failed", traceback=traceback.format_exc())
        else:
            store.ended(folder, e, time.perf_counter() - start)
        finally:
            torch.set_num_threads(before)


@contextlib.contextmanager
def _log(path: Path) -> Iterator[None]:
    """What the run prints, an epoch a line: elsewhere it would be lost, or mixed with the others'."""
    with open(path, "a", encoding="utf-8") as f, contextlib.redirect_stdout(f):
        yield


def _end_with(parent: int) -> None:
    """A worker of this machine ends with the process that started it, however that ended, and so frees its run."""

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    if not any(thread.name == "end_with" for thread in threading.enumerate()):
        threading.Thread(target=watch, name="end_with", daemon=True).start()
