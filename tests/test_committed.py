"""The results that are kept with the package say what the lessons and READMEs say of them."""

from pathlib import Path

import numpy as np
import pytest

from pfa_edu.errors import ConfigError
from pfa_edu.lessons.results import committed, load, study
from pfa_edu.plots import published
from pfa_edu.runs.presets import preset

EVENING = committed("cifar10-evening")
PAPER = published.curves("cifar10")
LEAVES = preset("cifar10", "evening").leaves


def curve(frame, rule, metric, column="value"):
    rows = frame[(frame["rule"] == rule) & (frame["metric"] == metric)]
    return rows.groupby("epoch")[column].mean()


def rules_with(epochs):
    done = EVENING[EVENING["metric"] == "validation_accuracy"].groupby("rule")["epoch"].max()
    return [rule for rule in done.index[done >= epochs] if rule in set(PAPER["rule"])]


@pytest.mark.parametrize("rule", rules_with(1))
def test_the_evening_runs_in_the_papers_band(rule):
    """Within max(2.5 std, 2 points) of the paper's mean in 11 of 14 of the epochs that are the paper's own."""
    ours = curve(EVENING, rule, "validation_accuracy").loc[1:LEAVES]
    mean = curve(PAPER, rule, "validation_accuracy", "mean")[ours.index]
    std = curve(PAPER, rule, "validation_accuracy", "std")[ours.index]
    near = (ours - mean).abs() <= np.maximum(2.5 * std, 2)
    assert near.sum() >= 11 / 14 * len(ours)


@pytest.mark.parametrize("rule", [r for r in rules_with(1) if r.startswith("pfa")])
def test_path_angles_are_the_papers(rule):
    ours = curve(EVENING, rule, "path_alignment")
    theirs = curve(PAPER, rule, "path_alignment", "mean")
    for epoch in (1, 2, 3, 4, 5, 10):
        if epoch in ours.index:
            assert ours[epoch] == pytest.approx(theirs[epoch], abs=1.5)


def test_the_order_of_the_rules():
    """At every epoch from the fifth on that both have reached: BP and PFA ahead of SF, SF of FA, FA of DFA."""
    curves = {rule: curve(EVENING, rule, "validation_accuracy") for rule in rules_with(5)}
    for better, worse in [("pfa", "sf"), ("bp", "sf"), ("sf", "fa"), ("fa", "dfa")]:
        if better in curves and worse in curves:
            both = curves[better].index.intersection(curves[worse].index)
            both = both[(both >= 5) & (both <= LEAVES)]
            assert (curves[better][both] - curves[worse][both]).mean() > 0


def test_the_lesson_opens_on_it():
    results = load("cifar10-evening", "cifar10", "evening")
    assert results.leaves == LEAVES
    assert results.published is not None
    assert results.limits["pfa"] == pytest.approx(17.548, abs=0.001)
    assert str(results).splitlines()[0].startswith("rule")


def test_an_empty_name_is_not_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where an empty name would put the figures
    with pytest.raises(ConfigError, match="out ''"):
        load("mnist", "mnist", "paper", out="")
    with pytest.raises(ConfigError, match="out ''"):
        study("mnist", ["bp"], scale="smoke", out="")
    assert load("mnist", "mnist", "paper").out is None
    assert load("mnist", "mnist", "paper", out="here").out == Path("here")
    assert not list(tmp_path.iterdir())


def test_what_lesson_7_says_of_the_angles():
    """PFA's path is 18° off and SF's 35°, and their gradient angles are larger near the input than near the output."""
    ten = EVENING[EVENING["epoch"] == 10]
    for rule, angle in [("pfa", 18), ("sf", 35)]:
        path = ten[(ten["rule"] == rule) & (ten["metric"] == "path_alignment")]["value"]
        assert path.mean() == pytest.approx(angle, abs=1)
        gradient = ten[(ten["rule"] == rule) & (ten["metric"] == "gradient_angle")].set_index("layer")["value"]
        first, last = (
            gradient[[n for n in gradient.index if n.startswith(stage)]].mean() for stage in ("layer1", "layer3")
        )
        assert first > last + 4
