"""The lesson's figures: settling, the error against β, and what becomes of seven feedback paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from ...plots import draw, looks, statistics, style
from ...rules import Look, alignment_limit
from .training import WAYS

LOOKS = {
    "tied": Look(WAYS["tied"].label, looks.rule_look("bp").colour, "o"),
    "fixed": Look(WAYS["fixed"].label, looks.rule_look("fa").colour, "v"),
    "own-copy": Look(WAYS["own-copy"].label, "#56B4E9", "s"),
    "own": Look(WAYS["own"].label, "#8C5A00", "P", 1.2),
    "homeostasis": Look(WAYS["homeostasis"].label, "#009E73", "*", 1.4),
    "kp": Look(WAYS["kp"].label, looks.rule_look("kp").colour, "X", 1.2),
    "pfa": Look(WAYS["pfa"].label, looks.rule_look("pfa").colour, "D"),
}
_LAYERS = ("#0072B2", "#D55E00", "#009E73")


@style.themed
def settling(traces: Mapping[str, Sequence[float]]) -> style.Figure:
    """The residual against the step, a line for each of ``traces`` by its label."""
    fig = style.Figure(figsize=(6.4, 3.4), layout="constrained")
    ax = fig.subplots()
    for (label, trace), look in zip(traces.items(), LOOKS.values(), strict=False):
        ax.semilogy(range(len(trace)), trace, color=look.colour, linewidth=1.8, label=label)
    ax.set(xlabel="Step", ylabel="Residual")
    style.dress(ax, "Does it come to rest?", epochs=False)
    ax.legend(frameon=False, fontsize=9.5)
    return fig


@style.themed
def error_by_beta(frames: Mapping[str, pd.DataFrame]) -> style.Figure:
    """‖d − δ‖/‖δ‖ against β on logarithmic axes, a panel for each of ``frames`` by its title, a line for each layer."""
    fig, axes = style.grid(len(frames), "Nudge β", "Distance to the exact error")
    for ax, (title, frame) in zip(axes, frames.items(), strict=True):
        for (layer, rows), colour in zip(frame.groupby("layer"), _LAYERS, strict=False):
            ax.loglog(rows["beta"], rows["value"], "o-", color=colour, markersize=4, label=layer)
        start = frames[next(iter(frames))]
        first = start[start["beta"] == start["beta"].max()]["value"].mean()
        betas = sorted(frame["beta"])
        ax.loglog(betas, [first * (b / betas[-1]) ** 2 for b in betas], ":", color=style.INK, label="slope 2")
        ax.set_xticks(betas, [f"{beta:g}" for beta in betas])
        ax.xaxis.set_minor_locator(NullLocator())
        style.dress(ax, title, epochs=False)
    axes[0].legend(frameon=False, fontsize=9)
    return fig


@style.themed
def paths(frame: pd.DataFrame, dial: pd.DataFrame | None = None, about: str = "") -> style.Figure:
    """Error angle of layer 1 (left) and path angle of W2 (middle) by epoch; right: one against the other.

    ``frame``: what :func:`.training.study` gives. ``dial``: what :func:`.looking.dial` gives, the line on the right.
    """
    fig = style.Figure(figsize=(12.2, 5.0), layout="constrained")
    left, middle, right = fig.subplots(1, 3)
    handles = []
    shown = [way for way in LOOKS if way in set(frame["rule"])]
    for i, way in enumerate(shown):
        runs = frame[frame["rule"] == way]
        for ax, metric, layer in ((left, "error_angle", "layer 1"), (middle, "path_alignment", "W2")):
            rows = runs[(runs["metric"] == metric) & (runs["layer"] == layer)]
            draw.rule_curve(ax, rows, LOOKS[way], i / len(shown))
        ends = runs[runs["epoch"] == runs["epoch"].max()]
        x, y = (ends[(ends["metric"] == m) & (ends["layer"] == where)]["value"]
                for m, where in (("path_alignment", "W2"), ("error_angle", "layer 1")))  # fmt: skip
        mark: dict[str, Any] = {"color": LOOKS[way].colour, "marker": LOOKS[way].marker, "capsize": 2}
        right.errorbar(x.mean(), y.mean(), xerr=statistics.std(x), yerr=statistics.std(y), markersize=7, **mark)
        handles.append(style.rule_handle(LOOKS[way]))
    if dial is not None:
        line = dial[dial["layer"] == "layer 1"].groupby("angle")["value"].mean()
        right.plot(line.index, line, color=style.GREY, linewidth=1.4, zorder=1)
        handles.append(Line2D([], [], color=style.GREY, linewidth=1.4, label="before training, F turned away from W"))
    middle.axhline(alignment_limit(10), color=style.INK, linestyle=":", linewidth=1.3)
    handles.append(style.theory_handle("arctan(1/√10)"))
    for ax, title, low in ((left, "Error of layer 1", "Epoch"), (middle, "Path of W2", "Epoch"),
                           (right, "At the end", "Path angle ∠(F, W) of W2")):  # fmt: skip
        style.angle_axis(ax, None)
        ax.set_xlabel(low)
        style.dress(ax, title, epochs=ax is not right)
    right.set_xticks(range(0, 91, 15))
    left.set_ylabel("∠(nudged error, exact error) in degrees")
    middle.set_ylabel("∠(F, W) in degrees")
    style.legend(fig, handles)
    style.headline(fig, "Equilibrium propagation: seven feedback paths", _seeds(frame), about)
    return fig


def _seeds(frame: pd.DataFrame) -> pd.Series:
    return frame.groupby("rule")["seed"].nunique()


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """After the last epoch, 'mean ± std' over seeds: accuracy in percent, error and path angles in degrees."""
    ends = frame[frame["epoch"] == frame.groupby("rule")["epoch"].transform("max")]
    columns = {
        "test accuracy %": ("test_accuracy", "network"), "error 1 °": ("error_angle", "layer 1"),
        "error 2 °": ("error_angle", "layer 2"), "path W2 °": ("path_alignment", "W2"),
        "path W3 °": ("path_alignment", "W3"),
    }  # fmt: skip
    rows = {}
    for way in (way for way in LOOKS if way in set(frame["rule"])):
        runs = ends[ends["rule"] == way]
        values = [runs[(runs["metric"] == m) & (runs["layer"] == where)]["value"] for m, where in columns.values()]
        rows[LOOKS[way].label] = [f"{v.mean():.1f} ± {statistics.std(v):.1f}" for v in values]
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(columns))
