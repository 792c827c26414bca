"""How far a grid is: one bar, or a line as each run ends."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tqdm.auto import tqdm

from ..errors import OutputError
from . import store
from .experiments import Experiment


class Board:
    """The runs of a grid by number: those that are ``left``, and those that have ``failed``, with the reason.

    ``kind``: 'bar', 'line' or 'none'; a failure is always told. ``note``: how what is left will be run.
    ``scratch``: the folder of the runs that keep nothing.
    """

    def __init__(self, runs: list[Experiment], kind: str, note: str, scratch: Path):
        self.runs, self.kind = runs, kind
        self.left: dict[int, Experiment] = {}
        self.failed: dict[int, str] = {}
        kept = {run.kept_in for run in runs if scratch not in run.kept_in.parents}
        common = os.path.commonpath([folder.parent for folder in kept]) if kept else ""
        self.names = [os.path.relpath(f, common) if (f := run.kept_in) in kept else f.name for run in runs]
        for number, run in enumerate(runs):
            try:
                run.frame = store.results(run.kept_in, run)
            except OutputError as error:  # a broken record: this run is not touched, the others are
                self.failed[number] = str(error)
            else:
                self.left |= {number: run} if run.frame is None else {}
        self.say(f"grid: {len(runs)} runs, {self.done} done already" + f", {note}" * bool(self.left))
        for number, why in self.failed.items():
            self.say(f"{self.names[number]} FAILED: {why}", failure=True)
        self.bar = tqdm(total=len(runs), initial=self.done, unit="run") if kind == "bar" else None
        self.began, self.ended = time.monotonic(), 0

    @property
    def done(self) -> int:
        """How many."""
        return len(self.runs) - len(self.left) - len(self.failed)

    def tell(self, number: int, record: store.Record) -> None:
        """A run has ended, and its record says how."""
        run, n = self.left.pop(number), len(self.runs)
        self.ended += 1
        failure = record["state"] == "failed"
        if failure:
            run.frame, self.failed[number] = None, record["traceback"].strip().splitlines()[-1]
            settings = ", ".join(f"{k} {v!r}" for k, v in record["identity"].items())
            text = f"FAILED\n  configuration: {settings}\n{record['traceback'].rstrip()}\n"
        else:
            run.frame = store.frame(record)
            how = "done in" if record["state"] == "done" else "cut by the time limit after"
            text = f"{how} {record.get('seconds', 0):.1f} s"
            for row in run.frame[run.frame["metric"].str.endswith("_accuracy")].tail(1).itertuples():  # the test set's
                text += f", {row.metric.replace('_', ' ')} {row.value:.2f} %"
        if self.bar is not None:
            self.bar.update()
        if self.left:
            seconds = (time.monotonic() - self.began) / self.ended * len(self.left)
            text += f"; {len(self.left)} left, about {tqdm.format_interval(seconds)}"
        self.say(f"grid {n - len(self.left)}/{n}: {self.names[number]} {text}", failure)

    def leave(self, number: int) -> None:
        """Another process has the run, and is not waited for: what it has measured so far is good."""
        run = self.left.pop(number)
        run.frame = store.results(run.kept_in, run, partial=True)

    def say(self, text: str, failure: bool = False) -> None:
        """A line of the page."""
        if self.kind == "line":
            print(text, flush=True)
        elif failure:
            tqdm.write(text)
