"""Random draws that the rules share: Xavier-uniform values and Bernoulli masks, beside a weight and on its device."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .._settings import real


def xavier(shape: tuple[int, ...], like: Tensor, gain: float = 1.0) -> Tensor:
    """Xavier-uniform; drawn in at least float32 so that a half-precision layer gets the same numbers, rounded."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    return nn.init.xavier_uniform_(torch.empty(shape, dtype=dtype, device=like.device), gain)


def xavier_scale(weight: Tensor) -> float:
    """The standard deviation of the Xavier initialisation, sqrt(2/(fan_in + fan_out))."""
    fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(weight)
    return math.sqrt(2 / (fan_in + fan_out))


def mask(shape: tuple[int, ...], density: float, like: Tensor) -> Tensor | None:
    """A Bernoulli(density) mask, or None for a dense path."""
    return None if density == 1 else (torch.rand(shape, device=like.device) < density).to(like.dtype)


def masked(values: Tensor, by: Tensor | None) -> Tensor:
    return values if by is None else values * by


def check_density(density: float) -> float:
    """ConfigError unless it is in (0, 1]."""
    return float(real("density", density, high=1, above=0, what="the fraction of feedback synapses that exist"))
