"""One autograd function for every rule: forward with W, backward with F.

A layer computes a = W h + b. Let δ = dL/da. Every rule here keeps the exact Hebbian product ∇W = δ hᵀ and differs
only in the *feedback weight* F that stands where backprop has W: dL/dh = Fᵀ δ. The backward pass below returns ∇W
for W **and the same ∇W for F**. That one line is enough for all of them: Kolen-Pollack is "F is a parameter",
feedback alignment is "F is a buffer", sign symmetry is "F is a function of W without gradient", and product feedback
alignment is "F = B @ R", where the chain rule gives R exactly Bᵀ ∇W.

Direct feedback alignment has no F; its one-way :func:`tap` carries the output error straight to a layer's input.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as nnf
from torch import Tensor

from ..rules.feedback import Path

Conv = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]  # stride, padding, dilation, groups
Part = TypeVar("Part", Tensor, Tensor | None)


class _Affine(torch.autograd.Function):
    """a = W h + b (or the convolution) with F_eff in place of W on the way back."""

    @staticmethod
    def forward(
        ctx: Any, h: Tensor, W: Tensor, b: Tensor | None, F: Tensor | None, L: Tensor | None, M: Tensor | None,
        E: Tensor | None, a: Tensor | None, mask: Tensor | None, conv: Conv | None,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(h, F, L, M, E, a, mask)  # W itself is not needed on the way back: that is the point
        ctx.conv = conv
        if conv is None:
            return nnf.linear(h, W, b)
        stride, padding, dilation, groups = conv
        return nnf.conv2d(h, W, b, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (delta,) = grad_outputs
        h, F, L, M, E, a, mask = ctx.saved_tensors
        need_h, need_W, need_b, need_F, need_L, need_M, _, need_a, _, _ = ctx.needs_input_grad
        grad_h = grad_W = grad_b = grad_L = grad_M = None
        if ctx.conv is None:
            deltaL = None
            if need_h:
                grad_h, deltaL = _linear_feedback(delta, Path(F, L, M, E, a), h.shape[1])
            if need_W or need_F or need_L:
                grad_W = delta.t() @ h  # (out, in)
            if need_M:  # Lᵀ δᵀ h: whichever association is cheaper for these sizes
                if delta.shape[0] < L.shape[0]:
                    deltaL = delta @ L if deltaL is None else deltaL  # (rows, k)
                    grad_M = deltaL.t() @ h  # (k, in)
                else:
                    grad_M = L.t() @ (delta.t() @ h if grad_W is None else grad_W)
                if mask is not None:  # in place: M may be many times W's size
                    grad_M.mul_(mask)
            grad_L = grad_W @ M.t() if need_L else None  # (out, k)
            grad_b = delta.sum(0) if need_b else None
        else:
            stride, padding, dilation, groups = ctx.conv
            # one fused call gives Fᵀδ, ∇W and ∇b; the weight argument is only ever used for the input's gradient
            grad_h, grad_W, grad_b = torch.ops.aten.convolution_backward(
                delta, h, F, [F.shape[0]] if need_b else None, stride, padding, dilation, False, [0, 0], groups,
                [need_h, need_W or need_F, need_b],
            )  # fmt: skip
        # the closed form's a decays with the optimiser and nothing else: its gradient is exactly zero
        grad_a = torch.zeros_like(a) if need_a else None
        return (
            grad_h, grad_W if need_W else None, grad_b, grad_W if need_F else None, grad_L, grad_M, None, grad_a,
            None, None,
        )  # fmt: skip


def _linear_feedback(delta: Tensor, path: Path, fan_in: int) -> tuple[Tensor | None, Tensor | None]:
    """δ F_eff, (rows, in), and δ L if it was computed on the way; multiplies in the cheaper order."""
    rows, out = delta.shape
    F, L, M, E, a, _ = path
    deltaL = None
    grad = delta @ F if F is not None else None
    if L is not None and M is not None:
        k = L.shape[1]
        extra = rows * out * fan_in if E is not None or F is not None else 0
        if rows * k * (out + fan_in) + extra >= out * k * fan_in + rows * out * fan_in:
            return delta @ cast(Tensor, path.form()), None
        deltaL = delta @ L  # (rows, k)
        grad = deltaL @ M if grad is None else torch.addmm(grad, deltaL, M)  # (rows, in)
    if E is not None and a is not None:
        scaled = delta * a
        grad = scaled @ E if grad is None else torch.addmm(grad, scaled, E)
    return grad, deltaL


def linear(h: Tensor, weight: Tensor, bias: Tensor | None, path: Path) -> Tensor:
    """``torch.nn.functional.linear`` whose backward pass uses ``path`` in place of ``weight``.

    Shapes: ``h`` (\\*, in), ``weight`` (out, in), ``bias`` (out,); returns (\\*, out).

    With F := W it is backprop, exactly:

    >>> h, W = torch.randn(3, 4, requires_grad=True), torch.randn(5, 4)
    >>> torch.autograd.grad(linear(h, W, None, Path(F=W)).sum(), h)[0].equal(torch.ones(3, 5) @ W)
    True
    """
    path.check(sent=h.requires_grad)
    dtype = _autocast_dtype(h)
    h, weight, bias = _cast(h, dtype), _cast(weight, dtype), _cast(bias, dtype)
    parts = [_cast(part, dtype) for part in path[:-1]]  # the mask's ones and zeros need no cast
    out = _Affine.apply(h.reshape(-1, weight.shape[1]), weight, bias, *parts, path.mask, None)
    return out if h.dim() == 2 else out.view(*h.shape[:-1], weight.shape[0])


def conv2d(h: Tensor, weight: Tensor, bias: Tensor | None, path: Path, conv: Conv) -> Tensor:
    """``torch.nn.functional.conv2d`` whose backward pass uses ``path`` in place of ``weight``.

    Shapes: ``h`` (batch, in, H, W) or (in, H, W), ``weight`` (out, in/groups, kh, kw), ``bias`` (out,). ``conv`` is
    (stride, padding, dilation, groups), the first three as pairs of integers. F_eff is formed here (it is as small as
    the weight, and far smaller than the activations), so a product F = B R is differentiated by torch's chain rule.
    """
    path.check(sent=h.requires_grad)
    closed = path.E is not None
    with torch.set_grad_enabled(torch.is_grad_enabled() and not closed):
        F = path.form()
    if F is None:  # nothing is sent back, so the path was left out: torch still asks for a tensor of W's shape
        F = weight.detach()
    dtype = _autocast_dtype(h)
    h, weight, bias, F = _cast(h, dtype), _cast(weight, dtype), _cast(bias, dtype), _cast(F, dtype)
    batched = h if h.dim() == 4 else h[None]
    out = _Affine.apply(batched, weight, bias, F, None, None, None, path.a, None, conv)
    return out if h.dim() == 4 else out[0]


class _Tap(torch.autograd.Function):
    """Zeros of the error's shape whose gradient, the output error e, becomes h's gradient Dᵀ e."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, D: Tensor, conv: Conv | None) -> Tensor:
        ctx.save_for_backward(D)
        ctx.h_shape, ctx.conv = h.shape, conv
        return h.new_zeros(*(h.shape[:-1] if conv is None else h.shape[:1]), D.shape[0])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        (e,), (D,) = grad_outputs, ctx.saved_tensors
        if ctx.conv is None:
            return e.to(D.dtype) @ D, None, None  # (*, classes) @ (classes, in)
        stride, padding, dilation, _ = ctx.conv
        _, _, height, width = ctx.h_shape
        # e is the same at every output position, so the transposed convolution is linear in one number per class:
        # send a picture of ones through each class's kernel once, then mix the pictures by e.
        kernel = D.shape[2:]
        span = [dilation[i] * (kernel[i] - 1) + 1 for i in (0, 1)]
        size = [(s + 2 * padding[i] - span[i]) // stride[i] + 1 for i, s in enumerate((height, width))]
        rest = [s - ((size[i] - 1) * stride[i] - 2 * padding[i] + span[i]) for i, s in enumerate((height, width))]
        pictures = nnf.conv_transpose2d(
            D.new_ones(1, D.shape[0], *size), D, None, stride, padding, rest, groups=D.shape[0], dilation=dilation
        )  # (1, classes * in, H, W)
        grad = e.to(D.dtype) @ pictures.reshape(D.shape[0], -1)  # (batch, in * H * W)
        return grad.view(ctx.h_shape), None, None


def tap(h: Tensor, D: Tensor, conv: Conv | None = None) -> Tensor:
    """Direct feedback alignment's path (Nøkland 2016): a tensor of zeros to be added to the network's output.

    Adding it changes no value; in the backward pass it receives e = dL/d(output) and gives h the gradient Dᵀ e, with e
    repeated at every output position of a convolution. Shapes: ``h`` (\\*, in), ``D`` (classes, in), result
    (\\*, classes); for a convolution ``h`` (batch, in, H, W), ``D`` (classes, in, kh, kw), result (batch, classes).
    """
    dtype = _autocast_dtype(h)
    h, D = _cast(h, dtype), _cast(D, dtype)
    if conv is not None and h.dim() == 3:
        return _Tap.apply(h[None], D, conv)[0]
    return _Tap.apply(h, D, conv)


def _autocast_dtype(like: Tensor) -> torch.dtype | None:
    """What ``torch.autocast`` computes matrix products in, on the device of ``like``; None where it is off."""
    kind = like.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


def _cast(t: Part, dtype: torch.dtype | None) -> Part:
    """Casts as ``torch.autocast`` would for a matrix product; the cast is differentiable, so gradients keep float32.

    A custom function is opaque to autocast: without this its backward would meet bf16 errors with float32 weights.
    """
    return t if dtype is None or t is None or t.dtype is not torch.float32 else t.to(dtype)
