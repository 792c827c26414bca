"""Your own data as a Dataset: from tensors and arrays, or from a torch Dataset that fits in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import ConfigError, MemoryLimitError
from .check import check_name, usable_device
from .dataset import Dataset

Pair = tuple[Any, Any]
Numbers = float | Sequence[float] | None
_TWICE = 16  # items that are read twice, to see whether they stay the same


def from_tensors(
    name: str, train: Pair, test: Pair, validation: Pair | None = None, *, classes: int | None = None,
    mean: Numbers = None, std: Numbers = None, padding: int = 0, flip: bool = False, device: str | torch.device = "cpu",
) -> Dataset:  # fmt: skip
    """A :class:`Dataset` of ``(x, y)`` pairs of tensors, NumPy arrays or lists; the first axis is the sample.

    ``x``: (N, ...), floats as they are (in torch's default type), bytes as pixels, which become 0 to 1 (or are
    normalised by ``mean`` and ``std``) batch by batch, other whole numbers as they are, for an embedding.
    ``y``: whole numbers are class labels, ``classes`` of them, by default up to the largest there is. Floats, (N,) or
    (N, width), are the targets of a regression: give the experiment a loss; accuracy is not defined.
    ``mean``, ``std``: one number, or one a channel (axis 1 of x); for pixels as fractions of 255.
    ``padding``, ``flip``: training images are shifted by up to so many pixels, and mirrored half of the time.
    After every epoch the validation part is scored where there is one, and the test part only at the end.
    Arrays are not copied where they need not be: do not change them afterwards.

    >>> x, y = torch.randn(100, 8), torch.randint(3, (100,))
    >>> from_tensors("mine", train=(x[:80], y[:80]), test=(x[80:], y[80:]), classes=3)
    Dataset('mine', 80 train + 20 test, 8, 3 classes, cpu)
    >>> from_tensors("curve", train=(x, x[:, :2].sin()), test=(x, x[:, :2].sin()))
    Dataset('curve', 100 train + 100 test, 8, regression of 2 numbers, cpu)
    """
    check_name(name)
    where = usable_device(device)
    tensors: dict[str, Any] = {}
    for part, pair in (("train", train), ("test", test), ("validation", validation)):
        if pair is None and part == "validation":
            continue
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ConfigError(f"{part} of {name}: a pair (x, y), not a {type(pair).__name__}")
        x, y = _tensor(f"x of {part} of {name}", pair[0]), _tensor(f"y of {part} of {name}", pair[1])
        # Bytes are pixels; other whole numbers are indices, of a row of an embedding or of a class.
        x = x if x.dtype in (torch.uint8, torch.bool) or x.is_floating_point() else x.long()
        y = y if y.is_floating_point() else y.long()
        tensors |= {f"{part}_x": x.to(where), f"{part}_y": y.to(where)}
    targets = [y for which, y in tensors.items() if which.endswith("_y")]
    if classes is None:
        classes = _classes(targets)
    mean, std = _numbers("mean", mean), _numbers("std", std)
    if mean is None and std is None and tensors["train_x"].dtype == torch.uint8:
        mean, std = (0.0,), (1.0,)
    return Dataset(name, **tensors, classes=classes, mean=mean, std=std, padding=padding, flip=flip)


def from_torch(name: str, train: Any, test: Any, validation: Any = None, **settings: Any) -> Dataset:
    """A :class:`Dataset` of map-style torch Datasets (``len(d)``, ``d[i]`` gives ``(x, y)``) that fit in memory.

    Every item is read once and stacked, whatever the datasets' transforms make of it, so those must not be random: an
    epoch's crops and flips are drawn by ``padding`` and ``flip``. ``settings`` are those of :func:`from_tensors`.

    >>> from torch.utils.data import TensorDataset
    >>> whole = TensorDataset(torch.randn(100, 8), torch.arange(100) % 3)
    >>> from_torch("mine", *torch.utils.data.random_split(whole, [80, 20]))
    Dataset('mine', 80 train + 20 test, 8, 3 classes, cpu)
    """
    check_name(name)
    return from_tensors(
        name,
        train=_stacked(f"train of {name}", train),
        test=_stacked(f"test of {name}", test),
        validation=None if validation is None else _stacked(f"validation of {name}", validation),
        **settings,
    )


def _tensor(what: str, value: Any) -> Tensor:
    """``value`` as a dense tensor outside of any graph: floats in torch's default type, and all of them finite."""
    try:
        if hasattr(value, "to_numpy"):  # a column or a table of pandas
            value = value.to_numpy()
        if isinstance(value, np.ndarray):  # torch shares its memory, which must be writable and in order for that
            value = np.require(value, requirements=["C", "W"])
        tensor = torch.as_tensor(value).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{what} is not a table of numbers ({error}): it takes as many in every row") from error
    if tensor.layout != torch.strided or tensor.is_complex():
        raise ConfigError(f"{what} is {tensor.layout}, {tensor.dtype}: it takes a dense tensor of real numbers")
    if not tensor.is_floating_point():
        return tensor
    tensor = tensor.to(torch.get_default_dtype())
    if not tensor.isfinite().all():
        bad = (~tensor.isfinite()).reshape(len(tensor), -1).any(1).nonzero()[:, 0].tolist() if tensor.dim() else [0]
        raise ConfigError(f"{what} has NaN or infinity in {len(bad)} of its samples, first at index {bad[0]}")
    return tensor


