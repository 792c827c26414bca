"""Sparse feedback: accuracy and path alignment against the fraction of feedback synapses that exist.

The frame is a tidy frame of runs (see ``curves``) with one more column, ``density``; backprop's rows have density 1,
it has no feedback path of its own to thin out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from .. import errors
from . import draw, numbers, statistics, style
from .looks import in_order, is_backprop, looks_of
from .statistics import select
from .style import Figure, themed


@themed
def sparse(
    frame: pd.DataFrame, layer: str = "fc2", theory: Mapping[float, float] | None = None,
    simulated: Mapping[float, float] | None = None, about: str = "",
) -> Figure:  # fmt: skip
    """Last-epoch accuracy in percent (left) and path alignment of ``layer`` in degrees (right) against density.

    A line per rule, band ±1 std over the seeds; backprop, where it was run, is the grey band behind the accuracies.
    ``theory``, ``simulated``: degrees at each density for a PFA path that is aligned as well as its masks let it.
    Raises ConfigError if the frame has no column ``density``, or no rule but backprop.
    """
    metric = _checked(frame)
    part = metric.removesuffix("_accuracy").capitalize()
    scores, angles = _ends(frame, metric, "network"), _ends(frame, "path_alignment", layer)
    shown = looks_of(scores["rule"])
    rules = [rule for rule in shown if not is_backprop(rule)]
    if not rules:
        only = ", ".join(shown)
        raise errors.ConfigError(f"sparse: the frame has no rule with a feedback path of its own, only {only}")
    fig = Figure(figsize=(9.6, 4.8), layout="constrained")
    left, right = fig.subplots(1, 2)
    handles = []
    for rule in (rule for rule in shown if is_backprop(rule)):
        values = select(scores, rule=rule)["value"]
        if len(values) > 1:
            left.axhspan(*draw.spread(values), color=style.GREY, alpha=0.25, linewidth=0, zorder=1)
        left.axhline(values.mean(), color=shown[rule].colour, linewidth=1.2, zorder=1.5)
        handles.append(Line2D([], [], color=shown[rule].colour, linewidth=1.2, label=shown[rule].label))
    for rule in rules:
        for ax, ends in ((left, scores), (right, angles)):
            draw.rule_curve(ax, select(ends, rule=rule), shown[rule], x="density")
        handles.append(style.rule_handle(shown[rule]))
    style.angle_axis(right, None)
    if theory:
        at = sorted(theory)
        right.plot(at, [theory[d] for d in at], color=style.INK, linestyle=":", linewidth=1.3, zorder=3.5)
        handles.append(style.theory_handle("theory: R = mask ∘ BᵀW"))
    if simulated:
        hollow: dict[str, Any] = {
            "color": style.INK, "marker": "o", "markersize": 6, "markerfacecolor": "none", "linestyle": "none",
        }  # fmt: skip
        right.plot(list(simulated), list(simulated.values()), zorder=4, **hollow)
        handles.append(Line2D([], [], label="the same, simulated", **hollow))
    densities = sorted(set(scores.loc[scores["rule"].isin(rules), "density"]))
    for ax, title in ((left, "After the last epoch"), (right, f"Layer {layer}")):
        ax.set_xscale("log")
        ax.set_xticks(densities, [f"{d:g}" for d in densities])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("Density: fraction of feedback synapses that exist")
        style.dress(ax, title, epochs=False)
    left.set_ylabel(f"{part} accuracy in %")
    right.set_ylabel("Path alignment ∠(F, W) in degrees")
    style.legend(fig, handles)
    seeds = scores.groupby(["rule", "density"])["seed"].count()
    style.headline(fig, "Learning with a sparse feedback path", seeds, about)
    return fig


def sparse_table(frame: pd.DataFrame) -> pd.DataFrame:
    """What ``table`` gives, for every rule and density: columns ``label`` and ``density`` besides its own."""
    _checked(frame)
    table = numbers.table(frame, by=["density"])
    order = {rule: i for i, rule in enumerate(in_order(table["rule"]))}
    table = table.sort_values(
        ["rule", "density"], key=lambda c: c.map(order) if c.name == "rule" else -c, ignore_index=True
    )
    names = looks_of(table["rule"])
    labels = [
        names[rule].label + ("" if is_backprop(rule) else f" {density:g}")
        for rule, density in zip(table["rule"], table["density"], strict=True)
    ]
    table.insert(0, "label", labels)
    return table


def _checked(frame: pd.DataFrame) -> str:
    """The accuracy that was measured."""
    if "density" not in frame.columns:
        raise errors.ConfigError("not a frame of sparse runs: without the column density")
    metric = numbers.watched(frame)
    statistics.rows_of(frame, metric, by=("density",))
    return metric


def _ends(frame: pd.DataFrame, metric: str, layer: str) -> pd.DataFrame:
    """Every rule's values at each density after the last epoch that all its seeds have reached."""
    groups = select(frame, layer=layer).groupby(["rule", "density"])
    return pd.concat([select(frame[:0]), *(statistics.last(runs, metric) for _, runs in groups)])
