"""Linear and Conv2d layers that hold a rule: torch's own layers, but for the weight that carries the error back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from ..errors import ConfigError
from ..rules import BP, Feedback, Path, Rule
from ..rules import rule as rule_by_name
from ..rules.feedback import Layer
from . import functional, guard
from .functional import Conv

if TYPE_CHECKING:
    from .direct import ErrorBus


Size: TypeAlias = int | tuple[int, int]


class RuleLayer(nn.Module):
    """What Linear and Conv2d share: the rule, its feedback state, and the switch to backprop.

    ``h``, ``delta``: the layer's input and dL/d(output) of the last training step, kept for a rule that ``records``.
    """

    rule: Rule
    feedback: Feedback | None
    weight: nn.Parameter
    bias: nn.Parameter | None
    h: Tensor | None = None
    delta: Tensor | None = None

    def set_rule(self, rule: Rule | str) -> None:
        """Gives the layer another rule and draws its feedback; the forward weight stays."""
        self.rule = rule = rule_by_name(rule)
        self.feedback = rule.make(cast(Layer, self))  # a RuleLayer is always one of torch's two layers as well
        self._use_backprop = False
        self._bus: ErrorBus | None = None
        guard.watch(self)

    def reset_feedback(self) -> None:
        """Draws the feedback again, beside the present weight (a closed form also takes that weight for its W₀)."""
        bus = self._bus
        self.set_rule(self.rule)
        self._bus = bus

    def reset_parameters(self) -> None:
        """The paper's initial values: weight Xavier-uniform, bias 0, feedback drawn again."""
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
        if self.feedback.direct:
            raise ConfigError("DFA has no feedback weight of W's shape: its layers receive the output error through D")
        F = self.feedback.path(self.weight).form()
        if F is None:
            raise ConfigError(
                f"the path of {type(self.feedback).__name__} has no parts: give it F, L and M, or E and a"
            )
        return F.detach()

    def feedback_parameters(self) -> list[nn.Parameter]:
        """What learns in the feedback: KP's F, PFA's R, the closed form's a; nothing elsewhere."""
        return [] if self.feedback is None else list(self.feedback.parameters())

    def _needed(self) -> Feedback | None:
        """The feedback, if this forward pass needs it; None under backprop, or if nothing will be differentiated."""
        return None if self._use_backprop or not torch.is_grad_enabled() else self.feedback

    def _path(self, h: Tensor, feedback: Feedback) -> Path:
        if feedback.training:
            feedback.new_batch()
        path = feedback.path(self.weight) if h.requires_grad else feedback.path_unsent(self.weight)
        if not self.weight.requires_grad:  # a frozen W has no Hebbian product for the feedback to learn from
            path = Path(*(t if t is None else t.detach() for t in path))
        return path

    def _recorded(self, h: Tensor, out: Tensor) -> Tensor:
        """``out``; where the rule asks for it, h and, once it is known, δ are kept on the layer."""
        if self.rule.records and out.requires_grad:
            self.h = h.detach()
            out.register_hook(lambda delta: setattr(self, "delta", delta.detach()))
        return out

    def _send_tap(self, h: Tensor, D: Tensor, conv: Conv | None = None) -> Tensor:
        """Leaves a tap on h with the network's output and cuts every other way back through this layer."""
        if not h.requires_grad:
            return h
        if self._bus is None or not self._bus.open:
            raise ConfigError(
                "a DFA layer was called outside a forward pass of its network, so the output error cannot reach it: "
                "use convert(network, DFA()), or connect_dfa(network) for a network built layer by layer, and call that"
            )
        self._bus.taps.append(functional.tap(h, D, conv))
        return h.detach()

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, rule={self.rule!r}"

    def __setstate__(self, state: dict) -> None:  # deepcopy and unpickling come through here, not through __init__
        super().__setstate__(state)
        guard.watch(self)


class Linear(RuleLayer, nn.Linear):
    """``torch.nn.Linear`` that learns by ``rule``; the paper's initial values (Xavier-uniform, bias 0).

    Shapes: input (\\*, in_features), output (\\*, out_features), as torch's.

    >>> from pfa_edu import FA, PFA
    >>> layer = Linear(784, 512, rule=PFA(ratio=10))
    >>> layer.feedback.B.shape, layer.feedback.R.shape, layer.feedback_weight().shape
    (torch.Size([512, 5120]), torch.Size([5120, 784]), torch.Size([512, 784]))
    """

    weight: nn.Parameter
    bias: nn.Parameter | None  # type: ignore[assignment]  # torch forgets to say that it may be absent

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, rule: Rule | str | None = None,
        device: torch.device | str | None = None, dtype: torch.dtype | None = None,
    ):  # fmt: skip
        super().__init__(in_features, out_features, bias, device=device, dtype=dtype)
        self.set_rule(rule if rule is not None else BP())

    def forward(self, h: Tensor) -> Tensor:
        feedback = self._needed()
        if feedback is None:
            return nnf.linear(h, self.weight, self.bias)
        if feedback.direct:
            return nnf.linear(self._send_tap(h, feedback.D), self.weight, self.bias)
        return self._recorded(h, functional.linear(h, self.weight, self.bias, self._path(h, feedback)))


class Conv2d(RuleLayer, nn.Conv2d):
    """``torch.nn.Conv2d`` that learns by ``rule``: stride, padding, dilation, groups and padding modes as torch's.

    Shapes: input (batch, in_channels, H, W) or (in_channels, H, W). With groups, F has W's shape
    (out, in/groups, kh, kw), and PFA's B still mixes all mid neurons.

    >>> from pfa_edu import FA, PFA
    >>> Conv2d(3, 16, 3, padding="same", rule=PFA(ratio=4)).feedback.R.shape
    torch.Size([64, 3, 3, 3])
    """

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size | str = 0,
        dilation: Size = 1, groups: int = 1, bias: bool = True,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros", *,
        rule: Rule | str | None = None, device: torch.device | str | None = None, dtype: torch.dtype | None = None,
    ):  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )
        self.set_rule(rule if rule is not None else BP())

    def forward(self, h: Tensor) -> Tensor:
        feedback = self._needed()
        if feedback is None:
            return self._conv_forward(h, self.weight, self.bias)
        h, padding = self._pad(h)
        conv = (self.stride, padding, self.dilation, self.groups)
        if feedback.direct:
            return nnf.conv2d(self._send_tap(h, feedback.D, conv), self.weight, self.bias, *conv)
        return self._recorded(h, functional.conv2d(h, self.weight, self.bias, self._path(h, feedback), conv))

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
