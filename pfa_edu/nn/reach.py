"""What convert() finds in a model: the layers that can take a rule, and every other weight, with the reason."""

from __future__ import annotations

import functools
import types
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.utils import parametrize

from .attention import MultiheadAttention
from .kinds import KINDS, is_conv1d, linear_in_weight
from .layer import RuleLayer
from .lazy import is_lazy

_CELLS = "a recurrent layer, which multiplies its weights itself: build it cell by cell, as examples/recurrent.py does"


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
    if own and (set(module._parameters) - {"weight", "bias"} or module._modules):
        return f"a {type(module).__name__} with a forward of its own, and more in it than a weight and a bias"
    if own and not linear_in_weight(module):
        return f"a {type(module).__name__}, whose own forward is not linear in its weight, or could not be tried"
    return None


def rebind(model: nn.Module, new: dict[int, nn.Module]) -> None:
    """What the model's attributes hold of the modules in ``new`` (by id of what each was) becomes what they are now.

    That is bound methods of converted layers, which would still be those of the class before, and functions that hold
    modules or methods in their closure: a deep copy shares these functions with the original, and its layers as well.
    A list of layers needs nothing of the kind: it holds the same objects.
    """
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, OrderedDict):  # hooks; their handles refer to this very dictionary
                for key, hook in value.items():
                    value[key] = _rebound(hook, new, ())
                continue
            changed = value if name in ("_modules", "_parameters", "_buffers") else _rebound(value, new, ())
            if changed is not value:
                vars(module)[name] = changed


def _rebound(value: Any, new: dict[int, nn.Module], inside: tuple[int, ...]) -> Any:
    """``inside``: ids of the functions that we are within; one may hold itself."""
    if isinstance(value, nn.Module):
        return new.get(id(value), value) if inside else value
    if isinstance(value, types.MethodType) and id(value.__self__) in new:
        return _method(value.__func__, new[id(value.__self__)])
    if type(value) in (list, tuple):
        return _same(value, type(value)(_rebound(v, new, inside) for v in value))
    if type(value) is dict:
        return _same(value, {k: _rebound(v, new, inside) for k, v in value.items()})
    if isinstance(value, functools.partial):
        inside = (*inside, id(value))
        parts = _rebound((value.func, value.args, value.keywords), new, inside)
        return value if parts[0] is value.func and parts[1:] == (value.args, value.keywords) else _partial(*parts)
    if isinstance(value, types.FunctionType) and id(value) not in inside:
        return _function(value, new, (*inside, id(value)))
    return value


def _method(func: Any, module: nn.Module) -> Any:
    """``func`` bound to ``module``; of its class, if that or the class before has it under that name."""
    name = func.__name__
    of_class = any(vars(cls).get(name) is func for cls in type(module).__mro__)
    if hasattr(type(module), name) and (of_class or func.__module__.startswith(f"{__package__}.")):
        return getattr(module, name)
    return types.MethodType(func, module)


def _partial(func: Any, args: tuple, keywords: dict) -> functools.partial:
    return functools.partial(func, *args, **keywords)


def _function(old: types.FunctionType, new: dict[int, nn.Module], inside: tuple[int, ...]) -> types.FunctionType:
    """The function with what its closure and its defaults hold rebound; a cell may be shared, so it is not changed."""
    cells = old.__closure__ or ()
    before = (tuple(_content(cell) for cell in cells), old.__defaults__, old.__kwdefaults__)
    after = tuple(_rebound(part, new, inside) for part in before)
    if all(a is b for a, b in zip(before, after, strict=True)):
        return old
    contents, defaults, keywords = after
    own = tuple(c if _content(c) is now else types.CellType(now) for c, now in zip(cells, contents, strict=True))
    made = types.FunctionType(old.__code__, old.__globals__, old.__name__, defaults, own)
    made.__kwdefaults__ = keywords
    made.__dict__.update(old.__dict__)
    made.__qualname__, made.__doc__, made.__module__ = old.__qualname__, old.__doc__, old.__module__
    return made


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing in it yet
        return None


def _same(old: Any, new: Any) -> Any:
    """``old`` where nothing in it changed: others may hold it too."""
    pairs = zip(old.values(), new.values(), strict=True) if isinstance(old, dict) else zip(old, new, strict=True)
    return old if all(a is b for a, b in pairs) else new
