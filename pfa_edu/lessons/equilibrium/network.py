"""A layered network that settles: every neuron answers those below and those above it until nothing changes.

Each neuron has an input u and a rate r = φ(u). A layer hears the layer below through W and the layer above through the
feedback weight F, which has W's shape:

    u_l = W_l r_{l-1} + F_{l+1}ᵀ r_{l+1} + b_l,        r_0 = x, the picture

There is no backward pass. To learn, the output is *nudged* a little towards the right answer, and the change that this
makes to every rate is the error (:mod:`.estimate`). All of it in one line, with every rate in one long vector and every
weight in one square matrix A (W below the diagonal, Fᵀ above it): u = A r + c.

>>> net = Settling((6, 5, 4, 3), seed=0)
>>> x = torch.rand(2, 6)
>>> rest = net.settle(x)
>>> net.residual(x, rest) < 1e-4
True
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as nnf
from torch import Tensor

from ..._settings import real, whole
from ...errors import ConfigError
from ...rules.draw import xavier

DAMPING = 0.5
STEPS = 40
GAIN = 0.5  # of the weights between neurons, in units of Xavier's: at 1 the network has no single state of rest


def rate(u: Tensor) -> Tensor:
    """φ(u) = sigmoid(4u − 2): a rate between 0 and 1, with slope 1 at u = 1/2."""
    return torch.sigmoid(4 * u - 2)


def slope(r: Tensor) -> Tensor:
    """φ'(u), from the rate r = φ(u)."""
    return 4 * r * (1 - r)


class Settling:
    """Weights ``W[l]`` (out, in), biases ``b[l]`` (out,), and ``F[l]``, the way back through W[l + 1] and of its shape.

    F starts as a copy of W: symmetric. ``sizes``: neurons of each layer, the picture's pixels first. ``gain``: W is
    Xavier-uniform times this, but for the first layer's, which is in no loop.
    """

    def __init__(
        self, sizes: Sequence[int], seed: int = 0, gain: float = GAIN, dtype: torch.dtype = torch.float32
    ):  # fmt: skip
        if len(sizes) < 3:
            raise ConfigError(f"sizes {tuple(sizes)}: feedback needs a hidden layer, so at least three sizes")
        self.sizes = tuple(whole("size", n, low=1) for n in sizes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            like = torch.empty(0, dtype=dtype)
            pairs = enumerate(zip(self.sizes, self.sizes[1:], strict=False))
            self.W = [xavier((out, n), like, gain if i else 1.0) for i, (n, out) in pairs]  # (out, in)
        self.b = [torch.zeros(out, dtype=dtype) for out in self.sizes[1:]]
        self.F = [W.clone() for W in self.W[1:]]  # the first layer sends nothing back to the picture

    def __len__(self) -> int:
        return len(self.W)

    def input(self, x: Tensor) -> Tensor:
        """What the picture sends to the first layer, (batch, out): it does not change while the network settles."""
        return nnf.linear(x.flatten(1), self.W[0], self.b[0])

    def asked(
        self, u: Sequence[Tensor], first: Tensor, target: Tensor | None = None, beta: float = 0.0
    ) -> list[Tensor]:
        """The input that the rates of ``u`` ask of every neuron, nudged at the output by −β ∂L/∂r.

        L = ½‖r_out − target‖² for each sample, so ∂L/∂r = r_out − target.
        """
        r = [rate(part) for part in u]  # (batch, out) each
        told = [first, *(nnf.linear(r[i - 1], self.W[i], self.b[i]) for i in range(1, len(self)))]
        for i in range(len(self) - 1):
            told[i] = torch.addmm(told[i], r[i + 1], self.F[i])  # Fᵀ r for one sample; samples are rows here
        if target is not None:
            told[-1] = told[-1] - beta * (r[-1] - target)
        return told

    def settle(
        self, x: Tensor, target: Tensor | None = None, beta: float = 0.0, start: Sequence[Tensor] | None = None,
        steps: int = STEPS, damping: float = DAMPING,
    ) -> list[Tensor]:  # fmt: skip
        """The inputs u of every layer, (batch, out), after ``steps``.

        ``damping`` d: of what its neighbours ask, a neuron keeps d of its old input, u ← d u + (1 − d)(A r + c). The
        state of rest is the same for every d; whether it is reached is not. ``start``: the state to begin from, by
        default all inputs 0.
        """
        keep = real("damping", damping, low=0)
        if keep >= 1:
            raise ConfigError(f"damping {damping}: it must be below 1, or no neuron ever moves")
        first = self.input(x)
        u = [first.new_zeros(len(first), n) for n in self.sizes[1:]] if start is None else list(start)
        for _ in range(whole("steps", steps, low=0)):
            u = [torch.lerp(new, old, keep) for new, old in zip(self.asked(u, first, target, beta), u, strict=True)]
        return u

    def residual(self, x: Tensor, u: Sequence[Tensor]) -> float:
        """The largest change of an input that is still asked for: 0 at rest."""
        new = self.asked(u, self.input(x))
        return max(float((a - part).detach().abs().max()) for a, part in zip(new, u, strict=True))

    def matrix(self) -> Tensor:
        """A, (neurons, neurons): everything that neurons tell each other, the first layer's at the top left."""
        sizes = self.sizes[1:]
        A = self.W[0].new_zeros(sum(sizes), sum(sizes))
        ends = torch.tensor((0, *sizes)).cumsum(0).tolist()
        for i in range(1, len(self)):
            above, below = slice(ends[i], ends[i + 1]), slice(ends[i - 1], ends[i])
            A[above, below] = self.W[i]
            A[below, above] = self.F[i - 1].t()
        return A
