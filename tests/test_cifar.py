"""CIFAR-10: the split, the crops and flips, and files that are missing or broken."""

import pickle
import shutil

import pytest
import torch
import torchvision

import pfa_edu as pe
from pfa_edu import data
from pfa_edu.data import cifar, crop_and_flip
from pfa_edu.data.dataset import Dataset

FOLDER = "cifar-10-batches-py"


@pytest.fixture(scope="module")
def real():
    if not (data.data_root() / FOLDER / "test_batch").exists():
        pytest.skip("needs CIFAR-10 under PFA_EDU_DATA")
    return data.load("cifar10")


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A root with a CIFAR-10 of 20 images a file, whose checksums are the ones that torchvision expects."""
    folder = tmp_path / FOLDER
    folder.mkdir()
    kind, generator = torchvision.datasets.CIFAR10, torch.Generator().manual_seed(0)
    for file in [*cifar._BATCHES, "test_batch"]:
        pixels = torch.randint(0, 256, (20, 3072), generator=generator, dtype=torch.uint8).numpy()
        (folder / file).write_bytes(pickle.dumps({"data": pixels, "labels": [i % 10 for i in range(20)]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [str(i) for i in range(10)]}))
    md5 = {file: torchvision.datasets.utils.calculate_md5(str(folder / file)) for file in cifar._FILES}
    monkeypatch.setattr(kind, "train_list", [[file, md5[file]] for file in cifar._BATCHES])
    monkeypatch.setattr(kind, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": md5["batches.meta"]})
    monkeypatch.setattr(cifar, "_VALIDATION", 10)
    data._load.cache_clear()
    yield tmp_path
    data._load.cache_clear()


def test_split_of_the_real_set(real):
    assert (len(real.train_y), len(real.validation_y), len(real.test_y)) == (45_000, 5_000, 10_000)
    assert (real.watched, real.input_shape, real.train_x.dtype) == ("validation", (3, 32, 32), torch.uint8)
    both = torch.cat([real.train_x, real.validation_x]).flatten(1)
    whole = torchvision.datasets.CIFAR10(str(data.data_root())).data
    # every one of the 50,000 stands in exactly one part: the same rows, counted by a random projection of their bytes
    mix = torch.randint(0, 2**31, (3072,), generator=torch.Generator().manual_seed(1)).double()
    theirs = torch.from_numpy(whole).permute(0, 3, 1, 2).reshape(50_000, -1)
    sums = [torch.cat([part.double() @ mix for part in rows.split(5000)]).sort()[0] for rows in (both, theirs)]
    assert torch.equal(*sums)
    assert torch.bincount(real.validation_y).min() > 400  # about 500 a class
    mean = real.normalised(real.train_x[:5000]).mean((0, 2, 3))
    assert mean.abs().max() < 0.05


def test_split_is_disjoint_and_the_same_for_everyone(tiny):
    first = data.load("cifar10", root=tiny)
    assert (len(first.train_y), len(first.validation_y), len(first.test_y)) == (90, 10, 20)
    rows = {tuple(x.flatten().tolist()) for part in ("train", "validation", "test") for x in first.part(part)[0]}
    assert len(rows) == 120
    data._load.cache_clear()
    assert torch.equal(first.validation_x, data.load("cifar10", root=tiny).validation_x)


def spoil(folder, how):
    if how == "gone":
        (folder / "data_batch_3").unlink()
    else:
        raw = (folder / "data_batch_3").read_bytes()
        (folder / "data_batch_3").write_bytes(raw[:-9] if how == "cut" else raw[:-9] + b"otherbyte")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("gone", r"cifar10 is not in .*download failed.*data_batch_3.*mnist-5k"),
        ("cut", "data_batch_3 in .* is broken .*md5"),
        ("changed", "data_batch_3 in .* is broken .*md5.*Delete it and load again"),
    ],
)
def test_missing_and_broken_files(how, message, tiny, monkeypatch):
    def refuse(self):
        raise OSError("no network")

    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", refuse)
    spoil(tiny / FOLDER, how)
    with pytest.raises(pe.DataError, match=message):
        data.load("cifar10", root=tiny)


def test_a_repaired_file_loads(tiny):
    shutil.copy(tiny / FOLDER / "data_batch_3", tiny / "spare")
    spoil(tiny / FOLDER, "cut")
    with pytest.raises(pe.DataError):
        data.load("cifar10", root=tiny)
    shutil.copy(tiny / "spare", tiny / FOLDER / "data_batch_3")
    assert len(data.load("cifar10", root=tiny).train_y) == 90


def numbered(n, **kwargs):
    """Images whose pixels all differ: 1 ... 256 in an 16×16 picture (0 is what padding adds)."""
    x = torch.arange(1, 257).view(1, 1, 16, 16).expand(n, 1, 16, 16).contiguous()
    return Dataset("numbered", x, torch.arange(n), x[:1], torch.arange(1), max(n, 2), **kwargs)


@pytest.mark.parametrize("padding", [0, 1, 4])
@pytest.mark.parametrize("flip", [0, 1])
def test_pixels_are_moved_and_never_changed(padding, flip):
    x = numbered(1).train_x
    side = torch.arange(2 * padding + 1)
    for dy in side:
        for dx in side:
            out = crop_and_flip(x, padding, dy[None], dx[None], torch.tensor([flip]))[0, 0]
            padded = torch.nn.functional.pad(x[0, 0], (padding,) * 4)
            window = padded[dy : dy + 16, dx : dx + 16]
            assert torch.equal(out, window.flip(1) if flip else window)


def test_every_offset_and_flip_is_as_likely_as_it_should_be():
    n, epochs = 600, 10
    dataset = numbered(n, padding=4, flip=True)
    generator = torch.Generator().manual_seed(0)
    plans = torch.cat([dataset.plan(60, generator).view(-1, 4) for _ in range(epochs)])  # (6000, 4)
    for column, values in ((1, 9), (2, 9), (3, 2)):
        counts = torch.bincount(plans[:, column], minlength=values).double()
        assert len(counts) == values
        expected = n * epochs / values
        chi2 = ((counts - expected) ** 2 / expected).sum()
        assert chi2 < 30  # 99.98 % of a chi-square with 8 degrees of freedom
    assert abs(torch.corrcoef(plans[:, 1:].double().T).triu(1)).max() < 0.05  # drawn independently
    assert plans[:, 0].bincount().eq(epochs).all()  # every image once an epoch


def test_a_batch_is_what_its_plan_says():
    dataset = numbered(60, padding=4, flip=True)
    plan = dataset.plan(20, torch.Generator().manual_seed(3))
    assert plan.shape == (3, 20, 4)
    x, y = dataset.batch(plan[1])
    assert torch.equal(y, plan[1][:, 0])
    for image, (_, dy, dx, flip) in zip(x, plan[1], strict=True):
        assert torch.equal(image, crop_and_flip(dataset.train_x[:1], 4, dy[None], dx[None], flip[None])[0])
    assert torch.equal(plan, dataset.plan(20, torch.Generator().manual_seed(3)))  # its seed is the plan


def test_bytes_are_normalised_as_torchvision_does():
    x = torch.randint(0, 256, (4, 3, 5, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
    dataset = Dataset("bytes", x, torch.arange(4), x, torch.arange(4), 10, mean=mean, std=std)
    theirs = torchvision.transforms.functional.normalize(x.float() / 255, mean, std)
    torch.testing.assert_close(dataset.normalised(x), theirs)


@pytest.mark.parametrize(
    ("train", "validation", "message"), [(61, None, "61 train images"), (0, None, "0 train"), (5, 3, "it has 2")]
)
def test_subsets_that_cannot_be(train, validation, message):
    x = numbered(2).train_x
    dataset = numbered(60, validation_x=x, validation_y=torch.arange(2))
    assert len(dataset.subset(10, 1).validation_y) == 1
    with pytest.raises(pe.ConfigError, match=message):
        dataset.subset(train, validation)
