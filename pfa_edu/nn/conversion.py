"""One call that turns any torch model into one that learns by a rule, and one that turns it back."""

from __future__ import annotations

import copy
import fnmatch
import functools
import warnings
from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import nn

from ..errors import ConfigError
from ..rules import DFA, Rule
from ..rules import rule as rule_by_name
from . import steps
from .attention import MultiheadAttention, Projection
from .auditing import audit
from .calling import call
from .direct import ErrorBus, bus_of, connect_dfa
from .kinds import KINDS, Conv1D, Generic, generic, is_conv1d
from .layer import RuleLayer
from .lazy import is_lazy, wait
from .reach import rebind, survey
from .routing import route, used_functionally
from .usage import undisturbed, uses


class ConversionWarning(UserWarning):
    """Weights that convert() cannot reach and that keep learning by backprop."""


def convert(
    model: nn.Module,
    rule: Rule | str,
    *,
    skip: Iterable[str] = (),
    init: str = "keep",
    example: Any = None,
    inplace: bool = False,
    verbose: bool = True,
) -> nn.Module:
    """Returns ``model`` with every layer that can learning by ``rule``; the model given is left as it was.

    Those are Linear, the convolutions of one to three dimensions and their transposes, MultiheadAttention (its four
    projections), transformers' Conv1D, and subclasses that are linear in their weight. A layer keeps its identity,
    parameters, hooks and attributes: only its class changes, so wherever the model holds it, it learns by the rule.

    ``rule``: ``pe.PFA(ratio=10)``, or a name, ``"pfa"``. PFA, PFA-o and KP align by weight decay: see :class:`PFA`.
    ``skip``: names, or patterns such as ``"layer4.*"``, of layers that stay as they are.
    ``init``: 'keep' the model's weights (and draw only the feedback), or 'xavier' for the paper's initial values.
    ``example``: a batch of inputs (a tensor, a tuple of arguments, a dict of keyword arguments); with it the model is
    run to find weights that are also used outside their own layer's forward, and what of that can be mended is. Then
    :func:`pe.audit` looks at the result, and the warning says what it found.
    ``inplace``: convert the model itself. Make the optimiser afterwards: it has to hold the feedback.
    ``verbose``: print what was converted.

    Every other matrix, embeddings apart, is named in a :class:`ConversionWarning`: it keeps learning by backprop.
    :func:`pe.audit` proves what is said here. Raises ConfigError if nothing can be converted, or a name in ``skip``
    matches no layer.

    >>> from pfa_edu import PFA
    >>> net = convert(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)), PFA(ratio=10))
    pfa_edu: 2 layers now learn by PFA(ratio=10, density=1.0, form='auto'): 0, 2
    """
    rule = rule_by_name(rule)
    if init not in ("keep", "xavier"):
        raise ConfigError(f"init {init!r}: 'keep' the model's weights, or draw the paper's with 'xavier'")
    given = model  # kept alive: what is told apart by id must not make room for anything else
    model, new = (given, {}) if inplace else _copied(given)
    if example is not None and any(is_lazy(m) for m in model.modules()):
        with torch.no_grad():
            call(model, example)  # lazy layers become real
    targets, unreached = survey(model)
    skip = [skip] if isinstance(skip, str) else list(skip)
    for pattern in skip:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in targets | unreached):
            raise ConfigError(f"skip: no layer is called {pattern!r}; there are {', '.join(targets) or 'none'}")
    unreached = {n: why for n, why in unreached.items() if not _matches(n, skip)}
    chosen = {name: m for name, m in targets.items() if not _matches(name, skip)}
    if not chosen:
        why = f"; not reached: {', '.join(unreached)}" if unreached else ""
        raise ConfigError(f"{type(model).__name__} has no layer to convert{why}")
    rule = rule.for_network(_outputs(model, list(targets.values()), rule, example))
    if init == "xavier":  # all forward weights first: at one seed every rule then starts from the same W
        _xavier(chosen)
    for name, module in chosen.items():
        if is_lazy(module):
            wait(module, functools.partial(_adopt, rule=rule, root=model))
            bus_of(model)  # in time for the first batch, should the rule need it
        elif _adopt(module, rule, None):
            new[id(module)] = module
        else:
            unreached[name] = f"a {type(module).__name__} with a forward of its own, which DFA cannot reach"
    rebind(model, new)
    reached = {n: m for n, m in model.named_modules() if isinstance(m, RuleLayer)}
    route(model, used_functionally(model, list(reached)), reached)
    connect_dfa(model)
    if example is not None:
        for name, why in _mend(model, reached, example).items():
            unreached[name] = why
            del reached[name]
    count = [n for n in chosen if n not in unreached]
    if verbose:
        s = "s" if len(count) > 1 else ""
        print(f"pfa_edu: {len(count)} layer{s} now learn{'' if s else 's'} by {rule}: {_listed(count)}")
    said = []
    if unreached:
        named = "; ".join(f"{name} ({why})" for name, why in unreached.items())
        said.append(f"not converted, still learning by backprop: {named}")
    if example is not None and reached:
        found = audit(model, *example) if isinstance(example, tuple) else audit(model, example)
        said += [f"on this example: {'; '.join(found.problems)}"] if found.problems else []
    if said:
        warnings.warn(". ".join(said), ConversionWarning, stacklevel=2)
    return model