def _classes(targets: list[Tensor]) -> int | None:
    """The largest label and one, or the width of a regression's targets."""
    if targets[0].is_floating_point():
        return targets[0].shape[1] if targets[0].dim() == 2 else 1
    return max((int(y.max()) + 1 for y in targets if y.numel()), default=1)


def _numbers(what: str, value: Numbers) -> tuple[float, ...] | None:
    if value is None:
        return None
    try:
        found = torch.as_tensor(value, dtype=torch.float64).reshape(-1).tolist()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{what} {value!r}: a number, or one a channel") from error
    return tuple(found)


def _stacked(what: str, data: Any) -> tuple[Tensor, Tensor]:
    """All items of ``data``, read one after the other: x (N, ...) and y (N,) or (N, width)."""
    if not hasattr(data, "__len__") or not hasattr(data, "__getitem__"):
        raise ConfigError(
            f"{what}: a {type(data).__name__} has no length or no items: it takes a map-style torch Dataset, not one "
            f"that only iterates, nor a DataLoader"
        )
    if not len(data):
        raise ConfigError(f"{what} is empty")
    first = [_item(f"{what}, item {i}", data[i]) for i in range(min(_TWICE, len(data)))]
    stacks: list[Tensor] = []
    for value in first[0]:
        shape = (len(data), *value.shape)
        try:
            stacks.append(torch.empty(shape, dtype=value.dtype))
        except RuntimeError as error:
            gigabytes = torch.Size(shape).numel() * value.element_size() / 1e9
            raise MemoryLimitError(f"{what} takes {gigabytes:.1f} GB, more than this machine has: {error}") from error
    for i in range(len(data)):
        for stack, value in zip(stacks, _item(f"{what}, item {i}", data[i]), strict=True):
            if value.shape != stack.shape[1:] or value.dtype != stack.dtype:
                raise ConfigError(
                    f"{what}: item {i} has shape {tuple(value.shape)}, {value.dtype}, and item 0 "
                    f"{tuple(stack.shape[1:])}, {stack.dtype}: every item must be alike (resize or pad them; labels "
                    f"are whole numbers throughout)"
                )
            stack[i] = value
    for i, pair in enumerate(first):
        same = (torch.allclose(a[i], b, rtol=0, atol=0, equal_nan=True) for a, b in zip(stacks, pair, strict=True))
        if not all(same):
            raise ConfigError(
                f"{what}: item {i} is another each time it is read, by a random transform: one draw would be kept for "
                f"all epochs. Take that transform out; padding=4, flip=True draw shifts and flips again every epoch"
            )
    return stacks[0], stacks[1]


def _item(what: str, item: Any) -> tuple[Tensor, Tensor]:
    """One item as two tensors."""
    if not isinstance(item, tuple | list) or len(item) != 2:
        held = f", with {', '.join(map(str, item))}" if isinstance(item, dict) else ""
        raise ConfigError(f"{what} is a {type(item).__name__}{held}: it takes a pair (x, y)")
    pair = []
    for which, value in zip("xy", item, strict=True):
        if isinstance(value, Image.Image):
            raise ConfigError(f"{what}: {which} is a picture: give the dataset transform=torchvision's ToTensor()")
        try:
            tensor = torch.as_tensor(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"{what}: {which} is a {type(value).__name__}: x takes numbers, y a whole number for a class, or floats"
            ) from error
        pair.append(tensor.detach().cpu())
    return pair[0], pair[1]
