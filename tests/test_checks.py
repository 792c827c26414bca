"""Signs, the three checks of credit assignment, and measurements within an epoch."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from plot_frames import drawn_y, looks_right, words
from torch import nn

import pfa_edu as pe
from pfa_edu import plots
from pfa_edu.measure import scale_ratios

COLUMNS = ["rule", "seed", "epoch", "layer", "metric", "value"]


def test_sign_agreement():
    net = nn.Sequential(pe.Linear(4, 1, rule="kp"), pe.Linear(1, 2, rule="bp"), pe.Linear(2, 2, rule="sf"))
    net[0].weight.data.copy_(torch.tensor([[1.0, -1.0, 1.0, 0.0]]))
    net[0].feedback.F.data.copy_(torch.tensor([[2.0, -3.0, -1.0, 5.0]]))
    assert pe.sign_agreement(net) == {"0": pytest.approx(2 / 3), "1": 1.0, "2": 1.0}
    net[0].feedback.F.data.copy_(torch.tensor([[0.0, 0.0, 0.0, 5.0]]))
    assert math.isnan(pe.sign_agreement(net)["0"])  # no entry is left


def test_random_feedback_agrees_by_chance():
    torch.manual_seed(0)
    net = nn.Sequential(pe.Linear(200, 100, rule=pe.FA(density=0.3)))
    assert pe.sign_agreement(net)["0"] == pytest.approx(0.5, abs=0.03)  # 6000 entries: 0.006 is one deviation


def test_activation_scale_is_in_the_order_of_the_calls():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.second, self.first = pe.Linear(4, 4), pe.Linear(4, 4)
            for layer in (self.first, self.second):
                layer.weight.data.copy_(3 * torch.eye(4))

        def forward(self, x):
            return self.second(torch.relu_(self.first(x)))

    scales = pe.activation_scale(Backwards(), -torch.ones(2, 4))
    assert scales == pytest.approx({"first": 3.0, "second": 0.0})  # before relu_ changes it in place
    assert list(scales) == ["first", "second"]
    ratios = scale_ratios(pe.activation_scale(Backwards(), torch.ones(2, 4)))
    assert ratios == pytest.approx({"activation_growth": 3.0, "activation_range": 3.0})


def run(**settings):
    return pe.experiment(
        "mnist", "pfa", 0, "smoke", out=None, device="cpu", epochs=2, lr_drops=[], **settings
    ).run("none")  # fmt: skip


def test_steps_within_an_epoch_are_measured_and_change_nothing():
    plain, tracked = run(), run(callbacks=(pe.TrackSteps(every=25, until=1),))
    assert all(torch.equal(v, plain.net.state_dict()[k]) for k, v in tracked.net.state_dict().items())
    steps = 4000 // 64
    epochs = sorted(tracked.frame.loc[tracked.frame.metric == "sign_agreement", "epoch"].unique())
    assert epochs == [0, 25 / steps, 50 / steps, 1, 2]
    rest = tracked.frame[tracked.frame.epoch.isin([0, 1, 2]) & (tracked.frame.metric != "seconds")]
    pd.testing.assert_frame_equal(
        rest.reset_index(drop=True), plain.frame[plain.frame.metric != "seconds"].reset_index(drop=True),
        check_dtype=False,
    )  # fmt: skip
    measured = set(plain.frame.metric)
    assert {"sign_agreement", "activation_rms", "reference_error", "activation_growth"} <= measured
    looks_right(plots.path_alignment(tracked.frame))
    with pytest.raises(pe.ConfigError, match="every 0"):
        pe.TrackSteps(every=0)


def frame(gain=0.0, error=1e-5, rules=("bp", "fa", "pfa"), seeds=3):
    rows = []
    for r, rule in enumerate(rules):
        for seed in range(seeds):
            rows.append(
                (rule, seed, 2, "network", "test_accuracy", 80.0 + r + seed + gain * (r + 1) + 0.1 * seed * gain)
            )
            rows.append((rule, seed, 2, "network", "activation_range", 4.0))
            for depth, layer in enumerate(["fc1", "fc2", "fc3"]):
                bad = error > 5 and layer == "fc1"
                rows.append((rule, seed, 2, layer, "activation_rms", 2.0**depth))
                rows.append((rule, seed, 2, layer, "reference_error", error if bad else 1e-5))
                rows.append((rule, seed, 2, layer, "gradient_angle", math.nan if bad else 10.0 * depth))
                rows.append((rule, seed, 2, layer, "path_alignment", 20.0))
    return pd.DataFrame(rows, columns=COLUMNS)


def test_depth_utility_is_paired_over_seeds():
    table = plots.depth_utility(frame(gain=1.0), frame()).set_index("rule")
    assert list(table.index) == ["bp", "fa", "pfa"]
    np.testing.assert_allclose(table["gain"], [1.1, 2.1, 3.1])  # seeds differ by far more than their gains
    half = 4.3027 * 0.1 / math.sqrt(3)  # Student's t of two degrees of freedom
    np.testing.assert_allclose(table["high"] - table["gain"], half, rtol=1e-3)
    np.testing.assert_allclose(table["gain"] - table["low"], half, rtol=1e-3)
    assert (table["seeds"] == 3).all()
    assert table.loc["bp", "frozen"] == 81
    both = pd.concat([frame(gain=1.0).assign(frozen="0"), frame().assign(frozen="fc1")])
    pd.testing.assert_frame_equal(plots.depth_utility(both).set_index("rule"), table)
    pd.testing.assert_frame_equal(plots.depth_utility(both.replace({"0": 0, "fc1": 2})).set_index("rule"), table)


def test_depth_utility_says_what_is_missing():
    with pytest.raises(pe.ConfigError, match="run the same with frozen=1"):
        plots.depth_utility(frame())
    with pytest.raises(pe.ConfigError, match=r"several settings of frozen \(1, 2\)"):
        plots.depth_utility(pd.concat([frame().assign(frozen=n) for n in range(3)]))
    with pytest.raises(pe.ConfigError, match="no rule has both"):
        plots.depth_utility(frame(rules=["bp"]), frame(rules=["fa"]))


@pytest.mark.parametrize("error", [1e-5, 40.0])
@pytest.mark.parametrize("frozen", [None, frame()])
def test_the_three_checks_in_one_figure(error, frozen):
    fig = plots.checks(frame(gain=1.0, error=error), frozen)
    looks_right(fig)
    left, middle, right = fig.axes
    assert set(drawn_y(left)) >= {1.0, 2.0, 4.0}
    assert np.isclose(drawn_y(middle), error).any()
    assert middle.get_ylim()[1] >= 90
    if frozen is None:
        assert "frozen=1" in right.texts[0].get_text()
    else:
        assert np.isclose(drawn_y(right), 3.1).any()


def test_angles_that_are_not_valid_are_said_and_not_drawn():
    bad, good = frame(error=40.0), frame()
    assert "9 of 27 angles are not valid" in words(plots.gradient_angle(bad))
    assert "not valid" not in words(plots.gradient_angle(good))
    assert [ax.get_title("left") for ax in plots.gradient_angle(bad).axes] == ["fc2", "fc3"]
    assert "9 of 27 angles are not valid" in words(plots.by_depth(bad))
    table = plots.table(bad).set_index("rule")
    assert table.loc["pfa", "angles_valid"] == pytest.approx(2 / 3)
    assert table.loc["pfa", "activation_range"] == 4
    assert plots.table(good).set_index("rule").loc["pfa", "angles_valid"] == 1
