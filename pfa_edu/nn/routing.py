"""Layers whose weight a model uses through torch's functions, as torchvision's Swin does in its attention.

While such a model's forward runs, a call such as ``torch.nn.functional.linear(x, self.qkv.weight)`` is given to the
layer that owns the weight. Where a class does so can mostly be read in its code: :func:`used_functionally`.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import types
from collections.abc import Iterator
from typing import Any, cast

import torch.nn.functional as nnf
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import ConfigError
from . import functional
from .layer import RuleLayer
from .modules import Linear

_CONVOLUTIONS = (nnf.conv1d, nnf.conv2d, nnf.conv3d)
_ASKED = {
    "data",
    "device",
    "dtype",
    "ndim",
    "numel",
    "requires_grad",
    "shape",
    "size",
}  # asked of a weight, not used


class Route(TorchFunctionMode):
    """Sends functional calls with the weight of one of ``layers`` through that layer's rule."""

    def __init__(self, layers: list[RuleLayer]):
        super().__init__()
        self.layers = layers
        self.owner: dict[int, RuleLayer] = {}

    def start(self, module: nn.Module, args: tuple) -> None:
        """Forward pre-hook of the module that uses the weights."""
        self.owner = {id(layer.weight): layer for layer in self.layers if isinstance(layer, RuleLayer)}
        self.__enter__()

    def stop(self, module: nn.Module, args: tuple, output: Any) -> None:
        """Forward hook of the same module; called after an error as well."""
        self.__exit__(None, None, None)
        self.owner = {}

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func is nnf.linear or func in _CONVOLUTIONS:
            h, weight, *rest = (*args, *(kwargs.pop(k) for k in ("input", "weight") if k in kwargs))
            layer = self.owner.get(id(weight))
            if layer is not None and not layer.__dict__.get("_inside"):  # its own forward calls torch's function, too
                return _through(layer, func, h, rest, kwargs)
            args = (h, weight, *rest)
        return func(*args, **kwargs)


def _through(layer: RuleLayer, func: Any, h: Tensor, rest: list, kwargs: dict) -> Tensor:
    with layer.__dict__.get("_watched", contextlib.nullcontext)():  # see usage.py
        return _computed(layer, func, h, rest, kwargs)


def _computed(layer: RuleLayer, func: Any, h: Tensor, rest: list, kwargs: dict) -> Tensor:
    if isinstance(layer, Linear):
        return layer.affine(h, rest[0] if rest else kwargs.get("bias"))
    feedback = layer._needed()
    if feedback is None:
        return func(h, layer.weight, *rest, **kwargs)
    if feedback.direct:
        raise ConfigError("DFA cannot reach a convolution that is used through its weight: leave it out, skip=[...]")
    return functional.generic(
        lambda x, W: func(x, W, *rest, **kwargs), h, layer.weight, layer._path(h, feedback), layer.original
    )


def route(model: nn.Module, names: list[str], layers: dict[str, RuleLayer]) -> None:
    """Routes the named layers, each within the forward of the module that it is an attribute of."""
    by_parent: dict[str, list[RuleLayer]] = {}
    for name in names:
        by_parent.setdefault(name.rpartition(".")[0], []).append(layers[name])
    for parent, own in by_parent.items():
        module, made = model.get_submodule(parent), Route(own)
        module.register_forward_pre_hook(made.start, prepend=True)
        module.register_forward_hook(made.stop, always_call=True)


def used_functionally(model: nn.Module, names: list[str]) -> list[str]:
    """Those of ``names`` whose weight is read in a method of the module that they are attributes of."""
    parents = {n: model.get_submodule(n.rpartition(".")[0]) for n in names if n}
    return [n for n, parent in parents.items() if n.rpartition(".")[2] in _read(cast(Any, type(parent)))]


@functools.cache
def _read(cls: type) -> frozenset[str]:
    """The attributes ``x`` of which the code of ``cls`` reads ``x.weight``, other than to ask for its dtype or shape.

    Code that sets up the weights does not count. Where a name is found without need, a forward takes a little longer,
    and that is all.
    """
    found: set[str] = set()
    for base in cls.__mro__:
        if base.__module__.startswith("torch.") or base is object or issubclass(base, RuleLayer):
            continue
        for name, method in vars(base).items():
            if isinstance(method, types.FunctionType) and not any(word in name for word in ("init", "reset", "load")):
                found.update(_reads(method))
    return frozenset(found)


def _reads(method: types.FunctionType) -> Iterator[str]:
    steps = [(i.opname, i.argval) for i in dis.get_instructions(method)]
    for (first, child), (second, weight), (third, after) in zip(steps, steps[1:], steps[2:], strict=False):
        if first.startswith("LOAD_ATTR") and second.startswith("LOAD_ATTR") and weight == "weight":
            asked = third.startswith(("LOAD_ATTR", "LOAD_METHOD")) and after in _ASKED
            if not asked:
                yield child
