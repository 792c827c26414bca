"""What is known of each run of a grid: one small file in the run's own folder, always replaced as a whole.

``run.json`` says that the run is running, failed (with its traceback), cut by a deadline or done (with its results,
every digit of them), and by its identity which run that is. There is no other state: what a grid has left to do is what
its folders say, so a crash at any moment loses nothing that had landed, and anyone may read while it grows.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import pandas as pd

from ..train.checkpoint import check_identity
from ..errors import OutputError
from .experiments import Experiment

FILE = "run.json"
FORMAT = "pfa_edu run 1"
ENDED = ("done", "cut", "failed")


def write(folder: Path, e: Experiment, state: str, **more: Any) -> None:
    """Says that ``e`` is now 'running', 'failed', 'cut' or 'done', and ``more`` about it."""
    record = {
        "format": FORMAT, "state": state, "identity": e.identity, "time": time.time(), "host": socket.gethostname(),
        "pid": os.getpid(), **more,
    }  # fmt: skip
    write_json(record, folder / FILE)


def ended(folder: Path, e: Experiment, seconds: float) -> None:
    """Keeps the results of ``e``, 'done' or 'cut' before its last epoch; ``seconds``: the time that this took."""
    state = "done" if e.frame.epoch.max() >= e.recipe.epochs else "cut"
    rows = list(e.frame.itertuples(index=False, name=None))  # plain ints and floats, which JSON keeps exactly
    write(folder, e, state, seconds=seconds, columns=list(e.frame.columns), rows=rows)


def read(folder: Path) -> dict[str, Any] | None:
    """The record in ``folder``, None where there is none."""
    path = folder / FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read ({error}): delete it to have this run taken up again") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise OutputError(f"{path} is not a record of this version of pfa_edu ({FORMAT}): choose another folder")
    return record


def state(folder: Path) -> str | None:
    """'running', 'failed', 'cut', 'done', or None."""
    record = read(folder)
    return record and record["state"]


def forget(folder: Path) -> None:
    """Removes the record of a run that is to be taken up again. Its checkpoint stays."""
    (folder / FILE).unlink(missing_ok=True)


def results(folder: Path, e: Experiment) -> pd.DataFrame | None:
    """The tidy frame of ``e`` if it is done, else None; CheckpointError if another run's is kept there."""
    record = read(folder)
    if record is None or record["state"] != "done":
        return None
    check_identity(json.loads(json.dumps(e.identity)), record["identity"], folder)  # as JSON has it: no tuples
    return frame(record)


def frame(record: dict[str, Any]) -> pd.DataFrame:
    """The tidy frame of a record that is done or cut, bit for bit as the run returned it."""
    return pd.DataFrame(record["rows"], columns=record["columns"])


def write_json(content: Any, path: Path) -> None:
    """Atomically: a reader or a crash meets the old file or the new one, never a part."""
    part = path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}.part")  # two writers, two parts
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "w", encoding="utf-8") as f:
            json.dump(content, f)
            f.flush()
            os.fsync(f.fileno())
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise OutputError(f"could not write {path}: {error}. Free some space or choose another folder") from error
