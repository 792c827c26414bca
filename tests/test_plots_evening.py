"""Runs that follow the paper's schedule for a while, and grids of runs that are not finished."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from plot_frames import CIFAR, LIMITS, PAPER, evening, lines, looks_right, mnist_runs, of, words

from pfa_edu import plots

LEAVES = 14
WHOLE = {"bp": [20], "fa": [20], "pfa": [20]}
UNFINISHED = {"bp": [20, 20, 6], "fa": [20], "dfa": [3], "sf": [11], "pfa": [20, 14]}


def dashed(ax):
    return [line for line in ax.lines if line.get_linestyle() == "--"]


def legend(fig):
    return [text.get_text() for text in fig.legends[0].get_texts()]


def test_the_papers_mean_and_band_stand_behind_ours_until_the_schedules_part():
    fig = plots.accuracy(evening(WHOLE), CIFAR, leaves=LEAVES)
    ax = fig.axes[0]
    bands = [band for band in ax.collections if isinstance(band, PolyCollection)]
    assert len(bands) == 3  # the paper's: ours is one seed
    for rule, line, band in zip(("bp", "fa", "pfa"), dashed(ax), bands, strict=True):
        theirs = of(CIFAR, rule=rule, metric="validation_accuracy").query("epoch <= 14").set_index("epoch")
        np.testing.assert_array_equal(line.get_xdata(), range(1, 15))
        np.testing.assert_array_equal(line.get_ydata(), theirs["mean"])
        corners = band.get_paths()[0].vertices
        for epoch in (1, 14):
            ys = corners[corners[:, 0] == epoch, 1]
            mean, std = theirs.loc[epoch, ["mean", "std"]]
            assert (ys.min(), ys.max()) == pytest.approx((mean - std, mean + std))
    assert "the paper's mean ± 1 std" in legend(fig)
    assert [list(line.get_xdata()) for line in ax.lines if len(line.get_xdata()) == 2] == [[14, 14]]
    assert [text.get_text() for text in ax.texts] == ["drop"]
    hollow = [line for line in fig.axes[1].lines if line.get_markerfacecolor() == "white"]
    assert not hollow  # our last epoch, the 20th, is not the paper's
    looks_right(fig)


@pytest.mark.parametrize("epochs", [9, 14])
def test_until_then_nothing_is_said_of_parting(epochs):
    fig = plots.accuracy(evening({"bp": [epochs], "pfa": [epochs]}), CIFAR, leaves=LEAVES)
    assert not fig.axes[0].texts
    assert all(line.get_xdata()[-1] == epochs for line in dashed(fig.axes[0]))
    hollow = [line for line in fig.axes[1].lines if line.get_markerfacecolor() == "white"]
    assert len(hollow) == 2


@pytest.mark.parametrize("metric", ["path_alignment", "norm_ratio"])
def test_layers_stand_beside_the_papers(metric):
    fig = getattr(plots, metric)(evening(WHOLE), CIFAR, leaves=LEAVES)
    fa, pfa, bar = fig.axes
    assert bar.get_title("left") == "Layer"
    for ax, rule in ((fa, "fa"), (pfa, "pfa")):
        assert len(dashed(ax)) == 20
        for line in dashed(ax):
            assert list(line.get_xdata()) == list(range(11))  # the paper has every epoch to the tenth, then the 15th
        (ours,) = lines(ax, "layer2.0.conv1")
        theirs = of(CIFAR, rule=rule, metric=metric, layer="layer2.0.conv1").query("epoch <= 20").set_index("epoch")
        at = dict(zip(ours.get_xdata(), ours.get_ydata(), strict=True))
        np.testing.assert_allclose([at[epoch] for epoch in theirs.index], theirs["mean"])
        assert [text.get_text() for text in ax.texts] == ["drop"]
    assert "the paper's (1 seed)" in legend(fig)
    looks_right(fig)


def test_depth_is_compared_at_the_last_epoch_that_is_the_papers_too():
    fig = plots.by_depth(evening({**WHOLE, "sf": [7]}), CIFAR, leaves=LEAVES)
    path, ratio, gradient = fig.axes
    for ax, metric in ((path, "path_alignment"), (ratio, "norm_ratio")):
        for rule, epoch in (("fa", 10), ("sf", 7), ("pfa", 10)):
            theirs = of(CIFAR, rule=rule, metric=metric, epoch=epoch)["mean"]
            (ours,) = lines(ax, rule.upper())
            np.testing.assert_allclose(ours.get_ydata(), theirs)
            assert any(np.array_equal(line.get_ydata(), theirs) for line in dashed(ax))
    assert lines(gradient, "PFA")[0].get_ydata()[0] == 50  # 40 + the epoch, in the made-up frame
    assert lines(gradient, "SF")[0].get_ydata()[0] == 47
    assert "PFA (1 seed, 10 epochs)" in legend(fig)
    looks_right(fig)


def test_depth_without_the_paper_is_the_end_of_the_runs():
    fig = plots.by_depth(evening(WHOLE))
    assert lines(fig.axes[2], "PFA")[0].get_ydata()[0] == 60
    assert fig._suptitle.get_text() == "Every layer after 20 epochs"


def test_an_unfinished_grid_says_what_stands_behind_every_curve():
    frame = evening(UNFINISHED)
    fig = plots.accuracy(frame, CIFAR, leaves=LEAVES)
    assert legend(fig)[:5] == [
        "BP (2 to 3 seeds, 20 epochs)", "FA (1 seed, 20 epochs)", "DFA (1 seed, 3 epochs)", "SF (1 seed, 11 epochs)",
        "PFA (1 to 2 seeds, 20 epochs)",
    ]  # fmt: skip
    names = [tick.get_text() for tick in fig.axes[1].get_xticklabels()]
    assert names == ["BP\n(6)", "FA\n(20)", "DFA\n(3)", "SF\n(11)", "PFA\n(14)"]
    assert fig.axes[1].get_title("left") == "After the epoch in brackets"
    panels = plots.path_alignment(frame, CIFAR, LIMITS, leaves=LEAVES)
    assert [ax.get_title("right") for ax in panels.axes[:3]] == [
        "1 seed, 20 epochs", "1 seed, 10 epochs", "1 to 2 seeds, 20 epochs\ntheory: 17.55°",
    ]  # fmt: skip
    for figure in (fig, panels, plots.norm_ratio(frame, CIFAR, leaves=LEAVES), plots.gradient_angle(frame),
                   plots.by_depth(frame, CIFAR, leaves=LEAVES)):  # fmt: skip
        looks_right(figure)


def test_a_finished_grid_says_it_once():
    fig = plots.accuracy(evening(WHOLE), CIFAR, leaves=LEAVES)
    assert legend(fig)[:3] == ["BP", "FA", "PFA"]
    assert words(fig).startswith("1 seed")


def test_a_single_seed_is_not_zoomed_into_its_noise():
    frame = mnist_runs(seeds=2)
    ax = plots.accuracy(of(frame, seed=0), PAPER).axes[1]
    low, high = ax.get_ylim()
    assert high - low >= 5
    assert high <= 100.5  # no room for what cannot be
    assert low < of(frame, seed=0, metric="test_accuracy", epoch=40)["value"].min()
    assert "1 seed" in ax.get_title("left")
    low, high = plots.accuracy(frame, PAPER).axes[1].get_ylim()
    assert high - low < 1  # two seeds show how far they scatter


def test_many_long_names_are_legible():
    frame = evening({"pfa": [3]})
    frame = pd.concat([frame.assign(rule=f"pfa ratio={ratio}") for ratio in range(1, 9)])
    fig = plots.accuracy(frame)
    looks_right(fig)
    assert [tick.get_rotation() for tick in fig.axes[1].get_xticklabels()] == [40] * 8
