"""The proof of what convert() says: every parameter of a network, what it learns by, and whether it really does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import ConfigError
from ..rules.feedback import Fading
from . import steps
from .calling import call
from .comparing import rms, same, weighted
from .graph import Senders
from .layer import RuleLayer, backprop, layers
from .lazy import is_lazy
from .reach import survey
from .report import Audit, Row
from .usage import Use, undisturbed, untouched, uses

Loss = Callable[[Any], Tensor]


def audit(
    net: nn.Module, *example: Any, optimizer: Optimizer | Iterable[Optimizer] | None = None, loss_fn: Loss | None = None
) -> Audit:
    """Runs ``net`` on an example by its rules and by backprop, and says parameter by parameter what learns, and how.

    ``example``: what the network is called with: ``audit(net, x)``, ``audit(net, x, mask)``, or one dict of keyword
    arguments. ``optimizer``: one or several; with it the table says whether the feedback would move.
    ``loss_fn``: ``loss_fn(output)`` gives the scalar to differentiate. Without it every floating tensor of the output
    counts, with fixed random weights: nothing cancels out.

    The network, its gradients, its buffers and the random stream are left as they were. Print the answer, or ask it
    for ``.ok``, ``.problems`` (sentences), ``.rows`` or ``.frame()``. Column ``learns`` says

    - a rule (``pfa``): the weight of a layer with that rule. Its gradient is δ hᵀ; the layer sends δ down through F.
    - ``below pfa``: a bias, a norm, an embedding, any other weight. It has no feedback of its own, so its gradient is
      the derivative of its own operation, times an error that layers above it have sent by that rule.
    - ``backprop``: no layer with a rule stands between it and the output, so its gradient is exactly backprop's.
    - ``nothing``: frozen, not used on this example, or not in the optimiser.

    >>> import pfa_edu as pe
    >>> net = pe.convert(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), pe.FA(), verbose=False)
    >>> [(row.name, row.learns, row.differs) for row in audit(net, torch.randn(5, 4)).rows]
    [('0.weight', 'fa', True), ('0.bias', 'below fa', True), ('2.weight', 'fa', False), ('2.bias', 'backprop', False)]
    """
    if not example:
        raise ConfigError("audit needs an example of what the network is called with: audit(net, x)")
    net = getattr(net, "_orig_mod", net)  # a compiled network is audited as it was before
    waiting = [name for name, m in net.named_modules() if is_lazy(m)]
    if waiting:
        raise ConfigError(f"{waiting[0]} is lazy and has no weights yet: call the network on the example first")
    x = example[0] if len(example) == 1 else example
    optimizers = () if optimizer is None else (optimizer,) if isinstance(optimizer, Optimizer) else tuple(optimizer)
    return _Study(net, x, loss_fn or weighted, optimizers).report()


class _Study:
    """All that is found out, before it is put into words."""

    def __init__(self, net: nn.Module, x: Any, loss_fn: Loss, optimizers: tuple[Optimizer, ...]):
        self.layers = layers(net)
        self.optimizers = optimizers
        self.held = {id(p) for o in optimizers for group in o.param_groups for p in group["params"]}
        self.named = dict(net.named_parameters())
        self.owners: dict[int, dict[str, RuleLayer]] = {}
        for name, layer in self.layers.items():
            self.owners.setdefault(id(layer.parameter), {})[name] = layer
        self.feeds = {id(p): name for name, layer in self.layers.items() for p in layer.feedback_parameters()}
        self.bent = {name: label for name, layer in self.layers.items() if (label := _bent(layer))}
        with undisturbed(net):  # it tries some layers on random numbers
            self.reasons = survey(net)[1]
        with untouched(self.layers.values()):
            self.uses = uses(net, self.layers, x)
            with undisturbed(net), torch.enable_grad():
                scalar = loss_fn(call(net, x))
                senders = Senders(scalar, self._whose)
                self.below, self.silent = senders.below(), senders.silent
                first, self.own = self._gradients(scalar)
            del scalar, senders
            with undisturbed(net), torch.enable_grad(), backprop(net):
                second, self.exact = self._gradients(loss_fn(call(net, x)))
        self.learns = bool(self.own)
        self.steady = first is None or second is None or same(first, second, 0.0)
        finite = [g for g in (*self.own.values(), *self.exact.values()) if g.numel()]
        self.finite = all(bool(torch.isfinite(g).all()) for g in finite)
        self.scale = max((rms(g) for g in finite), default=0.0)

    def _whose(self, weights: set[int]) -> set[str]:
        known = [n for key in weights for n in self.owners.get(key, ())]
        return {self.bent[n] for n in known or self.bent if n in self.bent}

    def _gradients(self, scalar: Tensor) -> tuple[Tensor | None, dict[int, Tensor]]:
        """The scalar, and the gradients that there are, by id of the parameter."""
        wanted = [p for p in self.named.values() if p.requires_grad]
        if not wanted or not scalar.requires_grad:
            return None, {}
        found = torch.autograd.grad(scalar, wanted, allow_unused=True)
        return scalar.detach(), {id(p): g for p, g in zip(wanted, found, strict=True) if g is not None}

    def report(self) -> Audit:
        problems = []
        if not self.learns:
            problems.append("no tensor in the output depends on a parameter that learns, so this example shows nothing")
        elif not self.finite:
            problems.append("the gradients are not finite on this example, so they cannot be compared")
        elif not self.steady:
            problems.append(
                "two passes over the same example, with the same random numbers, give two outputs: the network holds a "
                "state or draws numbers that torch does not know of, so the gradients cannot be compared"
            )
        rows = [self._row(name, p, problems) for name, p in self.named.items()]
        if self.optimizers:
            problems += [line for name, layer in self.layers.items() for line in self._unmoved(name, layer)]
        return Audit(rows, problems)

    def _row(self, name: str, p: nn.Parameter, problems: list[str]) -> Row:
        own = {n: layer for n, layer in self.owners.get(id(p), {}).items() if layer.feedback is not None}
        fed = self.feeds.get(id(p))
        called = _called([self.uses[n] for n in (own or ([fed] if fed else []))])
        differs = None if fed else self._differs(p)
        learns, why = self._how(name, p, own, fed, problems)
        if id(p) in self.own and differs is None and fed is None:
            why += "; its gradient is 0 here, to rounding"
        feedback = "; ".join(dict.fromkeys(self._moves(layer) for layer in own.values()))
        return Row(name, tuple(p.shape), learns, called, differs, feedback, why)

    def _how(
        self, name: str, p: nn.Parameter, own: Mapping[str, RuleLayer], fed: str | None, problems: list[str]
    ) -> tuple[str, str]:
        outside = [n for n in own if self.uses[n].outside]
        unused = [n for n in own if not self.uses[n].own and not self.uses[n].routed]
        if outside:
            problems.append(
                f"{name}: its layer has a rule, but the weight is also used outside the layer's forward, and what "
                f"comes from there is backprop's: convert with example=..., or leave it out, skip=[{outside[0]!r}]"
            )
        elif unused:
            problems.append(f"{', '.join(unused)}: has a rule, but was not called on this example")
        if not p.requires_grad:
            return "nothing", "frozen (requires_grad=False)"
        if id(p) not in self.own:
            return "nothing", "not used on this example" if fed is None else "its layer's weight got no gradient"
        if self.optimizers and id(p) not in self.held:
            return "nothing", "not in the optimiser"
        if fed is not None:
            return self.layers[fed].rule.label, "feedback: learns from the gradient of its layer's weight"
        above = self.below.get(id(p), [])
        if outside:
            return "backprop", "used outside its layer's forward"
        if own and not unused:
            return self._by_rule(name, p, own, bool(above), problems)
        if above:
            self._expect(p, True, name, problems)
            return (
                f"below {', '.join(above)}",
                f"its own derivative, times an error sent by the rule{self._reason(name)}",
            )
        self._expect(p, False, name, problems)
        return "backprop", f"no layer with a rule stands between it and the output{self._reason(name)}"

    def _reason(self, name: str) -> str:
        """Why a weight that could be thought to have a rule has none."""
        found = self.reasons.get(name) or self.reasons.get(name.rpartition(".")[0])
        return f"; {found}" if found else ""

    def _by_rule(
        self, name: str, p: nn.Parameter, own: Mapping[str, RuleLayer], above: bool, problems: list[str]
    ) -> tuple[str, str]:
        label = ", ".join(dict.fromkeys(layer.rule.label for layer in own.values()))
        if all(layer._use_backprop for layer in own.values()):
            return "backprop", "within pe.backprop(net)"
        self._expect(p, above, name, problems)
        sends = "; it sends no error on, so its feedback is not used" if id(p) in self.silent else ""
        if above:
            return label, f"its error came through the feedback of layers above{sends}"
        return label, f"a last layer: no feedback stands above it, so its gradient is backprop's{sends}"

    def _expect(self, p: nn.Parameter, differs: bool, name: str, problems: list[str]) -> None:
        """A problem, unless the gradient differs from backprop's where it should, and only there."""
        seen = self._differs(p)
        if seen is None or seen == differs or not (self.finite and self.steady):
            return
        problems.append(
            f"{name}: its error is said to come through a rule's feedback, and its gradient is backprop's"
            if differs else f"{name}: no rule is said to touch its error, and its gradient is not backprop's"
        )  # fmt: skip

    def _differs(self, p: Tensor) -> bool | None:
        """Whether the gradient is another than backprop's; None: there is none, or it drowns in rounding."""
        a, b = self.own.get(id(p)), self.exact.get(id(p))
        if a is None or b is None:
            return None if a is b else True
        smallest = 16 * torch.finfo(a.dtype).eps * self.scale
        if max(rms(a), rms(b)) <= smallest:
            return None
        return not same(a, b, smallest)

    def _moves(self, layer: RuleLayer) -> str:
        """What becomes of the layer's feedback."""
        if not layer.feedback_parameters():
            return "follows W" if isinstance(layer.feedback, Fading) else "made by the rule"
        if not any(p.requires_grad for p in layer.feedback_parameters()):
            return "frozen"
        lost = bool(self.optimizers) and bool(steps.missing(layer, self.optimizers))
        return "not in the optimiser" if lost else "learns"

    def _unmoved(self, name: str, layer: RuleLayer) -> Iterator[str]:
        """Why the layer's feedback would not do under the optimiser what the rule says."""
        for optimizer in self.optimizers:
            group = next((g for g in optimizer.param_groups if any(p is layer.parameter for p in g["params"])), None)
            if group is None or layer.feedback is None or not layer.parameter.requires_grad:
                continue
            lost = steps.missing(layer, self.optimizers)
            if lost:
                yield (
                    f"{name}: {', '.join(lost)} learns, and is in no parameter group of the optimiser, so it would "
                    f"never move: make the optimiser after convert(), set_rule() and reset_feedback()"
                )
            for p in layer.feedback_parameters():
                other = next(
                    (g for o in self.optimizers for g in o.param_groups if any(q is p for q in g["params"])), None
                )
                unlike = [k for k in ("lr", "weight_decay") if other is not None and other.get(k) != group.get(k)]
                if p.requires_grad and unlike and layer.rule.aligns_by_decay:
                    yield (
                        f"{name}: its feedback is in a parameter group with another {' and '.join(unlike)} than its "
                        f"weight, and aligns only if both decay alike"
                    )
            if isinstance(layer.feedback, Fading):
                try:
                    steps.law_of(layer, layer.feedback, optimizer, group)
                except ConfigError as error:
                    yield f"{name}: {error}"


def _bent(layer: RuleLayer) -> str:
    """The label of the layer's rule if its feedback is not W itself, else nothing."""
    if layer.feedback is None or layer._use_backprop:
        return ""
    if layer.feedback.direct:
        return layer.rule.label
    return "" if same(layer.feedback_weight(), layer.weight.detach(), 0.0) else layer.rule.label


def _called(used: list[Use]) -> str:
    if not used:
        return ""
    own, routed, outside = any(u.own for u in used), any(u.routed for u in used), any(u.outside for u in used)
    said = [word for word, so in (("own forward", own), ("routed", routed), ("outside", outside)) if so]
    return " and ".join(said) or "not called"
