"""The strokes of every figure: solid = measured here, dashed or hollow = the paper's, dotted = theory.

Means and bands are seaborn's. What it has no word for is here: markers that make way for one another, the paper's
curves behind ours, and the line where our schedule leaves the paper's.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from ..rules import Look
from .statistics import std
from .style import GREY, PAPER


def spread(values: pd.Series) -> tuple[float, float]:
    """What bands and bars show: ±1 std around the mean; nothing for a single seed."""
    mean, scatter = values.mean(), std(values)
    return mean - scatter, mean + scatter


def curve(
    ax: Axes, rows: pd.DataFrame, colour: str, label: str, *, x: str = "epoch", band: bool = True, **line: Any
) -> None:
    """The mean of ``rows``' values over ``x``, and a band of ±1 std where several seeds stand behind it.

    ``band`` False: the mean alone, much faster, for many lines in one panel.
    """
    import seaborn as sns

    if rows.empty:
        return
    if not band:
        rows = rows.groupby(x, as_index=False)["value"].mean()
    several = rows.groupby(x)["value"].count().max() > 1
    if rows[x].nunique() == 1:  # a line of one point is invisible
        line = {"marker": "o", **line}
    named = ax.get_xlabel(), ax.get_ylabel()
    sns.lineplot(
        data=rows, x=x, y="value", ax=ax, color=colour, legend=False, estimator="mean" if several else None,
        errorbar=spread if several else None, err_kws={"alpha": 0.18, "linewidth": 0, "zorder": 2},
        **{"linewidth": 1.8, "zorder": 3, **line},
    )  # fmt: skip
    ax.lines[-1].set_label(label)
    ax.set(xlabel=named[0], ylabel=named[1])  # seaborn would call them by their columns


def rule_curve(ax: Axes, rows: pd.DataFrame, look: Look, phase: float = 0.0, *, x: str = "epoch") -> None:
    """``phase`` in [0, 1) staggers the markers, so that curves on top of each other still show every rule's."""
    every = max(1, rows[x].nunique() // 6)
    curve(
        ax, rows, look.colour, look.label, x=x, marker=look.marker, markersize=5 * look.size, markeredgecolor="white",
        markeredgewidth=0.6, markevery=(int(phase * every), every),
    )  # fmt: skip


def paper_curve(
    ax: Axes, rows: pd.DataFrame, colour: str, *, points: int = 0, size: float = 3.5, band: bool = False
) -> None:
    """Behind our line; ``points`` hollow dots in front of it show the paper's curve even where ours covers it."""
    if rows.empty:
        return
    rows = rows.sort_values("epoch")
    ax.plot(rows["epoch"], rows["mean"], color=colour, linestyle=PAPER, linewidth=1.1, alpha=0.7, zorder=2.5)
    if band and rows["std"].notna().any():
        low, high = rows["mean"] - rows["std"], rows["mean"] + rows["std"]
        ax.fill_between(rows["epoch"], low, high, color=colour, alpha=0.12, linewidth=0, zorder=1.5)
    if points:
        dots = rows.iloc[:: -max(1, len(rows) // points)]  # from the end, which is what one compares
        hollow: dict[str, Any] = {"markerfacecolor": "white", "markersize": size, "markeredgewidth": size / 4}
        ax.plot(dots["epoch"], dots["mean"], "o", color=colour, zorder=4, **hollow)


def leaving(ax: Axes, epoch: float | None, reached: float, height: float) -> None:
    """A thin line after the last epoch that is the paper's, where the learning rate drops earlier than there.

    ``height``: of its word, 0 to 1, where there are few data.
    """
    if epoch is None or reached <= epoch:
        return
    ax.axvline(epoch, color=GREY, linewidth=0.8, zorder=1.2)
    ax.annotate(
        "drop", (epoch, height), (2, 0), xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=8.5,
        color=GREY, va="bottom", zorder=5, path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )  # fmt: skip
