"""One training step: the same few lines under the trainer, the race, the explorers and the exercises."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]


def train_step(
    net: nn.Module | Callable[[Tensor], Tensor], optimizer: torch.optim.Optimizer, loss_fn: Loss, x: Tensor, y: Tensor
) -> Tensor:
    """Forward, backward, step; returns the loss before the step, a scalar, detached.

    Shapes: ``x`` (batch, ...), ``y`` whatever ``loss_fn(net(x), y)`` takes.

    >>> net, x = nn.Linear(3, 2), torch.ones(4, 3)
    >>> sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> first, second = (train_step(net, sgd, nn.functional.mse_loss, x, torch.ones(4, 2)) for _ in range(2))
    >>> bool(second < first)
    True
    """
    loss = loss_fn(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()
