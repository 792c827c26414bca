"""How a network is called on an example, and what tensors its answer holds: one place for one input or several."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor


def call(net: Callable[..., Any], x: Any) -> Any:
    """``net(*x)`` for a tuple, ``net(**x)`` for a dict (or any mapping), ``net(x)`` for everything else.

    A list is one argument: that is how torchvision's detection models take their pictures.

    >>> import torch
    >>> call(torch.add, (torch.ones(2), torch.ones(2)))
    tensor([2., 2.])
    >>> call(torch.add, {"input": torch.ones(2), "other": torch.ones(2), "alpha": 3})
    tensor([4., 4.])
    """
    if isinstance(x, Mapping):
        return net(**x)
    return net(*x) if isinstance(x, tuple) else net(x)


def tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in nested tuples, lists and mappings (a transformers ``ModelOutput`` is one), in their order.

    >>> import torch
    >>> [t.item() for t in tensors({"logits": torch.tensor(1), "hidden": (torch.tensor(2), [torch.tensor(3), "no"])})]
    [1, 2, 3]
    """
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (Mapping, tuple, list)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from tensors(part)


def with_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same structure with ``change(t)`` in place of every tensor t; whatever is not a tensor stays as it is.

    >>> import torch
    >>> with_tensors(("label", {"x": torch.zeros(1)}), torch.exp)
    ('label', {'x': tensor([1.])})
    """
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        changed: Any = copy.copy(value)  # of its own class: a loss may ask for output.logits
        for key, part in value.items():
            changed[key] = with_tensors(part, change)
        return changed
    if isinstance(value, (tuple, list)):
        parts = [with_tensors(part, change) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)  # named or plain tuple
    return value
