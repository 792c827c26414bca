"""Sparse feedback: accuracy and path alignment against the fraction of feedback synapses that exist.

The frame is a tidy frame of runs (see ``curves``) with one more column, ``density``; backprop's rows have density 1,
it has no feedback path of its own to thin out.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from .. import errors
from . import numbers, style
from .style import Figure


def sparse(
    frame: pd.DataFrame, layer: str = "fc2", theory: Mapping[float, float] | None = None,
    simulated: Mapping[float, float] | None = None, about: str = "",
) -> Figure:  # fmt: skip
    """Last-epoch accuracy in percent (left) and path alignment of ``layer`` in degrees (right) against density.

    A line per rule, band ±1 std over the seeds; backprop, where it was run, is the grey band behind the accuracies.
    ``theory``, ``simulated``: degrees at each density for a PFA path that is aligned as well as its masks let it.
    Raises ConfigError if the frame has no column ``density``, or no rule but backprop.
    """
    _check(frame)
    metric = numbers.watched(frame)
    part = metric.removesuffix("_accuracy").capitalize()
    scores, angles = _points(frame, metric, "network"), _points(frame, "path_alignment", layer)
    rules = [rule for rule in numbers.rules(frame) if rule != "bp"]
    if not rules:
        raise errors.ConfigError("sparse: the frame has no rule with a feedback path of its own, only bp")
    fig = Figure(figsize=(9.6, 4.8), layout="constrained")
    left, right = fig.subplots(1, 2)
    bp = numbers.select(scores, rule="bp")
    for mean, std in zip(bp["mean"], bp["std"].fillna(0), strict=True):
        left.axhspan(mean - std, mean + std, color=style.GREY, alpha=0.25, linewidth=0, zorder=1)
        left.axhline(mean, color=style.rule_look("bp").colour, linewidth=1.2, zorder=1.5)
    for rule in rules:
        for ax, points in ((left, scores), (right, angles)):
            style.rule_line(ax, numbers.select(points, rule=rule), rule, 0)
    style.angle_axis(right, None)
    handles = [style.rule_handle(rule) for rule in rules]
    if len(bp):
        handles.insert(0, Line2D([], [], color=style.rule_look("bp").colour, linewidth=1.2, label="BP"))
    if theory:
        at = sorted(theory)
        right.plot(at, [theory[d] for d in at], color=style.INK, linestyle=":", linewidth=1.3, zorder=3.5)
        handles.append(style.theory_handle("theory: R = mask ∘ BᵀW"))
    if simulated:
        look = {"color": style.INK, "marker": "o", "markersize": 6, "markerfacecolor": "none", "linestyle": "none"}
        right.plot(list(simulated), list(simulated.values()), zorder=4, **look)
        handles.append(Line2D([], [], label="the same, simulated", **look))
    densities = sorted(set(scores.loc[scores["rule"] != "bp", "epoch"]))
    for ax, title in ((left, "After the last epoch"), (right, f"Layer {layer}")):
        ax.set_xscale("log")
        ax.set_xticks(densities, [f"{d:g}" for d in densities])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("Density: fraction of feedback synapses that exist")
        style.look(ax, title)
    left.set_ylabel(f"{part} accuracy in %")
    right.set_ylabel("Path alignment ∠(F, W) in degrees")
    style.legend(fig, handles, None)
    style.headline(fig, "Learning with a sparse feedback path", scores, about)
    return fig


def sparse_table(frame: pd.DataFrame) -> pd.DataFrame:
    """What ``table`` gives, for every rule and density: columns ``label`` and ``density`` besides its own."""
    _check(frame)
    parts = [numbers.table(runs).assign(density=density) for density, runs in frame.groupby("density")]
    table = pd.concat(parts)
    order = {rule: i for i, rule in enumerate(style.in_order(table["rule"]))}
    table = table.sort_values(
        ["rule", "density"], key=lambda c: c.map(order) if c.name == "rule" else -c, ignore_index=True
    )
    labels = [
        style.rule_look(rule).label + (f" {density:g}" if rule != "bp" else "")
        for rule, density in zip(table["rule"], table["density"], strict=True)
    ]
    table.insert(0, "label", labels)
    return table


def _check(frame: pd.DataFrame) -> None:
    if "density" not in frame.columns:
        raise errors.ConfigError("not a frame of sparse runs: without the column density")


def _points(frame: pd.DataFrame, metric: str, layer: str) -> pd.DataFrame:
    """Mean, std (NaN for one seed) and seeds per rule and density; the density stands where curves have the epoch."""
    rows = []
    for (rule, density), runs in numbers.select(frame, layer=layer).groupby(["rule", "density"]):
        values = numbers.last(runs, metric)["value"]
        if len(values):
            std = values.std(ddof=0) if len(values) > 1 else float("nan")
            rows.append((rule, density, values.mean(), std, len(values)))
    return pd.DataFrame(rows, columns=["rule", "epoch", "mean", "std", "seeds"]).sort_values(["rule", "epoch"])
