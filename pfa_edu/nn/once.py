"""What a rule's backward pass returns is no derivative: it may be used once, and is not differentiated again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError


class _OnceOnly(torch.autograd.Function):
    """The identity on gradients, whose own derivative is refused."""

    @staticmethod
    def forward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        return tuple(g.view_as(g) for g in grads)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        raise ConfigError(
            "a second derivative through a learning rule (a gradient penalty, a Hessian product): a rule replaces the "
            "gradient and is no derivative of anything, so there is none. Compute it within pe.backprop(net)"
        )

    jvp = backward  # forward over reverse, as torch.func.hessian has it


class _OnceOnlyTransformed(_OnceOnly):
    generate_vmap_rule = True

    @staticmethod
    def forward(*grads: Tensor) -> tuple[Tensor, ...]:
        return tuple(g.view_as(g) for g in grads)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
        pass


def once_only(*grads: Tensor | None) -> tuple[Tensor | None, ...]:
    """``grads``, such that differentiating them again is an error that says why. Costs nothing in training."""
    if not torch.is_grad_enabled():  # backward runs with gradients enabled only under create_graph=True
        return grads
    given = [g for g in grads if g is not None]
    wrapped = iter((_OnceOnlyTransformed if transformed() else _OnceOnly).apply(*given)) if given else iter(())
    return tuple(None if g is None else next(wrapped) for g in grads)


def transformed() -> bool:
    """Whether torch.func's grad, vmap or jvp is at work."""
    return not torch.compiler.is_compiling() and _transforms_active()


# not public, and there is no public way to ask; where it is missing, what is always right is used
_transforms_active = getattr(torch._C, "_are_functorch_transforms_active", lambda: True)
