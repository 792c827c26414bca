"""The comparison that curves cannot show: every rule's last epoch side by side, the near ones enlarged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from ..rules import Look
from . import draw, style
from .statistics import last, select, std

_NEAR = 3.0  # accuracy points below the best within which rules are compared
_LEAST = 5.0  # points that the axis shows of a single seed: what lies closer, another seed might turn round


def last_epoch(ax: Axes, rows: pd.DataFrame, metric: str, paper: pd.DataFrame, shown: Mapping[str, Look]) -> None:
    """Mean ±1 std, every seed a dot to its left, the paper's hollow to its right; far below the best, in words."""
    import seaborn as sns

    ends = {rule: last(select(rows, rule=rule), metric) for rule in shown}
    means = {rule: end["value"].mean() for rule, end in ends.items()}
    near = [rule for rule in shown if means[rule] >= max(means.values()) - _NEAR]
    near = near if len(near) > len(shown) / 2 else list(shown)  # an enlarged view of a minority compares too little
    edges: list[float] = []
    for x, (rule, look) in enumerate(shown.items()):
        if rule not in near:
            ax.annotate(
                f"{means[rule]:.1f}\n↓", (x, 0.02), xycoords=("data", "axes fraction"), ha="center", fontsize=8.5,
                color=look.colour,
            )  # fmt: skip
            continue
        values = ends[rule]["value"]
        theirs = select(paper, rule=rule, epoch=ends[rule]["epoch"].iloc[0])
        shift = 0.16 if len(theirs) else 0
        several = len(values) > 1
        place = {"native_scale": True, "color": look.colour, "ax": ax}
        sns.pointplot(
            x=[x - shift] * len(values), y=values.to_numpy(), errorbar=draw.spread if several else None,
            marker=look.marker, markersize=7 * look.size, markeredgecolor="white", markeredgewidth=0.6, linewidth=1.8,
            err_kws={"linewidth": 1.8}, zorder=4, **place,
        )  # fmt: skip
        if several:  # the seeds beside the bar, not on it: it would hide them
            beside = [x - shift - 0.2] * len(values)
            sns.stripplot(x=beside, y=values.to_numpy(), jitter=False, size=3.5, alpha=0.6, zorder=3, **place)
        for mean, error in zip(theirs["mean"], theirs["std"].fillna(0), strict=True):
            ax.errorbar(
                x + shift, mean, error or None, color=look.colour, marker=look.marker, markersize=6 * look.size,
                markerfacecolor="white", linewidth=1, linestyle="none", alpha=0.75, zorder=3,
            )  # fmt: skip
            edges += [mean - error, mean + error]
        scatter = std(values) if several else 0.0
        edges += [means[rule] - scatter, means[rule] + scatter, values.min(), values.max()]
    seeds = max(len(end) for end in ends.values())
    style.limits(ax, min(edges), max(edges), least=0 if seeds > 1 else _LEAST)
    ax.set_xlim(-0.6, len(shown) - 0.4)
    epochs = {rule: f"{end['epoch'].iloc[0]:g}" for rule, end in ends.items()}
    alike = len(set(epochs.values())) == 1
    names = [look.label if alike else f"{look.label}\n({epochs[rule]})" for rule, look in shown.items()]
    crowded = sum(max(map(len, name.split("\n"))) for name in names) > 36
    tilted: dict[str, Any] = {"rotation": 40, "ha": "right"} if crowded else {}
    ax.set_xticks(range(len(shown)), names, **tilted)
    when = "After the last epoch" if alike else "After the epoch in brackets"
    style.dress(ax, when + (", 1 seed" if seeds == 1 else ", seed by seed" if alike else ""), epochs=False)
    ax.set(xlabel="", ylabel="")
    ax.grid(visible=False, axis="x")
