"""The feedback of PFA: explicit (B and R), closed or coupled (G, E, a), deferred (R worked out from W)."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import MemoryLimitError
from .draw import drawn, mask, masked
from .feedback import Fading, Feedback, Path

_PIECE = 2**22  # entries of B or R to draw at a time where neither is kept: 16 MiB


def draw_product(
    weight: Tensor, mid: int, orthogonal: bool, density: float, init: str | float = "xavier"
) -> tuple[Tensor, Tensor]:
    """PFA's B (out, mid) and R (mid, in, ...) at the start: E[B Bᵀ] = I, or B Bᵀ = I exactly for PFA-o."""
    _check_memory(weight, mid)
    return next(_pieces(weight, mid, orthogonal, density, mid, init))


def _pieces(
    weight: Tensor, mid: int, orthogonal: bool, density: float, most: int, init: str | float = "xavier"
) -> Iterator[tuple[Tensor, Tensor]]:
    """B (out, n) and R (n, in, ...) for at most ``most`` mid neurons at a time, ``mid`` in all."""
    out = weight.shape[0]
    dtype = torch.promote_types(weight.dtype, torch.float32)
    if orthogonal:
        B = nn.init.orthogonal_(torch.empty(out, mid, dtype=dtype, device=weight.device))
        yield B, drawn((mid, *weight.shape[1:]), weight, init)
        return
    # E[B Bᵀ] = I needs B's variance to be 1/(mid·density); R is uniform, of a size that follows from its whole shape
    B_bound = math.sqrt((1 + out / mid) / (2 * density)) * math.sqrt(6 / (out + mid))
    area = math.prod(weight.shape[2:])
    R_bound = math.sqrt(6 / (area * (mid if init == "kaiming" else weight.shape[1] + mid)))
    R_bound *= init if isinstance(init, (int, float)) else 1
    for start in range(0, mid, most):
        n = min(most, mid - start)
        B = torch.empty(out, n, dtype=dtype, device=weight.device).uniform_(-B_bound, B_bound)
        if init == "aligned":
            yield B, (B.t() @ weight.detach().to(dtype).flatten(1)).view(n, *weight.shape[1:])
            continue
        R = torch.empty(n, *weight.shape[1:], dtype=dtype, device=weight.device).uniform_(-R_bound, R_bound)
        yield B, R


def _check_memory(weight: Tensor, mid: int) -> None:
    """MemoryLimitError before anything is allocated: R, its gradient and its momentum against what the device has."""
    wanted = 4 * (3 * mid * weight[0].numel() + mid * weight.shape[0])
    there: float
    if weight.device.type == "cuda":
        there = torch.cuda.get_device_properties(weight.device).total_memory
    elif weight.device.type == "cpu":
        there = _physical_memory()
    else:
        return  # meta tensors, or a device that does not tell its memory
    if wanted > there:
        raise MemoryLimitError(
            f"{mid} mid neurons for a weight of shape {tuple(weight.shape)} need {wanted / 2**30:.0f} GiB in training, "
            f"and there are {there / 2**30:.0f}: choose a smaller ratio, or form='closed', which keeps none of them"
        )


def _physical_memory() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not every system tells
        return math.inf


class Product(Feedback):
    """PFA, explicit form: F = B R, with ``B`` (out, mid) fixed and ``R`` (mid, in, ...) plastic.

    R's gradient Bᵀ ∇W comes from the chain rule through the product, so R learns under any optimiser as a
    weight of its own. Under one that scales gradients (Adam) that is not Bᵀ times W's update, and the path angle ends
    well above the limit: see :class:`PFA`.
    Masks, where the path is sparse: ``B_mask``, ``R_mask``. R is masked once, here, and stays so because its gradient
    is: an optimiser moves nothing that has neither a value, nor a gradient, nor momentum.
    """

    B: Tensor
    B_mask: Tensor | None
    R_mask: Tensor | None

    def __init__(
        self, weight: Tensor, mid: int, orthogonal: bool, density: float = 1.0, init: str | float = "xavier"
    ):  # fmt: skip
        super().__init__()
        B, R = (t.to(weight.dtype) for t in draw_product(weight, mid, orthogonal, density, init))
        B_mask, R_mask = mask(tuple(B.shape), density, weight), mask(tuple(R.shape), density, weight)
        B = masked(B, B_mask)
        if init == "aligned" and B_mask is not None:  # by the synapses that there are
            R = (B.t() @ weight.detach().flatten(1)).view_as(R)
        self.register_buffer("B", B)
        self.R = nn.Parameter(masked(R, R_mask))
        self.register_buffer("B_mask", B_mask)
        self.register_buffer("R_mask", R_mask)

    def path(self, weight: Tensor) -> Path:
        return Path(L=self.B, M=self.R, mask=self.R_mask)


