"""One call that turns any torch model into one that learns by a rule."""

from __future__ import annotations

import copy
import fnmatch
import warnings
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.utils import parametrize
from torch.utils.hooks import RemovableHandle

from ..errors import ConfigError
from ..rules import Rule
from ..rules import rule as rule_by_name
from ..rules.feedback import Layer
from .direct import connect_dfa
from .modules import Conv2d, Linear, RuleLayer

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
          "_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs", "_forward_hooks_always_called")  # fmt: skip
_OTHER_WEIGHTS = (nn.modules.conv._ConvNd, nn.Bilinear, nn.RNNBase, nn.RNNCellBase)


class ConversionWarning(UserWarning):
    """Weights that convert() cannot reach and that keep learning by backprop."""


def convert(
    model: nn.Module,
    rule: Rule | str,
    *,
    skip: Iterable[str] = (),
    init: str = "keep",
    example: Tensor | None = None,
    inplace: bool = False,
    verbose: bool = True,
) -> nn.Module:
    """Returns ``model`` with every Linear and Conv2d learning by ``rule``; the model given is left as it was.

    ``rule``: ``pe.PFA(ratio=10)``, or a name, ``"pfa"``. PFA, PFA-o and KP align by weight decay: see :class:`PFA`.
    ``skip``: names, or patterns such as ``"layer4.*"``, of layers that stay as they are.
    ``init``: 'keep' the model's weights (and draw only the feedback), or 'xavier' for the paper's initial values.
    ``example``: a batch of inputs; with it the model is run once to find weights that are also used outside their own
    layer's forward, where no layer can change their backward pass.
    ``inplace``: convert the model itself; weights stay the same Parameter objects, so an optimiser stays valid.
    ``verbose``: print what was converted.

    Weights that cannot be reached are named in a :class:`ConversionWarning`. Raises ConfigError if nothing can be
    converted, or a name in ``skip`` matches no layer.

    >>> from pfa_edu import PFA
    >>> net = convert(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)), PFA(ratio=10))
    pfa_edu: 2 layers now learn by PFA(ratio=10, density=1.0, form='auto'): 0, 2
    """
    rule = rule_by_name(rule)
    if init not in ("keep", "xavier"):
        raise ConfigError(f"init {init!r}: 'keep' the model's weights, or draw the paper's with 'xavier'")
    if not inplace:
        model = copy.deepcopy(model)
    targets, unreached = _survey(model)
    skip = [skip] if isinstance(skip, str) else list(skip)
    for pattern in skip:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in targets | unreached):
            raise ConfigError(f"skip: no layer is called {pattern!r}; there are {', '.join(targets) or 'none'}")
    unreached = {n: why for n, why in unreached.items() if not _matches(n, skip)}
    chosen = {name: m for name, m in targets.items() if not _matches(name, skip)}
    if example is not None and chosen:
        for name in _used_outside(model, chosen, example):
            unreached[name] = "its weight is used outside its forward"
            del chosen[name]
    if not chosen:
        why = f"; not reached: {', '.join(unreached)}" if unreached else ""
        raise ConfigError(f"{type(model).__name__} has no Linear or Conv2d layer to convert{why}")
    rule = rule.for_network(_outputs(list(chosen.values())))

    if init == "xavier":  # all forward weights first: at one seed every rule then starts from the same W
        for module in chosen.values():
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    made: dict[int, RuleLayer] = {}
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if any(module is m for m in chosen.values()):
            new = made.get(id(module)) or made.setdefault(id(module), _rebuild(module, rule))
            model = _replace(model, name, new)
    if any(layer.feedback is not None and layer.feedback.direct for layer in made.values()):
        connect_dfa(model)
    if verbose:
        s = "s" if len(chosen) > 1 else ""
        print(f"pfa_edu: {len(chosen)} layer{s} now learn{'' if s else 's'} by {rule}: {_listed(chosen)}")
    if unreached:
        named = "; ".join(f"{name} ({why})" for name, why in unreached.items())
        warnings.warn(f"not converted, still learning by backprop: {named}", ConversionWarning, stacklevel=2)
    return model


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, p) for p in patterns)


def _listed(names: Iterable[str], most: int = 6) -> str:
    names = [n or "the model itself" for n in names]
    return ", ".join(names) if len(names) <= most else ", ".join([*names[: most - 1], "...", names[-1]])


