"""The control of depth: lower layers keep their random initial values, so that one sees what training them gains."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterable
from typing import Any

from torch import nn

from .._settings import whole
from ..errors import ConfigError
from ..nn.layer import layers

Frozen = int | tuple[str, ...]


def frozen_layers(value: Any) -> Frozen:
    """``value`` as an experiment keeps it: a number of layers, or a tuple of names and patterns; 0 freezes nothing.

    >>> frozen_layers("layer1"), frozen_layers(["conv1", "layer1.*"]), frozen_layers(2.0)
    (('layer1',), ('conv1', 'layer1.*'), 2)
    """
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Iterable):
        names = tuple(value)
        if not names or not all(isinstance(name, str) for name in names):
            raise ConfigError(f"frozen {value!r}: names of layers or patterns such as 'layer1.*', or how many layers")
        return names
    return whole("frozen", value, low=0, what="how many of the lowest layers keep their initial values")


def freeze(net: nn.Module, frozen: Frozen) -> list[str]:
    """Lets the lower layers of ``net`` keep their values (``requires_grad`` False); returns their parameters' names.

    A number: everything that comes before the weight of the next layer, normalisations and feedback included. A name
    or pattern: that module with all that is in it. Running means of a batch norm go on following the data.

    >>> import pfa_edu as pe
    >>> freeze(pe.convert(pe.mlp((8, 6, 4, 3)), pe.FA(), verbose=False), 1)
    ['fc1.weight', 'fc1.bias']
    """
    if not frozen:
        return []
    found = layers(net)
    learning = {name: p for name, p in net.named_parameters() if p.requires_grad}
    if isinstance(frozen, int):
        if frozen >= len(found):
            raise ConfigError(f"frozen {frozen}: the network has {len(found)} layers with a rule, and one has to learn")
        first = list(found.values())[frozen].parameter  # of those that learn
        names = list(itertools.takewhile(lambda name: learning[name] is not first, learning))
    else:
        for pattern in frozen:
            if not any(_within(name, [pattern]) for name in learning):
                raise ConfigError(f"frozen: nothing is called {pattern!r}; there are {', '.join(found)}")
        names = [name for name in learning if _within(name, frozen)]
        if all(_within(f"{name}.weight", frozen) for name in found):
            raise ConfigError(f"frozen {', '.join(frozen)}: that is every layer with a rule, and one has to learn")
    for name in names:
        learning[name].requires_grad_(False)
    return names


def _within(parameter: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern names the parameter's module, or one that holds it."""
    parts = parameter.split(".")[:-1]
    modules = [".".join(parts[:i]) for i in range(1, len(parts) + 1)]
    return any(fnmatch.fnmatchcase(module, pattern) for module in modules for pattern in patterns)
