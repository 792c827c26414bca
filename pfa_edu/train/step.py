"""One training step: the same few lines under the trainer, the race, the explorers and the exercises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..nn.calling import call

Loss = Callable[[Any, Any], Tensor]


def train_step(
    net: nn.Module | Callable[..., Any], optimizer: torch.optim.Optimizer, loss_fn: Loss, x: Any, y: Any
) -> Tensor:
    """Forward, backward, step; returns the loss before the step, a scalar, detached.

    ``x``: a tensor (batch, ...), or a tuple or dict of the network's arguments. ``y``: whatever ``loss_fn(net(x), y)``
    takes.

    >>> net, x = nn.Linear(3, 2), torch.ones(4, 3)
    >>> sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> first, second = (train_step(net, sgd, nn.functional.mse_loss, x, torch.ones(4, 2)) for _ in range(2))
    >>> bool(second < first)
    True
    """
    loss = loss_fn(call(net, x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()
