"""One autograd function for every rule: forward with W, backward with F.

A layer computes a = W h + b. Let δ = dL/da. Every rule here keeps the exact Hebbian product ∇W = δ hᵀ and differs
only in the *feedback weight* F that stands where backprop has W: dL/dh = Fᵀ δ. The backward pass below returns ∇W
for W **and the same ∇W for F**. That one line is enough for all of them: Kolen-Pollack is "F is a parameter",
feedback alignment is "F is a buffer", sign symmetry is "F is a function of W without gradient", and product feedback
alignment is "F = B @ R", where the chain rule gives R exactly Bᵀ ∇W.

:func:`linear` and :func:`convolution` are fast; :func:`generic` is the same for any operation that is linear in its
input and its weight, at two to three times the cost, and the reference that the fast ones are tested against.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as nnf
from torch import Tensor

from ..rules.feedback import Path
from .casting import autocast_dtype, cast_as
from .once import once_only, transformed


class Conv(NamedTuple):
    """The settings of a convolution of any dimension, as torch's own functions take them."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool = False
    output_padding: tuple[int, ...] = (0, 0)
    groups: int = 1


_MANY = 1024  # rows, as the tokens of a transformer's batch: from here on a sum of W's size costs less than a product
Inputs = tuple[Any, ...]  # h, W, b, then the path's F, L, M, E, a, mask, then the convolution's settings or None


def _value(h: Tensor, W: Tensor, b: Tensor | None, *rest: Any) -> Tensor:
    conv = rest[-1]
    return nnf.linear(h, W, b) if conv is None else torch.ops.aten.convolution(h, W, b, *conv)


def _keep(ctx: Any, inputs: Inputs, output: Tensor) -> None:
    h, _, _, F, L, M, E, a, mask, conv = inputs
    ctx.save_for_backward(h, F, L, M, E, a, mask)  # W itself is not needed on the way back: that is the point
    ctx.conv = conv


class _Affine(torch.autograd.Function):
    """a = W h + b (or the convolution) with F_eff in place of W on the way back."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        output = _value(*inputs)
        _keep(ctx, inputs, output)
        return output

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (delta,) = grad_outputs
        h, F, L, M, E, a, mask = ctx.saved_tensors
        need_h, need_W, need_b, need_F, need_L, need_M, *_ = ctx.needs_input_grad
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
            # one fused call gives Fᵀδ, ∇W and ∇b; the weight argument is only ever used for the input's gradient
            grad_h, grad_W, grad_b = torch.ops.aten.convolution_backward(
                delta, h, F, [delta.shape[1]] if need_b else None, *ctx.conv, [need_h, need_W or need_F, need_b]
            )
        own, fed = (grad_W if need_W else None), (grad_W if need_F else None)
        return (*once_only(grad_h, own, grad_b, fed, grad_L, grad_M), None, None, None, None)


class _AffineTransformed(_Affine):
    """The same in the form that torch.func's transforms need; calling it costs ten times as much."""

    generate_vmap_rule = True  # each operation is batched by torch
    forward = staticmethod(_value)  # type: ignore[assignment]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        _keep(ctx, inputs, output)
        ctx.save_for_forward(inputs[0], inputs[1])

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        """Forward mode is exact and asks nothing of F: no rule changes what a layer computes."""
        h, W = ctx.saved_tensors
        dh, dW, db = tangents[:3]
        still = torch.zeros_like(W) if dW is None else dW
        moved = _value(h, still, db, ctx.conv)
        return moved if dh is None else moved + _value(dh, W, None, ctx.conv)


def _affine(*inputs: Any) -> Tensor:
    return (_AffineTransformed if transformed() else _Affine).apply(*inputs)


def _linear_feedback(delta: Tensor, path: Path, fan_in: int) -> tuple[Tensor | None, Tensor | None]:
    """δ F_eff, (rows, in), and δ L if it was computed on the way; multiplies in the cheaper order."""
    rows, out = delta.shape
    F, L, M, E, a, _ = path
    if L is None and F is not None and E is not None and rows >= _MANY:  # one product, with F + a E
        return delta @ cast(Tensor, path.form()), None
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
        scaled = delta * a.to(delta.dtype)
        grad = scaled @ E if grad is None else torch.addmm(grad, scaled, E)
    return grad, deltaL


