"""Figures of results: that they show the numbers they were given, whole and told apart."""

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from plot_frames import LIMITS, PAPER, deep, drawn_y, every_figure, lines, looks_right, mnist_runs, of, words

from pfa_edu import errors, plots
from pfa_edu.plots.looks import rule_look


@pytest.fixture(scope="module")
def frame():
    return mnist_runs()


# ---------------------------------------------------------------------------------------- what is drawn


def test_accuracy_lines_are_means_and_bands_std(frame):
    ax = plots.accuracy(frame, PAPER).axes[0]
    assert len(ax.collections) == 6  # one band per rule
    for band, rule in zip(ax.collections, ["bp", "fa", "dfa", "sf", "pfa", "pfa-o"], strict=True):
        values = of(frame, rule=rule, metric="test_accuracy").pivot(index="epoch", columns="seed", values="value")
        values = values.loc[1:]  # epoch 0, chance level, is left out
        (line,) = lines(ax, rule_look(rule).label)
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 41))
        np.testing.assert_allclose(line.get_ydata(), values.mean(axis=1))
        corners = band.get_paths()[0].vertices
        for epoch in (1, 17, 40):
            ys = corners[corners[:, 0] == epoch, 1]
            mean, std = np.mean(values.loc[epoch]), np.std(values.loc[epoch])
            np.testing.assert_allclose([ys.min(), ys.max()], [mean - std, mean + std])


def test_accuracy_shows_the_end_of_every_rule_beside_the_papers(frame):
    ax = plots.accuracy(frame, PAPER).axes[1]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["BP", "FA", "DFA", "SF", "PFA", "PFA-o"]
    drawn = drawn_y(ax)
    for rule, rows in of(frame, metric="test_accuracy", epoch=40).groupby("rule"):
        paper = of(PAPER, rule=rule, metric="test_accuracy", epoch=40)["mean"].item()
        for value in (rows["value"].mean(), paper, *rows["value"]):
            assert np.isclose(drawn, value, atol=1e-9).any()
    low, high = ax.get_ylim()
    assert high - low < 0.6  # wide enough for the data, narrow enough to tell rules 0.1 points apart
    assert low < np.nanmin(drawn)
    assert np.nanmax(drawn) < high


def test_a_rule_that_failed_does_not_flatten_the_comparison(frame):
    frame = frame.copy()
    frame.loc[(frame.rule == "dfa") & (frame.metric == "test_accuracy"), "value"] -= 60
    ax = plots.accuracy(frame).axes[1]
    assert ax.get_ylim()[0] > 97
    assert any(text.get_text().startswith("38.") for text in ax.texts)  # named instead


def test_accuracy_left_limits_ignore_chance_level(frame):
    assert plots.accuracy(frame).axes[0].get_ylim()[0] > 90


def test_paper_is_dashed_and_only_where_we_have_a_run(frame):
    short = frame[(frame.epoch <= 12) & frame.rule.isin(["bp", "pfa"])]
    ax = plots.accuracy(short, PAPER).axes[0]
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert len(dashed) == 2
    for line, rule in zip(dashed, ["bp", "pfa"], strict=True):
        expected = of(PAPER, rule=rule, metric="test_accuracy").query("epoch <= 12")
        np.testing.assert_array_equal(line.get_xdata(), expected["epoch"])
        np.testing.assert_array_equal(line.get_ydata(), expected["mean"])
        assert line.get_color() == rule_look(rule).colour


@pytest.mark.parametrize("metric", ["path_alignment", "norm_ratio"])
def test_a_panel_per_rule_and_a_line_per_layer(frame, metric):
    fig = getattr(plots, metric)(frame, PAPER)
    assert [ax.get_title("left") for ax in fig.axes] == ["FA", "SF", "PFA", "PFA-o"]  # BP is trivial, DFA has no F
    for ax, rule in zip(fig.axes, ["fa", "sf", "pfa", "pfa-o"], strict=True):
        for layer in ("fc1", "fc2", "fc3"):
            (line,) = lines(ax, layer)
            ours = of(frame, rule=rule, metric=metric, layer=layer).groupby("epoch")["value"].mean()
            np.testing.assert_allclose(line.get_ydata(), ours)
            np.testing.assert_array_equal(line.get_xdata(), ours.index)
            theirs = of(PAPER, rule=rule, metric=metric, layer=layer)["mean"]
            assert any(np.array_equal(other.get_ydata(), theirs) for other in ax.lines)
    assert len({line.get_color() for line in fig.axes[0].lines if line.get_label().startswith("fc")}) == 3


