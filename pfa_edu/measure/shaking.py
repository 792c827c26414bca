"""How much rounding inside the network turns a gradient: found by rounding once more, at random, everywhere.

The output of every module with parameters is multiplied by 1 + u·ξ, with ξ uniform in ±1 and u half the spacing of its
dtype at 1: about the rounding error that it has already. The gradient then changes by about as much as it was wrong
(Monte Carlo arithmetic; D. S. Parker, 1997). Unlike a formula this sees what depth, batch norm and cancellation in a
normalisation make of an error: in bfloat16, ResNet-20's first gradient is turned by some 20°, fifty times what one sum
loses.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..nn.calling import call, tensors, with_tensors
from ..nn.layer import RuleLayer
from ..nn.usage import undisturbed

_ENOUGH = 32  # samples: the size of an error takes fewer than its direction


def shaken_errors(
    net: nn.Module, loss_fn: Callable[..., Tensor], batch: tuple[Any, ...], weights: Sequence[Tensor],
    exact: Sequence[Tensor],
) -> Tensor:  # fmt: skip
    """‖Δ∇W‖/‖∇W‖ of every weight, (weights,), from an eighth of a large batch; ``exact``: ∇W of all of it.

    ``net`` is to learn by backprop already. ``batch``: (x, \\*targets).
    """
    part = _part(batch)

    def gradients(noise: bool) -> tuple[Tensor, ...]:
        with undisturbed(net), torch.enable_grad(), _shaken(net) if noise else contextlib.nullcontext():
            loss = loss_fn(call(net, part[0]), *part[1:])
            return torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)

    still = exact if part is batch else gradients(noise=False)
    moved = gradients(noise=True)
    ratios = [_norm(a - b) / _norm(b) for a, b in zip(moved, still, strict=True)]
    return torch.stack(ratios).nan_to_num(0.0)  # no gradient at all: said elsewhere


def _norm(t: Tensor) -> Tensor:
    return torch.linalg.vector_norm(t, dtype=torch.promote_types(t.dtype, torch.float32)).double()


def _part(batch: tuple[Any, ...]) -> tuple[Any, ...]:
    """Every eighth sample, if all tensors have one batch of at least 8 · 32; else ``batch`` itself."""
    sizes = {t.shape[0] if t.dim() else 0 for t in tensors(batch)}
    if len(sizes) != 1 or min(sizes) < 8 * _ENOUGH:
        return batch
    return with_tensors(batch, lambda t: t[::8])


@contextlib.contextmanager
def _shaken(net: nn.Module) -> Iterator[None]:
    """While it lasts, every module with parameters of its own rounds its output once more, at random, always alike."""
    generators: dict[torch.device, torch.Generator] = {}  # not torch's own: dropout's masks must stay

    def rounded(t: Tensor) -> Tensor:
        if not t.is_floating_point():
            return t
        if t.device not in generators:
            generators[t.device] = torch.Generator(t.device).manual_seed(0)
        noise = torch.empty_like(t, requires_grad=False).uniform_(-1, 1, generator=generators[t.device])
        return t + t * (noise * (torch.finfo(t.dtype).eps / 2))

    def hook(module: nn.Module, args: tuple[Any, ...], out: Any) -> Any:
        return with_tensors(out, rounded)

    own = (m for m in net.modules() if isinstance(m, RuleLayer) or next(m.parameters(recurse=False), None) is not None)
    handles = [m.register_forward_hook(hook) for m in own]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
