"""One task of a grid, wherever a backend puts it: a run, or several seeds as one batch; never two at a time."""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections.abc import Iterator
from typing import NamedTuple

import filelock
import torch

from ..errors import BusyError
from . import backends, store
from .experiments import Experiment
from .seeds import run_together


class How(NamedTuple):
    """How runs are run. ``show``: a run's own progress (None: in its log)."""

    jobs: int
    threads: int
    show: str | None
    deadline: float | None
    began: float  # when the grid did
    together: bool = False  # seeds as one batch


_alone = threading.Lock()  # torch's random stream and stdout are the process's: one run at a time in each


def work(number: int, e: Experiment, how: How) -> tuple[int, store.Record | None]:
    """One run, wherever the backend puts it. Returns its record; None if another process has it."""
    try:
        e.kept_in.mkdir(parents=True, exist_ok=True)
        with _alone, filelock.FileLock(e.kept_in / "grid.lock", timeout=0):
            return number, _run(e, how)
    except (filelock.Timeout, BusyError):
        return number, None
    except Exception:
        return number, store.failed(e.kept_in, e, traceback.format_exc())
    finally:
        e.net = None  # a thousand networks in memory would be no use to anybody


def _run(e: Experiment, how: How) -> store.Record:
    """The run, unless another process has ended it since this grid began."""
    if record := _known(e, how):
        return record
    start = time.perf_counter()
    with _logged(e, how):
        e.run(how.show or "line", how.deadline)
    return store.ended(e.kept_in, e, time.perf_counter() - start)


def _known(e: Experiment, how: How) -> store.Record | None:
    """The record of a run that has ended since this grid began; any other is now running."""
    record = store.read(e.kept_in)
    if record and (record["state"] == "done" or (record["state"] == "failed" and record["time"] >= how.began)):
        return record
    store.write(e.kept_in, e, "running")
    return None


@contextlib.contextmanager
def _logged(e: Experiment, how: How) -> Iterator[None]:
    """Around a run: its threads, and where it prints."""
    before = torch.get_num_threads()
    with contextlib.ExitStack() as stack:
        if how.show is None:  # into a file: elsewhere it would be lost, or mixed with the others'
            log = stack.enter_context(open(e.kept_in / "log.txt", "a", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(log))
        stack.callback(torch.set_num_threads, before)
        torch.set_num_threads(how.threads)
        yield


def work_on(numbers: list[int], runs: list[Experiment], how: How) -> list[backends.Outcome]:
    """One run, or several as one batch."""
    if len(numbers) == 1:
        return [work(numbers[0], runs[0], how)]
    outcomes: dict[int, store.Record | None] = {}
    mine: dict[int, Experiment] = {}
    with _alone, contextlib.ExitStack() as stack:
        for i, e in zip(numbers, runs, strict=True):
            try:
                e.kept_in.mkdir(parents=True, exist_ok=True)
                stack.enter_context(filelock.FileLock(e.kept_in / "grid.lock", timeout=0))
                record = _known(e, how)
            except filelock.Timeout:
                outcomes[i] = None
            except Exception:
                outcomes[i] = store.failed(e.kept_in, e, traceback.format_exc())
            else:
                if record is None:
                    mine[i] = e
                else:
                    outcomes[i] = record
        if mine:
            outcomes |= _run_together(mine, how)
    for e in runs:
        e.net = None
    return list(outcomes.items())


def _run_together(mine: dict[int, Experiment], how: How) -> dict[int, store.Record | None]:
    start, first = time.perf_counter(), next(iter(mine.values()))
    try:
        with _logged(first, how):
            lost = run_together(list(mine.values()), how.show or "line", how.deadline)
    except BusyError:
        return dict.fromkeys(mine)
    except Exception:
        return {i: store.failed(e.kept_in, e, traceback.format_exc()) for i, e in mine.items()}
    share = (time.perf_counter() - start) / len(mine)
    return {
        i: store.failed(e.kept_in, e, "".join(traceback.format_exception(lost[place]))) if place in lost
        else store.ended(e.kept_in, e, share)
        for place, (i, e) in enumerate(mine.items())
    }  # fmt: skip
