"""Every file that this package writes: whole or not at all, and folders that one run holds at a time.

A file is written under a temporary name beside its place, forced to the disk, and then renamed. So a reader, a crash or
a full disk meets the old file or the new one, never a part of it. Whatever fails is an OutputError that says which
file, why, and what to do.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import filelock

from .errors import BusyError, OutputError

if TYPE_CHECKING:
    import pandas as pd

_PART = ".part"  # what temporary names end in; only what a killed process left behind stays under such a name
_STALE_S = 3600.0  # nothing here takes an hour between two writes to one file


def write(path: str | os.PathLike[str], fill: Callable[[BinaryIO], object]) -> Path:
    """Calls ``fill(file)`` on a new file and puts it at ``path`` once it is complete; returns ``path``.

    The folder is made if need be. Any number of writers may write the same path at once: the last one wins, whole.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write(Path(folder) / "new" / "hello.bin", lambda file: file.write(b"hello"))
    ...     path.read_bytes(), [p.name for p in path.parent.iterdir()]
    (b'hello', ['hello.bin'])
    """
    path = Path(path)
    part = path.parent / f".{uuid.uuid4().hex}{_PART}"  # short, as the name itself may be as long as names can be
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(part, "xb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):  # the first error is the one to tell
                part.unlink(missing_ok=True)
            raise
    except OSError as error:
        before = " What was there is untouched." if os.path.lexists(path) else ""
        raise OutputError(
            f"could not write {path} ({reason(error)}): free some space or choose another folder.{before}"
        ) from error
    return path


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Writes ``text`` as UTF-8, its line ends as they are."""
    return write(path, lambda file: file.write(text.encode()))


def write_json(content: Any, path: str | os.PathLike[str]) -> Path:
    """Writes ``content`` as JSON, every digit of its numbers."""
    return write_text(path, json.dumps(content))


def write_csv(frame: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Writes ``frame`` without its index, numbers to six significant digits."""
    return write_text(path, frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


@contextlib.contextmanager
def held(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """The folder, made and locked: two runs in one folder would overwrite each other, so a second holder is refused.

    The lock goes with the process that holds it, however that ends. What killed writers left in the folder is removed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as tmp, held(Path(tmp) / "run") as folder:
    ...     try:
    ...         with held(folder):
    ...             pass
    ...     except OutputError as error:
    ...         print(str(error).replace(tmp, "TMP"))
    TMP/run is in use by another run: wait for it to end, or choose another folder
    """
    folder = Path(folder)
    lock = filelock.FileLock(folder / "run.lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        raise BusyError(f"{folder} is in use by another run: wait for it to end, or choose another folder") from error
    except (OSError, NotImplementedError) as error:  # the latter: a network disk that knows no locks
        raise OutputError(f"cannot write in {folder} ({reason(error)}): choose another folder") from error
    try:
        _sweep(folder)
        yield folder
    finally:
        lock.release()


def writable(folder: str | os.PathLike[str]) -> Path:
    """Makes the folder; OutputError if that, or writing in it, cannot be done. For a check before hours of work."""
    folder = Path(folder)
    probe = folder / f".{uuid.uuid4().hex}{_PART}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise OutputError(f"cannot write in {folder} ({reason(error)}): choose another folder") from error
    return folder


def free_name(path: str | os.PathLike[str]) -> Path:
    """The first NAME.before-N.SUFFIX beside ``path`` that nothing has yet."""
    path, n = Path(path), 1
    while os.path.lexists(new := path.with_name(f"{path.stem}.before-{n}{path.suffix}")):
        n += 1
    return new


def move_aside(path: str | os.PathLike[str]) -> Path:
    """Renames ``path`` to its ``free_name``, and returns that: somebody's work is kept, not overwritten."""
    path = Path(path)
    try:
        return path.rename(free_name(path))
    except OSError as error:
        raise OutputError(f"could not rename {path} ({reason(error)}): choose another folder") from error


def reason(error: BaseException) -> str:
    """What went wrong in words, without the number and the path that an OSError puts around them.

    >>> reason(OSError(28, "No space left on device", "x.bin"))
    'No space left on device'
    """
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _sweep(folder: Path) -> None:
    """Removes the temporary files of writers that were killed: a checkpoint's can be hundreds of megabytes."""
    with contextlib.suppress(OSError):  # tidying up is no reason to refuse a run
        for part in folder.glob(f".*{_PART}"):
            if time.time() - part.stat().st_mtime > _STALE_S:
                part.unlink()