def _copied(model: nn.Module) -> tuple[nn.Module, dict[int, nn.Module]]:
    """A deep copy, and every module in it by the id of its original."""
    memo: dict[int, Any] = {}
    made = copy.deepcopy(model, memo)
    return made, {id(m): memo[id(m)] for m in model.modules() if id(m) in memo}


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, p) for p in patterns)


def _listed(names: Iterable[str], most: int = 6) -> str:
    names = [n or "the model itself" for n in names]
    return ", ".join(names) if len(names) <= most else ", ".join([*names[: most - 1], "...", names[-1]])


def _outputs(model: nn.Module, modules: list[nn.Module], rule: Rule, example: Any) -> int:
    """The network's number of outputs: seen on the example if there is one and the rule asks, else that of its head.

    The head of a classifier is the layer that is registered last, skipped or not.
    """
    if example is not None and isinstance(rule, DFA) and rule.outputs is None:
        with undisturbed(model), torch.no_grad():
            return ErrorBus(rule.output).chosen(call(model, example)).shape[-1]
    last: Any = modules[-1]
    for name in ("out_features", "out_channels", "nf", "embed_dim"):
        if hasattr(last, name):
            return getattr(last, name)
    raise ConfigError(f"how many outputs a {type(last).__name__} has is not known")


def _xavier(chosen: dict[str, nn.Module]) -> None:
    for module in chosen.values():
        if isinstance(module, nn.MultiheadAttention):
            module._reset_parameters()  # torch's own values for attention are Xavier's
        elif not is_lazy(module):
            real: Any = module
            nn.init.xavier_uniform_(real.weight)
            if real.bias is not None:
                nn.init.zeros_(real.bias)


def _adopt(module: nn.Module, rule: Rule, root: nn.Module | None) -> bool:
    """Gives ``module`` the class with a rule; False where the rule cannot be had there."""
    plain = type(module)
    if isinstance(module, (nn.MultiheadAttention, MultiheadAttention)):
        module.__class__ = MultiheadAttention
        cast(MultiheadAttention, module).adopt(rule)
        return True
    if not isinstance(module, RuleLayer):
        kind = KINDS.get(plain) or (Conv1D if is_conv1d(module) else generic(cast(Any, plain)))
        module.__class__ = kind
        if kind is Conv1D:
            module.__dict__["was"] = plain
    layer = cast(RuleLayer, module)
    layer.set_rule(rule)
    if isinstance(layer, Generic) and layer.feedback is not None and layer.feedback.direct:
        strip_layer(layer)
        return False
    if root is not None:
        connect_dfa(root)
    return True


def _mend(model: nn.Module, reached: dict[str, RuleLayer], example: Any) -> dict[str, str]:
    """Routes weights that are used outside their layer; what is used so even then goes back to backprop, named."""

    def outside() -> list[str]:
        found = uses(model, reached, example).items()
        return [name for name, use in found if use.outside and not isinstance(reached[name], Projection)]

    names = outside()
    if names:
        route(model, names, reached)
        names = outside()
    for name in names:
        strip_layer(reached[name])
    return dict.fromkeys(names, "its weight is used outside its forward")


def strip(model: nn.Module, *, inplace: bool = False) -> nn.Module:
    """The same network of plain torch layers: :func:`convert` undone, with the weights as they are now.

    For saving, exporting or fine-tuning by backprop. The feedback is dropped; ``model`` itself is left as it was unless
    ``inplace``.

    >>> from pfa_edu import FA, convert, mlp
    >>> net = convert(mlp((4, 3, 2)), FA(), verbose=False)
    >>> type(strip(net).fc1), list(strip(net).state_dict())
    (<class 'torch.nn.modules.linear.Linear'>, ['fc1.weight', 'fc1.bias', 'fc2.weight', 'fc2.bias'])
    """
    given = model  # kept alive: what is told apart by id must not make room for anything else
    model, new = (given, {}) if inplace else _copied(given)
    for module in list(model.modules()):
        if isinstance(module, MultiheadAttention):
            new[id(module)] = module
            for name in "qkv":
                del module._modules[name]
            cast(Any, module).__class__ = nn.MultiheadAttention
    for layer in [m for m in model.modules() if isinstance(m, RuleLayer)]:
        strip_layer(layer)
        new[id(layer)] = layer
    rebind(model, new)
    for module in model.modules():  # what routes and DFA's bus have hung on modules
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            for key, hook in list(hooks.items()):
                if type(getattr(hook, "__self__", None)).__name__ in ("Route", "ErrorBus"):
                    del hooks[key]
    return model


def strip_layer(layer: RuleLayer) -> None:
    """Gives one layer its plain class back, in place."""
    plain = layer.__dict__.pop("was", None) or type(layer).plain
    if isinstance(layer, Projection):
        raise ConfigError("a projection is a part of its attention: strip that")
    steps.forget(layer)
    layer._modules.pop("feedback", None)
    for name in ("feedback", "rule", "mark", "h", "delta", "_use_backprop", "_bus"):
        layer.__dict__.pop(name, None)
    cast(Any, layer).__class__ = plain
