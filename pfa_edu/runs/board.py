"""How far a grid is: one bar, or a line as each run ends. It only reads the records, whatever backend runs the grid."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm.auto import tqdm

from . import store

if TYPE_CHECKING:
    from .grid import Run

POLL_S = 0.5


class Board:
    """``todo``: the runs to be looked at; ``total``: of the whole grid; ``kind``: 'bar', 'line' or 'none'.

    ``failed`` says, after the ``with``, which runs failed and why in a line each.
    """

    def __init__(self, todo: list[Run], total: int, kind: str, note: str = ""):
        self.open = {run.folder: run for run in todo}  # neither done nor failed
        self.total, self.kind = total, kind
        self.stamps: dict[Path, int | None] = {}
        self.running: dict[str, float] = {}  # name: when it was first seen
        self.took: dict[str, list[float]] = defaultdict(list)  # rule: the seconds of its runs
        self.failed: dict[str, str] = {}
        self.lanes = 1
        done = total - len(todo)
        self.bar = tqdm(total=total, initial=done, unit="run", bar_format=_BAR) if kind == "bar" else None
        if kind == "line":
            print(f"grid: {total} runs, {done} done already" + f", {note}" * bool(todo), flush=True)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, name="board", daemon=True)

    def __enter__(self) -> Board:
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc) -> None:
        self.ended.set()
        self.thread.join()
        self.look()
        if self.bar is not None:
            self.bar.close()
        if kind is KeyboardInterrupt:
            kept = self.total - len(self.open) - len(self.failed)
            print(f"\ninterrupted: {kept} of {self.total} runs are done; run the same again to go on", flush=True)

    def _watch(self) -> None:
        while self.open and not self.ended.wait(POLL_S):
            self.look()

    def look(self) -> None:
        """Reads every record that is new since the last look, and tells."""
        news = []
        for folder, run in list(self.open.items()):
            stamp = _stamp(run)
            if stamp == self.stamps.get(folder):
                continue
            self.stamps[folder] = stamp
            record = store.read(folder)
            if record["state"] == "running":
                self.running[run.name] = time.monotonic()
                continue
            news.append((run, record))
            self.running.pop(run.name, None)
        self.lanes = max(self.lanes, len(self.running))
        for run, record in news:
            del self.open[run.folder]
            self._tell(run, record)
        if self.bar is not None:
            self.bar.set_postfix_str(self._outlook())

    def _tell(self, run: Run, record: dict) -> None:
        if record["state"] in ("done", "cut"):
            self.took[run.experiment.rule.label].append(record["seconds"])
            ended = "done in" if record["state"] == "done" else "cut by the time limit after"
            text = f"{run.name} {ended} {record['seconds']:.1f} s{_accuracy(record)}"
        else:
            self.failed[run.name] = record["traceback"].strip().splitlines()[-1]
            settings = ", ".join(f"{k} {v!r}" for k, v in record["identity"].items())
            text = f"{run.name} FAILED\n  configuration: {settings}\n{record['traceback'].rstrip()}"
        if self.bar is not None:
            self.bar.update()
        if self.kind == "line":
            end = "\n" if record["state"] == "failed" else "; "
            print(f"grid {self.total - len(self.open)}/{self.total}: {text}{end}{self._outlook()}", flush=True)
        elif record["state"] == "failed":
            tqdm.write(text)

    def _outlook(self) -> str:
        """What runs now, and when the end is to be expected."""
        now = "now " + ", ".join(self.running) if self.running else "nothing runs now"
        left = self.left()
        if left is None or not self.open:
            return now
        return (
            f"{now}; about {_duration(left)} left, until {time.strftime('%H:%M', time.localtime(time.time() + left))}"
        )

    def left(self) -> float | None:
        """Seconds to the end, if a run takes what those of its rule took, or else all; None before one has ended."""
        every = [seconds for runs in self.took.values() for seconds in runs]
        if not every:
            return None
        total = 0.0
        for run in self.open.values():
            known = self.took.get(run.experiment.rule.label) or every
            gone = time.monotonic() - self.running[run.name] if run.name in self.running else 0
            total += max(sum(known) / len(known) - gone, 0)
        return total / self.lanes


_BAR = "{n_fmt}/{total_fmt} runs |{bar:20}| {elapsed} {postfix}"


def _stamp(run: Run) -> int | None:
    """Changes with every new record."""
    try:
        return (run.folder / store.FILE).stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _accuracy(record: dict) -> str:
    frame = store.frame(record)
    accuracy = frame[frame.metric.str.endswith("_accuracy")]  # the test set's comes last, where there is one
    return f", {accuracy.metric.iloc[-1].replace('_', ' ')} {accuracy.value.iloc[-1]:.2f} %" if len(accuracy) else ""


def _duration(seconds: float) -> str:
    minutes, hours = round(seconds / 60), seconds / 3600
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes} min" if minutes < 90 else f"{hours:.1f} h"
