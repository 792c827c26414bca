"""Folders of pictures by class, as ImageNet's: on a few generated ones."""

import functools
import shutil

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

import pfa_edu as pe
from pfa_edu import data
from pfa_edu.cli import main
from pfa_edu.nn import models
from pfa_edu.runs import experiments
from pfa_edu.train.checkpoint import load_checkpoint
from pfa_edu.train.ranks import Ranks

RECIPE = pe.Recipe(epochs=2, batch_size=8, lr=0.05, weight_decay=1e-3)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Three classes of JPEGs of many sizes, one colour each under noise: 16 to train on and 6 to validate, a class."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("pictures")
    for part, count in (("train", 16), ("val", 6)):
        for i, name in enumerate(("apples", "pears", "plums")):
            (root / part / name).mkdir(parents=True)
            for k in range(count):
                pixels = rng.integers(0, 120, (*rng.integers(70, 110, 2), 3), dtype=np.uint8)
                pixels[..., i] += 100
                Image.fromarray(pixels).save(root / part / name / f"{k:02d}.JPEG")
    return root


def folder(root, workers=0):
    return data.PictureFolder("pictures", root, torch.device("cpu"), 64, workers)


def trainer(root, rule, ranks=None, workers=0):
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), nn.ReLU(), nn.Flatten(), nn.Linear(256, 3))
    net = pe.convert(net, rule, init="xavier", verbose=False)
    return pe.Trainer(net, folder(root, workers), RECIPE, 4, {"rule": rule.label}, ranks=ranks)


def same(a, b):
    kept = [[(*r[:3], None if r[3] != r[3] else r[3]) for r in run.rows if r[2] != "seconds"] for run in (a, b)]
    assert kept[0] == kept[1]  # an angle that is not valid is NaN, which equals nothing
    for key, value in a.net.state_dict().items():
        assert torch.equal(value, b.net.state_dict()[key]), key


def test_pictures_are_torchvisions(root):
    """Validation pictures and the layout are what torchvision's ImageFolder and transforms give."""
    side, folder_ = 64, folder(root)
    transform = torchvision.transforms.Compose([
        torchvision.transforms.Resize(73), torchvision.transforms.CenterCrop(side), torchvision.transforms.ToTensor(),
        torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ])  # fmt: skip
    theirs = torchvision.datasets.ImageFolder(root / "val", transform)
    (x, y), *rest = folder_.pieces("validation")
    assert not rest
    assert y.tolist() == theirs.targets
    torch.testing.assert_close(folder_.normalised(x), torch.stack([image for image, _ in theirs]))
    parts = [folder_.pieces("validation", rank, 2) for rank in (0, 1)]
    assert [len(y) for part in parts for _, y in part] == [9, 9]
    assert folder_.input_shape == (3, side, side)
    assert folder_.probe()[1].unique().tolist() == [0, 1, 2]


def test_augmentation_follows_from_the_plan_alone(root):
    one = folder(root)
    plan = one.plan(8, torch.Generator().manual_seed(3))
    assert plan.shape == (6, 8, 2)
    assert sorted(plan[..., 0].flatten().tolist()) == list(range(48))
    before = torch.get_rng_state()
    whole = [x for x, _ in one.stream(plan)]
    assert torch.equal(torch.get_rng_state(), before)  # brSF draws from it
    halves = [[x for x, _ in folder(root).stream(Ranks(rank, 2).share(plan))] for rank in (0, 1)]
    for batch, *parts in zip(whole, *halves, strict=True):
        assert torch.equal(batch, torch.cat(parts))
    again = one.plan(8, torch.Generator().manual_seed(4))
    assert not torch.equal(whole[0], next(iter(one.stream(again)))[0])
    picture = plan[0, 0, 0].item()
    crops = torch.cat([x for x, _ in one.stream(torch.tensor([[[picture, s]] for s in range(40)]))])
    assert len({crop.numpy().tobytes() for crop in crops}) == 40


