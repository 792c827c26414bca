"""Frozen lower layers: the control that says what training them gains."""

import pytest
import torch

import pfa_edu as pe
from pfa_edu.train.freezing import freeze


def smoke(rule="pfa", out=None, **settings):
    return pe.experiment("mnist", rule, 0, "smoke", out=out, device="cpu", epochs=1, lr_drops=[], **settings)


@pytest.mark.parametrize("rule", ["bp", "pfa", "dfa", "kp"])
def test_frozen_layers_keep_their_values_and_the_others_learn(rule):
    e = smoke(rule, frozen=1)
    before = {k: v.clone() for k, v in e.trainer(e.load()).net.named_parameters()}
    after = dict(e.run("none").net.named_parameters())
    assert torch.equal(before["fc1.weight"], after["fc1.weight"])
    assert torch.equal(before["fc1.bias"], after["fc1.bias"])
    assert not torch.equal(before["fc2.weight"], after["fc2.weight"])
    assert not torch.equal(before["fc3.weight"], after["fc3.weight"])
    angles = e.frame[(e.frame.metric == "gradient_angle") & (e.frame.epoch == 1)]
    assert set(angles.layer) == {"fc2", "fc3"}


def test_a_number_takes_the_normalisations_in_between():
    names = freeze(pe.convert(pe.resnet20(width=4), "fa", verbose=False), 2)
    assert names == [
        "conv1.weight", "bn1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer1.0.bn1.weight", "layer1.0.bn1.bias",
    ]  # fmt: skip


def test_names_take_whole_modules():
    net = pe.convert(pe.resnet20(width=4), "pfa", verbose=False)
    names = freeze(net, ("conv1", "layer1.*.conv2"))
    assert [name for name in names if name.endswith(".weight")] == [
        "conv1.weight", "layer1.0.conv2.weight", "layer1.1.conv2.weight", "layer1.2.conv2.weight",
    ]  # fmt: skip
    assert "conv1.feedback.R" in names  # what a frozen weight cannot teach
    assert freeze(pe.convert(pe.mlp((4, 3)), "fa", verbose=False), 0) == []


@pytest.mark.parametrize(
    ("frozen", "message"),
    [(3, "has 3 layers"), ("fc9", "nothing is called 'fc9'"), ("fc*", "every layer"), (-1, "at least 0"),
     ([], "names of layers"), ([1], "names of layers"), (1.5, "whole number")],
)  # fmt: skip
def test_what_cannot_be_frozen(frozen, message):
    def ready():
        e = smoke(frozen=frozen)
        return e.trainer(e.load())

    with pytest.raises(pe.ConfigError, match=message):
        ready()


def test_it_is_a_run_of_its_own(tmp_path):
    plain, frozen, named = (smoke(out=tmp_path, **f) for f in ({}, {"frozen": 1}, {"frozen": ["fc1", "fc*2"]}))
    assert "frozen" not in plain.identity  # runs that are kept stay what they are
    assert frozen.identity["frozen"] == 1
    assert [e.folder.parent.name for e in (plain, frozen, named)] == [
        "mnist-smoke", "mnist-smoke-frozen=1", "mnist-smoke-frozen=fc1,fc_2",
    ]  # fmt: skip
    grid = [run.frozen for run in pe.runs.plans.plan("mnist", "bp", scale="smoke", frozen=[0, 1, "fc1"])]
    assert grid == [0, 1, ("fc1",)]
