"""Linear and Conv2d layers that hold a rule: torch's own layers, but for the weight that carries the error back."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from . import functional
from .errors import ConfigError
from .feedback import ClosedProduct, DeferredProduct, Direct, SignSymmetric
from .functional import Conv, Path
from .rules import BP, Rule
from .rules import rule as rule_by_name


class ErrorBus:
    """Where a network's DFA layers leave their taps, for the network's output to pick up.

    It is shared by the layers and by two hooks on the network, and is empty outside the network's forward pass.
    """

    def __init__(self):
        self.open = False
        self.taps: list[Tensor] = []

    def start(self, module: nn.Module, args: tuple) -> None:
        """Forward pre-hook of the network."""
        self.open = True
        self.taps.clear()  # a forward pass that failed midway must not leak into this one

    def finish(self, module: nn.Module, args: tuple, output: Tensor) -> Tensor:
        """Forward hook of the network: adds every tap (zeros) to the output, so that each receives e."""
        self.open = False
        taps, self.taps = self.taps, []
        if taps and not isinstance(output, Tensor):
            raise ConfigError(
                f"DFA needs a network whose output is one tensor; this one's is a {type(output).__name__}"
            )
        for tap in taps:
            if tap.dim() > output.dim() >= 1:  # positions that the output does not have: e is the same at each of them
                tap = tap.sum(dim=tuple(range(output.dim() - 1, tap.dim() - 1)))
            if tap.shape != output.shape:
                raise ConfigError(
                    f"DFA: a layer's taps have shape {tuple(tap.shape)} and the network's output "
                    f"{tuple(output.shape)}: the outputs it was told ({tap.shape[-1]}) or its batch size do not "
                    f"match the network's"
                )
            output = output + tap
        return output


class RuleLayer(nn.Module):
    """What Linear and Conv2d share: the rule, its feedback state, and the switch to backprop."""

    rule: Rule
    feedback: nn.Module | None

    def set_rule(self, rule: Rule | str) -> None:
        """Gives the layer another rule and draws its feedback anew; the forward weight stays."""
        self.rule = rule = rule_by_name(rule)
        self.feedback = rule.make(self)
        self._use_backprop = False
        self._bus: ErrorBus | None = None
        _watch(self)

    def reset_feedback(self) -> None:
        """Draws the feedback anew beside the present weight (a closed form also takes that weight for its W₀)."""
        bus = self._bus
        self.set_rule(self.rule)
        self._bus = bus

    def reset_parameters(self) -> None:
        """The paper's initial values: weight Xavier-uniform, bias 0, feedback drawn anew."""
        nn.init.xavier_uniform_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        if "rule" in self.__dict__:  # torch's own constructor calls this before there is a rule
            self.reset_feedback()

    @torch.no_grad()
    def feedback_weight(self) -> Tensor:
        """The effective feedback weight F, in W's shape: W itself under backprop; an error for DFA, which has none."""
        if self.feedback is None:
            return self.weight.detach()
        if isinstance(self.feedback, Direct):
            raise ConfigError("DFA has no feedback weight of W's shape: its layers receive the output error through D")
        return self.feedback.path(self.weight).form().detach()

    def feedback_parameters(self) -> list[nn.Parameter]:
        """What learns in the feedback: KP's F, PFA's R, the closed form's a; nothing elsewhere."""
        return [] if self.feedback is None else list(self.feedback.parameters())

    def _plain(self) -> bool:
        """Whether this forward pass needs no feedback: backprop, or nothing will be differentiated."""
        return self.feedback is None or self._use_backprop or not torch.is_grad_enabled()

    def _path(self, h: Tensor) -> Path:
        feedback = self.feedback
        if isinstance(feedback, DeferredProduct) and not h.requires_grad:
            return feedback.nothing_back()
        if isinstance(feedback, SignSymmetric) and feedback.kind == "batch" and feedback.training:
            feedback.redraw()
        path = feedback.path(self.weight)
        if not self.weight.requires_grad:  # a frozen W has no Hebbian product for the feedback to learn from
            path = Path(*(t if t is None else t.detach() for t in path))
        return path

    def _send_tap(self, h: Tensor, conv: Conv | None = None) -> Tensor:
        """Leaves a tap on h with the network's output and cuts every other way back through this layer."""
        if not h.requires_grad:
            return h
        if self._bus is None or not self._bus.open:
            raise ConfigError(
                "a DFA layer was called outside a forward pass of its network, so the output error cannot reach it: "
                "use convert(network, DFA()), or connect_dfa(network) for a network built layer by layer, and call that"
            )
        self._bus.taps.append(functional.tap(h, self.feedback.D, conv))
        return h.detach()

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, rule={self.rule!r}"

    def __setstate__(self, state: dict) -> None:  # deepcopy and unpickling come through here, not through __init__
        super().__setstate__(state)
        _watch(self)


