"""Frames of made-up runs for the tests of figures and tables, and what every figure must satisfy."""

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection

from pfa_edu import plots
from pfa_edu.plots import published

COLUMNS = ["rule", "seed", "epoch", "layer", "metric", "value"]
PAPER = published.curves("mnist")
CIFAR = published.curves("cifar10")
LIMITS = {"pfa": 17.55, "pfa-o": 0}


def mnist_runs(seeds=5):
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


def deep(layers=20, name="layer{}.conv2"):
    """A deep net with long layer names, one seed, seven rules."""
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


def evening(epochs):
    """ResNet-20 on CIFAR-10 for so many ``epochs``, {rule: one number per seed}: the paper's curves, a point higher."""
    rows = []
    layers = list(CIFAR.loc[CIFAR.metric == "path_alignment", "layer"].unique())
    for rule, lengths in epochs.items():
        theirs = CIFAR[CIFAR.rule == rule]
        for seed, length in enumerate(lengths):
            for row in theirs[theirs.epoch <= length].itertuples():
                shift = 1 if row.metric == "validation_accuracy" else 0
                rows.append((rule, seed, row.epoch, row.layer, row.metric, row.mean + shift))
            rows += [(rule, seed, e, layer, "gradient_angle", 40.0 + e) for layer in layers for e in range(length + 1)]
    return pd.DataFrame(rows, columns=COLUMNS)


def every_figure(frame, paper=PAPER):
    return {
        "accuracy": plots.accuracy(frame, paper),
        "path_alignment": plots.path_alignment(frame, paper, LIMITS),
        "norm_ratio": plots.norm_ratio(frame, paper),
        "gradient_angle": plots.gradient_angle(frame),
    }


def of(frame, **wanted):
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    return frame


def lines(ax, label):
    return [line for line in ax.lines if line.get_label() == label]


def drawn_y(ax):
    """Every y that lines and dots of the axes show."""
    dots = [points.get_offsets()[:, 1] for points in ax.collections if isinstance(points, PathCollection)]
    return np.concatenate([np.asarray(y, dtype=float) for y in (*(line.get_ydata() for line in ax.lines), *dots)])


def words(fig):
    """All that stands below the title."""
    return " ".join(text.get_text() for text in fig.texts if text is not fig._suptitle).replace("\n", " ")


def looks_right(fig):
    """Not blank, nothing outside the canvas, the legend in a strip of its own, no title over another."""
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
    if fig.legends:
        legend = fig.legends[0].get_window_extent().extents / fig.dpi
        assert legend[3] <= min(box[1] for box in boxes) + 0.05
    below_title = min(text.get_window_extent().extents[1] / fig.dpi for text in (fig._suptitle, *fig.texts))
    assert below_title >= max(box[3] for box in boxes)
    titles = [title.get_window_extent() for ax in fig.axes for title in (ax.title, ax._left_title, ax._right_title)
              if title.get_text()]  # fmt: skip
    assert not any(a.overlaps(b) for i, a in enumerate(titles) for b in titles[:i])
