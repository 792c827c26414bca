"""The size of the feedback's random values: Xavier's, Kaiming's, or a gain on Xavier's."""

import math

import pytest
import torch

import pfa_edu as pe

RULES = ["fa", "dfa", "kp", "sf", "pfa"]


def values(rule, **knobs):
    """The rule's random values for a layer 300 → 200 and for a convolution of 60 → 40 channels."""
    torch.manual_seed(0)
    rule = pe.rule(rule, **({"outputs": 100} if rule == "dfa" else {}), **knobs)
    layers = pe.Linear(300, 200, rule=rule), pe.Conv2d(60, 40, 3, rule=rule)
    return [getattr(layer.feedback, {"dfa": "D", "pfa": "R", "sf": "M"}.get(rule.name, "F")) for layer in layers]


def rms(t):
    return t.detach().double().square().mean().sqrt().item()


@pytest.mark.parametrize("rule", RULES)
def test_sizes(rule):
    kind = {"kind": "fixed"} if rule == "sf" else {}
    for plain, thrice, kaiming in zip(
        values(rule, **kind), values(rule, init=3, **kind), values(rule, init="kaiming", **kind), strict=True
    ):
        out, fan_in, *kernel = plain.shape
        area = math.prod(kernel)
        assert rms(plain) == pytest.approx(math.sqrt(2 / (area * (out + fan_in))), rel=0.02)
        assert torch.allclose(thrice, 3 * plain)  # the same draw
        assert rms(kaiming) == pytest.approx(math.sqrt(2 / (area * out)), rel=0.02)


def test_sign_symmetry_of_one_magnitude_and_of_new_ones():
    layer = pe.Linear(300, 200, rule=pe.SF(init=2))
    assert rms(layer.feedback_weight()) == pytest.approx(2 * math.sqrt(2 / 500))
    batch = pe.Linear(300, 200, rule=pe.SF("batch", init="kaiming"))
    batch.feedback.new_batch()
    assert rms(batch.feedback_weight()) == pytest.approx(math.sqrt(2 / 200), rel=0.02)


@pytest.mark.parametrize("form", ["explicit", "closed", "deferred", "coupled"])
def test_every_form_of_pfa_starts_with_it(form):
    norms = []
    for init in ("xavier", 4):
        torch.manual_seed(1)
        norms.append(pe.norm_ratio(torch.nn.Sequential(pe.Linear(30, 20, rule=pe.PFA(4, form=form, init=init))))["0"])
    assert norms[1] == pytest.approx(4 * norms[0], rel=1e-4)


def test_the_default_is_not_named():
    assert pe.PFA().label == "pfa"
    assert pe.PFA(init=1) == pe.PFA()
    assert repr(pe.FA()) == "FA(density=1.0)"
    assert repr(pe.FA(init="kaiming")) == "FA(density=1.0, init='kaiming')"
    assert pe.rule("fa init=kaiming") == pe.FA(init="kaiming")
    assert pe.rule(pe.KP(init=2.0).label) == pe.KP(init=2)
    assert pe.KP(init=2).label == "kp init=2"


@pytest.mark.parametrize("init", ["glorot", 0, -1, float("nan"), True])
@pytest.mark.parametrize("rule", RULES)
def test_what_is_no_size(rule, init):
    with pytest.raises(pe.ConfigError, match="init of the feedback"):
        pe.rule(rule, init=init)
