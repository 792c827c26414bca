"""PFA among its relatives: accuracy and path alignment against what they have cost."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from .. import errors
from . import draw, numbers, statistics, style
from .looks import is_backprop, looks_of
from .statistics import select
from .style import Figure, themed


@themed
def relatives(
    frame: pd.DataFrame, labels: Mapping[str, str] | None = None, layer: str = "fc2", threshold: float | None = None,
    about: str = "",
) -> Figure:  # fmt: skip
    """Accuracy in percent (left) and path alignment of ``layer`` in degrees (right) against cost in training steps.

    ``frame``: runs that log the metric 'cost', what they have cost by the end of each epoch. ``labels``: how each rule
    is called, {'sf': 'uSF'}, by default as everywhere; the rules that it names are drawn, by default all. Lines are
    means over seeds, bands ±1 std. ``threshold``: percent, a dotted line.
    """
    names, metric = _named(frame, labels), numbers.watched(frame)
    frame = _with_cost(frame[frame["rule"].isin(names)])
    shown = {rule: look._replace(label=names[rule]) for rule, look in looks_of(names).items()}
    fig = Figure(figsize=(10.2, 5.2), layout="constrained")
    left, right = fig.subplots(1, 2)
    accuracies = statistics.rows_of(frame, metric)
    if (accuracies["epoch"] > 0).any():  # chance level would flatten everything else
        accuracies = accuracies[accuracies["epoch"] > 0]
    for i, (rule, look) in enumerate(shown.items()):
        angles = statistics.finite(select(frame, rule=rule, layer=layer), "path_alignment")
        for ax, rows in ((left, select(accuracies, rule=rule)), (right, angles)):
            if rows.empty or (ax is right and is_backprop(rule)):
                continue
            draw.rule_curve(ax, rows, look, i / len(shown), x="cost")
    stats = statistics.over_seeds(accuracies, metric)
    style.limits(left, stats["mean"].quantile(0.03 if len(stats) >= 100 else 0), stats["mean"].max())
    style.angle_axis(right, None)
    handles = [style.rule_handle(look) for look in shown.values()]
    if threshold is not None:
        left.axhline(threshold, color=style.INK, linestyle=":", linewidth=1.3, zorder=1)
        handles.append(style.theory_handle(f"{threshold:g} %"))
    for ax, title in ((left, "Accuracy"), (right, f"Layer {layer}")):
        ax.set_xlabel("Cost in training steps (three products each)")
        style.dress(ax, title, epochs=False)
    left.set_ylabel(f"{metric.removesuffix('_accuracy').capitalize()} accuracy in %")
    right.set_ylabel("Path alignment ∠(F, W) in degrees")
    style.legend(fig, handles)
    style.headline(fig, "PFA and its relatives at equal cost", stats["seeds"], about)
    return fig


def relatives_table(frame: pd.DataFrame, labels: Mapping[str, str] | None, threshold: float) -> pd.DataFrame:
    """Per relative what ``table`` has, with its ``label``, and ``steps``; in the order of ``labels``.

    ``steps``: the mean cost, in training steps, of the first epoch's end at or above ``threshold`` percent; NaN if a
    seed never gets there. ``to_bp`` is between the ends of the runs, which have cost the same.
    """
    names, metric = _named(frame, labels), numbers.watched(frame)
    frame = _with_cost(frame[frame["rule"].isin(names)])
    table = numbers.table(frame, same_epoch=False).set_index("rule").loc[list(names)]
    table.insert(0, "label", list(names.values()))
    steps = []
    for rule in names:
        runs = select(frame, rule=rule)
        cost = select(runs, metric="cost").set_index(["seed", "epoch"])["value"]
        there = select(runs, metric=metric)
        there = there[there["value"] >= threshold].groupby("seed")["epoch"].min()
        reached = [cost[seed, there[seed]] if seed in there else float("nan") for seed in runs["seed"].unique()]
        steps.append(sum(reached) / len(reached))
    return table.assign(steps=steps).reset_index()


def _named(frame: pd.DataFrame, labels: Mapping[str, str] | None) -> dict[str, str]:
    """How each rule of the frame is called, in the order of ``labels``."""
    there = set(frame["rule"])
    if labels is None:
        return {rule: look.label for rule, look in looks_of(there).items()}
    found = {rule: label for rule, label in labels.items() if rule in there}
    if not found:
        raise errors.ConfigError(f"labels name none of the frame's rules: they are {', '.join(looks_of(there))}")
    return found


def _with_cost(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a column ``cost``: what the rule's runs have cost by the end of that epoch, mean over seeds."""
    mean = select(frame, metric="cost").groupby(["rule", "epoch"], as_index=False)["value"].mean()
    frame = frame.merge(mean.rename(columns={"value": "cost"}), how="left", on=["rule", "epoch"])
    without = frame.loc[frame["cost"].isna(), "rule"].unique()
    if len(without):
        lacking = ", ".join(without)
        raise errors.ConfigError(f"the frame lacks the metric 'cost' of {lacking}: train with the callback kin.Cost()")
    return frame
