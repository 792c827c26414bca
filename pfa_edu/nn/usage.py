"""Where a layer's weight is used: by its own forward, by a functional call sent to the layer, or by somebody else."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..rules import Feedback
from .calling import call
from .graph import leaves
from .layer import RuleLayer

_COMPUTATIONS = ("affine", "_convolve", "_compute")  # of the layers; each kind has one of them


class Use(NamedTuple):
    """``own``: computations by the layer itself. ``routed``: functional calls that routing.py sent to the layer.

    ``outside``: its weight also enters the graph through an operation that is neither.
    """

    own: int
    routed: int
    outside: bool


def uses(model: nn.Module, layers: Mapping[str, RuleLayer], example: Any) -> dict[str, Use]:
    """How ``model(example)`` uses the weight of each layer.

    Each layer's own computation is given a stand-in for its weight: whatever still reaches the weight is another use.
    """
    with stand_ins(layers) as counts, undisturbed(model), untouched(layers.values()), torch.enable_grad():
        found = leaves(call(model, example))
    return {
        n: Use(counts[id(layer)][0], counts[id(layer)][1], id(layer.parameter) in found) for n, layer in layers.items()
    }


@contextlib.contextmanager
def stand_ins(layers: Mapping[str, RuleLayer]) -> Iterator[dict[int, list[int]]]:
    """Within it each layer's own computation sees a copy of its weight.

    Yields the number of calls so far by id of the layer: [its own forward, routed].
    """
    places = {id(layer): (*_place(layer), layer.parameter) for layer in layers.values()}
    counts = {id(layer): [0, 0] for layer in layers.values()}
    frozen = [p for *_, p in places.values() if not p.requires_grad]
    within: set[int] = set()
    handles: list[Any] = []

    def swap(layer: Any, *_: Any) -> None:
        registered, key, whole = places[id(layer)]
        registered[key] = nn.Parameter(whole.detach())

    def back(layer: Any, *_: Any) -> None:
        registered, key, whole = places[id(layer)]
        registered[key] = whole

    @contextlib.contextmanager
    def swapped(layer: RuleLayer, kind: int) -> Iterator[None]:
        if id(layer) in within:  # a functional call, routed to the layer's own computation
            yield
            return
        counts[id(layer)][kind] += 1
        within.add(id(layer))
        swap(layer)
        try:
            yield
        finally:
            back(layer)
            within.discard(id(layer))

    def watched(layer: RuleLayer, computation: Any) -> Any:
        @functools.wraps(computation)
        def computed(*args: Any, **kwargs: Any) -> Any:
            with swapped(layer, 0):
                return computation(*args, **kwargs)

        return computed

    for layer in layers.values():
        layer.__dict__["_watched"] = functools.partial(swapped, layer, 1)  # for calls that routing.py sends to it
        if layer.feedback is None or layer._use_backprop:  # then its forward is all that there is
            handles += [layer.register_forward_pre_hook(swap), layer.register_forward_hook(back, always_call=True)]
            continue
        for name in _COMPUTATIONS:  # and not its forward: somebody may have replaced that, or call it without hooks
            if hasattr(layer, name):
                layer.__dict__[name] = watched(layer, getattr(layer, name))
    for p in frozen:  # whoever uses a frozen weight sends an error through it all the same
        p.requires_grad_(True)
    try:
        yield counts
    finally:
        for handle in handles:
            handle.remove()
        for p in frozen:
            p.requires_grad_(False)
        for layer in layers.values():
            back(layer)
            for name in ("_watched", *_COMPUTATIONS):
                layer.__dict__.pop(name, None)


def _place(layer: RuleLayer) -> tuple[dict[str, Any], str]:
    """Where the layer's parameter is registered, and as what: in the layer, or in the attention that it belongs to."""
    whole = layer.parameter
    for module in (layer, *getattr(layer, "_owner", ())):
        for key, p in module._parameters.items():
            if p is whole:
                return module._parameters, key
    return {"weight": whole}, "weight"  # it is computed from others: a stand-in would not be seen


@contextlib.contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Afterwards buffers and the random stream are as they were, and feedback keeps its present draw meanwhile."""
    drawn = [m for m in model.modules() if isinstance(m, Feedback) and m.training]
    before: list[tuple[dict[str, Any], str, Tensor, Tensor]] = [
        (m._buffers, key, b, b.detach().clone())
        for m in model.modules() for key, b in m._buffers.items() if b is not None
    ]  # fmt: skip
    cuda = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    for m in drawn:
        m.training = False
    try:
        with torch.random.fork_rng(devices=cuda):
            yield
    finally:
        for m in drawn:
            m.training = True
        with torch.no_grad():
            for registered, key, b, old in before:
                registered[key] = b  # a forward may have put another tensor there
                b.copy_(old)


@contextlib.contextmanager
def untouched(all_of_them: Iterable[RuleLayer]) -> Iterator[None]:
    """Afterwards the layers know nothing of the passes in between: neither h and δ, nor whose gradient is to come."""
    kept = [
        (layer, {n: value for n, value in vars(layer).items() if n in ("h", "delta")}, layer.mark, layer.mark.fed)
        for layer in all_of_them
    ]
    try:
        yield
    finally:
        for layer, had, mark, fed in kept:
            for name in ("h", "delta"):
                vars(layer).pop(name, None)
            vars(layer).update(had)
            mark.fed = fed
