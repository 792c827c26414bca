"""Many runs at once: the one engine under ``run_grid`` and ``sweep``.

Runs are resumable and locked, so the whole scheduler is: take the next run that nobody has. Any number of processes, on
any machines that share the folders, may do that side by side.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from .._settings import choice, real, whole
from ..errors import ConfigError, GridError, PfaEduError
from ..train.progress import kind_here
from . import backends, store
from .board import Board
from .experiments import Experiment
from .seeds import shared
from .working import How, work, work_on

POLL_S = 1.0  # how often to look again at runs that other processes have, when nothing else is left
_SHOWN = 10  # runs whose every epoch may be a line of the page; of more, each run is one


def run_grid(
    experiments: Iterable[Experiment], jobs: int | None = 1, progress: str = "auto", minutes: float | None = None, *,
    threads: int | None = None, backend: str = "loky", scheduler: str | None = None, wait: bool = True,
    together: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Runs what is not done yet, ``jobs`` at a time (None: one for each core), and returns one tidy frame of them all.

    Every run keeps its own folder, so a grid that was cut goes on where it was. A run that fails is reported and does
    not stop the others; a GridError at the end lists them all, and asking again takes up what failed or is missing.
    Several processes may run the same grid: each takes the next run that is free. ``wait``: at the end, wait for the
    runs that other processes have (and take over those of a process that dies); False: return without them.

    ``minutes``: no epoch is begun after so many; the frame holds what is there by then, and asking again goes on.
    ``threads``: of torch in each run. By default one in a process of its own, so that runs do not fight for cores, and
    whatever torch has in this process (``jobs=1``). A run's last digits depend on it.
    ``together``: seeds of one experiment run as one batch where that is possible and faster (a small network on a CPU:
    see :func:`run_seeds`). A run's last digits then depend on which others it shares a batch with.
    ``backend``: 'loky' (processes of this machine) or 'dask' (the cluster whose scheduler is at the address
    ``scheduler``; its workers decide how many runs go at once, and must see the folders under the same path).
    """
    experiments = list(experiments)
    how = check(experiments, jobs, progress, minutes, threads, backend, scheduler)
    kind = kind_here(progress)
    with tempfile.TemporaryDirectory() as scratch:  # for the runs that keep nothing
        places = [(e.out or Path(scratch, str(i))).absolute() for i, e in enumerate(experiments)]
        runs = [replace(e, out=out, net=None, frame=None) for e, out in zip(experiments, places, strict=True)]
        board = Board(runs, kind, f"{how.threads} thread{'s' * (how.threads > 1)} each", Path(scratch))
        if backend == "loky" and how.jobs == 1 and (kind != "line" or len(board.left) <= _SHOWN):
            how = how._replace(show=kind)
        how = how._replace(together=together and backend == "loky")
        try:
            _run_all(board, how, backend, scheduler, wait)
        except KeyboardInterrupt:
            print(f"\ninterrupted: {board.done} of {len(runs)} runs are done; run the same again to go on", flush=True)
            raise
        finally:
            if board.bar is not None:
                board.bar.close()
        for e, run in zip(experiments, runs, strict=True):
            e.frame = run.frame
    frames = [e.frame for e in experiments if e.frame is not None]
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    if board.failed:
        told = "\n".join(f"  {board.names[i]}: {why}" for i, why in board.failed.items())
        error = GridError(
            f"{len(board.failed)} of {len(runs)} runs failed, the other {len(frames)} are done and kept:\n{told}\n"
            f"Run the same again to take up only these"
        )
        error.frame = frame
        raise error
    return frame


def check(
    experiments: list[Experiment], jobs: Any, progress: str, minutes: Any, threads: Any, backend: str, scheduler: Any
) -> How:
    """ConfigError for everything that can be seen to be wrong before anything runs."""
    if not experiments:
        raise ConfigError("an empty grid: there is nothing to run. Give it at least one rule and one seed")
    kind_here(progress)
    jobs = jobs if jobs is None else whole("jobs", jobs, low=1, what="how many runs at a time")
    threads = threads if threads is None else whole("threads", threads, low=1, what="of torch in each run")
    minutes = minutes if minutes is None else real("minutes", minutes, low=0)
    choice("backend", backend, backends.BACKENDS)
    if backend == "dask" and not isinstance(scheduler, str):
        raise ConfigError("backend 'dask' hands the grid to a cluster: say where its scheduler is, tcp://HOST:8786")
    if backend == "loky" and scheduler:
        raise ConfigError(f"scheduler {scheduler!r}: backend 'loky' has none. Say backend 'dask'")
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
    threads = threads or (torch.get_num_threads() if backend == "loky" and jobs == 1 else 1)
    now = time.time()
    return How(jobs, threads, None, None if minutes is None else now + 60 * minutes, now)


def _run_all(board: Board, how: How, backend: str, scheduler: str | None, wait: bool) -> None:
    """Until every run is done, cut by the deadline, failed, or left to the process that has it.

    Whatever its run does, a task returns; what ends joblib's call is the death of a worker (killed, out of memory), and
    it takes the other workers with it. So the runs that were lost go on from their checkpoints: among the others the
    first time, alone the second, and if such a one dies it has failed.
    """
    lost: Counter[int] = Counter()
    told = False
    while board.left:
        batch = {i: run for i, run in board.left.items() if lost[i] < 2} or dict([next(iter(board.left.items()))])
        sent, theirs = time.time(), []
        try:
            outcomes: Iterable[backends.Outcome]
            if backend == "dask":
                outcomes = backends.on_dask(work, ((i, run, how) for i, run in batch.items()), str(scheduler))
            else:
                fresh = {i: run for i, run in batch.items() if not lost[i]}  # a worker that dies takes one run with it
                parts = shared(fresh, how.jobs) if how.together and len(fresh) > 1 else [[i] for i in fresh]
                parts += [[i] for i in batch if lost[i]]
                tasks = ((part, [batch[i] for i in part], how) for part in parts)
                ended = backends.on_this_machine(work_on, tasks, how.jobs, how.threads, how.began)
                outcomes = itertools.chain.from_iterable(ended)
            for i, record in outcomes:
                if record is None:
                    theirs.append(i)
                else:
                    board.tell(i, _given_up(batch[i], record) if isinstance(record, Exception) else record)
        except PfaEduError:
            raise
        except Exception as error:  # each backend has its own
            dead = [i for i in batch if i in board.left and store.running(batch[i].kept_in, sent)]
            if not dead and all(i in board.left for i in batch):  # nobody has come so far as to begin a run
                what = f"{type(error).__name__}: {error}".rstrip(". \n")
                raise PfaEduError(
                    f"the backend {backend!r} cannot run the grid: {what}. With jobs=1 it runs in this process"
                ) from error
            lost.update(dead)
            if dead and len(batch) == 1:
                why = RuntimeError("the process died under it, alone too (killed, out of memory?)")
                board.tell(dead[0], _given_up(batch[dead[0]], why))
            continue
        if not wait or (how.deadline is not None and time.time() >= how.deadline):
            for i in theirs:
                board.leave(i)
        elif len(theirs) == len(batch):  # there is nothing else to do
            if not told:
                board.say(f"waiting for {len(theirs)} that other processes run")
            told = True
            time.sleep(POLL_S)


def _given_up(run: Experiment, error: Exception) -> store.Record:
    """The record of a run whose workers have died, one after the other."""
    return store.failed(run.kept_in, run, f"{type(error).__name__}: {error}")
