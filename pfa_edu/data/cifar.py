"""CIFAR-10 (Krizhevsky 2009) with the paper's split: 45,000 to train, 5,000 held out of the training set, 10,000 test.

Kept as bytes on the device; a batch is cropped, flipped and normalised when it is drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from . import files
from .dataset import Dataset

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10

_FOLDER = "cifar-10-batches-py"
_BATCHES = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"]
_FILES = [*_BATCHES, "test_batch", "batches.meta"]
_MEAN, _STD = (0.4914, 0.4821, 0.4465), (0.2470, 0.2435, 0.2616)  # of the training pixels, red green blue
_VALIDATION = 5_000
_SPLIT_SEED = 10  # this seed is the split, for everyone, every rule and every run


def read(name: str, device: torch.device, root: Path) -> Dataset:
    """CIFAR-10 under ``root`` (a torchvision folder) on ``device``; DataError for files that are missing or broken."""
    from torchvision.datasets import CIFAR10  # here: importing it takes long, and other datasets need none of it

    folder = root / _FOLDER
    if files.missing(folder, _FILES):
        files.download(name, lambda: CIFAR10(str(root), download=True), root, folder, _FILES)
    _check_md5(folder, CIFAR10)
    (pixels, labels), test = (_pixels(CIFAR10(str(root), train=train)) for train in (True, False))
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(_SPLIT_SEED))
    held, train = order[:_VALIDATION], order[_VALIDATION:]
    parts = (pixels[train], labels[train], *test, pixels[held], labels[held])
    train_x, train_y, test_x, test_y, held_x, held_y = (part.to(device) for part in parts)
    return Dataset(
        name, train_x, train_y, test_x, test_y, classes=10, validation_x=held_x, validation_y=held_y,
        mean=_MEAN, std=_STD, padding=4, flip=True,
    )  # fmt: skip


def _check_md5(folder: Path, kind: type[CIFAR10]) -> None:
    """Torchvision's own checksums, file by file, so that the error can name the broken one."""
    from torchvision.datasets.utils import check_integrity

    sums = dict([*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])])
    for file in _FILES:
        if not check_integrity(str(folder / file), sums[file]):
            raise files.broken(file, folder, f"its md5 is not {sums[file]}: incomplete, or another file")


def _pixels(part: CIFAR10) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, 3, 32, 32) uint8 and labels (N,) int64."""
    return torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets)
