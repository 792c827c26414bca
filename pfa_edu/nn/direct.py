"""The output error of direct feedback alignment, on its way from a network's output to its layers."""

from __future__ import annotations

from torch import Tensor, nn

from ..errors import ConfigError
from .modules import layers


class ErrorBus:
    """Where a network's DFA layers leave their taps, for the network's output to pick up.

    It is shared by the layers and by two hooks on the network, and is empty outside the network's forward pass.
    """

    def __init__(self) -> None:
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
                    f"{tuple(output.shape)}: the number of outputs it was given ({tap.shape[-1]}) or its batch size "
                    f"does not match the network's"
                )
            output = output + tap
        return output


def connect_dfa(net: nn.Module) -> nn.Module:
    """Links the DFA layers inside ``net`` to its output, so that each receives e = dL/d(output of net).

    ``convert`` calls this for you; call it yourself for a network built layer by layer. A second call changes nothing.
    """
    bus = ErrorBus()
    for hook in list(net._forward_hooks.values()):
        owner = getattr(hook, "__self__", None)
        if isinstance(owner, ErrorBus):
            bus = owner
            break
    else:
        net.register_forward_pre_hook(bus.start)
        net.register_forward_hook(bus.finish)
    for layer in layers(net).values():
        if layer.feedback is not None and layer.feedback.direct:
            layer._bus = bus
    return net
