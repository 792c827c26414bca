"""What is known of the gradient that an optimiser is about to use: whose it is, and whether anybody has changed it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from ..errors import ConfigError
from .sharded import own_part

if TYPE_CHECKING:
    from .layer import RuleLayer

LOOK = 100  # every so many steps, and in the first two, a weight (or a sharded gradient) is compared entry by entry

_marks: WeakIdKeyDictionary = WeakIdKeyDictionary()  # by parameter


def recording() -> bool:
    """Whether a CUDA graph is being recorded: there nothing may be compared, and what is copied stays in the graph."""
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


def alike(a: Tensor, b: Tensor) -> bool:
    """Equal entry by entry, and NaN where the other is: a run that diverges is not one that was tampered with."""
    return torch.equal(a.nan_to_num(), b.nan_to_num())


class Mark:
    """What is known of the gradient of one weight: did it come through the layer's rule, and is it still untouched?"""

    def __init__(self) -> None:
        self.fed = False  # a forward pass of the rule whose backward pass is still to come
        self.by_rule: bool | None = None  # of the gradient that is there; None: torch has never told
        self.used = False  # that gradient has been stepped with
        self.seen: tuple[int, int] | None = None
        self.looks = 0
        self.strict = False  # whether anybody will ask if it was changed
        self.copy: Tensor | None = None

    def accumulated(self, W: Tensor, stepped: Callable[[], Tensor]) -> None:
        """Called whenever the gradient of ``W`` has grown. ``stepped``: what the optimiser has, W but under FSDP2."""
        self.by_rule = self.fed or (self.by_rule is True and not self.used)
        self.fed = self.used = False
        self.look(W)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            # At the end of a backward pass DDP writes the mean over processes, and FSDP2 each one's part of it. They
            # have queued that by now; what is queued at the end itself comes after it.
            later = torch.autograd.Variable._execution_engine.queue_callback
            later(lambda: later(lambda: self.look(stepped())))

    def look(self, W: Tensor) -> None:
        """Remembers the gradient as it is now."""
        if W.grad is None:
            return
        self.seen = (id(W.grad), W.grad._version)
        # its version does not count what is done through .data, nor a DTensor's what is done to many at once
        self.looks += 1
        often = self.strict and (self.looks <= 2 or self.looks % LOOK == 0) and not recording()
        self.copy = own_part(W.grad.detach()).clone() if often else None

    def touched(self, W: Tensor) -> bool:
        """Whether the gradient has been changed since, as far as one can see."""
        grad = cast(Tensor, W.grad)
        if self.copy is not None and not recording() and not alike(self.copy, own_part(grad.detach())):
            return True
        return self.seen is not None and self.seen != (id(grad), grad._version)


def follow(layer: RuleLayer) -> None:
    """Has torch tell ``layer.mark`` of the gradients of its parameter, if it does not already.

    Called in every forward pass as well: FSDP2 lays another parameter in the place of the one that it has sharded.
    """
    W = layer.parameter
    if W in _marks:
        layer.mark = _marks[W]
        layer.mark.strict = bool(getattr(layer.feedback, "strict", False))
        return
    if not W.is_leaf:
        raise ConfigError(
            f"a {type(layer).__name__} layer's weight has come to be computed from others (weight norm, pruning, a "
            f"parametrisation put on after convert), and feedback that is worked out from the weight cannot follow "
            f"what moves it: use form='explicit', or parametrise before convert, which then leaves the layer alone"
        )
    if not W.requires_grad:
        return
    mark, this = layer.mark, weakref.ref(layer)
    mark.strict = bool(getattr(layer.feedback, "strict", False))
    _marks[W] = mark

    def accumulated(W: Tensor) -> None:
        owner = this()
        mark.accumulated(W, lambda: W if owner is None else owner.parameter)

    W.register_post_accumulate_grad_hook(accumulated)
