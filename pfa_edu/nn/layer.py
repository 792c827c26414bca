"""What every layer that holds a rule has in common: the rule, its feedback state, the switch to backprop."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..rules import Feedback, Path, Rule
from ..rules import rule as rule_by_name
from ..rules.feedback import Fading, Layer
from . import steps
from .functional import Conv, cut
from .marks import Mark, follow
from .once import transformed
from .sharded import is_sharded, whole
from .taps import tap

if TYPE_CHECKING:
    from .direct import ErrorBus


class RuleLayer(nn.Module):
    """Base of pe.Linear, pe.Conv2d and their like.

    ``h``, ``delta``: the layer's input and dL/d(output) of the last training step, kept for a rule that ``records``.
    """

    plain: ClassVar[type[nn.Module]]  # torch's class of the same layer, without a rule
    rule: Rule
    feedback: Feedback | None
    weight: nn.Parameter
    bias: nn.Parameter | None
    mark: Mark
    h: Tensor | None = None
    delta: Tensor | None = None

    # A layer may keep its weight in another order than (out, in/groups, ...), or as a part of a larger parameter:

    @property
    def parameter(self) -> nn.Parameter:
        """The parameter that holds the weight; what an optimiser has."""
        return self.weight

    def part(self, whole: Tensor) -> Tensor:
        """This layer's part of ``whole``, which has the shape of :attr:`parameter`: its weight, or its gradient."""
        return whole

    def oriented(self, weight: Tensor) -> Tensor:
        """The weight as (out, in/groups, ...), as rules see it; a view where that is possible."""
        return weight

    def original(self, F: Tensor) -> Tensor:
        """The inverse of :meth:`oriented`: from rules' order to the weight's."""
        return F

    def set_rule(self, rule: Rule | str) -> None:
        """Gives the layer another rule and draws its feedback; the forward weight stays.

        An optimiser that was made before does not hold the new feedback: make it again, or add what
        :meth:`feedback_parameters` gives. It is an error at its next step otherwise.
        """
        if is_sharded(self.parameter):
            raise ConfigError(
                "the layer's weight is already spread over several processes, and each would draw a feedback of its "
                "own: convert the network first, with the same seed everywhere, then call fully_shard"
            )
        self.rule = rule = rule_by_name(rule)
        self.feedback = rule.make(Layer(self.oriented(self.weight), getattr(self, "groups", 1)))
        self._use_backprop = False
        self._bus: ErrorBus | None = None
        steps.watch(self)

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
        """The effective feedback weight F, in W's shape: W itself under backprop; an error for DFA, which has none.

        Where FSDP2 has spread the parameters over several processes, all of them have to ask.
        """
        with whole(self):
            return self._formed()

    def _formed(self) -> Tensor:
        if self.feedback is None:
            return self.weight.detach()
        if self.feedback.direct:
            raise ConfigError("DFA has no feedback weight of W's shape: its layers receive the output error through D")
        F = self.feedback.path(self.oriented(self.weight)).form()
        if F is None:
            raise ConfigError(
                f"the path of {type(self.feedback).__name__} has no parts: give it F, L and M, or E and a"
            )
        return self.original(F.detach())

    def feedback_parameters(self) -> list[nn.Parameter]:
        """What an optimiser has to move in the feedback: KP's F, PFA's R (explicit form); nothing elsewhere."""
        return [] if self.feedback is None else list(self.feedback.parameters())

    @contextlib.contextmanager
    def anchored(self) -> Iterator[None]:
        """Within it the weight may be changed by hand: F (or R) is afterwards what it was before."""
        feedback = self.feedback
        if not isinstance(feedback, Fading):
            yield
            return
        with whole(self):
            kept = feedback.current(self.oriented(self.weight).detach()).clone()
        yield
        with whole(self):
            feedback.anchor(kept, self.oriented(self.weight).detach())
        steps.watch(self)

    def _needed(self) -> Feedback | None:
        """The feedback, if this forward pass needs it; None under backprop, or if nothing will be differentiated."""
        return None if self._use_backprop or not torch.is_grad_enabled() else self.feedback

    def _path(self, h: Tensor, feedback: Feedback) -> Path:
        if feedback.training:
            feedback.new_batch()
        if isinstance(feedback, Fading) and not (transformed() or torch.compiler.is_compiling()):
            follow(self)
        self.mark.fed = True
        weight = self.oriented(self.weight)
        if transformed():  # wrapped tensors do not tell what will be differentiated
            return feedback.path(weight)
        path = feedback.path(weight) if h.requires_grad else feedback.path_unsent(weight)
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
        if not (h.requires_grad or transformed()):
            return h
        if self._bus is None or not self._bus.open:
            raise ConfigError(
                "a DFA layer was called outside a forward pass of its network, so the output error cannot reach it: "
                "use convert(network, DFA()), or connect_dfa(network) for a network built layer by layer, and call "
                "that. Where activation checkpointing repeats a part of the forward pass on the way back, DFA cannot "
                "be used: take the checkpointing out"
            )
        self._bus.taps.append(tap(h, D, conv))
        return cut(h)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, rule={self.rule!r}"

    def __setstate__(self, state: dict) -> None:  # deepcopy and unpickling come through here, not through __init__
        super().__setstate__(state)
        steps.watch(self)

    # A state dict says in its metadata by which rule it was made: FA's and KP's have the same names and shapes.

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        metadata = getattr(destination, "_metadata", None)
        if metadata is not None:
            metadata[prefix[:-1]]["rule"] = self.rule.label

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing_keys: list[str],
        unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        made_by = local_metadata.get("rule", self.rule.label)
        if made_by != self.rule.label:
            error_msgs.append(
                f"{prefix[:-1] or 'the layer'} learns by {self.rule.label!r}, and the state dict was made by "
                f"{made_by!r}: convert the network with that rule first, or load the weights alone, as "
                f"pe.strip(network).state_dict() gives them, with strict=False"
            )
            return
        alone = isinstance(self.feedback, Fading) and not any(k.startswith(f"{prefix}feedback.") for k in state_dict)
        with self.anchored() if alone else contextlib.nullcontext():  # a weight loaded without its feedback
            super()._load_from_state_dict(
                state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
            )
        if isinstance(self.feedback, Fading):
            self.feedback.forget_beside()
        steps.watch(self)


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

    >>> from pfa_edu import FA, Linear
    >>> net = nn.Sequential(Linear(4, 3, rule=FA()), Linear(3, 2, rule=FA()))
    >>> with backprop(net):
    ...     net(torch.randn(5, 4)).sum().backward()  # backprop's gradient, at the same weights
    """
    held = [(layer, layer._use_backprop) for layer in layers(net).values()]
    try:
        for layer, _ in held:
            layer._use_backprop = True
            layer.mark.fed = False
        yield net
    finally:
        for layer, before in held:
            layer._use_backprop = before


@contextlib.contextmanager
def anchored(net: nn.Module) -> Iterator[nn.Module]:
    """Within this context you may change weights by hand (load, clamp, rescale); the feedback stays what it was.

    Needed only for PFA's closed, coupled and deferred forms, which work the feedback out from the weight.

    >>> from pfa_edu import PFA, Linear
    >>> net = Linear(4, 3, rule=PFA(ratio=2, form="closed"))
    >>> F = net.feedback_weight()
    >>> with torch.no_grad(), anchored(net):
    ...     _ = net.weight.clamp_(-0.1, 0.1)
    >>> torch.allclose(net.feedback_weight(), F, atol=1e-6)
    True
    """
    with contextlib.ExitStack() as stack:
        for layer in layers(net).values():
            stack.enter_context(layer.anchored())
        yield net
