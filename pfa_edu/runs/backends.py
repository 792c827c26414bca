"""Where the runs of a grid go: this process, processes of this machine (joblib), or a dask cluster.

A task is a number, a run, and how it is to be run; what ``work`` makes of it comes as it ends.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ConfigError, OutputError
from . import store

BACKENDS = ("loky", "dask")
Done = TypeVar("Done")
Outcome = tuple[int, Any]  # the task's number; its record, None if another process has the run, or dask's own error


def on_this_machine(
    work: Callable[..., Done], tasks: Iterable[tuple], jobs: int, threads: int, grid: float
) -> Iterator[Done]:
    """``jobs`` at a time, each in a process that has ``threads``; one job is this process itself.

    ``grid``: when it began. A process knows modules as they were when it began itself, so each grid has its own
    processes, and sees your code as it is now.
    """
    if jobs == 1:
        yield from (work(*task) for task in tasks)
        return
    import joblib  # not above: what only looks at a finished grid need not wait for it

    own = {"initializer": _end_with, "initargs": (os.getpid(), grid)}  # joblib shares processes of the same initargs
    with joblib.parallel_config("loky", n_jobs=jobs, inner_max_num_threads=threads, **own):
        parallel = joblib.Parallel(batch_size=1, return_as="generator_unordered")
        yield from parallel(joblib.delayed(work)(*task) for task in tasks)


def _end_with(parent: int, _: float) -> None:
    """A worker of this machine ends with the process that started it, however that ended, and so frees its run."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def on_dask(work: Callable[..., Outcome], tasks: Iterable[tuple], scheduler: str) -> Iterator[Outcome]:
    """On the workers of the cluster at the address ``scheduler``."""
    try:
        import cloudpickle
        from distributed import Client, as_completed
    except ImportError as error:
        raise ConfigError("backend 'dask' needs dask's distributed: pip install \"pfa-edu[dask]\"") from error
    try:
        client = Client(scheduler, timeout=30, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"no dask scheduler answers at {scheduler!r}: {error}") from error
    with client:
        for worker, n in client.nthreads().items():
            if n > 1:
                raise ConfigError(
                    f"the dask worker {worker} has {n} threads, but a run needs a process of its own: start workers "
                    f"with --nthreads 1 --nworkers {n}"
                )
        path = [os.path.abspath(folder) for folder in sys.path]
        sent = {client.submit(_arrived, path, cloudpickle.dumps((work, task)), pure=False): task for task in tasks}
        for future in as_completed(sent, loop=client.loop):
            number, run, *_ = sent[future]
            if future.cancelled():
                raise ConnectionError(f"the scheduler at {scheduler} has gone")
            record = future.exception() or future.result()[1]
            if isinstance(record, dict) and record["state"] != "failed":
                _await(run.folder / store.FILE)
            yield number, record


def _arrived(path: list[str], packed: bytes) -> Outcome:
    """In a worker, which may have been started elsewhere: your own modules are found where they were found there."""
    sys.path.extend(folder for folder in path if folder not in sys.path)
    work, task = pickle.loads(packed)
    return work(*task)


def _await(file: Path, patience_s: float = 60) -> None:
    """It is written, but a network's file system may show it a little later."""
    give_up = time.monotonic() + patience_s
    while not file.exists():
        if time.monotonic() > give_up:
            raise OutputError(
                f"a worker has written {file}, but it is not there: the workers must see this folder under the same "
                f"path, on a file system that all machines share"
            )
        time.sleep(0.5)
