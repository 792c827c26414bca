"""Random crop and flip for a whole batch at once, on whatever device it lies."""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor


def crop_and_flip(x: Tensor, padding: int, dy: Tensor, dx: Tensor, flip: Tensor) -> Tensor:
    """Pads every image by ``padding`` zeros a side, cuts its own window out of it, and mirrors it where told.

    Shapes: ``x`` (batch, C, H, W); ``dy``, ``dx`` (batch,) in [0, 2·padding], the window's corner in the padded image
    (padding = the image itself); ``flip`` (batch,) 0 or 1. One gather: pixels are moved, never computed with.

    >>> x = torch.arange(4).view(1, 1, 2, 2)
    >>> crop_and_flip(x, 1, torch.tensor([1]), torch.tensor([1]), torch.tensor([1]))[0, 0]
    tensor([[1, 0],
            [3, 2]])
    >>> crop_and_flip(x, 1, torch.tensor([0]), torch.tensor([1]), torch.tensor([0]))[0, 0]  # one row down
    tensor([[0, 0],
            [0, 1]])
    """
    batch, channels, height, width = x.shape
    padded = nnf.pad(x, (padding,) * 4) if padding else x
    rows = dy[:, None] + torch.arange(height, device=x.device)  # (batch, H)
    across = torch.arange(width, device=x.device)
    across = torch.where(flip[:, None] == 1, width - 1 - across, across)  # (batch, W)
    columns = dx[:, None] + across
    image = torch.arange(batch, device=x.device)[:, None, None, None]
    channel = torch.arange(channels, device=x.device)[None, :, None, None]
    return padded[image, channel, rows[:, None, :, None], columns[:, None, None, :]]  # (batch, C, H, W)
