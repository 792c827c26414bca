"""The feedback state of a layer: one small module per way of making F, named as in the papers.

A feedback module is made once, beside its weight W, and lives in ``layer.feedback``; whatever it holds is a parameter
(it learns) or a buffer (it does not), so ``state_dict``, ``deepcopy``, ``pickle`` and ``.to()`` carry all of it.
Nothing here is drawn anew in a forward pass, but for the one rule whose definition says so (brSF).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .functional import Path


def _xavier(shape: tuple[int, ...], like: Tensor, gain: float = 1.0) -> Tensor:
    """Xavier-uniform; drawn in at least float32 so that a half-precision layer gets the same numbers, rounded."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    return nn.init.xavier_uniform_(torch.empty(shape, dtype=dtype, device=like.device), gain)


def _mask(shape: tuple[int, ...], density: float, like: Tensor) -> Tensor | None:
    """A Bernoulli(density) mask, or None for a dense path."""
    return None if density == 1 else (torch.rand(shape, device=like.device) < density).to(like.dtype)


class Feedback(nn.Module):
    """Base: ``path(weight)`` gives the feedback weight in parts (:class:`pfa_edu.functional.Path`)."""

    def path(self, weight: Tensor) -> Path:
        raise TypeError(f"{type(self).__name__} has no feedback weight")


class Fixed(Feedback):
    """FA: ``F`` (W's shape) random and fixed (Lillicrap et al. 2016)."""

    def __init__(self, weight: Tensor, density: float):
        super().__init__()
        F = _xavier(tuple(weight.shape), weight).to(weight.dtype)
        mask = _mask(tuple(weight.shape), density, weight)
        self.register_buffer("F", F if mask is None else F * mask)
        self.register_buffer("mask", mask)

    def path(self, weight: Tensor) -> Path:
        return Path(F=self.F)


class SignSymmetric(Feedback):
    """SF: ``F`` has W's signs (Liao et al. 2016; Xiao et al. 2019) and a magnitude by ``kind``.

    uniform: s = sqrt(2/(fan_in+fan_out)); fixed: ``M`` = abs(Xavier), drawn once; batch: ``M`` drawn anew, in place,
    in every training forward pass.
    """

    def __init__(self, weight: Tensor, kind: str, density: float):
        super().__init__()
        fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(weight)
        self.kind = kind
        self.scale = math.sqrt(2 / (fan_in + fan_out))
        M = None if kind == "uniform" else _xavier(tuple(weight.shape), weight).abs().to(weight.dtype)
        self.register_buffer("M", M)
        self.register_buffer("mask", _mask(tuple(weight.shape), density, weight))

    def path(self, weight: Tensor) -> Path:
        magnitude = self.scale if self.M is None else self.M
        F = weight.detach().sign() * magnitude
        return Path(F=F if self.mask is None else F * self.mask)

    def redraw(self) -> None:
        """A new magnitude for a new batch: Xavier-uniform's absolute value is uniform on [0, sqrt(3)·s)."""
        with torch.no_grad():
            self.M.uniform_(0, math.sqrt(3) * self.scale)


class KolenPollack(Feedback):
    """KP: ``F`` (W's shape) is a parameter of its own that receives W's gradient (Kolen & Pollack 1994)."""

    def __init__(self, weight: Tensor):
        super().__init__()
        self.F = nn.Parameter(_xavier(tuple(weight.shape), weight).to(weight.dtype))

    def path(self, weight: Tensor) -> Path:
        return Path(F=self.F)


def draw_product(weight: Tensor, mid: int, orthogonal: bool, density: float) -> tuple[Tensor, Tensor]:
    """PFA's B (out, mid) and R (mid, in, ...) at the start: E[B Bᵀ] = I, or B Bᵀ = I exactly for PFA-o."""
    out = weight.shape[0]
    if orthogonal:
        dtype = torch.promote_types(weight.dtype, torch.float32)
        B = nn.init.orthogonal_(torch.empty(out, mid, dtype=dtype, device=weight.device))
    else:
        B = _xavier((out, mid), weight, gain=math.sqrt((1 + out / mid) / (2 * density)))
    return B, _xavier((mid, *weight.shape[1:]), weight)


