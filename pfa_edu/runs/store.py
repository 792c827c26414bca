"""What is known of each run: one small file in the run's own folder, always replaced as a whole.

``run.json`` says which run it is, by its identity, that it is running, failed (with its traceback), cut (stopped before
its last epoch) or done, and holds its results so far, every digit of them. It is brought up to date after every epoch.
There is no other state: what a grid has left to do is what its folders say, so a crash at any moment loses nothing that
had landed, and anyone may read while a run goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from .._files import write_json
from ..errors import OutputError
from ..train.checkpoint import check_identity

if TYPE_CHECKING:
    from .experiments import Experiment

FILE = "run.json"
FORMAT = "pfa_edu run 1"
Record = dict[str, Any]
_WAY_OUT = "delete it, and the run goes on from its checkpoint"
_HOLDS = {"running": (), "failed": ("traceback",), "cut": ("rows",), "done": ("rows",)}  # what each state has to say


def write(folder: Path, e: Experiment, state: str, **more: Any) -> Record:
    """Says that ``e`` is now 'running', 'failed', 'cut' or 'done'; its results so far stay. Returns the record."""
    record = {
        "format": FORMAT, "state": state, "identity": identity(e), "time": time.time(), "host": socket.gethostname(),
        "pid": os.getpid(),
    }  # fmt: skip
    if e.frame is not None:
        rows = list(e.frame.itertuples(index=False, name=None))  # plain ints and floats, which JSON keeps exactly
        record |= {"columns": list(e.frame.columns), "rows": rows}
    else:  # it has only been begun, or has not come so far: what an earlier process measured is still true
        with contextlib.suppress(OutputError):
            before = read(folder) or {}
            if before.get("identity") == record["identity"]:
                record |= {name: before[name] for name in ("columns", "rows") if name in before}
    write_json(record | more, folder / FILE)
    return record | more


def progress(folder: Path, e: Experiment) -> Record:
    """After every epoch: keeps the results of ``e`` so far; it is 'done' after the last one, else 'running'."""
    assert e.frame is not None
    seconds = e.frame.loc[e.frame["metric"] == "seconds", "value"].sum()
    return write(folder, e, "done" if _complete(e) else "running", seconds=float(seconds))


def ended(folder: Path, e: Experiment, seconds: float) -> Record:
    """``e.run()`` has returned after ``seconds``: 'done', or 'cut' by a deadline."""
    return write(folder, e, "done" if _complete(e) else "cut", seconds=seconds)


def failed(folder: Path, e: Experiment, traceback: str) -> Record:
    """``e`` has failed. The record is returned even if a full disk is the reason and it cannot be kept."""
    with contextlib.suppress(OutputError):
        return write(folder, e, "failed", traceback=traceback)
    return {"state": "failed", "traceback": traceback, "identity": identity(e), "time": time.time()}


def read(folder: Path) -> Record | None:
    """The record in ``folder``, None where there is none; OutputError, with the way out, for one that is broken."""
    path = folder / FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{path} cannot be read ({error}): delete it, and the run goes on from its checkpoint"
        ) from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise OutputError(f"{path} is not a record of this version of pfa_edu ({FORMAT}): choose another folder")
    if not _whole(record):
        raise OutputError(f"{path} is incomplete: {_WAY_OUT}")
    return record


def running(folder: Path, since: float) -> bool:
    """Whether its last word, said after ``since``, is that it runs."""
    with contextlib.suppress(OutputError):
        record = read(folder)
        return record is not None and record["state"] == "running" and record["time"] >= since
    return False


def results(folder: Path, e: Experiment, partial: bool = False) -> pd.DataFrame | None:
    """The tidy frame of ``e`` if it is done, else None; CheckpointError if the results of another run are there.

    ``partial``: also of a run that is not done, as far as it has come.
    """
    record = read(folder)
    if record is None or "rows" not in record:
        return None
    check_identity(identity(e), record["identity"], folder)
    return frame(record) if partial or record["state"] == "done" else None


def told(folder: Path, e: Experiment) -> str:
    """How far ``e`` is, in a word or two: 'done', 'to do', 'failed', 'broken', or how many epochs of all."""
    try:
        record = read(folder)
    except OutputError:
        return "broken"
    if record is None:
        return "to do"
    if record["state"] in ("done", "failed"):
        return record["state"]
    epochs = frame(record)["epoch"].max() if record.get("rows") else 0
    return f"{epochs}/{e.recipe.epochs} epochs"


def frame(record: Record) -> pd.DataFrame:
    """The tidy frame of a record, bit for bit as the run returned it."""
    return pd.DataFrame(record.get("rows", []), columns=record.get("columns"))


def _whole(record: Record) -> bool:
    """Whether it says all that a record of its state has to."""
    columns, rows = record.get("columns", []), record.get("rows", [])
    return (
        all(name in record for name in _HOLDS.get(str(record.get("state")), ("state of another kind",)))
        and isinstance(record.get("identity"), dict)
        and isinstance(columns, list)
        and isinstance(rows, list)
        and all(isinstance(row, list) and len(row) == len(columns) for row in rows)
    )


def _complete(e: Experiment) -> bool:
    return e.frame is not None and e.frame["epoch"].max() >= e.recipe.epochs


def identity(e: Experiment) -> dict[str, Any]:
    """What run it is, as a record says it."""
    return json.loads(json.dumps(e.identity))  # as JSON has it: lists where there were tuples
