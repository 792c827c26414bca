"""Random draws that the rules share: Xavier-uniform values and Bernoulli masks, beside a weight and on its device."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from .._settings import choice, real


def xavier(shape: tuple[int, ...], like: Tensor, gain: float = 1.0) -> Tensor:
    """Xavier-uniform; drawn in at least float32 so that a half-precision layer gets the same numbers, rounded."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    return nn.init.xavier_uniform_(torch.empty(shape, dtype=dtype, device=like.device), gain)


def drawn(shape: tuple[int, ...], like: Tensor, init: str | float = "xavier") -> Tensor:
    """Uniform values of the size that ``init`` says, see :func:`check_init`; by default :func:`xavier`'s own.

    >>> F = drawn((200, 300), torch.empty(0), 3)
    >>> bool((F.std() / init_scale(F, "xavier") - 3).abs() < 0.05)
    True
    """
    if init != "kaiming":
        return xavier(shape, like, 1.0 if init == "xavier" else float(init))
    dtype = torch.promote_types(like.dtype, torch.float32)
    values = torch.empty(shape, dtype=dtype, device=like.device)
    return nn.init.kaiming_uniform_(values, mode="fan_out", nonlinearity="relu")


def init_scale(weight: Tensor, init: str | float = "xavier") -> float:
    """The standard deviation of :func:`drawn`, for Xavier's sqrt(2/(fan_in + fan_out))."""
    fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(weight)
    if init == "kaiming":
        return math.sqrt(2 / fan_out)
    return math.sqrt(2 / (fan_in + fan_out)) * (1.0 if init == "xavier" else float(init))


def mask(shape: tuple[int, ...], density: float, like: Tensor) -> Tensor | None:
    """A Bernoulli(density) mask, or None for a dense path."""
    return None if density == 1 else (torch.rand(shape, device=like.device) < density).to(like.dtype)


def masked(values: Tensor, by: Tensor | None) -> Tensor:
    return values if by is None else values * by


def check_init(init: Any, *more: str) -> str | float:
    """``init`` if it is 'xavier' (the paper's), 'kaiming' (He et al. 2015) or a positive gain on Xavier's; ConfigError.

    ``more``: other words that the rule takes.

    Kaiming's is taken for the backward pass, which is the one that the feedback serves: the standard deviation is
    sqrt(2/fan_out), so that errors keep their size on their way down a network of ReLUs.
    """
    if isinstance(init, str):
        return choice("init of the feedback", init, ["xavier", "kaiming", *more])
    gain = real("init of the feedback", init, above=0, what="'xavier', 'kaiming', or a gain that multiplies Xavier's")
    return "xavier" if gain == 1 else gain


def check_density(density: float) -> float:
    """ConfigError unless it is in (0, 1]."""
    return float(real("density", density, high=1, above=0, what="the fraction of feedback synapses that exist"))
