"""Checkpoints: written whole or not at all, read with a clear word on what is wrong, movable between machines.

A checkpoint is an ordinary file of ``torch.save`` with one line after it: a checksum of all that comes before. A disk
or a copy that turned a single bit is therefore noticed, while ``torch.load(path)`` still reads the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from .._files import reason, write
from ..errors import CheckpointError, DivergenceError

FORMAT = "pfa_edu checkpoint 3"
_BEFORE = "pfa_edu checkpoint 2"  # the same without the checksum
_MARK = b"\npfa_edu blake2b "
_LINE = len(_MARK) + 64 + 1  # the mark, 256 bits in hexadecimal, a line end
_ENTRIES = {"identity": dict, "epoch": int, "rows": list, "net": dict, "optimizer": dict, "order": torch.Tensor}
_WAY_OUT = "delete it to begin this run again, or choose another folder"


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes atomically: a cut at any moment leaves either the old checkpoint or the new one, whole.

    DivergenceError for weights that are no numbers any more: they would replace the last ones that were.
    """
    if (name := _not_a_number(state)) is not None:
        raise DivergenceError(
            f"{name} holds NaN after epoch {state.get('epoch')}: it was not written to {path}, which keeps the epoch "
            f"before. Lower the learning rate or the weight decay"
        )

    def fill(file: BinaryIO) -> None:
        summed = _Summed(file)
        try:
            torch.save({"format": FORMAT, **state}, cast(BinaryIO, summed))
        except RuntimeError as error:  # how torch reports a full disk
            raise OSError(str(error)) from error
        file.write(_MARK + summed.sum.hexdigest().encode() + b"\n")

    write(path, fill)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads what ``save_checkpoint`` wrote, into CPU memory.

    CheckpointError, with the file's name and the way out, for one that is truncated, changed, incomplete or foreign.
    """
    try:
        summed = _check_sum(path)
    except OSError as error:  # it is not there, or the disk fails
        raise CheckpointError(f"{path} cannot be read ({reason(error)})") from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises nearly anything for foreign bytes
        if summed or isinstance(error, MemoryError):  # the file is as it was written
            raise CheckpointError(f"{path} cannot be read ({reason(error)})") from error
        raise CheckpointError(f"{path} cannot be read as a checkpoint (truncated or foreign): {_WAY_OUT}") from error
    kind = state.get("format") if isinstance(state, dict) else None
    if kind not in (FORMAT, _BEFORE):
        raise CheckpointError(f"{path} is not a checkpoint of this version of pfa_edu ({FORMAT}): {_WAY_OUT}")
    if kind == FORMAT and not summed:
        raise CheckpointError(f"{path} cannot be read as a checkpoint (its end is missing): {_WAY_OUT}")
    _check_entries(path, state)
    return state


@contextlib.contextmanager
def fitting(where: Path | str) -> Iterator[None]:
    """Around the use of a checkpoint's entries: one that does not fit the run is a CheckpointError about ``where``.

    >>> with fitting("runs/a/checkpoint.pt"):
    ...     torch.nn.Linear(2, 1, bias=False).load_state_dict({"weigth": torch.ones(1, 2)})
    Traceback (most recent call last):
    pfa_edu.errors.CheckpointError: runs/a/checkpoint.pt does not fit this run (Error(s) in loading state_dict ...
    """
    try:
        yield
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{where} does not fit this run ({' '.join(str(error).split())}): {_WAY_OUT}") from error


def check_identity(mine: dict[str, Any], theirs: dict[str, Any], where: Path | str = "the checkpoint") -> None:
    """CheckpointError that names every setting in which a checkpoint's run differs from this one."""
    differ = [k for k in mine | theirs if mine.get(k) != theirs.get(k)]
    if differ:
        told = ", ".join(f"{k} {theirs.get(k)!r} there, {mine.get(k)!r} here" for k in differ)
        raise CheckpointError(
            f"{where} holds another run, and one with other settings cannot go on from it: {told}. "
            f"Keep this one in another folder (out=..., --out DIR), or delete that one"
        )


class _Summed:
    """Passes on what is written to ``file`` and sums it up on the way."""

    def __init__(self, file: BinaryIO):
        self.file, self.sum = file, hashlib.blake2b(digest_size=32)

    def write(self, data: bytes) -> int:
        self.sum.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def _check_sum(path: Path) -> bool:
    """True for a file that is what its last line says it is, False for one without such a line."""
    with open(path, "rb") as file:
        left = file.seek(0, os.SEEK_END) - _LINE
        if left < 0:
            return False
        file.seek(left)
        line = file.read(_LINE)
        if not line.startswith(_MARK):
            return False
        file.seek(0)
        found = hashlib.blake2b(digest_size=32)
        while left and (block := file.read(min(left, 1 << 20))):
            found.update(block)
            left -= len(block)
    if line != _MARK + found.hexdigest().encode() + b"\n":
        raise CheckpointError(f"{path} has changed since it was written (its checksum is another): {_WAY_OUT}")
    return True


def _check_entries(path: Path, state: dict[str, Any]) -> None:
    """CheckpointError unless every entry is there and of its kind, and no weight is NaN."""

    def refuse(what: str) -> CheckpointError:
        return CheckpointError(f"{path} is incomplete or foreign: {what}: {_WAY_OUT}")

    for name, kind in _ENTRIES.items():
        if name not in state:
            raise refuse(f"it has no entry {name!r}")
        if not isinstance(state[name], kind):
            raise refuse(f"its entry {name!r} is a {type(state[name]).__name__}, not a {kind.__name__}")
    if state["epoch"] < 0:
        raise refuse(f"its entry 'epoch' is {state['epoch']}")
    if not all(_is_row(row) for row in state["rows"]):
        raise refuse("its entry 'rows' holds other things than (epoch, layer, metric, value)")
    buffers = state["optimizer"].get("state")
    if not isinstance(buffers, dict) or not all(isinstance(entries, dict) for entries in buffers.values()):
        raise refuse("its entry 'optimizer' is not the state of an optimiser")
    if (spoilt := _not_a_number(state)) is not None:
        raise refuse(f"{spoilt} holds NaN")


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, tuple | list)
        and len(row) == 4
        and all(isinstance(entry, kind) for entry, kind in zip(row, (int, str, str, int | float), strict=True))
    )


def _not_a_number(state: dict[str, Any]) -> str | None:
    """The name of the first tensor of the network or its optimiser that holds NaN, None if all is well.

    Infinities are let pass: an attention mask is full of them.
    """
    optimizer = state.get("optimizer", {}).get("state", {})
    tensors = dict(state.get("net", {}))
    for i, entries in optimizer.items():
        tensors |= {f"{name} of the optimiser's parameter {i}": value for name, value in entries.items()}
    for name, value in tensors.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point() and bool(value.isnan().any()):
            return name
    return None