class Product(Feedback):
    """PFA, explicit form: F = B R, with ``B`` (out, mid) fixed and ``R`` (mid, in, ...) plastic.

    R's gradient Bᵀ ∇W comes from the chain rule through the product, so this form is right for every optimiser.
    Masks, where the path is sparse: ``B_mask``, ``R_mask``. R is masked once, here, and stays so because its gradient
    is: an optimiser moves nothing that has neither a value, nor a gradient, nor momentum.
    """

    def __init__(self, weight: Tensor, mid: int, orthogonal: bool, density: float):
        super().__init__()
        B, R = (t.to(weight.dtype) for t in draw_product(weight, mid, orthogonal, density))
        B_mask, R_mask = _mask(tuple(B.shape), density, weight), _mask(tuple(R.shape), density, weight)
        self.register_buffer("B", B if B_mask is None else B * B_mask)
        self.R = nn.Parameter(R if R_mask is None else R * R_mask)
        self.register_buffer("B_mask", B_mask)
        self.register_buffer("R_mask", R_mask)

    def path(self, weight: Tensor) -> Path:
        return Path(L=self.B, M=self.R, mask=self.R_mask)


class DeferredProduct(Feedback):
    """PFA under SGD, deferred form: R is not stepped; where it is asked for, it is worked out from the weight.

    The law behind the closed form holds synapse by synapse, so it holds under a mask too:
    R = a R₀ + mask ∘ Bᵀ (W − a W₀) = mask ∘ Bᵀ W + a ``start``, with ``start`` = R₀ − mask ∘ Bᵀ W₀ (mid, in, ...) and
    the scalar parameter ``a`` of :class:`ClosedProduct`. A layer that sends no error back, as the first of a network,
    needs R only when somebody looks: there a step costs nothing. In any other layer every step forms mid × out × in
    products, and the explicit form is cheaper.
    """

    def __init__(self, weight: Tensor, mid: int, orthogonal: bool, density: float):
        super().__init__()
        drawn = Product(weight, mid, orthogonal, density)
        self.register_buffer("B", drawn.B)
        self.register_buffer("B_mask", drawn.B_mask)
        self.register_buffer("R_mask", drawn.R_mask)
        self.register_buffer("start", drawn.R.detach() - self._aligned(weight))
        self.a = nn.Parameter(torch.ones((), dtype=weight.dtype, device=weight.device))

    @torch.no_grad()
    def _aligned(self, weight: Tensor) -> Tensor:
        """mask ∘ Bᵀ W, (mid, in, ...): where R is once the start has faded."""
        R = (self.B.t() @ weight.flatten(1)).view(-1, *weight.shape[1:])
        return R if self.R_mask is None else R.mul_(self.R_mask)

    def path(self, weight: Tensor) -> Path:
        with torch.no_grad():
            R = torch.addcmul(self._aligned(weight), self.a, self.start)
        return Path(L=self.B, M=R, a=self.a)

    def nothing_back(self) -> Path:
        """What is left of the path where no error is sent back: ``a``, which still has to meet the optimiser."""
        return Path(a=self.a)


class ClosedProduct(Feedback):
    """PFA, closed form: F = G W + a E, exactly the explicit form's F under SGD, at a cost free of mid.

    ``G`` = B Bᵀ (out, out), ``E`` = B R₀ − G W₀ (W's shape), ``a`` a scalar parameter that starts at 1 and always
    receives a zero gradient: what the optimiser's weight decay makes of it is how much of the initial mismatch is left.
    """

    def __init__(self, weight: Tensor, mid: int, orthogonal: bool):
        super().__init__()
        B, R = draw_product(weight, mid, orthogonal, density=1.0)
        with torch.no_grad():
            G = torch.eye(len(B), dtype=B.dtype, device=B.device) if orthogonal else B @ B.t()
            E = (B @ R.flatten(1) - G @ weight.to(B.dtype).flatten(1)).view(weight.shape)
        self.orthogonal = orthogonal
        self.register_buffer("G", G.to(weight.dtype))
        self.register_buffer("E", E.to(weight.dtype))
        self.a = nn.Parameter(torch.ones((), dtype=weight.dtype, device=weight.device))

    def path(self, weight: Tensor) -> Path:
        W = weight.detach()
        if self.orthogonal:  # G is the identity: multiplying by it would be waste
            return Path(F=W, E=self.E, a=self.a)
        return Path(L=self.G, M=W, E=self.E, a=self.a)


class Direct(Feedback):
    """DFA: ``D`` (classes, in, ...) carries the output error to the layer's input (Nøkland 2016); there is no F."""

    def __init__(self, weight: Tensor, fan_in: int, classes: int, density: float):
        super().__init__()
        shape = (classes, fan_in, *weight.shape[2:])
        D = _xavier(shape, weight).to(weight.dtype)
        mask = _mask(shape, density, weight)
        self.register_buffer("D", D if mask is None else D * mask)
        self.register_buffer("mask", mask)
