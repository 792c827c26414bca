"""What all datasets share in coming from files: where they lie, how they are fetched, what is said when they are not.

Every failure is a :class:`~pfa_edu.errors.DataError` that names the folder, the file and the way out.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import filelock

from ..errors import DataError

_DOWNLOAD_WAIT_S = 1800.0  # how long to wait for another process that is downloading into the same root


def data_root(root: str | Path | None = None) -> Path:
    """Where datasets lie: ``root``, else PFA_EDU_DATA, else pfa_edu in the user's cache folder. Absolute."""
    chosen = root or os.environ.get("PFA_EDU_DATA")
    if not chosen:
        chosen = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "pfa_edu"
    return Path(chosen).expanduser().absolute()


def missing(folder: Path, files: list[str]) -> list[str]:
    # os.path.isfile is False where Path.is_file raises: in a folder that may not be entered.
    return [file for file in files if not os.path.isfile(folder / file)]


def download(name: str, fetch: Callable[[], object], root: Path, folder: Path, files: list[str]) -> None:
    """Lets torchvision fetch (or unpack the archive of) what is missing; a DataError if files are missing still."""

    def wanted() -> str:
        return ", ".join(str(folder / file) for file in missing(folder, files))

    elsewhere = "set PFA_EDU_DATA to a folder that has them, or use dataset 'mnist-5k', which needs no download"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError("no permission")
    except OSError as err:
        raise DataError(
            f"{name} is not in {root} (wanted: {wanted()}) and cannot be downloaded into it, as {folder} cannot be "
            f"written ({err}). Make it writable, {elsewhere}."
        ) from err
    try:
        # Several runs may start at once on an empty root. Torchvision looks again for the files once it has its turn.
        with filelock.FileLock(folder / ".download.lock", timeout=_DOWNLOAD_WAIT_S):
            fetch()
    except Exception as err:  # sockets, archives, checksums, a full disk: whatever it was, the way out is the same
        # Files that are all there but do not parse are not a failed download: the reader says which one is broken.
        if missing(folder, files):
            raise DataError(
                f"{name} is not in {root} and its download failed ({type(err).__name__}: {err}). "
                f"Wanted: {wanted()} (or the published archive of each). With a network: run this once more. "
                f"Offline: copy these files there, {elsewhere}."
            ) from err


def broken(file: str, folder: Path, why: str) -> DataError:
    return DataError(f"{file} in {folder} is broken ({why}). Delete it and load again, or copy it there again.")
