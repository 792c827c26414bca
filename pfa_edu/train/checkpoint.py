"""Checkpoints: written whole or not at all, read with a clear word on what is wrong, movable between machines."""

from __future__ import annotations

import contextlib
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError, OutputError

FORMAT = "pfa_edu checkpoint 2"


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes atomically: a cut at any moment leaves either the old checkpoint or the new one, whole."""
    part = path.with_suffix(".part")
    try:
        with open(part, "wb") as f:
            torch.save({"format": FORMAT, **state}, f)
            f.flush()
            os.fsync(f.fileno())
        os.replace(part, path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise OutputError(
            f"could not write {path} ({error}): the checkpoint of the epoch before is untouched. Free some space or "
            f"choose another folder, then run the same command again to go on"
        ) from error


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Reads what ``save_checkpoint`` wrote, onto ``device``; CheckpointError for a truncated or foreign file."""
    way_out = "delete it to begin this run again, or choose another folder"
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path} cannot be read as a checkpoint (truncated or foreign): {way_out}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of this version of pfa_edu ({FORMAT}): {way_out}")
    return state


def check_identity(mine: dict[str, Any], theirs: dict[str, Any], where: Path | str = "the checkpoint") -> None:
    """CheckpointError that names every setting in which a checkpoint's run differs from this one."""
    differ = [k for k in mine | theirs if mine.get(k) != theirs.get(k)]
    if differ:
        told = ", ".join(f"{k} {theirs.get(k)!r} there, {mine.get(k)!r} here" for k in differ)
        raise CheckpointError(
            f"{where} holds another run, and one with other settings cannot go on from it: {told}. "
            f"Keep this one in another folder (out=..., --out DIR), or delete that one"
        )
