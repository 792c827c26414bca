"""The one-way path of direct feedback alignment: from the network's output straight to a layer's input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .casting import autocast_dtype, cast_as
from .functional import Conv
from .once import once_only, transformed


def _zeros(h: Tensor, D: Tensor, conv: Conv | None) -> Tensor:
    return h.new_zeros(*(h.shape[:-1] if conv is None else h.shape[:1]), D.shape[0])


def _keep(ctx: Any, inputs: tuple, output: Tensor) -> None:
    h, D, conv = inputs
    ctx.save_for_backward(D)
    ctx.h_shape, ctx.conv = h.shape, conv


class _Tap(torch.autograd.Function):
    """Zeros of the error's shape whose gradient, the output error e, becomes h's gradient Dᵀ e."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        _keep(ctx, inputs, inputs[0])
        return _zeros(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, None, None]:
        (e,), (D,) = grad_outputs, ctx.saved_tensors
        if ctx.conv is None:
            grad = e.to(D.dtype) @ D  # (*, classes) @ (classes, in)
        else:
            # e is the same at every output position, so the transposed convolution is linear in one number per class:
            # send a picture of ones through each class's kernel once, then mix the pictures by e.
            pictures = _pictures(D, ctx.h_shape, ctx.conv)  # (classes, in * size)
            grad = (e.to(D.dtype) @ pictures).view(ctx.h_shape)
        return once_only(grad)[0], None, None


class _TapTransformed(_Tap):
    generate_vmap_rule = True
    forward = staticmethod(_zeros)  # type: ignore[assignment]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        _keep(ctx, inputs, output)
        ctx.save_for_forward(output)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        """A tap changes no value, whatever moves."""
        return torch.zeros_like(ctx.saved_tensors[0])


def _pictures(D: Tensor, h_shape: torch.Size, conv: Conv) -> Tensor:
    """What an error of 1 at every output position sends to the input, for each class: (classes, in * size)."""
    classes, fan_in, *kernel = D.shape
    size = h_shape[2:]
    stacked = D.new_empty(1, classes * fan_in, *size)  # each class is a group with inputs of its own
    if conv.transposed:
        weight = D.reshape(classes * fan_in, 1, *kernel)  # a transposed convolution keeps (in, out/groups, *kernel)
        out = [
            (n - 1) * s - 2 * p + d * (k - 1) + o + 1
            for n, s, p, d, k, o in zip(size, conv.stride, conv.padding, conv.dilation, kernel, conv.output_padding,
                                        strict=True)
        ]  # fmt: skip
    else:
        weight = D
        out = [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, s, p, d, k in zip(size, conv.stride, conv.padding, conv.dilation, kernel, strict=True)
        ]
    # One by one: torch 2.8's compiler cannot follow a tuple's _replace.
    settings = (conv.stride, conv.padding, conv.dilation, conv.transposed, conv.output_padding, classes)
    ones = D.new_ones(1, classes, *out)
    grad, _, _ = torch.ops.aten.convolution_backward(ones, stacked, weight, None, *settings, [True, False, False])
    return grad.reshape(classes, -1)


def tap(h: Tensor, D: Tensor, conv: Conv | None = None) -> Tensor:
    """Direct feedback alignment's path (Nøkland 2016): a tensor of zeros to be added to the network's output.

    Adding it changes no value; in the backward pass it receives e = dL/d(output) and gives h the gradient Dᵀ e, with e
    repeated at every output position of a convolution. Shapes: ``h`` (\\*, in), ``D`` (classes, in), result
    (\\*, classes); for a convolution ``h`` (batch, in, \\*size), ``D`` (classes, in, \\*kernel), result
    (batch, classes).
    """
    dtype = autocast_dtype(h)
    h, D = cast_as(h, dtype), cast_as(D, dtype)
    apply = (_TapTransformed if transformed() else _Tap).apply
    if conv is not None and h.dim() == D.dim() - 1:
        return apply(h[None], D, conv)[0]
    return apply(h, D, conv)
