"""Parameters that are spread over processes (FSDP2's DTensors), whole for as long as they are looked at."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn


def is_sharded(tensor: Tensor) -> bool:
    """Whether every process holds a part of it only.

    >>> import torch
    >>> is_sharded(torch.ones(2))
    False
    """
    return hasattr(tensor, "full_tensor")  # a DTensor; importing its class would cost everybody half a second


def own_part(tensor: Tensor) -> Tensor:
    """The part of it that this process holds; all of it, where it is not sharded."""
    part: Any = tensor
    return part.to_local() if is_sharded(tensor) else tensor


@contextlib.contextmanager
def whole(layer: nn.Module) -> Iterator[None]:
    """Within it the parameters of ``layer`` and its feedback are whole; all processes have to come here together."""
    swapped = []
    try:
        for module in (*layer.modules(), *getattr(layer, "_owner", ())):  # attention has its projections' weights
            for name, p in list(module._parameters.items()):
                if p is not None and is_sharded(p):
                    sharded: Any = p.detach()
                    swapped.append((module, name, p))
                    module._parameters[name] = nn.Parameter(sharded.full_tensor(), requires_grad=False)
        yield
    finally:
        for module, name, p in swapped:
            module._parameters[name] = p
