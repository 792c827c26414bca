"""A data set of two numbers a sample, so that what a network has learned can be drawn as a map of the plane."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ...data import Dataset

CLASSES = 3
REACH = 1.25  # the map shows the square from -REACH to REACH; the arms end at radius 1
_TRAIN, _TEST = 300, 100  # points per class
_TURNS, _NOISE = 1.0, 0.09  # how far an arm winds, in turns; how far points stray, in radians over the whole arm


def spirals(seed: int = 0) -> Dataset:
    """Three spiral arms, one a class: no straight line separates them, so the hidden layers must learn.

    ``train_x`` (900, 2) and ``test_x`` (300, 2) float32 in the unit disc; ``train_y``, ``test_y`` int64. The same seed
    gives the same points on every machine.

    >>> spirals().train_x.shape, spirals().classes
    (torch.Size([900, 2]), 3)
    """
    generator = torch.Generator().manual_seed(seed)
    train, test = _arms(_TRAIN, generator), _arms(_TEST, generator)
    return Dataset("spirals", *train, *test, classes=CLASSES)


def _arms(each: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    radius = torch.rand(CLASSES, each, generator=generator).sqrt()  # (classes, each); the root spreads them evenly
    arm = torch.arange(CLASSES)[:, None] * (2 * math.pi / CLASSES)
    stray = torch.randn(CLASSES, each, generator=generator) * _NOISE
    turn = arm + radius * (2 * math.pi * _TURNS) + stray / radius.clamp(min=0.2)  # as wide near the middle as outside
    x = torch.stack([radius * turn.cos(), radius * turn.sin()], dim=-1)  # (classes, each, 2)
    y = torch.arange(CLASSES)[:, None].expand(CLASSES, each)
    order = torch.randperm(CLASSES * each, generator=generator)
    return x.reshape(-1, 2)[order], y.reshape(-1)[order]


@torch.no_grad()
def class_map(net: nn.Module, side: int = 56) -> Tensor:
    """What ``net`` answers over the plane: (side, side, classes) probabilities, row 0 at the bottom."""
    axis = torch.linspace(-REACH, REACH, side)
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([columns, rows], dim=-1).view(-1, 2)  # (side * side, 2)
    return net(points).softmax(dim=1).view(side, side, -1)