class Linear(RuleLayer, nn.Linear):
    """``torch.nn.Linear`` that learns by ``rule``; the paper's initial values (Xavier-uniform, bias 0).

    Shapes: input (\\*, in_features), output (\\*, out_features), as torch's.

    >>> from pfa_edu import FA, PFA
    >>> layer = Linear(784, 512, rule=PFA(ratio=10))
    >>> layer.feedback.B.shape, layer.feedback.R.shape, layer.feedback_weight().shape
    (torch.Size([512, 5120]), torch.Size([5120, 784]), torch.Size([512, 784]))
    """

    def __init__(
        self, in_features, out_features, bias=True, *, rule: Rule | str | None = None, device=None, dtype=None
    ):
        super().__init__(in_features, out_features, bias, device=device, dtype=dtype)
        self.set_rule(rule if rule is not None else BP())

    def forward(self, h: Tensor) -> Tensor:
        if self._plain():
            return nnf.linear(h, self.weight, self.bias)
        if isinstance(self.feedback, Direct):
            return nnf.linear(self._send_tap(h), self.weight, self.bias)
        return functional.linear(h, self.weight, self.bias, self._path(h))


class Conv2d(RuleLayer, nn.Conv2d):
    """``torch.nn.Conv2d`` that learns by ``rule``: stride, padding, dilation, groups and padding modes as torch's.

    Shapes: input (batch, in_channels, H, W) or (in_channels, H, W). With groups, F has W's shape
    (out, in/groups, kh, kw), and PFA's B still mixes all mid neurons.

    >>> from pfa_edu import FA, PFA
    >>> Conv2d(3, 16, 3, padding="same", rule=PFA(ratio=4)).feedback.R.shape
    torch.Size([64, 3, 3, 3])
    """

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
        padding_mode="zeros", *, rule: Rule | str | None = None, device=None, dtype=None,
    ):  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )
        self.set_rule(rule if rule is not None else BP())

    def forward(self, h: Tensor) -> Tensor:
        if self._plain():
            return self._conv_forward(h, self.weight, self.bias)
        h, padding = self._pad(h)
        conv = (self.stride, padding, self.dilation, self.groups)
        if isinstance(self.feedback, Direct):
            return nnf.conv2d(self._send_tap(h, conv), self.weight, self.bias, *conv)
        return functional.conv2d(h, self.weight, self.bias, self._path(h), conv)

    def _pad(self, h: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """Padding as integers; what a convolution cannot do itself is padded here, and differentiated by torch."""
        ends = self._reversed_padding_repeated_twice  # (left, right, top, bottom)
        if self.padding_mode != "zeros":
            return nnf.pad(h, ends, mode=self.padding_mode), (0, 0)
        if not isinstance(self.padding, str):
            return h, self.padding
        if ends[0] == ends[1] and ends[2] == ends[3]:
            return h, (ends[2], ends[0])
        return nnf.pad(h, ends), (0, 0)  # 'same' with an even kernel pads one side more


def layers(net: nn.Module) -> dict[str, RuleLayer]:
    """The layers of ``net`` that hold a rule, by name, in the order of registration."""
    found = {
        name.removeprefix("_orig_mod.") or type(m).__name__.lower(): m
        for name, m in net.named_modules()
        if isinstance(m, RuleLayer)
    }
    if not found:
        raise ConfigError(f"{type(net).__name__} has no layer with a rule: use pe.convert(net, rule), or pe.Linear")
    return found


@contextlib.contextmanager
def backprop(net: nn.Module) -> Iterator[nn.Module]:
    """Within this context every layer of ``net`` learns by backprop; its own rule comes back afterwards.

    >>> from pfa_edu import FA, PFA
    >>> net = nn.Sequential(Linear(4, 3, rule=FA()), Linear(3, 2, rule=FA()))
    >>> with backprop(net):
    ...     net(torch.randn(5, 4)).sum().backward()  # backprop's gradient, at the same weights
    """
    held = [(layer, layer._use_backprop) for layer in layers(net).values()]
    try:
        for layer, _ in held:
            layer._use_backprop = True
        yield net
    finally:
        for layer, before in held:
            layer._use_backprop = before


def connect_dfa(net: nn.Module) -> nn.Module:
    """Links the DFA layers inside ``net`` to its output, so that each receives e = dL/d(output of net).

    ``convert`` does this itself; call it for a network built layer by layer. Calling it again changes nothing.
    """
    bus = ErrorBus()
    for hook in list(net._forward_hooks.values()):
        if isinstance(getattr(hook, "__self__", None), ErrorBus):
            bus = hook.__self__
            break
    else:
        net.register_forward_pre_hook(bus.start)
        net.register_forward_hook(bus.finish)
    for layer in layers(net).values():
        if isinstance(layer.feedback, Direct):
            layer._bus = bus
    return net


# The closed and the deferred form are right only under plain SGD with W and a in one parameter group. A layer cannot
# see its optimiser, but an optimiser's first step can be seen: torch calls this hook before every step of each one.
_SGD_ONLY = (ClosedProduct, DeferredProduct)
_closed_layers: weakref.WeakSet[RuleLayer] = weakref.WeakSet()
_approved: weakref.WeakKeyDictionary[torch.optim.Optimizer, int] = weakref.WeakKeyDictionary()


def _watch(layer: RuleLayer) -> None:
    if isinstance(layer.feedback, _SGD_ONLY):
        if not _closed_layers:
            _hook_once()
        _closed_layers.add(layer)
        _approved.clear()


def _hook_once(_registered: list = []) -> None:  # noqa: B006 - the list remembers that it was done
    if not _registered:
        _registered.append(register_optimizer_step_pre_hook(_check_before_step))


def _check_before_step(optimizer: torch.optim.Optimizer, args: tuple, kwargs: dict) -> None:
    count = sum(len(group["params"]) for group in optimizer.param_groups)
    if _approved.get(optimizer) != count:
        check_optimizer(optimizer)
        _approved[optimizer] = count


def check_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """Raises ConfigError if ``optimizer`` holds a closed or deferred PFA layer's weight or ``a`` in a wrong way.

    Called before the first step of every optimiser by itself; call it earlier to be told earlier.
    """
    group_of = {id(p): i for i, group in enumerate(optimizer.param_groups) for p in group["params"]}
    way_out = "use form='explicit', which is right for every optimiser"
    for layer in _closed_layers:
        if not isinstance(layer.feedback, _SGD_ONLY) or not layer.weight.requires_grad:
            continue
        where_W, where_a = group_of.get(id(layer.weight)), group_of.get(id(layer.feedback.a))
        if where_W is None and where_a is None:
            continue  # another network's optimiser
        shape, form = tuple(layer.weight.shape), layer.rule.form
        if not isinstance(optimizer, torch.optim.SGD):
            raise ConfigError(
                f"PFA's {form} form holds under SGD only, and a layer of shape {shape} is trained by "
                f"{type(optimizer).__name__}: {way_out}"
            )
        if where_W != where_a:
            place = {None: "no parameter group"}
            raise ConfigError(
                f"PFA's {form} form needs the layer's weight and its scalar feedback.a in one parameter group; for the "
                f"layer of shape {shape} the weight is in {place.get(where_W, f'group {where_W}')} and a in "
                f"{place.get(where_a, f'group {where_a}')}: put a beside its weight, or {way_out}"
            )
