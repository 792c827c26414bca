"""The paper's networks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from .errors import ConfigError


def mlp(sizes: Sequence[int] = (784, 512, 512, 10)) -> nn.Sequential:
    """A ReLU network of the given layer sizes, its layers named fc1, fc2, ... as in the paper's figures.

    Shapes: input (batch, \\*) flattened to (batch, sizes[0]); output (batch, sizes[-1]). Plain torch layers: give it a
    rule with ``convert(mlp(), rule)``.

    >>> [name for name, _ in mlp((784, 512, 10)).named_children()]
    ['flatten', 'fc1', 'act1', 'fc2']
    """
    if len(sizes) < 2 or not all(isinstance(n, int) and n > 0 for n in sizes):
        raise ConfigError(f"sizes {tuple(sizes)} of an mlp: at least two positive integers, input first")
    parts: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for i, (fan_in, out) in enumerate(pairwise(sizes), start=1):
        parts[f"fc{i}"] = nn.Linear(fan_in, out)
        if i < len(sizes) - 1:
            parts[f"act{i}"] = nn.ReLU()
    return nn.Sequential(parts)
