"""Figures and tables of results: that they show the numbers they were given, whole and told apart."""

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection

from pfa_edu import errors
from pfa_edu import plots as figures
from pfa_edu.plots import published

COLUMNS = ["rule", "seed", "epoch", "layer", "metric", "value"]
PAPER = published.curves("mnist")
LIMITS = {"pfa": 17.55, "pfa-o": 0}


def runs(seeds=5):
    """A frame as training gives it: the published curves plus noise, and what the paper does not show made up."""
    rng = np.random.default_rng(0)
    noise = {"test_accuracy": 0.05, "path_alignment": 0.6, "norm_ratio": 0.01}
    rows = []
    for seed in range(seeds):
        for row in PAPER.itertuples():
            value = row.mean + noise[row.metric] * rng.standard_normal()
            rows.append((row.rule, seed, row.epoch, row.layer, row.metric, value))
        for rule in ("bp", "fa", "dfa", "sf", "pfa", "pfa-o"):
            rows.append((rule, seed, 0, "network", "test_accuracy", 10 + rng.standard_normal()))
            rows.append((rule, seed, 0, "network", "test_loss", 2.3))
            end = {"bp": 0, "fa": 62, "dfa": 66, "sf": 27, "pfa": 17, "pfa-o": 8}[rule]
            for depth, layer in enumerate(["fc1", "fc2", "fc3"]):
                for epoch in range(41):
                    hidden = end + (90 - end) * np.exp(-epoch / 3) - 4 * depth + rng.standard_normal()
                    exact = rule == "bp" or layer == "fc3"  # no feedback weight above the output layer
                    rows.append((rule, seed, epoch, layer, "gradient_angle", 0.0 if exact else hidden))
        for layer in ("fc1", "fc2", "fc3"):
            rows += [("bp", seed, epoch, layer, "path_alignment", 0.0) for epoch in range(41)]
            rows += [("bp", seed, epoch, layer, "norm_ratio", 1.0) for epoch in range(41)]
    return pd.DataFrame(rows, columns=COLUMNS)


def of(frame, **wanted):
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    return frame


def lines(ax, label):
    return [line for line in ax.lines if line.get_label() == label]


def every_figure(frame, paper=PAPER):
    return {
        "accuracy": figures.accuracy(frame, paper),
        "path_alignment": figures.path_alignment(frame, paper, LIMITS),
        "norm_ratio": figures.norm_ratio(frame, paper),
        "gradient_angle": figures.gradient_angle(frame),
    }


def deep(layers=20, name="layer{}.conv2"):
    """A deep net with long layer names, one seed, six rules."""
    return pd.DataFrame(
        [
            (rule, 0, epoch, name.format(i), metric, 90 - epoch - i)
            for rule in ("bp", "fa", "dfa", "sf", "kp", "pfa", "pfa-o")
            for i in range(layers)
            for epoch in range(11)
            for metric in ("gradient_angle", "path_alignment")
        ],
        columns=COLUMNS,
    )


@pytest.fixture(scope="module")
def frame():
    return runs()


# ---------------------------------------------------------------------------------------- what is drawn


def test_accuracy_lines_are_means_and_bands_std(frame):
    ax = figures.accuracy(frame, PAPER).axes[0]
    assert len(ax.collections) == 6  # one band per rule
    for band, rule in zip(ax.collections, ["bp", "fa", "dfa", "sf", "pfa", "pfa-o"], strict=True):
        values = of(frame, rule=rule, metric="test_accuracy").pivot(index="epoch", columns="seed", values="value")
        values = values.loc[1:]  # epoch 0, chance level, is left out
        (line,) = lines(ax, figures.RULE_STYLE[rule].label)
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 41))
        np.testing.assert_allclose(line.get_ydata(), values.mean(axis=1))
        corners = band.get_paths()[0].vertices
        for epoch in (1, 17, 40):
            ys = corners[corners[:, 0] == epoch, 1]
            mean, std = np.mean(values.loc[epoch]), np.std(values.loc[epoch])
            np.testing.assert_allclose([ys.min(), ys.max()], [mean - std, mean + std])


def test_accuracy_shows_the_end_of_every_rule_beside_the_papers(frame):
    ax = figures.accuracy(frame, PAPER).axes[1]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["BP", "FA", "DFA", "SF", "PFA", "PFA-o"]
    drawn = np.concatenate([line.get_ydata() for line in ax.lines])
    for rule, rows in of(frame, metric="test_accuracy", epoch=40).groupby("rule"):
        paper = of(PAPER, rule=rule, metric="test_accuracy", epoch=40)["mean"].item()
        for value in (rows["value"].mean(), paper, *rows["value"]):
            assert np.isclose(drawn, value, atol=1e-9).any()
    low, high = ax.get_ylim()
    assert high - low < 0.6  # wide enough for the data, narrow enough to tell rules 0.1 points apart
    assert low < drawn.min()
    assert drawn.max() < high


