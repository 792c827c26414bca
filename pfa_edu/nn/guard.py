"""Checks, before an optimiser's first step, that a form which is exact only under SGD is trained by SGD.

A layer cannot see its optimiser, but torch calls a hook before every step of each one.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from ..errors import ConfigError

if TYPE_CHECKING:
    from .modules import RuleLayer

_watched: weakref.WeakSet[RuleLayer] = weakref.WeakSet()
_approved: weakref.WeakKeyDictionary[torch.optim.Optimizer, int] = weakref.WeakKeyDictionary()
_hooked: list[bool] = []


def watch(layer: RuleLayer) -> None:
    """From now on every optimiser that holds ``layer``'s weight is checked, if its form requires that."""
    if layer.feedback is None or not layer.feedback.sgd_only:
        return
    if not _hooked:
        _hooked.append(True)
        register_optimizer_step_pre_hook(_before_step)
    _watched.add(layer)
    _approved.clear()


def _before_step(optimizer: torch.optim.Optimizer, args: tuple, kwargs: dict) -> None:
    count = sum(len(group["params"]) for group in optimizer.param_groups)
    if _approved.get(optimizer) != count:
        check_optimizer(optimizer)
        _approved[optimizer] = count


def check_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """ConfigError if ``optimizer`` trains a closed or deferred PFA layer in a way that its form does not allow.

    Every optimiser is checked before its first step; call this to find out earlier.
    """
    group_of = {id(p): i for i, group in enumerate(optimizer.param_groups) for p in group["params"]}
    way_out = "use form='explicit', which is right for every optimiser"
    for layer in _watched:
        feedback = layer.feedback
        if feedback is None or not feedback.sgd_only or not layer.weight.requires_grad:
            continue
        where_W, where_a = group_of.get(id(layer.weight)), group_of.get(id(feedback.a))
        if where_W is None and where_a is None:
            continue  # another network's optimiser
        shape, form = tuple(layer.weight.shape), getattr(layer.rule, "form", type(feedback).__name__)
        if not isinstance(optimizer, torch.optim.SGD):
            raise ConfigError(
                f"PFA's {form} form holds under SGD only, but a layer of shape {shape} is trained by "
                f"{type(optimizer).__name__}: {way_out}"
            )
        if where_W != where_a:
            raise ConfigError(
                f"PFA's {form} form needs the layer's weight and its scalar feedback.a in one parameter group; for the "
                f"layer of shape {shape} the weight is in {_place(where_W)} and a in {_place(where_a)}: "
                f"put a beside its weight, or {way_out}"
            )


def _place(group: int | None) -> str:
    return "no parameter group" if group is None else f"group {group}"
