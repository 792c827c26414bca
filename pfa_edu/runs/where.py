"""Where a run computes, and the folder that it alone may write to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch

from .._files import held
from ..errors import ConfigError
from ..train.ranks import Ranks


def usable(device: str | None) -> str:
    """The device, by default a GPU where there is one; ConfigError for one that is unknown or missing."""
    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except (RuntimeError, TypeError) as error:
        raise ConfigError(f"device {device!r} is unknown: use 'cpu', or 'cuda' for an NVIDIA GPU") from error
    if kind not in ("cpu", "cuda"):
        raise ConfigError(f"device {device!r} is not supported: use 'cpu', or 'cuda' for an NVIDIA GPU")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device {device!r}: torch finds no GPU here. Use 'cpu'")
    return str(device)


@contextlib.contextmanager
def held_by_first(folder: Path | None, ranks: Ranks) -> Iterator[Path | None]:
    """The run's folder, made and locked by the first rank: two runs in one folder would overwrite each other."""
    with contextlib.ExitStack() as stack:
        if folder is not None:
            ranks.first(lambda: stack.enter_context(held(folder)))
        yield folder
