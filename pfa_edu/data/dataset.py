"""A dataset as tensors on the device that trains on it, and the order in which an epoch visits it.

No loader processes and no per-image transforms: MNIST is 220 MB as floats, CIFAR-10 180 MB as bytes, so the whole set
lies on the device and a batch is an index into it. An epoch's choices (which images, how cropped, flipped or not) are
drawn at once from one CPU generator, so that a seed means the same batches on every device, and moved in one transfer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..errors import ConfigError
from .augment import crop_and_flip


@dataclass(frozen=True, repr=False, eq=False)
class Dataset:
    """Train, test and sometimes validation images in memory. All tensors share one device; treat them as read-only.

    ``train_x``, ``test_x``, ``validation_x``: (N, C, H, W), float32 and normalised, or uint8 where ``mean`` and ``std``
    (one number a channel, as fractions of 255) are set: then :meth:`normalised` makes floats of them, batch by batch.
    ``train_y``, ...: (N,) int64, class indices in [0, ``classes``).
    ``padding``: training images are padded by so many black pixels a side and cropped at random; ``flip``: and mirrored
    left to right half of the time.
    """

    name: str
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    classes: int
    validation_x: Tensor | None = None
    validation_y: Tensor | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    padding: int = 0
    flip: bool = False
    in_memory: ClassVar[bool] = True

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        return tuple(self.train_x.shape[1:])

    @property
    def train_size(self) -> int:
        return len(self.train_y)

    def to(self, device: str | torch.device) -> Dataset:
        """The same data on ``device``; itself if it is there already."""
        where = torch.empty(0, device=device).device  # a tensor says what 'cuda' is really called
        if where == self.device:
            return self
        tensors = {k: v.to(where) for k, v in vars(self).items() if isinstance(v, Tensor)}
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
        return getattr(self, f"{name}_x"), getattr(self, f"{name}_y")

    def subset(self, train: int, validation: int | None = None) -> Dataset:
        """The first so many images; a ConfigError if there are not that many."""
        for part, size in (("train", train), ("validation", validation)):
            have = len(self.part(part)[1]) if size is not None else 0
            if size is not None and not 0 < size <= have:
                raise ConfigError(f"{size} {part} images of {self.name}: it has {have}")
        fewer = {"train_x": self.train_x[:train], "train_y": self.train_y[:train]}
        if validation is not None:
            fewer |= {"validation_x": self.validation_x[:validation], "validation_y": self.validation_y[:validation]}
        return dataclasses.replace(self, **fewer)

    def normalised(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) as a network takes them: float32, about zero mean and unit variance a channel."""
        if self.mean is None:
            return x
        mean, std = (x.new_tensor(v, dtype=torch.float32).view(1, -1, 1, 1) for v in (self.mean, self.std))
        return x.float().div_(255).sub_(mean).div_(std)

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
        """The first 256 training images, normalised, and their labels."""
        return self.normalised(self.train_x[:256]), self.train_y[:256]

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.input_shape))
        held = "" if self.validation_y is None else f" + {len(self.validation_y)} validation"
        sizes = f"{len(self.train_y)} train{held} + {len(self.test_y)} test"
        return f"Dataset({self.name!r}, {sizes}, {shape}, {self.classes} classes, {self.train_x.device})"


def batches(
    n: int, batch_size: int, generator: torch.Generator, drop_last: bool = True, device: str | torch.device = "cpu"
) -> Iterator[torch.Tensor]:
    """One epoch's index tensors, each (batch_size,) int64 on ``device``, in a fresh random order of range(n).

    ``generator`` lives on the CPU whatever the device, so that a seed means the same batches everywhere; the whole
    permutation then moves to the device at once, rather than one small transfer per batch. The permutation is drawn
    when this is called. With ``drop_last`` every batch is full; else the last one holds the rest.

    Raises ConfigError, here and not at the first batch, for sizes that give no batch.
    """
    if batch_size <= 0:
        raise ConfigError(f"batch_size is {batch_size}: it must be at least 1")
    if n <= 0:
        raise ConfigError(f"n is {n}: there are no samples to make batches of")
    if drop_last and batch_size > n:
        raise ConfigError(
            f"batch_size {batch_size} is more than the {n} samples: not one full batch. "
            f"Use a batch_size of at most {n}, or drop_last=False"
        )
    if generator.device.type != "cpu":
        raise ConfigError(f"generator is on {generator.device}: use a CPU generator, torch.Generator()")
    order = torch.randperm(n, generator=generator).to(device)
    return iter(order[: n - n % batch_size if drop_last else n].split(batch_size))
