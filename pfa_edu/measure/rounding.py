"""Whether backprop's own gradient is resolved: how far rounding may have turned the reference of a gradient angle.

An angle to a reference that is rounding noise says nothing, however many digits it has. A small gradient is not by
itself a bad one: floating-point numbers keep their relative precision down to 1e-38. What destroys a direction is
cancellation (a sum much smaller than its terms) and underflow. So the floor is the rounding error of the *terms*:

- A layer's gradient is the sum ∇W = Σ_n δ_n h_nᵀ over samples (and positions). Each δ and h carries a relative rounding
  error of u, half the spacing of its dtype at 1, and no entry of δ is finer than the smallest number η. Errors of
  different terms are independent, so their squares add: E² = Σ_n ((2u² + ρ_n²) ‖δ_n‖² + η²·entries) ‖h_n‖², and the
  sum is rounded once more when it is stored.
- ρ_n is the rounding error in the loss's own gradient, e = dL/d(output): softmax minus target cancels where a sample is
  learned well, and in float32 nothing is left of 1 − p below 6e-8. How large the terms in there are, only the loss
  knows. So e is computed once more in float64 from the same outputs, which costs next to nothing, and ρ_n is the
  relative difference. It travels back through the same Jacobian as δ does.
- What depth and normalisations make of the errors on the way is found by trial: see ``shaking.py``. (‖Δ∇W‖/‖∇W‖)² ‖∇W‖²
  is added to E².

The reference can then be turned by atan(E / ‖∇W‖), which is ``reference_error``; against a float64 gradient it is right
to within a factor of about three. Taking that float64 gradient in its place would double the cost of every measurement
(on many GPUs far more), cannot repeat dropout's masks, and fails in networks that fix a dtype.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..nn.calling import tensors, with_tensors
from .watching import Sizes

MOST = 5.0
"""Degrees: where rounding may have turned the reference by more, a gradient angle to it is not valid."""


class RoundingWarning(UserWarning):
    """A loss that cannot be computed in float64: its own rounding is not part of ``reference_error``."""


def reference_angle(gradient: Tensor, calls: Sequence[Sizes], loss_error: Tensor, shaken: Tensor) -> Tensor:
    """Degrees by which rounding may have turned ``gradient``, a scalar tensor; 90 if there is no gradient, NaN unseen.

    ``calls``: the layer's, with their sizes. ``loss_error``: ρ², (batch,), or a scalar where outputs have no batch.
    ``shaken``: ‖Δ∇W‖/‖∇W‖, a scalar.
    """
    if not calls:
        return gradient.new_full((), float("nan"), dtype=torch.float64)
    u, smallest = _precision(gradient.dtype)
    norm = torch.linalg.vector_norm(gradient, dtype=torch.promote_types(gradient.dtype, torch.float32)).double()
    squares = ((u * norm).square() + (shaken * norm).square()) + smallest**2 * gradient.numel()
    for seen in calls:
        u, smallest = _precision(seen.dtype)
        known = loss_error if loss_error.shape == seen.h.shape else loss_error.mean()  # the layer folds the batch
        terms = (2 * u**2 + known) * seen.delta + smallest**2 * seen.entries  # (batch,)
        squares = squares + seen.overlap * (terms * seen.h).sum()
    return torch.rad2deg(torch.atan2(squares.sqrt(), norm))


def _precision(dtype: torch.dtype) -> tuple[float, float]:
    """u and η: half the spacing at 1, and the smallest number above 0."""
    info = torch.finfo(dtype)
    return info.eps / 2, info.tiny * info.eps


class _InFloat64(TorchFunctionMode):
    """Within it every operation sees its floating-point tensors in float64, also those that a loss brings along."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        inplace = name == "__setitem__" or name.startswith("__i") or (name.endswith("_") and not name.endswith("__"))
        if inplace:  # on a copy it would have no effect
            return func(*args, **(kwargs or {}))
        return func(*with_tensors(tuple(args), _double), **with_tensors(dict(kwargs or {}), _double))


def _double(t: Tensor) -> Tensor:
    return t.double() if t.is_floating_point() and t.dtype is not torch.float64 else t


def loss_errors(loss_fn: Callable[..., Tensor], out: Any, targets: Sequence[Any], errors: Sequence[Tensor]) -> Tensor:
    """ρ², (batch,): the squared relative rounding error of every sample's dL/d(output); a scalar without a batch.

    ``errors``: dL/d(output) of every tensor in ``out`` that requires a gradient, as the backward pass had it.
    """
    finer = with_tensors(out, lambda t: _double(t.detach()).requires_grad_(t.requires_grad))
    leaves = [t for t in tensors(finer) if t.requires_grad]
    try:
        with _InFloat64(), torch.enable_grad():
            loss = loss_fn(finer, *targets)
        exact = torch.autograd.grad(loss, leaves, allow_unused=True)
    except (RuntimeError, TypeError, NotImplementedError) as error:
        told = str(error).splitlines()[0]
        warnings.warn(
            f"the loss cannot be computed in float64 ({told}): its own rounding is not part of reference_error, so "
            f"a gradient angle may be called valid where the loss is nearly zero",
            RoundingWarning,
            stacklevel=2,
        )
        return torch.zeros((), dtype=torch.float64, device=errors[0].device)
    # what the loss does not use, such as the logits beside a loss that the network has computed itself, has no rounding
    pairs = [(e.double(), finer_e) for e, finer_e in zip(errors, exact, strict=True) if finer_e is not None]
    rows = {len(e) if e.dim() else 0 for e, _ in pairs}
    batch = rows.pop() if len(rows) == 1 else 0
    wrong = size = torch.zeros(batch or 1, dtype=torch.float64, device=errors[0].device)
    for e, finer_e in pairs:
        wrong = wrong + (e - finer_e).reshape(batch or 1, -1).square().sum(1)  # (batch,) or (1,)
        size = size + finer_e.reshape(batch or 1, -1).square().sum(1)
    found = torch.where(size > 0, wrong / size, torch.zeros_like(size))
    return found if batch else found.squeeze(0)
