"""A run's network: by its name, or by a function of your own that builds it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from ..errors import ConfigError
from ..nn import models

Network = str | Callable[..., nn.Module]


def made(network: Network, data: str, input_shape: tuple[int, ...], classes: int | None) -> nn.Module:
    """A new network for the data called ``data``, of samples of ``input_shape``; ConfigError where there can be none.

    ``network``: a name that ``models.build`` takes, or a function of nothing or of (input_shape, classes).
    """
    if isinstance(network, str):
        if classes is None:
            raise ConfigError(
                f"network {network!r}: {data} does not say how many outputs its network has. Give the network as a "
                f"function that builds it, or the data their number of classes"
            )
        return models.build(network, input_shape, classes)
    required = [p for p in inspect.signature(network).parameters.values() if p.default is p.empty]
    net = network(input_shape, classes) if len(required) == 2 else network()
    if not isinstance(net, nn.Module):
        raise ConfigError(f"network {name_of(network)} returned a {type(net).__name__}: a torch nn.Module")
    return net


def name_of(function: Any) -> str:
    return getattr(function, "__qualname__", type(function).__qualname__)
