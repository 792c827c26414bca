"""ImageNet, or any folder of pictures by class, too big for memory: read ahead, picture by picture, by workers.

``root/train/CLASS/*.JPEG`` and ``root/val/CLASS/*.JPEG``, as torchvision's ImageFolder reads them. A
:class:`PictureFolder` answers to the same calls as a :class:`~pfa_edu.data.dataset.Dataset`. Its plan names for every
sample the picture and a seed for its crop and flip, so that neither the number of workers, nor that of processes that
share a batch, nor a run that is cut and goes on changes a single pixel.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from .._settings import whole
from .check import check_name, usable_device
from .listing import listed
from .order import batches
from .reader import Reader

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's training pixels, red green blue
_PIECE = 250  # pictures scored at a time
_PROBE = 64  # pictures, from as many classes as there are, that gradient angles are measured on


class PictureFolder:
    """Training and validation pictures under ``root``, each cut to ``side`` × ``side``; batches go to ``device``.

    Training: a crop of 8 to 100 % of the area and 3:4 to 4:3, resized, and mirrored half of the time. Validation: the
    shorter side resized to 8/7 of ``side`` (256 for 224), and the centre. There is no test part: the validation folder
    is what ImageNet's accuracies are on. ``workers``: processes that read (0: this one).
    """

    watched, held_back, in_memory = "validation", None, False

    def __init__(
        self, name: str, root: str | Path, device: str | torch.device = "cpu", side: int = 224, workers: int = 0
    ):  # fmt: skip
        check_name(name)
        self.name, self.root, self.device = name, Path(root).expanduser().absolute(), usable_device(device)
        self.side = whole("side", side, low=1, what="pixels that pictures are cut to")
        self.workers = whole("workers", workers, low=0, what="how many processes read pictures; 0: this one")
        classes, files = listed(self.root)
        self.classes = len(classes)
        self.files = {part: np.array([os.fsencode(f) for f, _ in found]) for part, found in files.items()}
        self.labels = {part: np.array([label for _, label in found]) for part, found in files.items()}
        self._rows: list[list[tuple[str, int, int]]] = []  # what the loader reads next: changed before it is started
        self._loader: DataLoader[tuple[Tensor, int]] = DataLoader(
            Reader(self.files, self.labels, self.side), batch_sampler=_Rows(self._rows), num_workers=self.workers,
            persistent_workers=self.workers > 0, pin_memory=self.device.type == "cuda",
            multiprocessing_context="spawn" if self.workers else None,  # fork would inherit torch's threads and the GPU
            generator=torch.Generator(),  # its own: reading pictures draws nothing from the run's random stream
        )  # fmt: skip

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one picture."""
        return 3, self.side, self.side

    @functools.cached_property
    def fingerprint(self) -> str:
        """16 letters that stand for the pictures' names and classes, and the side they are cut to; not for every pixel.

        The folder may lie elsewhere: names are taken from ``root`` on.
        """
        found = hashlib.blake2b(repr((self.side, self.classes)).encode(), digest_size=8)
        above = len(os.fsencode(self.root))
        for part, files in self.files.items():
            for path, label in zip(files.tolist(), self.labels[part].tolist(), strict=True):
                found.update(b"%s %d\0" % (path[above:], label))
        return found.hexdigest()

    def to(self, device: str | torch.device) -> PictureFolder:
        """The same pictures, read for ``device``; itself if that is its device already."""
        where = usable_device(device)
        return self if where == self.device else PictureFolder(self.name, self.root, where, self.side, self.workers)

    @property
    def train_size(self) -> int:
        return len(self.files["train"])

    def plan(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """An epoch's choices, (steps, batch, 2) int64: the picture, and the seed of its crop and flip."""
        steps = torch.stack(list(batches(self.train_size, batch_size, generator)))  # (steps, batch)
        seeds = torch.randint(0, 2**31, steps.shape, generator=generator)
        return torch.stack([steps, seeds], dim=2)

    def stream(self, plan: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """The plan's batches in turn, bytes in (pinned) memory, while workers read the next ones."""
        return self._read([[("train", i, seed) for i, seed in row] for row in plan.tolist()])

    def batch(self, loaded: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Images (batch, 3, side, side), normalised, and labels (batch,) on the device, of one batch of the stream."""
        x, y = loaded
        return self.normalised(x), y.to(self.device, non_blocking=True)

    def normalised(self, x: Tensor) -> Tensor:
        """Bytes (N, 3, H, W) to what a network takes: float32 on the device, about zero mean and unit variance."""
        x = x.to(self.device, non_blocking=True)
        mean, std = (x.new_tensor(v, dtype=torch.float32).view(1, -1, 1, 1) for v in (_MEAN, _STD))
        return x.float().div_(255).sub_(mean).div_(std)

    def pieces(self, part: str, rank: int = 0, size: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Every ``size``-th picture of 'train' or 'validation' from ``rank`` on, not augmented, some at a time."""
        chosen = [(part, i, -1) for i in range(rank, len(self.files[part]), size)]
        for x, y in self._read([chosen[i : i + _PIECE] for i in range(0, len(chosen), _PIECE)]):
            yield x, y.to(self.device, non_blocking=True)

    def probe(self) -> tuple[Tensor, Tensor]:
        """Some training pictures, evenly spaced over the folder, as a network takes them, and their labels."""
        chosen = np.linspace(0, self.train_size - 1, min(_PROBE, self.train_size)).astype(int).tolist()
        (loaded,) = self._read([[("train", i, -1) for i in chosen]])
        return self.batch(loaded)

    def _read(self, rows: list[list[tuple[str, int, int]]]) -> Iterator[tuple[Tensor, Tensor]]:
        self._rows[:] = rows
        return iter(self._loader)

    def __repr__(self) -> str:
        sizes = " + ".join(f"{len(files)} {part}" for part, files in self.files.items())
        return f"PictureFolder({self.name!r}, {sizes}, 3×{self.side}×{self.side}, {self.classes} classes, {self.root})"


def train_size(root: Path) -> int:
    """Number of training pictures under ``root``; DataError if it is not a folder of pictures by class."""
    return len(listed(root)[1]["train"])


class _Rows:
    """A batch sampler that gives whatever its list holds when an epoch begins: one set of workers serves every use."""

    def __init__(self, rows: list):
        self.rows = rows

    def __iter__(self) -> Iterator:
        return iter(list(self.rows))

    def __len__(self) -> int:
        return len(self.rows)
