"""What ``torch.autocast`` would do to the operands of a matrix product; a custom function has to do it by itself."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

Part = TypeVar("Part", Tensor, Tensor | None)


def autocast_dtype(like: Tensor) -> torch.dtype | None:
    """What ``torch.autocast`` computes matrix products in, on the device of ``like``; None where it is off."""
    kind = like.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


def cast_as(t: Part, dtype: torch.dtype | None) -> Part:
    """Casts as ``torch.autocast`` would for a matrix product; the cast is differentiable, so gradients keep float32.

    A custom function is opaque to autocast: without this its backward would meet bf16 errors with float32 weights.
    """
    return t if dtype is None or t is None or t.dtype is not torch.float32 else t.to(dtype)
