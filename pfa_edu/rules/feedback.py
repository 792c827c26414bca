"""What a rule gives a layer: the feedback module in ``layer.feedback``, and the path that it answers with."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, TypeAlias

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
            total = self.a * self.E if total is None else torch.addcmul(total, self.a, self.E)
        return total


class Feedback(nn.Module):
    """The feedback state of one layer, in ``layer.feedback``. Made once, beside its weight W.

    Whatever it holds is a parameter (it learns) or a buffer (it does not), so ``state_dict``, ``deepcopy``, ``pickle``
    and ``.to()`` carry all of it. A rule of your own needs :meth:`path`; the rest has defaults.
    """

    sgd_only: ClassVar[bool] = False
    """Exact only under SGD, with W and ``self.a`` in one parameter group; checked at an optimiser's first step."""
    direct: ClassVar[bool] = False
    """The output error arrives through ``self.D`` (direct feedback alignment); there is no feedback weight."""
    a: nn.Parameter  # of a feedback that is sgd_only
    D: Tensor  # of a feedback that is direct

    def path(self, weight: Tensor) -> Path:
        """The feedback weight beside ``weight`` (W), in parts. Called in every training forward pass."""
        raise ConfigError(f"{type(self).__name__} has no feedback weight: define path(self, weight)")

    def path_unsent(self, weight: Tensor) -> Path:
        """The same where no error is sent back (the network's first layer): a form may leave out what is not used."""
        return self.path(weight)

    def new_batch(self) -> None:
        """Called before every forward in training mode, for a rule that draws its feedback again for every batch."""


Layer: TypeAlias = nn.Linear | nn.Conv2d  # what can hold a rule
