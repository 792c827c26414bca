"""What a dataset in memory must be, said before training begins and not by a kernel in the middle of it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .._settings import whole
from ..errors import ConfigError

PARTS = ("train", "test", "validation")


def usable_device(device: str | torch.device) -> torch.device:
    """The device under its full name ('cuda' is 'cuda:0'); ConfigError for one that this machine lacks."""
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError) as err:
        raise ConfigError(f"device {device!r} cannot be used here: {err}. Use 'cpu'.") from err


def check_name(name: Any) -> None:
    """A name is part of a folder's name: letters, digits, and a few signs that no system minds."""
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w .+=-]*", name):
        raise ConfigError(f"dataset name {name!r}: a text that can be a folder's name, such as 'my-digits'")


def check_parts(name: str, parts: dict[str, tuple[Any, Any]], classes: int | None) -> None:
    """Every part has as many inputs as targets, and all are alike in shape, type and device."""
    there = {part: (x, y) for part, (x, y) in parts.items() if part != "validation" or not (x is None and y is None)}
    for part, (x, y) in there.items():
        if not isinstance(x, Tensor) or not isinstance(y, Tensor):
            raise ConfigError(f"{part} of {name}: it takes two tensors, x and y, not {_kind(x)} and {_kind(y)}")
    first_x, first_y = there["train"]
    for part, (x, y) in there.items():
        if x.dim() == 0 or y.dim() == 0 or len(x) != len(y) or not len(x):
            raise ConfigError(
                f"{part} of {name}: x has shape {_shape(x)} and y {_shape(y)}: the first number of both is how many "
                f"samples there are, the same and at least 1"
            )
        for what, mine, first in (("x", x, first_x), ("y", y, first_y)):
            if mine.shape[1:] != first.shape[1:] or mine.dtype != first.dtype:
                raise ConfigError(
                    f"{part} of {name}: {what} has shape {_shape(mine)}, {_type(mine)}, and that of train "
                    f"{_shape(first)}, {_type(first)}: a sample must be the same in every part"
                )
            if mine.device != first_x.device:
                raise ConfigError(f"{part} of {name}: {what} is on {mine.device} and train's x on {first_x.device}")
        _check_targets(f"{part} of {name}", y, classes)
    if first_x.dim() < 2:
        raise ConfigError(f"train of {name}: x has shape {_shape(first_x)}; for one number a sample say x[:, None]")
    if first_x.dtype == torch.bool or first_x.is_complex():
        raise ConfigError(f"train of {name}: x is {_type(first_x)}: make it numbers with x.float()")


def _check_targets(where: str, y: Tensor, classes: int | None) -> None:
    """Class indices, (N,) int64 from 0 to ``classes`` - 1, or numbers, (N,) or (N, width) floating."""
    if y.is_floating_point():
        width = y.shape[1] if y.dim() == 2 else 1
        if y.dim() > 2:
            raise ConfigError(f"{where}: y has shape {_shape(y)}: numbers to be met are (N,) or (N, width)")
        if classes not in (None, width):
            raise ConfigError(
                f"{where}: y is {_type(y)} with {width} number(s) a sample, and classes is {classes}. Labels are whole "
                f"numbers: y.long(). For a regression leave classes out"
            )
        return
    if y.dtype != torch.int64 or y.dim() != 1:
        raise ConfigError(f"{where}: y has shape {_shape(y)}, {_type(y)}: labels are (N,) int64, one a sample")
    if classes is None:
        raise ConfigError(f"{where}: y holds labels, so classes must say how many there are")
    whole("classes", classes, low=1)
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= classes:
        raise ConfigError(f"{where}: labels run from {low} to {high}, and {classes} classes are 0 to {classes - 1}")


def check_pictures(
    name: str, x: Tensor, mean: Sequence[float] | None, std: Sequence[float] | None, padding: int, flip: bool
) -> None:
    """What is done to inputs on their way: normalised, cropped, mirrored."""
    if (mean is None) != (std is None):
        raise ConfigError(f"{name}: mean is {mean} and std {std}: give both or neither")
    if mean is None and x.dtype == torch.uint8:
        raise ConfigError(f"{name}: x is uint8: give mean and std, which make floats of it; (0,) and (1,) for 0 to 1")
    if mean is not None and std is not None:
        if x.dtype != torch.uint8 and not x.is_floating_point():
            raise ConfigError(f"{name}: x is {_type(x)}, and mean and std are for uint8 and floats")
        if len(mean) not in (1, x.shape[1]) or len(std) not in (1, x.shape[1]):
            raise ConfigError(f"{name}: mean {mean}, std {std}: one number, or one for each of {x.shape[1]} channels")
        if not all(math.isfinite(m) for m in mean) or not all(math.isfinite(s) and s > 0 for s in std):
            raise ConfigError(f"{name}: mean {mean}, std {std}: finite numbers, and std greater than 0")
    whole("padding", padding, low=0)
    if (padding or flip) and x.dim() != 4:
        raise ConfigError(f"{name}: padding and flip are for images, (N, C, H, W), and x has shape {_shape(x)}")


def _shape(x: Tensor) -> str:
    return "×".join(map(str, x.shape)) or "()"


def _type(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
