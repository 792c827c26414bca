"""The error that equilibrium propagation finds, and the exact one.

At rest u = A r + c with r = φ(u). Let D be the diagonal matrix of the slopes φ'(u), and g the gradient of the loss with
respect to the rates, which is zero except at the output. Then

    exact   δ = dL/du = (I − D Aᵀ)⁻¹ D g      (the adjoint: the implicit function theorem)
    nudged  d = −dr/dβ = (I − D A)⁻¹ D g      (what the rates do when the output is pulled towards the target)

The two are the same formula but for one transpose. So the nudge finds the gradient if A = Aᵀ, that is if F = W, and
only then in general. Either of them, times the rate before the synapse, is the update of that synapse: ∇W = δ r_belowᵀ.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..._settings import real
from .network import DAMPING, STEPS, Settling, rate, slope

BETA = 0.1


def nudged_error(
    net: Settling, x: Tensor, target: Tensor, rest: Sequence[Tensor], beta: float = BETA, steps: int = STEPS,
    damping: float = DAMPING,
) -> list[Tensor]:  # fmt: skip
    """d = −(r(β) − r(−β)) / 2β, (batch, out) for each layer, from the resting state ``rest``.

    Nudging both ways cancels the first-order error in β: what is left falls as β².
    """
    beta = real("beta", beta, above=0, what="how far the output is nudged")
    up = net.settle(x, target, beta, rest, steps, damping)
    down = net.settle(x, target, -beta, rest, steps, damping)
    return [(rate(b) - rate(a)) / (2 * beta) for a, b in zip(up, down, strict=True)]


def exact_error(net: Settling, target: Tensor, rest: Sequence[Tensor]) -> list[Tensor]:
    """δ = (I − D Aᵀ)⁻¹ D g, (batch, out) for each layer: one linear system for each sample.

    No network could do this: every neuron would have to know the weights that it sends *out*, which is what Aᵀ means.
    """
    rates = [rate(u) for u in rest]
    D = torch.cat([slope(r) for r in rates], dim=1)  # (batch, neurons)
    g = torch.zeros_like(D)
    g[:, -target.shape[1] :] = rates[-1] - target
    one = torch.eye(D.shape[1], dtype=D.dtype)
    system = one - D[:, :, None] * net.matrix().t()  # (batch, neurons, neurons)
    delta = torch.linalg.solve(system, (D * g)[:, :, None])[:, :, 0]
    return list(delta.split(net.sizes[1:], dim=1))


def error_angles(found: Sequence[Tensor], exact: Sequence[Tensor]) -> list[float]:
    """Degrees between the two errors of a picture, layer by layer: the median over the pictures.

    The median, since a picture whose state is about to tip over has an enormous error that would speak for all others.
    """
    angles = []
    for a, b in zip(found, exact, strict=True):
        a, b = (e.double() / e.double().norm(dim=1, keepdim=True) for e in (a, b))  # (batch, out), each of length 1
        angles.append(torch.rad2deg(2 * torch.atan2((a - b).norm(dim=1), (a + b).norm(dim=1))).median().item())
    return angles


def updates(net: Settling, x: Tensor, rest: Sequence[Tensor], error: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
    """(∇W, ∇F, ∇b), mean over the batch: each synapse's is the error behind it times the rate before it.

    ∇W = d_above r_belowᵀ (out, in). A feedback synapse leads down, so that its is d_below r_aboveᵀ: in W's shape
    ∇F = r_above d_belowᵀ. That is *another* matrix than ∇W: F and W do not move alike.
    """
    before = [x.flatten(1), *(rate(u) for u in rest)]  # (batch, in) of each layer; the last is the output itself
    n = len(x)
    dW = [e.t() @ r / n for e, r in zip(error, before, strict=False)]
    dF = [before[i + 2].t() @ error[i] / n for i in range(len(net) - 1)]
    return dW, dF, [e.mean(0) for e in error]