def linear(h: Tensor, weight: Tensor, bias: Tensor | None, path: Path) -> Tensor:
    r"""``torch.nn.functional.linear`` whose backward pass uses ``path`` in place of ``weight``.

    Shapes: ``h`` (\*, in), ``weight`` (out, in), ``bias`` (out,); returns (\*, out).

    With F := W it is backprop, exactly:

    >>> h, W = torch.randn(3, 4, requires_grad=True), torch.randn(5, 4)
    >>> torch.autograd.grad(linear(h, W, None, Path(F=W)).sum(), h)[0].equal(torch.ones(3, 5) @ W)
    True
    """
    path.check(sent=h.requires_grad)
    dtype = autocast_dtype(h)
    h, weight, bias = cast_as(h, dtype), cast_as(weight, dtype), cast_as(bias, dtype)
    # Neither a scalar nor the mask's ones and zeros need a cast. By name: torch 2.8's compiler cannot slice a Path.
    F, L, M, E = (cast_as(part, dtype) for part in (path.F, path.L, path.M, path.E))
    out = _affine(h.reshape(-1, weight.shape[1]), weight, bias, F, L, M, E, path.a, path.mask, None)
    return out if h.dim() == 2 else out.view(*h.shape[:-1], weight.shape[0])


def convolution(
    h: Tensor, weight: Tensor, bias: Tensor | None, path: Path, conv: Conv,
    original: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:  # fmt: skip
    r"""A convolution in one, two or three dimensions, transposed or not, whose backward pass uses ``path``.

    Shapes: ``h`` (batch, in, \*size) or (in, \*size), ``weight`` as torch keeps it for that convolution, ``bias``
    (out,). ``path`` has the shape (out, in/groups, \*kernel); ``original`` turns it into that of ``weight``, where
    torch keeps it in another order. F_eff is formed here (it is as small as the weight, and far smaller than the
    activations), so a product F = B R is differentiated by torch's chain rule.
    """
    path.check(sent=h.requires_grad)
    F = path.form()
    if F is None:  # nothing is sent back, so the path was left out: torch still asks for a tensor of W's shape
        F = weight.detach()
    elif original is not None:
        F = original(F)
    dtype = autocast_dtype(h)
    h, weight, bias, F = cast_as(h, dtype), cast_as(weight, dtype), cast_as(bias, dtype), cast_as(F, dtype)
    alone = h.dim() == weight.dim() - 1
    out = _affine(h[None] if alone else h, weight, bias, F, None, None, None, None, None, conv)
    return out[0] if alone else out


class _Carry(torch.autograd.Function):
    """Zeros where ``out`` is, and its gradient on the way back."""

    @staticmethod
    def forward(ctx: Any, out: Tensor) -> Tensor:
        return torch.zeros_like(out)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor | None:
        return once_only(*grad_outputs)[0]


class _CarryTransformed(_Carry):
    generate_vmap_rule = True

    @staticmethod
    def forward(out: Tensor) -> Tensor:  # type: ignore[override]
        return torch.zeros_like(out)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
        pass

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return torch.zeros_like(tangents[0])


class _Cut(torch.autograd.Function):
    """The identity, without a way back; forward mode, which ``detach`` would cut as well, goes through."""

    generate_vmap_rule = True

    @staticmethod
    def forward(h: Tensor) -> Tensor:
        return h.view_as(h)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> None:
        return None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return tangents[0].view_as(tangents[0])


def cut(h: Tensor) -> Tensor:
    """``h`` without its way back; what forward mode carries stays."""
    return _Cut.apply(h) if transformed() else h.detach()


def generic(
    op: Callable[[Tensor, Tensor], Tensor], h: Tensor, weight: Tensor, path: Path,
    original: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:  # fmt: skip
    """Any ``op(h, weight)`` that is linear in both, with ``path`` in place of ``weight`` on the way back.

    op(h, W) with h cut off gives the value and ∇W; op(h, F), of which only the gradient is used, carries the error.
    ``op`` may add a bias; it is learned through the first. Shapes as in :func:`convolution`.
    """
    path.check(sent=h.requires_grad)
    out = op(cut(h), weight)
    F = path.form()
    if F is None:
        return out
    carried = op(h, F if original is None else original(F))
    return out + (_CarryTransformed if transformed() else _Carry).apply(carried)