class DeferredProduct(Fading):
    """PFA, deferred form: R is not stepped; where it is asked for, it is worked out from the weight.

    The law behind the closed form holds synapse by synapse, so it holds under a mask too:
    R = a R₀ + mask ∘ Bᵀ (W − a W₀) = mask ∘ Bᵀ W + a ``start``, with ``start`` = R₀ − mask ∘ Bᵀ W₀ (mid, in, ...) and
    ``a`` as in :class:`ClosedProduct`. A layer that sends no error back, such as the first of a network, needs R only
    when somebody looks at it: there a step costs nothing. In any other layer every step forms mid × out × in products,
    and the explicit form is cheaper.
    """

    B: Tensor
    B_mask: Tensor | None
    R_mask: Tensor | None
    start: Tensor

    def __init__(
        self, weight: Tensor, mid: int, orthogonal: bool, density: float = 1.0, strict: bool = True,
        init: str | float = "xavier",
    ):  # fmt: skip
        super().__init__(weight, strict)
        start = Product(weight, mid, orthogonal, density, init)
        self.register_buffer("B", start.B)
        self.register_buffer("B_mask", start.B_mask)
        self.register_buffer("R_mask", start.R_mask)
        self.register_buffer("start", start.R.detach() - self._aligned(weight))
        if init == "aligned":
            self.a.zero_()

    @torch.no_grad()
    def _aligned(self, weight: Tensor) -> Tensor:
        """mask ∘ Bᵀ W, (mid, in, ...): where R is once the start has faded."""
        R = (self.B.t() @ weight.flatten(1)).view(-1, *weight.shape[1:])
        return R if self.R_mask is None else R.mul_(self.R_mask)

    @torch.no_grad()
    def current(self, weight: Tensor) -> Tensor:
        """R, (mid, in, ...)."""
        return torch.addcmul(self._aligned(weight), self.a.to(self.start.dtype), self.start)

    @torch.no_grad()
    def anchor(self, kept: Tensor, weight: Tensor) -> None:
        self.start.copy_(kept - self._aligned(weight))
        self.a.fill_(1)
        self.v.zero_()
        self.forget_beside()

    def path(self, weight: Tensor) -> Path:
        return Path(L=self.B, M=self.current(weight))

    def path_unsent(self, weight: Tensor) -> Path:
        """Nothing: no error is sent."""
        return Path()


class ClosedProduct(Fading):
    """PFA, closed form: F = G W + a E, at a cost free of mid.

    ``G`` = B Bᵀ (out, out), ``E`` = B R₀ − G W₀ (W's shape); ``a`` is how much of that initial mismatch is left.
    B and R₀ are sums over mid neurons in both, so they are drawn a piece at a time and forgotten.

    **Why.** Let one step of an optimiser move W to (1 − d) W + U, with d the decay and U the update. If R decays alike
    and is moved by Bᵀ U, then R − Bᵀ W becomes (1 − d) (R − Bᵀ W): it only fades. So R = Bᵀ W + a (R₀ − Bᵀ W₀), with a
    the product of the factors 1 − d, and F = B R is the line above. That holds for any U: momentum, Adam's scaling,
    clipping and all.

    ``strict`` (the closed form proper) is R learning by its own gradient Bᵀ ∇W. SGD is linear in the gradient, so there
    Bᵀ U is exactly what R's own gradient gives, momentum and decay included: closed and explicit are one rule. Any
    other optimiser scales R's gradient in R's way. Not ``strict`` (the coupled form) is the plasticity of the paragraph
    above under every optimiser whose decay is known.
    """

    G: Tensor
    E: Tensor

    def __init__(
        self, weight: Tensor, mid: int, orthogonal: bool, strict: bool = True, init: str | float = "xavier"
    ):  # fmt: skip
        super().__init__(weight, strict)
        out = weight.shape[0]
        most = mid if orthogonal else max(1, _PIECE // max(out, weight[0].numel()))
        dtype = torch.promote_types(weight.dtype, torch.float32)
        identity = torch.eye(out, dtype=dtype, device=weight.device)
        G = identity if orthogonal else torch.zeros_like(identity)
        E = weight.new_zeros(out, weight[0].numel(), dtype=dtype)  # (out, in·area)
        with torch.no_grad():
            for B, R in _pieces(weight, mid, orthogonal, 1.0, most, init):
                E.addmm_(B, R.flatten(1))
                if not orthogonal:
                    G.addmm_(B, B.t())
            E.sub_(G @ weight.to(dtype).flatten(1))
            if init == "aligned":  # but for rounding it is so already
                E.zero_()
                self.a.zero_()
        self.orthogonal = orthogonal
        self.register_buffer("G", G.to(weight.dtype))
        self.register_buffer("E", E.view(weight.shape).to(weight.dtype))

    @torch.no_grad()
    def current(self, weight: Tensor) -> Tensor:
        """F, in W's shape."""
        return cast(Tensor, self.path(weight).form())

    @torch.no_grad()
    def anchor(self, kept: Tensor, weight: Tensor) -> None:
        self.E.zero_()
        self.E.copy_(kept - cast(Tensor, self.path(weight).form()))
        self.a.fill_(1)
        self.v.zero_()
        self.forget_beside()

    def path(self, weight: Tensor) -> Path:
        W = weight.detach()
        if self.orthogonal:  # G is the identity: multiplying by it would be waste
            return Path(F=W, E=self.E, a=self.a)
        return Path(L=self.G, M=W, E=self.E, a=self.a)
