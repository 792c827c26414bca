"""Every layer of a deep network at one moment, where a line per layer over time would be hard to read."""

from __future__ import annotations

import pandas as pd

from .. import errors
from . import draw, numbers, statistics, style
from .curves import standing
from .looks import in_order, is_backprop, looks_of
from .statistics import select
from .style import Figure, themed

_TITLES = {
    "path_alignment": "Path alignment ∠(F, W), °",
    "norm_ratio": "Norm ratio ‖F‖ / ‖W‖",
    "gradient_angle": "Gradient angle to BP, °",
}


@themed
def by_depth(
    frame: pd.DataFrame, published: pd.DataFrame | None = None, about: str = "", *, leaves: float | None = None
) -> Figure:
    """Path alignment, norm ratio (where it was measured) and gradient angle, layer by layer from input to output.

    After the last epoch of every rule. Where runs follow the paper's schedule only up to the epoch ``leaves``, after
    the last epoch that can be compared: one that is in ``frame`` and ``published``, and no later than ``leaves``.
    Raises ConfigError without path alignment or gradient angles.
    """
    panels = [metric for metric in _TITLES if metric != "norm_ratio" or (frame["metric"] == metric).any()]
    rows = {metric: statistics.rows_of(frame, metric) for metric in panels}
    rows = {metric: of[~of["rule"].map(is_backprop)] for metric, of in rows.items()}  # backprop's angles are 0
    if all(of.empty for of in rows.values()):
        raise errors.ConfigError("by_depth: the frame has angles of backprop alone, and they are 0 by definition")
    shown = looks_of(frame["rule"])
    known = select(published, metric="path_alignment")["epoch"]
    shared = set() if leaves is None else set(known[known <= leaves])
    chosen = {metric: _chosen(of, shared) for metric, of in rows.items()}
    stats = pd.concat([statistics.over_seeds(of, metric) for metric, of in chosen.items() if len(of)])
    rules, behind = in_order(stats["rule"]), standing(stats)

    fig = Figure(figsize=(1.0 + 3.6 * len(panels), 4.4), layout="constrained")
    axes = fig.subplots(1, len(panels))
    drawn = select(None)
    for ax, (metric, of) in zip(axes, chosen.items(), strict=True):
        place = {layer: i + 1 for i, layer in enumerate(rows[metric]["layer"].unique())}
        for i, rule in enumerate(rules):
            ours = select(of, rule=rule)
            theirs = select(numbers.paper(published, metric, stats, leaves), rule=rule)
            theirs = theirs[theirs["epoch"].isin(ours["epoch"])]
            theirs = theirs.assign(epoch=theirs["layer"].map(place))
            draw.paper_curve(ax, theirs, shown[rule].colour, points=len(theirs))
            draw.rule_curve(ax, ours.assign(depth=ours["layer"].map(place)), shown[rule], i / len(rules), x="depth")
            drawn = theirs if len(theirs) else drawn
        ax.set_xlabel("Layer, from input to output")
        style.dress(ax, _TITLES[metric])
    for ax, metric in zip(axes, panels, strict=True):  # only now: both panels of angles take the larger one's range
        if metric == "norm_ratio":
            style.ratio_axis(ax)
        else:
            style.angle_axis(ax)
    handles = [style.rule_handle(shown[rule], behind[rule]) for rule in rules]
    style.legend(fig, [*handles, style.theory_handle("no information: 90°; equally long: 1")], drawn)
    style.headline(fig, f"Every layer {_moment(stats, leaves)}", stats["seeds"], about, numbers.not_valid(frame))
    return fig


def _chosen(rows: pd.DataFrame, shared: set[float]) -> pd.DataFrame:
    """Every rule's rows after the last epoch that all its seeds have, one of ``shared`` where it has any of those."""
    parts = [rows[:0]]
    for _, runs in rows.groupby("rule", sort=False):
        common = set.intersection(*runs.groupby("seed")["epoch"].agg(set))
        parts.append(select(runs, epoch=max(common & shared or common, default=None)))
    return pd.concat(parts)


def _moment(stats: pd.DataFrame, leaves: float | None) -> str:
    epochs = stats["epoch"].unique()
    if len(epochs) > 1:
        return "after each rule's last epoch" if leaves is None else "after the last epoch that the paper shows too"
    return f"after {epochs[0]:g} epoch{'' if epochs[0] == 1 else 's'}"
