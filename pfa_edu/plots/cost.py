"""PFA among its relatives: accuracy and path alignment against what they have cost."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.lines import Line2D

from ..rules import known_rules
from . import numbers, style
from .style import Figure, rule_look

# The rules keep their looks; FA's two relatives and SF's other kinds get their own beside them.
_LOOK = {name: rule_look(name) for name in known_rules()} | {
    "noise": rule_look("fa")._replace(colour="#8C5A00", marker=">"),
    "mirror": rule_look("fa")._replace(colour="#7B3294", marker="p", size=1.2),
    "usf": rule_look("sf"),
    "frsf": rule_look("sf")._replace(colour="#5FBF9F", marker="P", size=1.1),
    "brsf": rule_look("sf")._replace(colour="#00523B", marker="h", size=1.1),
}


def relatives(
    frame: pd.DataFrame, labels: Mapping[str, str], layer: str = "fc2", threshold: float | None = None, about: str = ""
) -> Figure:
    """Accuracy in percent (left) and path alignment of ``layer`` in degrees (right) against cost in training steps.

    ``frame``: what ``relatives.compare`` returns for several names; ``labels``: how each is called. Lines are means
    over seeds, bands ±1 std. ``threshold``: percent, a dotted line.
    """
    metric = numbers.watched(frame)
    fig = Figure(figsize=(10.2, 5.2), layout="constrained")
    left, right = fig.subplots(1, 2)
    names = [name for name in labels if name in set(frame["rule"])]
    cost = numbers.select(frame, metric="cost").groupby(["rule", "epoch"])["value"].mean()
    shown = []
    for ax, what, where in ((left, metric, "network"), (right, "path_alignment", layer)):
        for i, name in enumerate(names):
            rows = _over_seeds(numbers.select(frame, rule=name, metric=what, layer=where))
            if rows.empty or (ax is right and name == "bp"):
                continue
            if ax is left and (rows["epoch"] > 0).any():  # chance level would flatten everything else
                rows = rows[rows["epoch"] > 0]
            rows = rows.assign(epoch=[cost[name, epoch] for epoch in rows["epoch"]])
            look, every = _LOOK[name], max(1, len(rows) // 6)
            style.line(
                ax, rows, look.colour, labels[name], marker=look.marker, markersize=5 * look.size,
                markeredgecolor="white", markeredgewidth=0.6, markevery=(int(i / len(names) * every), every),
            )  # fmt: skip
            if ax is left:
                shown.append(rows)
    means = pd.concat(shown)["mean"]
    style.limits(left, means.quantile(0.03 if len(means) >= 100 else 0), means.max())
    style.angle_axis(right, None)
    handles = [
        Line2D([], [], color=_LOOK[n].colour, marker=_LOOK[n].marker, markeredgecolor="white", linewidth=1.8,
               markersize=6.5 * _LOOK[n].size, label=labels[n])
        for n in names
    ]  # fmt: skip
    if threshold is not None:
        left.axhline(threshold, color=style.INK, linestyle=":", linewidth=1.3, zorder=1)
        handles.append(style.theory_handle(f"{threshold:g} %"))
    for ax, title in ((left, "Accuracy"), (right, f"Layer {layer}")):
        ax.set_xlabel("Cost in training steps (three products each)")
        style.look(ax, title)
    left.set_ylabel(f"{metric.removesuffix('_accuracy').capitalize()} accuracy in %")
    right.set_ylabel("Path alignment ∠(F, W) in degrees")
    style.legend(fig, handles, None)
    style.headline(fig, "PFA and its relatives at equal cost", pd.concat(shown), about)
    return fig


def relatives_table(frame: pd.DataFrame, labels: Mapping[str, str], threshold: float) -> pd.DataFrame:
    """Per relative what ``table`` has, with its ``label``, and ``steps``.

    ``steps``: the mean cost, in training steps, of the first epoch's end at or above ``threshold`` percent; NaN if a
    seed never gets there.
    """
    metric, rows = numbers.watched(frame), []
    for name in labels:
        runs = numbers.select(frame, rule=name)
        if runs.empty:
            continue
        # `table` knows rules by the names of their looks, so each relative goes through it as one of them
        row = numbers.table(runs.assign(rule="bp")).assign(rule=name)
        cost = numbers.select(runs, metric="cost").set_index(["seed", "epoch"])["value"]
        there = numbers.select(runs, metric=metric)
        there = there[there["value"] >= threshold].groupby("seed")["epoch"].min()
        reached = [cost[seed, there[seed]] if seed in there else float("nan") for seed in runs["seed"].unique()]
        row.insert(0, "label", labels[name])
        rows.append(row.assign(steps=sum(reached) / len(reached)))
    return pd.concat(rows, ignore_index=True)


def _over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    groups = rows.groupby("epoch")["value"]
    return pd.DataFrame(
        {"mean": groups.mean(), "std": groups.std(ddof=0).where(groups.count() > 1), "seeds": groups.count()}
    ).reset_index()
