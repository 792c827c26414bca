"""Accuracy and loss on a part of the data, in evaluation mode."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..data import Dataset, PictureFolder, Text
from ..errors import ConfigError
from .ranks import Ranks
from .step import Loss


@torch.no_grad()
def score(
    net: nn.Module, data: Dataset | PictureFolder | Text, part: str, predict: Callable[[Tensor], Tensor],
    loss_fn: Loss, ranks: Ranks,
) -> tuple[float | None, float]:  # fmt: skip
    """Accuracy in percent (None for a regression) and loss on 'train', 'validation' or 'test', over all ranks.

    ``predict``: of stored samples (N, ...) the network's output. ``loss_fn`` is taken for a mean over the batch.
    A label may be one of many in a sample, as in a text: accuracy is of labels, not of samples.
    """
    net.eval()
    classes = True
    totals = torch.zeros(4, dtype=torch.float64, device=data.device)  # samples, labels, right, loss
    for x, labels in data.pieces(part, ranks.rank, ranks.size):
        out = predict(x)  # (piece, classes), or (piece, tokens, classes)
        classes = not labels.is_floating_point()
        loss = loss_fn(out, labels).double() * len(labels)
        right = (out.argmax(_class_axis(out, labels)) == labels).sum() if classes else loss.new_zeros(())
        counts = [torch.full_like(loss, n) for n in (len(labels), labels.numel())]
        totals += torch.stack([*counts, right.double(), loss])
    net.train()
    samples, count, right, loss = ranks.sum(totals).tolist()
    return (100 * right / count if classes else None), loss / samples


def _class_axis(out: Tensor, labels: Tensor) -> int:
    """The axis of ``out`` that holds a number for each class: the one that ``labels`` lack."""
    if out.dim() != labels.dim() + 1:
        return 1
    axes = [axis for axis in {1, out.dim() - 1} if out.shape[:axis] + out.shape[axis + 1 :] == labels.shape]
    if len(axes) > 1:
        raise ConfigError(
            f"accuracy: of an output {tuple(out.shape)} for labels {tuple(labels.shape)}, axis 1 or the last may be "
            f"the classes'. Give the data another length (a text another context) than there are classes"
        )
    return axes[0] if axes else 1