def test_theory_lines(frame):
    axes = plots.path_alignment(frame, None, LIMITS).axes
    for ax, limit in zip(axes, [None, None, 17.55, 0], strict=True):
        dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
        assert [line.get_ydata()[0] for line in dotted] == ([] if limit is None else [limit])
        assert ax.get_ylim()[0] <= 0
        assert ax.get_ylim()[1] >= 95
    assert "17.55°" in axes[2].get_title("right")
    for ax in plots.norm_ratio(frame).axes:
        assert [line.get_ydata()[0] for line in ax.lines if line.get_linestyle() == ":"] == [1]


def test_gradient_angle_has_a_panel_per_layer(frame):
    fig = plots.gradient_angle(frame)
    assert [ax.get_title("left") for ax in fig.axes] == ["fc1", "fc2"]
    assert "fc3: 0° in every rule" in words(fig)  # in words: a panel of zeros shows nothing
    (line,) = lines(fig.axes[1], "SF")
    expected = of(frame, rule="sf", metric="gradient_angle", layer="fc2").groupby("epoch")["value"].mean()
    np.testing.assert_allclose(line.get_ydata(), expected)


def test_deep_nets_get_a_panel_per_rule():
    fig = plots.gradient_angle(deep())
    *panels, bar = fig.axes
    assert [ax.get_title("left") for ax in panels] == ["FA", "DFA", "SF", "KP", "PFA", "PFA-o"]
    solid = [line for line in fig.axes[0].lines if line.get_label().startswith("layer")]
    assert [line.get_label() for line in solid] == [f"layer{i}.conv2" for i in range(20)]  # depth, not alphabet
    brightness = [sum(matplotlib.colors.to_rgb(line.get_color())[:2]) for line in solid]
    assert brightness == sorted(brightness)
    assert len({line.get_color() for line in solid}) == 20
    named = [label.get_text() for label in bar.get_yticklabels()]
    assert named == [f"layer{i}.conv2" for i in (0, 5, 10, 14, 19)]  # a colour bar: no legend names twenty layers
    assert bar.get_ylim()[0] > bar.get_ylim()[1]  # the input on top, as one reads


def test_rules_without_any_angle_are_said_in_words(frame):
    frame = frame.copy()
    frame.loc[(frame.rule == "pfa-o") & (frame.metric == "path_alignment"), "value"] = 0.01  # float32 cannot tell it
    fig = plots.path_alignment(frame, limits=LIMITS)
    assert [ax.get_title("left") for ax in fig.axes] == ["FA", "SF", "PFA"]
    assert "PFA-o: 0° in every layer" in words(fig)
    only = plots.path_alignment(of(frame, rule="pfa-o"))  # with nothing else to show, the zeros are shown
    assert [ax.get_title("left") for ax in only.axes] == ["PFA-o"]


def test_ratios_begin_at_zero_and_show_their_largest(frame):
    largest = of(frame, metric="norm_ratio").groupby(["rule", "layer", "epoch"])["value"].mean().max()
    for ax in (plots.norm_ratio(frame).axes[0], plots.by_depth(frame).axes[1]):
        low, high = ax.get_ylim()
        assert low == 0
        assert max(np.max(line.get_ydata()) for line in ax.lines) < 0.97 * high
    assert plots.norm_ratio(frame).axes[0].get_ylim()[1] < 1.2 * largest


# ---------------------------------------------------------------------------------------- how it looks


@pytest.mark.parametrize("name", ["accuracy", "path_alignment", "norm_ratio", "gradient_angle"])
@pytest.mark.parametrize("paper", [PAPER, None], ids=["paper", "alone"])
def test_figures_look_right(frame, name, paper):
    looks_right(every_figure(frame, paper)[name])