@pytest.mark.parametrize("rule", [pe.SF("batch"), pe.PFA(2, form="closed")], ids=str)
def test_a_cut_run_goes_on_bit_for_bit(rule, root, tmp_path):
    whole, path = trainer(root, rule), tmp_path / "checkpoint.pt"
    whole.train(progress="none")
    assert {m for _, _, m, _ in whole.rows if "accuracy" in m} == {"validation_accuracy"}
    cut = trainer(root, rule)
    cut.recipe = pe.Recipe(**{**vars(RECIPE), "epochs": 1})
    cut.train(path, progress="none")
    again = trainer(root, rule)
    again.resume(load_checkpoint(path))
    torch.randn(5)
    again.train(progress="none")
    same(whole, again)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_workers_change_nothing(root):
    one, other = trainer(root, pe.PFA(2)), trainer(root, pe.PFA(2), workers=2)
    one.train(progress="none")
    other.train(progress="none")
    same(one, other)
    (root / "val" / "plums" / "05.JPEG").replace(hidden := root / "hidden")
    (root / "val" / "plums" / "05.JPEG").write_bytes(b"no picture")
    try:
        with pytest.raises(pe.DataError, match=r"05\.JPEG is no picture that can be read"):
            other._evaluate()
    finally:
        hidden.replace(root / "val" / "plums" / "05.JPEG")


def test_paper_settings(root):
    made = functools.partial(pe.experiment, "imagenet", scale="paper", data_root=root, out=None, device="cpu")
    recipe = made("pfa", batch_size=8).recipe
    assert (recipe.epochs, recipe.momentum, recipe.strong_steps) == (75, 0.9, 48 // 8)
    assert [recipe.lr_at(e) for e in (0, 19, 20, 40, 60)] == pytest.approx([0.1, 0.1, 0.01, 0.001, 0.0001])
    assert (recipe.decay_at(0), recipe.decay_at(6)) == (0.0005, 1e-4)
    plain = made("sf").recipe
    assert (plain.batch_size, plain.decay_at(0), plain.decay_at(10**6)) == (256, 1e-4, 1e-4)
    assert made("sf").identity["train_images"] == 48
    net = models.build("resnet18", (3, 224, 224), 1000)
    assert sum(p.numel() for p in net.parameters()) == 11_689_512


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_command_line(root, tmp_path, capsys):
    command = ["run", "imagenet", "--rule", "pfa", "--scale", "smoke", "--data-root", str(root), "--workers", "0"]
    command += ["--device", "cpu", "--out", str(tmp_path), "--epochs", "1"]
    assert main(command) == 0
    assert main(command) == 0  # nothing left to do
    frame = experiments.pd.read_csv(tmp_path / "imagenet-smoke" / "pfa-seed0" / "metrics.csv")
    assert set(frame[frame.layer != "network"].layer) >= {"conv1", "layer1.0.conv1", "layer4.0.downsample.0", "fc"}
    assert "validation_accuracy" in capsys.readouterr().out


def broken(kind, root, to):
    if kind == "missing":
        return to / "nowhere"
    shutil.copytree(root, to / "copy")
    if kind == "no val":
        shutil.rmtree(to / "copy" / "val")
    elif kind == "flat":
        shutil.rmtree(to / "copy" / "val")
        (to / "copy" / "val").mkdir()
    elif kind == "empty class":
        shutil.rmtree(to / "copy" / "train" / "pears")
        (to / "copy" / "train" / "pears").mkdir()
    elif kind == "other classes":
        (to / "copy" / "val" / "plums").rename(to / "copy" / "val" / "plumes")
    return to / "copy"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "there is no folder .*nowhere: give ImageNet's"),
        ("no val", "there is no folder .*val: give ImageNet's"),
        ("flat", "val is no folder of pictures by class .*no class folder"),
        ("empty class", "train is no folder of pictures by class .*pears"),
        ("other classes", r"different classes \(plumes, plums, \.\.\.\)"),
    ],
)
def test_roots_that_are_not(kind, message, root, tmp_path):
    with pytest.raises(pe.DataError, match=message):
        pe.experiment("imagenet", "pfa", scale="paper", data_root=broken(kind, root, tmp_path))


def test_settings_that_cannot_be(root):
    with pytest.raises(pe.ConfigError, match="unknown scale of imagenet 'classroom'"):
        pe.experiment("imagenet", "pfa", scale="classroom", data_root=root)
    with pytest.raises(pe.ConfigError, match="cifar10 at scale 'smoke' trains on a part"):
        pe.experiment("cifar10", "pfa", scale="smoke", dataset="imagenet-64", data_root=root)
    with pytest.raises(pe.ConfigError, match="workers -1"):
        data.load("imagenet", "cpu", root, -1)
    with pytest.raises(pe.ConfigError, match="side 0"):
        data.PictureFolder("pictures", root, side=0)
    with pytest.raises(pe.ConfigError, match="'resnet18-8' for 3 channels"):
        models.build("resnet18-8", (3, 64, 64), 10)
    with pytest.raises(pe.ConfigError, match="not one full batch"):
        folder(root).plan(49, torch.Generator())
