"""How an optimiser shrinks a weight: what it would make of a weight whose gradient is always zero.

The closed and the coupled form of PFA need it: the part ``a`` of the feedback's random start that is left shrinks as
the weight would. The law of an optimiser is a function of its parameter group, the feedback, and whether this is the
weight's first step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError
from ..rules.feedback import Fading

Law = Callable[[dict[str, Any], Fading, bool], None]


def sgd(group: dict[str, Any], feedback: Fading, first: bool) -> None:
    """torch's SGD: the decay is a part of the gradient, and so of the momentum."""
    a, v, momentum = feedback.a, feedback.v, group["momentum"]
    step = a * group["weight_decay"]
    if momentum != 0:
        v.copy_(step) if first else v.mul_(momentum).add_(step, alpha=1 - group["dampening"])
        step = step + momentum * v if group["nesterov"] else v
    a.sub_(group["lr"] * step)


def decoupled(group: dict[str, Any], feedback: Fading, first: bool) -> None:
    """AdamW, Muon and their like: the weight is multiplied by 1 − lr·weight_decay, beside the update."""
    shrink(group, [feedback.a])


def shrink(group: dict[str, Any], remainders: list[Tensor]) -> None:
    """The same for all layers of a parameter group at once: on a GPU one kernel, not three a layer."""
    if group["weight_decay"] != 0:
        torch._foreach_mul_(remainders, 1 - group["lr"] * group["weight_decay"])


def _scaled(group: dict[str, Any], feedback: Fading, first: bool) -> None:
    """Adam with its L2 penalty and the rest: the decay is scaled entry by entry, so no scalar can follow it."""
    if group.get("decoupled_weight_decay"):
        decoupled(group, feedback, first)
    elif group.get("weight_decay", 0) != 0:
        raise ConfigError(
            f"weight decay {group['weight_decay']} that the optimiser scales entry by entry (Adam's L2 penalty): no "
            f"scalar can follow it, and PFA's coupled form needs one. Use AdamW, or form='explicit'"
        )


_laws: dict[type[torch.optim.Optimizer], Law] = {
    torch.optim.SGD: sgd,
    torch.optim.AdamW: decoupled,
    **{
        getattr(torch.optim, name): _scaled
        for name in ("Adam", "NAdam", "RAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop", "Rprop", "LBFGS")
    },
}
if hasattr(torch.optim, "Muon"):  # torch 2.9
    _laws[torch.optim.Muon] = decoupled


def decay_law(optimizer: type[torch.optim.Optimizer], law: str | Law | None = None) -> Law:
    """The law of an optimiser's class; with ``law``, the one to use for it from now on.

    ``law``: 'decoupled', for an optimiser that multiplies the weight by 1 − lr·weight_decay as AdamW does; 'sgd', for
    one that does as torch's SGD; or a function ``law(group, feedback, first)`` that changes ``feedback.a`` in place.

    >>> class Lion(torch.optim.Optimizer):
    ...     pass
    >>> decay_law(Lion, "decoupled") is decoupled
    True
    """
    if law is not None:
        named: dict[str, Law] = {"decoupled": decoupled, "sgd": sgd}
        if isinstance(law, str) and law not in named:
            raise ConfigError(f"decay law {law!r}: one of {', '.join(named)}, or a function")
        _laws[optimizer] = named[law] if isinstance(law, str) else law
    if optimizer not in _laws:
        raise ConfigError(
            f"how {optimizer.__name__} decays a weight is not known, and PFA's coupled form has to follow it: say "
            f'pe.decay_law({optimizer.__name__}, "decoupled") if it multiplies the weight by 1 − lr·weight_decay as '
            f"AdamW does, or use form='explicit'"
        )
    return _laws[optimizer]
