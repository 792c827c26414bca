"""The homeostatic loss of Laborieux and Zenke (ICLR 2024, arXiv 2309.02214): noise that finds the asymmetry.

Send a little noise ε ~ N(0, 1) from every neuron and look at what comes back: A ε, the *response*. Over many draws

    ½ E[ ‖A ε‖² − εᵀ A A ε ] = ½ (‖A‖² − tr A²) = ¼ ‖A − Aᵀ‖²

so the network can read off how asymmetric it is. In this network A consists of W and Fᵀ, hence it is ½ Σ ‖W − F‖²: the
loss pulls F towards W, and W towards F. (In a network where two neurons meet along several paths, or where they share
weights, a symmetric Jacobian does not need symmetric weights, and the loss asks for less.)

The pull is ½ (A − Aᵀ), and an estimate of it is local: for the synapse from neuron j to neuron i

    (A ε)_i ε_j − ε_i (A ε)_j = response after × noise before − noise after × response before

Its mean is A − Aᵀ: E[A ε εᵀ] = A, and E[ε (A ε)ᵀ] = Aᵀ. It is a weight mirror (lesson 9) that looks both ways.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as nnf
from torch import Tensor

from .network import Settling


def noise(net: Settling, draws: int, generator: torch.Generator | None = None) -> list[Tensor]:
    """ε ~ N(0, 1) for every neuron, (draws, out) for each layer."""
    like = net.b[0]
    return [torch.randn(draws, n, generator=generator, dtype=like.dtype).to(like.device) for n in net.sizes[1:]]


def response(net: Settling, eps: Sequence[Tensor]) -> list[Tensor]:
    """A ε, (draws, out) for each layer: what every neuron hears of its neighbours' noise."""
    heard = [torch.zeros_like(eps[0]), *(nnf.linear(eps[i - 1], net.W[i]) for i in range(1, len(net)))]
    for i in range(len(net) - 1):
        heard[i] = torch.addmm(heard[i], eps[i + 1], net.F[i])
    return heard


def asymmetry(net: Settling, eps: Sequence[Tensor]) -> float:
    """The loss as the network would measure it, ½ mean(‖A ε‖² − εᵀ A A ε) over the draws; ½ Σ ‖W − F‖² on average."""
    heard = response(net, eps)
    again = response(net, heard)
    size = sum(h.square().sum() for h in heard)
    inner = sum((e * a).sum() for e, a in zip(eps, again, strict=True))
    return float(size - inner) / (2 * len(eps[0]))


def pull(net: Settling, eps: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """(for W[1:], for F): the local estimate of the loss's gradient, (out, in) each; its means are W − F and F − W."""
    heard, n = response(net, eps), len(eps[0])
    pairs = range(len(net) - 1)
    both = [(heard[i + 1].t() @ eps[i] - eps[i + 1].t() @ heard[i]) / n for i in pairs]  # synapses that lead up
    return both, [-b for b in both]  # the same product, seen from the synapse that leads down