def test_a_rule_that_failed_does_not_flatten_the_comparison(frame):
    frame = frame.copy()
    frame.loc[(frame.rule == "dfa") & (frame.metric == "test_accuracy"), "value"] -= 60
    ax = figures.accuracy(frame).axes[1]
    assert ax.get_ylim()[0] > 97
    assert any(text.get_text().startswith("38.") for text in ax.texts)  # named instead


def test_accuracy_left_limits_ignore_chance_level(frame):
    assert figures.accuracy(frame).axes[0].get_ylim()[0] > 90


def test_paper_is_dashed_and_only_where_we_have_a_run(frame):
    short = frame[(frame.epoch <= 12) & frame.rule.isin(["bp", "pfa"])]
    ax = figures.accuracy(short, PAPER).axes[0]
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert len(dashed) == 2
    for line, rule in zip(dashed, ["bp", "pfa"], strict=True):
        expected = of(PAPER, rule=rule, metric="test_accuracy").query("epoch <= 12")
        np.testing.assert_array_equal(line.get_xdata(), expected["epoch"])
        np.testing.assert_array_equal(line.get_ydata(), expected["mean"])
        assert line.get_color() == figures.RULE_STYLE[rule].colour


@pytest.mark.parametrize("metric", ["path_alignment", "norm_ratio"])
def test_a_panel_per_rule_and_a_line_per_layer(frame, metric):
    fig = getattr(figures, metric)(frame, PAPER)
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
    axes = figures.path_alignment(frame, None, LIMITS).axes
    for ax, limit in zip(axes, [None, None, 17.55, 0], strict=True):
        dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
        assert [line.get_ydata()[0] for line in dotted] == ([] if limit is None else [limit])
        assert ax.get_ylim()[0] <= 0
        assert ax.get_ylim()[1] >= 95
    assert "17.55°" in axes[2].get_title("right")
    for ax in figures.norm_ratio(frame).axes:
        assert [line.get_ydata()[0] for line in ax.lines if line.get_linestyle() == ":"] == [1]


def test_gradient_angle_has_a_panel_per_layer(frame):
    fig = figures.gradient_angle(frame)
    assert [ax.get_title("left") for ax in fig.axes] == ["fc1", "fc2", "fc3"]
    (line,) = lines(fig.axes[1], "SF")
    expected = of(frame, rule="sf", metric="gradient_angle", layer="fc2").groupby("epoch")["value"].mean()
    np.testing.assert_allclose(line.get_ydata(), expected)


def test_deep_nets_get_a_panel_per_rule():
    fig = figures.gradient_angle(deep())
    assert [ax.get_title("left") for ax in fig.axes] == ["FA", "DFA", "SF", "KP", "PFA", "PFA-o"]
    solid = [line for line in fig.axes[0].lines if line.get_label().startswith("layer")]
    assert [line.get_label() for line in solid] == [f"layer{i}.conv2" for i in range(20)]  # depth, not alphabet
    brightness = [sum(matplotlib.colors.to_rgb(line.get_color())[:2]) for line in solid]
    assert brightness == sorted(brightness)


# ---------------------------------------------------------------------------------------- how it looks


def test_rules_differ_in_colour_and_in_marker():
    styles = figures.RULE_STYLE.values()
    assert list(figures.RULE_STYLE) == ["bp", "fa", "dfa", "sf", "kp", "pfa", "pfa-o"]
    assert len({style.label for style in styles}) == 7
    assert len({(style.marker, style.linestyle) for style in styles}) == 7
    colours = np.array([matplotlib.colors.to_rgb(style.colour) for style in styles])
    distance = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
    assert distance[~np.eye(7, dtype=bool)].min() > 0.25


def looks_right(fig):
    """Not blank, nothing outside the canvas, and the legend in a strip of its own."""
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    assert np.asarray(canvas.buffer_rgba())[..., :3].std() > 10
    box = fig.get_tightbbox(canvas.get_renderer())
    width, height = fig.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height
    boxes = [ax.get_tightbbox().extents / fig.dpi for ax in fig.axes]
    legend = fig.legends[0].get_window_extent().extents / fig.dpi
    title = fig._suptitle.get_window_extent().extents / fig.dpi
    assert legend[3] <= min(box[1] for box in boxes) + 0.05
    assert title[1] >= max(box[3] for box in boxes)


@pytest.mark.parametrize("name", ["accuracy", "path_alignment", "norm_ratio", "gradient_angle"])
@pytest.mark.parametrize("paper", [PAPER, None], ids=["paper", "alone"])
def test_figures_look_right(frame, name, paper):
    looks_right(every_figure(frame, paper)[name])


