"""The output error of direct feedback alignment, on its way from a network's output to its layers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ..errors import ConfigError
from .calling import tensors
from .graph import behind
from .layer import RuleLayer


class ErrorBus:
    """Where a network's DFA layers leave their taps, for the network's output to pick up.

    It is shared by the layers and by two hooks on the network, and is empty outside the network's forward pass.
    ``output``: the key or index of the tensor that is meant, where the network returns several.
    """

    def __init__(self, output: str | int | None = None) -> None:
        self.output = output
        self.open = False
        self.taps: list[Tensor] = []

    def start(self, module: nn.Module, args: tuple) -> None:
        """Forward pre-hook of the network."""
        self.open = True
        self.taps.clear()  # a forward pass that failed midway must not leak into this one

    def finish(self, module: nn.Module, args: tuple, output: Any) -> Any:
        """Forward hook of the network: adds every tap (zeros) to the output, so that each receives e."""
        self.open = False
        taps, self.taps = self.taps, []
        if not taps:
            return output
        chosen = self.chosen(output)
        for tap in taps:
            if tap.dim() > chosen.dim() >= 1:  # positions that the output does not have: e is the same at each of them
                tap = tap.sum(dim=tuple(range(chosen.dim() - 1, tap.dim() - 1)))
            if tap.shape != chosen.shape:
                raise ConfigError(
                    f"DFA: a layer sends an error of shape {tuple(tap.shape)} and the network's output has "
                    f"{tuple(chosen.shape)}: if the last number is wrong, convert took it from the last registered "
                    f"layer, and DFA(outputs={chosen.shape[-1] if chosen.dim() else 1}) says what it is. An output for "
                    f"every pixel, or one that folds other dimensions into the batch, cannot be had with DFA"
                )
            chosen = chosen + tap
        if not isinstance(output, Tensor):
            self._check_losses(output)
        return self._with(output, chosen)

    def _check_losses(self, output: Any) -> None:
        """ConfigError for a loss that the network itself has made of the tensor: no tap will receive its error."""
        source = self.chosen(output).grad_fn
        for t in tensors(output):
            if t.dim() == 0 and t.requires_grad and any(node is source for node in behind(t.grad_fn)):
                raise ConfigError(
                    "the network computes its loss itself, from the tensor whose error DFA sends back, before that "
                    "error can be caught: call it without targets, and compute the loss from its output"
                )

    def chosen(self, output: Any) -> Tensor:
        """The tensor of ``output`` whose error is sent back."""
        if self.output is None and isinstance(output, Tensor):
            return output
        there = list(output) if isinstance(output, Mapping) else range(len(output) if _is_sequence(output) else 0)
        if self.output is not None and self.output in there:
            found = output[self.output]
            if isinstance(found, Tensor):
                return found
        raise ConfigError(
            f"DFA needs one tensor whose error is sent back, and the network returns a {type(output).__name__}"
            f"{f' with {list(there)}' if len(there) else ''}: say which, DFA(output=...)"
            f"{f'; {self.output!r} is not a tensor in it' if self.output is not None else ''}"
        )

    def _with(self, output: Any, chosen: Tensor) -> Any:
        if self.output is None:
            return chosen
        if isinstance(output, Mapping):
            changed: Any = copy.copy(output)  # of its own class: a loss may ask for output.logits
            changed[self.output] = chosen
            return changed
        parts = [chosen if i == self.output else part for i, part in enumerate(output)]
        return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)


def _is_sequence(output: Any) -> bool:
    return isinstance(output, (tuple, list))


def connect_dfa(net: nn.Module) -> nn.Module:
    """Links the DFA layers inside ``net`` to its output, so that each receives e = dL/d(output of net).

    ``convert`` calls this for you; call it yourself for a network built layer by layer. A second call changes nothing.
    """
    own = [m for m in net.modules() if isinstance(m, RuleLayer) and m.feedback is not None and m.feedback.direct]
    if own:
        bus = bus_of(net)
        bus.output = getattr(own[-1].rule, "output", None)
        for layer in own:
            layer._bus = bus
    return net


def bus_of(net: nn.Module) -> ErrorBus:
    """The bus that listens to ``net``; a new one, if there is none."""
    hooked = (getattr(hook, "__self__", None) for hook in net._forward_hooks.values())
    bus = next((owner for owner in hooked if isinstance(owner, ErrorBus)), None)
    if bus is None:
        bus = ErrorBus()
        net.register_forward_pre_hook(bus.start)
        net.register_forward_hook(bus.finish)
    return bus
