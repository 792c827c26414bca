"""A dataset as tensors on the device that trains on it.

No loader processes and no per-image transforms: MNIST is 220 MB as floats, CIFAR-10 180 MB as bytes, so the whole set
lies on the device and a batch is an index into it. An epoch's choices (which images, how cropped, flipped or not) are
drawn at once from one CPU generator, so that a seed means the same batches on every device, and moved in one transfer.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..errors import ConfigError, unknown
from .augment import crop_and_flip
from .check import PARTS, check_name, check_parts, check_pictures, usable_device
from .order import batches


@dataclass(frozen=True, repr=False, eq=False)
class Dataset:
    """Train, test and sometimes validation samples in memory. All tensors share one device; treat them as read-only.

    For data of your own, :func:`~pfa_edu.data.from_tensors` and :func:`~pfa_edu.data.from_torch` make one.
    ``train_x``, ``test_x``, ``validation_x``: (N, ...), for images (N, C, H, W), as the network takes them, or what
    :meth:`normalised` makes that of, batch by batch, where ``mean`` and ``std`` are set (one number, or one a channel):
    uint8, of which they are in fractions of 255, or floats.
    ``train_y``, ...: (N,) int64, class indices in [0, ``classes``); or floats, (N,) or (N, ``classes``), to be met by a
    regression, of which accuracy is not defined.
    ``padding``: training images are padded by so many zeros a side and cropped at random; ``flip``: and mirrored left
    to right half of the time.
    """

    name: str
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    classes: int | None
    validation_x: Tensor | None = None
    validation_y: Tensor | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    padding: int = 0
    flip: bool = False
    in_memory: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_name(self.name)
        parts = {part: (getattr(self, f"{part}_x"), getattr(self, f"{part}_y")) for part in PARTS}
        check_parts(self.name, parts, self.classes)
        check_pictures(self.name, self.train_x, self.mean, self.std, self.padding, self.flip)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one sample, for an image (C, H, W)."""
        return tuple(self.train_x.shape[1:])

    @property
    def train_size(self) -> int:
        return len(self.train_y)

    @functools.cached_property
    def fingerprint(self) -> str:
        """16 letters that stand for every bit of the data and what is done to it, wherever it lies.

        A run that is kept under one fingerprint does not go on with data of another.
        """
        found = hashlib.blake2b(digest_size=8)
        floats = [value and tuple(map(float, value)) for value in (self.mean, self.std)]
        found.update(repr((self.classes, *floats, int(self.padding), bool(self.flip))).encode())
        for part in PARTS:
            for tensor in (getattr(self, f"{part}_x"), getattr(self, f"{part}_y")):
                if tensor is not None:
                    found.update(f"{part} {tensor.dtype} {tuple(tensor.shape)}".encode())
                    found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        return found.hexdigest()

    def to(self, device: str | torch.device) -> Dataset:
        """The same data on ``device``; itself if it is there already."""
        where = usable_device(device)
        if where == self.device:
            return self
        tensors: dict[str, Any] = {k: v.to(where) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return dataclasses.replace(self, **tensors)

    @property
    def device(self) -> torch.device:
        return self.train_x.device

    @property
    def watched(self) -> str:
        """The part that is scored after every epoch: 'validation' where there is one, so that 'test' waits for the end.

        MNIST has none, because the paper's curve is the accuracy on its test images.
        """
        return "test" if self.validation_x is None else "validation"

    @property
    def held_back(self) -> str | None:
        """The part that is looked at only once, after the last epoch."""
        return None if self.watched == "test" else "test"

    def part(self, name: str) -> tuple[Tensor, Tensor]:
        """(images, labels) of 'train', 'validation' or 'test', images as they are stored."""
        there = [part for part in PARTS if getattr(self, f"{part}_x") is not None]
        if name not in there:
            raise unknown(f"part of {self.name}", name, there)
        return getattr(self, f"{name}_x"), getattr(self, f"{name}_y")

    def subset(self, train: int, validation: int | None = None) -> Dataset:
        """So many samples, the first or, of a part that is sorted by class, evenly spaced ones.

        A ConfigError if there are not that many.
        """
        fewer: dict[str, Any] = {}
        for part, size in (("train", train), ("validation", validation)):
            if size is None:
                continue
            x, y = self.part(part)
            if not 0 < size <= len(y):
                raise ConfigError(f"{size} {part} images of {self.name}: it has {len(y)}")
            some = _representative(y, size)
            fewer |= {f"{part}_x": x[some], f"{part}_y": y[some]}
        return dataclasses.replace(self, **fewer)

    def normalised(self, x: Tensor) -> Tensor:
        """Samples (N, C, ...) as a network takes them: by mean and std to about zero mean and unit variance."""
        if self.mean is None:
            return x
        kind = x.dtype if x.is_floating_point() else torch.float32
        shape = (1, -1, *[1] * (x.dim() - 2))  # a number a channel, for every pixel
        mean, std = (constant.view(shape) for constant in self._constants(x.device, kind))
        if x.is_floating_point():
            return x.sub(mean).div_(std)
        return x.to(kind).div_(255).sub_(mean).div_(std)  # in place, as it is a copy already

    def _constants(self, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Mean and std on ``device``, moved there once: no copy may be made while a CUDA graph is recorded."""
        kept = self._moved
        if (device, dtype) not in kept:
            kept[device, dtype] = tuple(torch.tensor(v, dtype=dtype, device=device) for v in (self.mean, self.std))
        return kept[device, dtype]

    @functools.cached_property
    def _moved(self) -> dict[tuple[torch.device, torch.dtype], Any]:
        return {}

    def plan(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """An epoch's choices, (steps, batch, 1 or 4) int64 on the device: the image, then dy, dx and flip.

        Every image once in a fresh random order; a last short batch is dropped, as in the paper.
        """
        n, device = len(self.train_y), self.train_x.device
        steps = torch.stack(list(batches(n, batch_size, generator)))[..., None]  # (steps, batch, 1)
        if self.padding or self.flip:
            shape = (*steps.shape[:2], 2)
            offsets = torch.randint(0, 2 * self.padding + 1, shape, generator=generator)  # dy, dx
            mirrored = torch.randint(0, 1 + self.flip, (*shape[:2], 1), generator=generator)
            steps = torch.cat([steps, offsets, mirrored], dim=2)
        return steps.to(device)

    def stream(self, plan: Tensor) -> Tensor:
        """What :meth:`batch` takes, step by step: the plan's own rows, as the images are in memory already."""
        return plan

    def batch(self, choice: Tensor) -> tuple[Tensor, Tensor]:
        """The images (batch, C, H, W), normalised and augmented, and labels (batch,) of one row of :meth:`plan`."""
        index = choice[:, 0]
        x = self.train_x[index]
        if choice.shape[1] > 1:
            x = crop_and_flip(x, self.padding, choice[:, 1], choice[:, 2], choice[:, 3])
        return self.normalised(x), self.train_y[index]

    def pieces(self, part: str, rank: int = 0, size: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Every ``size``-th image of a part from ``rank`` on, as stored, and its label, up to 1000 at a time."""
        return zip(*(t[rank::size].split(1000) for t in self.part(part)), strict=True)

    def probe(self) -> tuple[Tensor, Tensor]:
        """256 training samples, normalised, and their labels: the first, or evenly spaced ones of a sorted part."""
        some = _representative(self.train_y, min(256, self.train_size))
        return self.normalised(self.train_x[some]), self.train_y[some]

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.input_shape))
        held = "" if self.validation_y is None else f" + {len(self.validation_y)} validation"
        sizes = f"{len(self.train_y)} train{held} + {len(self.test_y)} test"
        width = "" if self.classes is None else f" of {self.classes} number{'s' * (self.classes != 1)}"
        kind = f"regression{width}" if self.train_y.is_floating_point() else f"{self.classes} classes"
        return f"Dataset({self.name!r}, {sizes}, {shape}, {kind}, {self.train_x.device})"


def _representative(y: Tensor, size: int) -> slice | Tensor:
    """The first ``size`` samples, unless as many evenly spaced ones are of more classes, as when ``y`` is sorted."""
    spaced = torch.linspace(0, len(y) - 1, size, dtype=torch.float64).long().to(y.device)
    first = slice(size)
    if y.is_floating_point():  # a regression's targets have no classes, and may be sorted all the same
        return spaced
    return spaced if len(y[spaced].unique()) > len(y[first].unique()) else first