def test_deep_and_small_figures_look_right(frame):
    looks_right(figures.gradient_angle(deep()))
    looks_right(figures.path_alignment(deep(name="backbone.stage{}.convolution"), None, LIMITS))
    looks_right(figures.path_alignment(frame[frame.rule == "pfa"], PAPER, LIMITS))
    looks_right(figures.gradient_angle(frame[frame.layer == "fc1"]))


def test_a_notebook_shows_it_without_a_backend(frame):
    data, size = figures.accuracy(frame)._repr_png_()
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
    (line,) = lines(figures.accuracy(frame).axes[0], "PFA")
    assert line.get_xdata()[-1] == 10
    table = figures.table(frame, PAPER).set_index("rule")
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
    (line,) = lines(figures.accuracy(frame).axes[0], "BP")
    rest = of(frame, rule="bp", metric="test_accuracy", epoch=7).query("seed > 1")["value"]
    assert line.get_ydata()[6] == pytest.approx(rest.mean())


def test_missing_metric_names_those_that_are_there(frame):
    with pytest.raises(errors.ConfigError, match=r"'gradient_angle'.*test_accuracy, test_loss"):
        figures.gradient_angle(frame[frame.metric.isin(["test_accuracy", "test_loss"])])
    with pytest.raises(errors.ConfigError, match="its metrics: none"):
        figures.accuracy(frame.iloc[:0])
    with pytest.raises(errors.ConfigError, match="no other rule"):
        figures.path_alignment(of(frame, rule="bp"))
    with pytest.raises(errors.ConfigError, match="layer, metric"):
        figures.accuracy(frame.drop(columns=["layer", "metric"]))
    with pytest.raises(errors.ConfigError, match="did you mean 'pfa'"):
        figures.accuracy(frame.replace({"rule": {"pfa": "pfaa"}}))


# ---------------------------------------------------------------------------------------- tables and files


def test_table_holds_the_last_epoch(frame):
    table = figures.table(frame, PAPER)
    assert list(table["rule"]) == ["bp", "fa", "dfa", "sf", "pfa", "pfa-o"]
    row = table.set_index("rule").loc["pfa"]
    scores = of(frame, rule="pfa", metric="test_accuracy", epoch=40)["value"]
    assert row["seeds"] == 5
    assert row["epochs"] == 40
    assert row["accuracy_mean"] == pytest.approx(scores.mean())
    assert row["accuracy_std"] == pytest.approx(np.std(scores))
    assert (row["paper_mean"], row["paper_std"]) == (98.392, 0.043)
    assert row["difference"] == pytest.approx(scores.mean() - 98.392)
    path = of(frame, rule="pfa", metric="path_alignment", epoch=40).groupby("layer")["value"].mean()
    assert (row["path_min"], row["path_max"]) == pytest.approx((path.min(), path.max()))
    angle = of(frame, rule="pfa", metric="gradient_angle", epoch=40)
    assert row["gradient_angle"] == pytest.approx(angle[angle.layer != "fc3"]["value"].mean())
    assert np.isnan(table.set_index("rule").loc["dfa", "path_max"])
    assert row["accuracy_on"] == "test"
    assert all(kind.kind in "if" for kind in table.drop(columns=["rule", "accuracy_on"]).dtypes)


def test_table_needs_nothing_but_accuracy(frame):
    row = figures.table(frame[(frame.metric == "test_accuracy") & (frame.seed == 0)]).iloc[0]
    names = ["accuracy_std", "paper_mean", "paper_std", "difference", "path_min", "path_max", "gradient_angle"]
    assert row[names].isna().all()
    assert row["accuracy_mean"] > 98


def test_format_table(frame):
    text = figures.format_table(figures.table(frame, PAPER)).splitlines()
    assert len(text) == 8
    assert len({len(line) for line in text}) == 1
    assert len(text[0]) <= 100
    assert "98.39 ± 0.04" in next(line for line in text if line.startswith("PFA "))
    alone = figures.format_table(figures.table(of(frame, seed=0))).splitlines()
    assert "paper" in text[0]
    assert "paper" not in alone[0], "no column for what is not there"
    assert "–" in next(line for line in alone if line.startswith("DFA "))  # no F, no path angle
    assert "nan" not in "".join(text + alone)


def test_save_writes_both_files_whole(frame, tmp_path):
    paths = figures.save(figures.gradient_angle(frame), tmp_path / "new" / "folder", "angles.v2")
    assert [path.name for path in paths] == ["angles.v2.png", "angles.v2.svg"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert paths[1].read_text(encoding="utf-8").rstrip().endswith("</svg>")
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["angles.v2.png", "angles.v2.svg"]


def test_save_names_the_folder_it_cannot_write(frame, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(errors.OutputError, match="taken"):
        figures.save(figures.gradient_angle(frame), tmp_path / "taken", "angles")
    assert (tmp_path / "taken").read_text() == "a file"