def _survey(model: nn.Module) -> tuple[dict[str, Layer], dict[str, str]]:
    """The layers that can be converted, and those that cannot with the reason."""
    owners: dict[int, set[int]] = {}
    for module in model.modules():
        for p in module.parameters(recurse=False):
            owners.setdefault(id(p), set()).add(id(module))
    targets: dict[str, Layer] = {}
    unreached: dict[str, str] = {}
    inside: set[int] = set()
    for name, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            unreached[name or "the model itself"] = "MultiheadAttention multiplies its projections itself"
            inside.update(id(m) for m in module.modules())
        elif id(module) in inside:
            continue
        elif isinstance(module, (nn.Linear, nn.Conv2d)):
            why = _obstacle(module, owners)
            if why:
                unreached[name or "the model itself"] = why
            else:
                targets[name] = module
        elif isinstance(module, _OTHER_WEIGHTS):
            unreached[name or "the model itself"] = f"a {type(module).__name__}, which has no rule"
    return targets, unreached


def _obstacle(module: Layer, owners: dict[int, set[int]]) -> str | None:
    if parametrize.is_parametrized(module) or "weight" not in module._parameters:
        return "its weight is computed from others (parametrised)"
    if isinstance(module.weight, nn.parameter.UninitializedParameter):
        return "a lazy layer: run one batch through the model first"
    if len(owners[id(module.weight)]) > 1:
        return "its weight is tied to another module's"
    if type(module) not in (nn.Linear, nn.Conv2d, Linear, Conv2d):
        return f"a {type(module).__name__} with a forward of its own"
    return None


def _used_outside(model: nn.Module, chosen: dict[str, Layer], example: Tensor) -> list[str]:
    """Names of layers whose weight enters the graph of ``model(example)`` through another operation than their own.

    Each layer's own call is given a stand-in for its weight: whatever still reaches the weight is another use of it.
    """
    handles: list[RemovableHandle] = []
    real: dict[int, Tensor] = {}

    def swap(module: Layer, args: tuple) -> None:
        real[id(module)] = module.weight
        module.weight = nn.Parameter(module.weight.detach())

    def back(module: Layer, args: tuple, output: Tensor) -> None:
        module.weight = real.pop(id(module))

    state = {k: v.clone() for k, v in model.state_dict().items()}
    for module in chosen.values():
        handles += [module.register_forward_pre_hook(swap), module.register_forward_hook(back, always_call=True)]
    try:
        with torch.random.fork_rng(), torch.enable_grad():
            output = model(example)
    finally:
        for handle in handles:
            handle.remove()
        model.load_state_dict(state)  # batch-norm statistics and the like are left as they were
    weights = {id(m.weight): name for name, m in chosen.items()}
    seen: set[Node] = set()
    found: set[str | None] = set()
    stack: list[Node | None] = [t.grad_fn for t in _tensors(output)]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        found.add(weights.get(id(getattr(node, "variable", None))))
        stack += [n for n, _ in node.next_functions]
    return [name for name in chosen if name in found]


def _tensors(output: object) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    values = output.values() if isinstance(output, dict) else output if isinstance(output, (list, tuple)) else ()
    return [t for v in values for t in _tensors(v)]


def _outputs(modules: list[Layer]) -> int:
    """The network's number of outputs: that of the last registered layer, the head of a classifier."""
    return modules[-1].weight.shape[0]


def _rebuild(module: Layer, rule: Rule) -> RuleLayer:
    """The same layer, same Parameter objects, with a rule."""
    bias = module.bias is not None
    new: Linear | Conv2d
    if isinstance(module, nn.Linear):
        new = Linear(module.in_features, module.out_features, bias, device="meta")
    else:
        same = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
        new = Conv2d(**{name: getattr(module, name) for name in same}, bias=bias, device="meta")
    new.weight, new.bias = cast(nn.Parameter, module.weight), cast("nn.Parameter | None", module.bias)
    new.training = module.training
    for hooks in _HOOKS:
        setattr(new, hooks, getattr(module, hooks))
    new.set_rule(rule)
    return new


def _replace(model: nn.Module, name: str, new: nn.Module) -> nn.Module:
    if not name:
        return new
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, new)
    return model
