"""What a rule gives a layer: the feedback module in ``layer.feedback``, and the path that it answers with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import ConfigError


class Path(NamedTuple):
    """The feedback weight in parts, F_eff = F + L M + a E, each part optional.

    Kept apart because δ is a thin matrix (batch × out): (δ L) M is often far cheaper than δ (L M).

    Shapes: ``F``, ``E`` as W; ``L`` (out, k); ``M`` (k, in, ...) with W's trailing sizes; ``a`` a scalar tensor;
    ``mask`` as M, ones and zeros: which of M's entries exist. M is zero elsewhere, and so is its gradient.
    A part that requires a gradient learns: ``F`` receives W's gradient ∇W, ``M`` receives Lᵀ ∇W.
    """

    F: Tensor | None = None
    L: Tensor | None = None
    M: Tensor | None = None
    E: Tensor | None = None
    a: Tensor | None = None
    mask: Tensor | None = None

    def check(self, sent: bool) -> None:
        """ConfigError for half of a part, or for no part at all although an error is to be ``sent`` back."""
        if (self.L is None) != (self.M is None) or (self.E is not None and self.a is None):
            given = ", ".join(name for name, part in zip(self._fields, self, strict=True) if part is not None)
            raise ConfigError(f"a feedback path with {given} alone: L goes with M, and E with a")
        if sent and self.F is None and self.L is None and self.E is None:
            raise ConfigError("a feedback path without parts cannot send an error back: give it F, L and M, or E and a")

    def form(self) -> Tensor | None:
        """F_eff as one tensor of W's shape; None for a path without parts."""
        total = self.F
        if self.L is not None and self.M is not None:
            # while it learns, the chain rule has to meet the mask
            M = self.M * self.mask if self.mask is not None and torch.is_grad_enabled() else self.M
            product = (self.L @ M.flatten(1)).view(self.L.shape[0], *M.shape[1:])
            total = product if total is None else total + product
        if self.E is not None and self.a is not None:
            a = self.a.to(self.E.dtype)
            total = a * self.E if total is None else torch.addcmul(total, a, self.E)
        return total


class Feedback(nn.Module):
    """The feedback state of one layer, in ``layer.feedback``. Made once, beside its weight W.

    Whatever it holds is a parameter (it learns) or a buffer (it does not), so ``state_dict``, ``deepcopy``, ``pickle``
    and ``.to()`` carry all of it. A rule of your own needs :meth:`path`; the rest has defaults.
    """

    direct: ClassVar[bool] = False
    """The output error arrives through ``self.D`` (direct feedback alignment); there is no feedback weight."""
    D: Tensor  # of a feedback that is direct

    def path(self, weight: Tensor) -> Path:
        """The feedback weight beside ``weight`` (W), in parts. Called in every training forward pass.

        ``weight`` is attached to the graph: detach it, or what F learns is added to W's own gradient.
        """
        raise ConfigError(f"{type(self).__name__} has no feedback weight: define path(self, weight)")

    def path_unsent(self, weight: Tensor) -> Path:
        """The same where no error is sent back (the network's first layer): a form may leave out what is not used."""
        return self.path(weight)

    def new_batch(self) -> None:
        """Called before every forward in training mode, for a rule that draws its feedback again for every batch."""


class Fading(Feedback):
    """Feedback that is worked out from W, as a law says; what is left of its random start is ``a`` times that start.

    ``a``, a scalar, begins at 1. It is no parameter: after every step of the optimiser that moved W, it is shrunk by
    the decay that W itself had in that step (``pfa_edu.nn.decay``); ``v`` is its momentum. Both are kept in float32 at
    least: in bfloat16 a decay of a thousandth would be rounded away.

    ``strict``: the law is to give exactly what a learning R of its own would: only under SGD, and only if nothing but
    the optimiser touches W and its gradient. That is checked before each step, in the first two and every hundredth
    value by value; an update by hand, without a torch optimiser, is not seen. Otherwise the law is the rule: R is moved
    by Bᵀ times whatever W is moved by.
    """

    a: Tensor
    v: Tensor
    beside: Tensor  # some entries of the weight that the start was drawn beside

    def __init__(self, weight: Tensor, strict: bool):
        super().__init__()
        self.strict = strict
        dtype = torch.promote_types(weight.dtype, torch.float32)
        self.register_buffer("a", torch.ones((), dtype=dtype, device=weight.device))
        self.register_buffer("v", torch.zeros((), dtype=dtype, device=weight.device))
        self.register_buffer("beside", _sample(weight), persistent=False)

    def drawn_beside(self, weight: Tensor) -> bool:
        """Whether ``weight`` is, to rounding, the one that the start was drawn beside; True once it has learned."""
        now = _sample(weight)
        if now.is_meta or bool(self.beside.isinf().any()):
            return True
        return torch.allclose(now.double(), self.beside.double(), rtol=0.02, atol=1e-3 * float(now.abs().max()))

    @torch.no_grad()
    def forget_beside(self) -> None:
        """From now on the weight may be any: it has been stepped, or loaded with its feedback."""
        self.beside.fill_(math.inf)

    def current(self, weight: Tensor) -> Tensor:
        """What must stay as it is when W is changed by hand: F, or R."""
        raise ConfigError(f"{type(self).__name__} follows W: define current(self, weight), what stays when W is set")

    def anchor(self, kept: Tensor, weight: Tensor) -> None:
        """Takes ``kept``, which :meth:`current` gave before W was changed, for the start beside the new ``weight``."""
        raise ConfigError(
            f"{type(self).__name__} follows W: define anchor(self, kept, weight), its start beside a new W"
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Fading:
        before = (self.a, self.v)
        super()._apply(fn, recurse)
        for name, old in zip("av", before, strict=True):
            new = getattr(self, name)
            wide = torch.promote_types(new.dtype, torch.float32)
            if new.dtype != wide:  # .half() and .bfloat16() leave these two alone
                setattr(self, name, old.to(device=new.device, dtype=wide))
        return self


def _sample(weight: Tensor) -> Tensor:
    """Up to 64 entries, spread over the weight."""
    flat = weight.detach().flatten()
    return flat[:: max(1, len(flat) // 64)][:64].clone()


class Layer(NamedTuple):
    """What a rule is told of a layer. ``weight``: its W as (out, in/groups, ...), whatever order torch keeps it in."""

    weight: Tensor
    groups: int = 1
