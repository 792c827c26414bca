"""How two gradients are compared, and of what: a scalar in which no part of an output cancels another."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .calling import tensors


def rms(t: Tensor) -> float:
    return float(torch.linalg.vector_norm(t, dtype=torch.float64)) / t.numel() ** 0.5 if t.numel() else 0.0


def same(a: Tensor, b: Tensor, smallest: float) -> bool:
    """To rounding, which sums of many terms and many layers may make as large as the root of the dtype's precision."""
    allowed = torch.finfo(a.dtype).eps ** 0.5 * max(rms(a), rms(b)) + smallest
    return rms(a.detach() - b.detach()) <= allowed


def weighted(output: Any) -> Tensor:
    """The sum of every floating tensor in ``output`` that can be differentiated, with fixed random weights."""
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(())
    for t in tensors(output):
        if not (t.requires_grad and (t.is_floating_point() or t.is_complex())):
            continue
        t = torch.view_as_real(t) if t.is_complex() else t
        weights = torch.randn(t.shape, generator=generator, dtype=torch.float64).to(t)
        total = total.to(t.device) + (t * weights).sum()
    return total
