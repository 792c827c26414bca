"""Where a layer's weight is used: by its own forward, or also by somebody else."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import Node

from .calling import call, tensors
from .layer import RuleLayer


def used_outside(model: nn.Module, layers: Mapping[str, RuleLayer], example: Any) -> list[str]:
    """Names of layers whose weight enters the graph of ``model(example)`` through another operation than their own.

    Each layer's own call is given a stand-in for its weight: whatever still reaches the weight is another use of it.
    """
    with stand_ins(layers), undisturbed(model), torch.enable_grad():
        output = call(model, example)
        found = leaves(output)
    return [name for name, layer in layers.items() if id(layer.parameter) in found]


@contextlib.contextmanager
def stand_ins(layers: Mapping[str, RuleLayer]) -> Iterator[None]:
    """Within it each layer's own computation sees a copy of its weight."""
    own = [layer for layer in layers.values() if "weight" in layer._parameters]
    kept = {id(layer): layer.weight for layer in own}
    handles: list[Any] = []

    def swap(layer: Any, *_: Any) -> None:
        layer._parameters["weight"] = nn.Parameter(layer.weight.detach())

    def back(layer: Any, *_: Any) -> None:
        layer._parameters["weight"] = kept[id(layer)]

    @contextlib.contextmanager
    def swapped(layer: RuleLayer) -> Iterator[None]:
        swap(layer)
        try:
            yield
        finally:
            back(layer)

    for layer in own:
        handles += [layer.register_forward_pre_hook(swap), layer.register_forward_hook(back, always_call=True)]
        layer.__dict__["_watched"] = functools.partial(swapped, layer)  # for calls that routing.py sends to it
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for layer in own:
            back(layer)
            del layer.__dict__["_watched"]


def leaves(output: Any) -> set[int]:
    """The ids of the parameters in the graph behind every tensor of ``output``."""
    seen: set[Node] = set()
    found: set[int] = set()
    stack: list[Node | None] = [t.grad_fn for t in tensors(output)]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        found.add(id(getattr(node, "variable", None)))
        stack += [n for n, _ in node.next_functions]
    return found


@contextlib.contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Afterwards buffers and the random stream are as they were."""
    before = [(b, b.detach().clone()) for b in model.buffers()]
    cuda = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices=cuda):
            yield
    finally:
        with torch.no_grad():
            for b, old in before:
                b.copy_(old)
