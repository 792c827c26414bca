"""What convert() finds in a model: the layers that can take a rule, and every other weight, with the reason."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.utils import parametrize

from .attention import MultiheadAttention
from .kinds import KINDS, is_conv1d, linear_in_weight
from .layer import RuleLayer
from .lazy import is_lazy

_CELLS = "a recurrent layer, which multiplies its weights itself: build it cell by cell from pe.Linear"


def survey(model: nn.Module) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """The modules that can be converted, by name, and what cannot be, module or parameter, with the reason."""
    owners: dict[int, set[int]] = {}
    for module in model.modules():
        for p in module.parameters(recurse=False):
            owners.setdefault(id(p), set()).add(id(module))
    targets: dict[str, nn.Module] = {}
    unreached: dict[str, str] = {}
    inside: set[int] = set()  # what an attention owns
    for name, module in model.named_modules():
        if id(module) in inside:
            continue
        title = name or "the model itself"
        if isinstance(module, nn.MultiheadAttention):
            inside.update(id(m) for m in module.modules())
            if type(module) in (nn.MultiheadAttention, MultiheadAttention) and not _changed(module):
                targets[name] = module
            else:
                unreached[title] = f"a {type(module).__name__} with a forward of its own"
        elif isinstance(module, (*KINDS, RuleLayer)) or is_conv1d(module):
            why = _obstacle(module, owners)
            if why:
                unreached[title] = why
            else:
                targets[name] = module
        elif isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
            unreached[title] = f"{_CELLS}; {type(module).__name__}"
        elif not isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
            for own, p in module.named_parameters(recurse=False):
                shared = any(isinstance(m, (nn.Embedding, nn.EmbeddingBag)) for m in _holders(model, owners[id(p)]))
                if p.dim() >= 2 and min(p.shape) > 1 and not shared:
                    unreached[f"{name}.{own}" if name else own] = f"a matrix of {type(module).__name__}'s own"
    return targets, unreached


def _holders(model: nn.Module, ids: set[int]) -> Iterator[nn.Module]:
    return (m for m in model.modules() if id(m) in ids)


def _changed(module: nn.Module) -> bool:
    return "forward" in module.__dict__ or parametrize.is_parametrized(module)


def _obstacle(module: nn.Module, owners: dict[int, set[int]]) -> str | None:
    if parametrize.is_parametrized(module) or "weight" not in module._parameters:
        return "its weight is computed from others (parametrised)"
    if len(owners[id(module.weight)]) > 1:
        return "its weight is tied to another module's"
    if "forward" in module.__dict__:
        return "a forward was set on the object itself"
    if type(module) in KINDS or isinstance(module, RuleLayer) or is_conv1d(module):
        return None
    if is_lazy(module):
        return None
    base = next(kind for kind in KINDS if isinstance(module, kind))
    own = type(module).forward is not base.forward
    if own and not linear_in_weight(module):
        return f"a {type(module).__name__}, whose own forward is not linear in its weight, or could not be tried"
    return None


def rebind(model: nn.Module, converted: dict[int, nn.Module]) -> None:
    """Bound methods of converted layers, kept as attributes somewhere in the model, become those of their new class.

    A list of layers needs nothing of the kind: it holds the same objects.
    """
    for module in model.modules():
        for name, value in list(vars(module).items()):
            new = _rebound(value, converted)
            if new is not value:
                vars(module)[name] = new


def _rebound(value: Any, converted: dict[int, nn.Module]) -> Any:
    if isinstance(value, types.MethodType) and id(value.__self__) in converted:
        return getattr(converted[id(value.__self__)], value.__func__.__name__)
    if type(value) in (list, tuple):
        return _same(value, type(value)(_rebound(v, converted) for v in value))
    if type(value) is dict:
        return _same(value, {k: _rebound(v, converted) for k, v in value.items()})
    return value


def _same(old: Any, new: Any) -> Any:
    """``old`` where nothing in it changed: others may hold it too."""
    pairs = zip(old.values(), new.values(), strict=True) if isinstance(old, dict) else zip(old, new, strict=True)
    return old if all(a is b for a, b in pairs) else new