def test_deep_and_small_figures_look_right(frame):
    looks_right(plots.gradient_angle(deep()))
    looks_right(plots.path_alignment(deep(name="backbone.stage{}.convolution"), None, LIMITS))
    looks_right(plots.path_alignment(frame[frame.rule == "pfa"], PAPER, LIMITS))
    looks_right(plots.gradient_angle(frame[frame.layer == "fc1"]))


def test_a_notebook_shows_it_without_a_backend(frame):
    data, size = plots.accuracy(frame)._repr_png_()
    assert data.startswith(b"\x89PNG")
    assert size == {"width": 768, "height": 368}


def test_no_pyplot_figure_is_left_behind(frame):
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    every_figure(frame)
    assert plt.get_fignums() == before


# ---------------------------------------------------------------------------------------- awkward frames


def test_one_seed_has_no_band(frame):
    for fig in every_figure(of(frame, seed=0)).values():
        assert not any(isinstance(band, PolyCollection) for ax in fig.axes for band in ax.collections)
        assert any("1 seed" in text.get_text() for text in fig.texts)


@pytest.mark.parametrize("epoch", [0, 1])
def test_one_epoch_is_visible(frame, epoch):
    for fig in every_figure(of(frame, epoch=epoch)).values():
        looks_right(fig)
        for line in fig.axes[0].lines:
            if not line.get_label().startswith("_"):
                assert line.get_marker() not in ("", "None")


def test_rules_and_seeds_of_different_lengths(frame):
    frame = frame[~((frame.rule == "pfa") & (frame.epoch > 10))]
    frame = frame[~((frame.rule == "bp") & (frame.seed == 4) & (frame.epoch > 30))]
    for fig in every_figure(frame).values():
        looks_right(fig)
    (line,) = lines(plots.accuracy(frame).axes[0], "PFA")
    assert line.get_xdata()[-1] == 10
    table = plots.table(frame, PAPER).set_index("rule")
    assert table.loc["pfa", "epochs"] == 10
    assert table.loc["bp", "epochs"] == 30  # the last one that every seed has reached
    for rule, epoch in {"pfa": 10, "bp": 30}.items():
        paper = of(PAPER, rule=rule, metric="test_accuracy", epoch=epoch)["mean"].item()
        assert table.loc[rule, "paper_mean"] == paper


def test_nan_and_infinite_values_are_left_out(frame):
    frame = frame.copy()
    frame.loc[(frame.seed == 0) & (frame.epoch > 5), "value"] = np.nan
    frame.loc[(frame.seed == 1) & (frame.epoch == 7), "value"] = np.inf
    for fig in every_figure(frame).values():
        looks_right(fig)
    (line,) = lines(plots.accuracy(frame).axes[0], "BP")
    rest = of(frame, rule="bp", metric="test_accuracy", epoch=7).query("seed > 1")["value"]
    assert line.get_ydata()[6] == pytest.approx(rest.mean())


def test_missing_metric_names_those_that_are_there(frame):
    with pytest.raises(errors.ConfigError, match=r"'gradient_angle'.*test_accuracy, test_loss"):
        plots.gradient_angle(frame[frame.metric.isin(["test_accuracy", "test_loss"])])
    with pytest.raises(errors.ConfigError, match="its metrics: none"):
        plots.accuracy(frame.iloc[:0])
    with pytest.raises(errors.ConfigError, match="no other rule"):
        plots.path_alignment(of(frame, rule="bp"))
    with pytest.raises(errors.ConfigError, match="layer, metric"):
        plots.accuracy(frame.drop(columns=["layer", "metric"]))


def test_two_runs_under_one_name_are_refused(frame):
    twice = pd.concat([frame, of(frame, rule="pfa", seed=3).assign(value=0)])
    for draw in (plots.accuracy, plots.path_alignment, plots.by_depth, plots.table):
        with pytest.raises(errors.ConfigError, match=r"two runs share rule 'pfa' and seed 3"):
            draw(twice)
