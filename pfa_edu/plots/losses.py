"""The loss on samples that were not trained on, where it says more than an accuracy does: text, regression."""

from __future__ import annotations

import pandas as pd

from . import draw, statistics, style
from .curves import standing
from .looks import in_order, looks_of
from .statistics import last, select
from .style import Figure, themed


@themed
def loss(frame: pd.DataFrame, about: str = "", unit: str = "nats") -> Figure:
    """Loss per epoch (left), and after the last epoch, every seed a dot, the best on top (right).

    On the validation part where the runs had one, else on the test part. Epoch 0 is left out, as in ``accuracy``.
    """
    metric = "validation_loss" if (frame["metric"] == "validation_loss").any() else "test_loss"
    rows = statistics.rows_of(frame, metric)
    rows = rows[rows["epoch"] > 0] if (rows["epoch"] > 0).any() else rows
    stats, shown = statistics.over_seeds(rows, metric), looks_of(rows["rule"])
    fig = Figure(figsize=(9.6, 4.8), layout="constrained")
    left, right = fig.subplots(1, 2, width_ratios=[1.5, 1])
    for i, (rule, look) in enumerate(shown.items()):
        draw.rule_curve(left, select(rows, rule=rule), look, i / len(shown))
    part = metric.partition("_")[0].capitalize()
    left.set(xlabel="Epochs of training", ylabel=f"{part} loss in {unit}")
    style.dress(left, "Every epoch")
    ends = {rule: last(select(rows, rule=rule), metric)["value"] for rule in shown}
    order = sorted(ends, key=lambda rule: ends[rule].mean())
    for y, rule in enumerate(order):
        look, values = shown[rule], ends[rule]
        right.plot(values, [y] * len(values), ".", color=look.colour, alpha=0.5, zorder=3)
        right.plot(
            values.mean(), y, color=look.colour, marker=look.marker, markersize=8 * look.size, markeredgecolor="white",
            zorder=4,
        )  # fmt: skip
    right.set_yticks(range(len(order)), [f"{shown[rule].label}  {ends[rule].mean():.3f}" for rule in order])
    right.invert_yaxis()
    right.set_xlabel(f"{part} loss in {unit}")
    style.dress(right, "After the last epoch, the best first", epochs=False)
    behind = standing(stats)
    style.legend(fig, [style.rule_handle(shown[rule], behind[rule]) for rule in in_order(shown)])
    style.headline(fig, f"{part} loss of each learning rule", stats["seeds"], about)
    return fig
