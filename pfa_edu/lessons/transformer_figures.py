"""The pictures of the transformer study, from its tidy frame. One network at a time; numbers: transformer_tables.

>>> from pfa_edu.lessons.results import committed
>>> gap(committed("gpt"))    # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from .. import plots
from ..errors import ConfigError, OutputError, unknown
from ..plots import draw, style
from ..plots.statistics import std
from ..plots.style import Figure
from ..rules import Look
from .transformer_study import DEEP, DEPTH, MAIN, NETWORKS, SCHEDULES
from .transformer_tables import ends, gaps, look, part

_MAIN_RULES = ("sf", "kp", "pfa", "pfa-o", "fa", "dfa", "soft")  # of the panels by projection: one line each
_LOSS = "Validation loss in nats"
_ABOUT = {"gpt": "GPT of {} blocks on Python's help", "vit": "ViT of {} blocks on CIFAR-10"}


@style.themed
def gap(frame: pd.DataFrame) -> Figure:
    """(a) The gap to backprop by arm, in loss and in accuracy; dashed: lower blocks frozen at random."""
    found = {metric: gaps(frame, metric).drop(index="bp") for metric in ("validation_loss", "test_accuracy")}
    order = found["validation_loss"].mean(axis=1).sort_values().index
    fig = Figure(figsize=(10.2, 5.4), layout="constrained")
    axes = fig.subplots(1, 2, sharey=True)
    for ax, (metric, values) in zip(axes, found.items(), strict=True):
        for y, arm in enumerate(order):
            _dots(ax, values.loc[arm].dropna(), y, look(arm))
        ax.axvline(0, color=style.INK, linestyle=":", linewidth=1.3, zorder=1)
        ax.axvline(values.loc["frozen"].mean(), color=style.GREY, linestyle="--", linewidth=1.3, zorder=1)
        lost = "Validation loss above backprop's, nats", "Test accuracy below backprop's, points"
        ax.set_xlabel(lost[metric == "test_accuracy"])
        ax.grid(visible=False, axis="y")
    style.dress(axes[0], "Loss", epochs=False)
    style.dress(axes[1], "Accuracy", epochs=False)
    axes[0].set_yticks(range(len(order)), [look(arm).label for arm in order])
    axes[0].invert_yaxis()
    _head(fig, frame, "What each rule loses against backprop", found["validation_loss"].count(axis=1),
          "dotted: backprop, dashed: the control with frozen lower blocks")  # fmt: skip
    return fig


def projections(frame: pd.DataFrame, metric: str) -> Figure:
    """(b) 'path_alignment' or 'gradient_angle' by block and by kind of projection, for the main rules."""
    rows = part(frame, "main", arms=_MAIN_RULES)
    rows = rows[rows["epoch"] == rows["epoch"].max()]  # of earlier epochs not every seed is kept
    plain = rows.assign(rule=rows["rule"].str.replace(" form=coupled", "", regex=False))
    return plots.projections(plain, metric, _about(frame))


@style.themed
def schedules(frame: pd.DataFrame) -> Figure:
    """(c) Ways to align: the loss at the end against the path angle at the end, and the loss over epochs."""
    main = part(frame, "main", arms=("bp", "pfa"))
    rows = pd.concat([main, part(frame, "schedule")])
    rows = rows[rows["seed"].isin(part(frame, "schedule")["seed"])]
    arms = [arm for arm in ("bp", "bp-strong", "pfa", *SCHEDULES[:5]) if (rows["arm"] == arm).any()]
    paths = rows[(rows["metric"] == "path_alignment") & (rows["layer"].str.startswith("blocks."))]
    paths = paths[paths["epoch"] == paths["epoch"].max()].groupby(["arm", "seed"])["value"].mean()
    losses = rows[(rows["metric"] == "validation_loss") & (rows["epoch"] > 0)]
    fig = Figure(figsize=(10.2, 4.6), layout="constrained")
    left, right = fig.subplots(1, 2)
    for i, arm in enumerate(arms):
        own = losses[losses["arm"] == arm]
        final = own[own["epoch"] == own["epoch"].max()].set_index("seed")["value"]
        x = paths[arm] if arm in paths.index.get_level_values("arm") else 0 * final  # backprop's path is W itself
        _marker(left, x.reindex(final.index), final, look(arm))
        draw.rule_curve(right, own, look(arm), i / len(arms))
    left.set(xlabel="Path angle at the end, mean over projections, °", ylabel=f"{_LOSS}, at the end")
    right.set(xlabel="Epochs of training", ylabel=_LOSS)
    style.dress(left, "Loss and angle after the last epoch", epochs=False)
    style.dress(right, "Every epoch")
    style.legend(fig, [style.rule_handle(look(arm)) for arm in arms])
    _head(
        fig, frame, "Ways to align PFA's path", losses.groupby("arm")["seed"].nunique(), "each seed a dot on the left"
    )
    return fig


@style.themed
def depths(frame: pd.DataFrame) -> Figure:
    """(d) The loss at 2, 4 and 8 blocks: lines are seed 0, pale dots the other seeds at 4 blocks."""
    by_depth = {2: ends(frame, "validation_loss", "depth", 2), DEPTH: ends(frame, "validation_loss"),
                8: ends(frame, "validation_loss", "depth", 8)}  # fmt: skip
    arms = [arm for arm in DEEP if all(arm in found.index for found in by_depth.values())]
    fig = Figure(figsize=(8.6, 4.8), layout="constrained")
    ax = fig.subplots()
    for arm in arms:
        shown, line = look(arm), [found.loc[arm, 0] for found in by_depth.values()]
        ax.plot(list(by_depth), line, color=shown.colour, marker=shown.marker, markersize=7 * shown.size,
                markeredgecolor="white", linewidth=1.8, linestyle="--" if arm == "frozen" else "-")  # fmt: skip
        others = by_depth[DEPTH].loc[arm].drop(0)
        ax.plot([DEPTH] * len(others), others, "o", color=shown.colour, alpha=0.4, markersize=4)
    ax.set_xscale("log", base=2)
    ax.set_xticks(list(by_depth), [str(depth) for depth in by_depth])
    ax.minorticks_off()
    ax.set(xlabel="Blocks", ylabel=f"{_LOSS}, at the end")
    style.legend(fig, [style.rule_handle(look(arm)) for arm in arms])
    _head(
        fig,
        frame,
        "Does a rule gain from depth?",
        pd.Series([1]),
        "pale dots: the other seeds at 4 blocks",
        blocks="2, 4, 8",
    )
    return fig


@style.themed
def evening(frame: pd.DataFrame) -> Figure:
    """(e) A long training: validation loss, its minimum marked by a star, and accuracy over epochs."""
    rows = part(frame, "evening")
    arms = [arm for arm in MAIN if (rows["arm"] == arm).any()]
    fig = Figure(figsize=(10.2, 4.8), layout="constrained")
    axes = fig.subplots(1, 2)
    for i, arm in enumerate(arms):
        for ax, metric in zip(axes, ("validation_loss", "validation_accuracy"), strict=True):
            own = rows[(rows["arm"] == arm) & (rows["metric"] == metric) & (rows["epoch"] > 0)]
            draw.rule_curve(ax, own, look(arm), i / len(arms))
            if metric == "validation_loss":
                best = own.loc[own["value"].idxmin()]
                ax.plot(best["epoch"], best["value"], "*", color=look(arm).colour, markersize=13,
                        markeredgecolor=style.INK, markeredgewidth=0.6, zorder=5)  # fmt: skip
    axes[0].set(xlabel="Epochs of training", ylabel=_LOSS)
    axes[1].set(xlabel="Epochs of training", ylabel="Validation accuracy in %")
    style.dress(axes[0], "Loss, a star at each minimum")
    style.dress(axes[1], "Accuracy")
    style.legend(fig, [style.rule_handle(look(arm)) for arm in arms])
    seeds = rows.groupby("arm")["seed"].nunique()
    _head(fig, frame, "A longer training: 30 epochs", seeds, "the loss rises where a network overfits")
    return fig


FIGURES: dict[str, tuple[str, Callable[[pd.DataFrame], Figure]]] = {  # name: the part it needs, and its function
    "gap": ("main", gap),
    "path_angle": ("main", lambda frame: projections(frame, "path_alignment")),
    "gradient_angle": ("main", lambda frame: projections(frame, "gradient_angle")),
    "schedules": ("schedule", schedules),
    "depth": ("depth", depths),
    "evening": ("evening", evening),
}


def draw_all(folder: str | Path) -> list[Path]:
    """Every figure of FOLDER/results.csv whose part has been run, as PNG and SVG beside it, one network a folder."""
    file = Path(folder, "results.csv")
    if not file.is_file():
        raise OutputError(f"{file} is not there: run the study with --out {folder} first")
    frame = pd.read_csv(file)
    networks = frame["network"].unique()
    done = []
    for network in networks:
        rows = frame[frame["network"] == network]
        place = Path(folder) if len(networks) == 1 else Path(folder, network)
        for name, (needed, function) in FIGURES.items():
            if (rows["part"] == needed).any():
                done += plots.save(function(rows), place, name)
    return done


def _dots(ax: Axes, values: pd.Series, y: float, shown: Look) -> None:
    """Every seed a pale dot, their mean a marker with a bar of ±1 std."""
    ax.plot(values, [y] * len(values), "o", color=shown.colour, alpha=0.4, markersize=4, zorder=3)
    bar: dict[str, Any] = {} if len(values) < 2 else {"xerr": std(values)}
    ax.errorbar(values.mean(), y, **bar, color=shown.colour, marker=shown.marker, markersize=8 * shown.size,
                markeredgecolor="white", linewidth=1.8, capsize=3, zorder=4)  # fmt: skip


def _marker(ax: Axes, x: pd.Series, y: pd.Series, shown: Look) -> None:
    ax.plot(x, y, "o", color=shown.colour, alpha=0.4, markersize=4, zorder=3)
    ax.plot(x.mean(), y.mean(), color=shown.colour, marker=shown.marker, markersize=9 * shown.size,
            markeredgecolor="white", zorder=4)  # fmt: skip


def _about(frame: pd.DataFrame, blocks: Any = DEPTH) -> str:
    (network,) = frame["network"].unique() if frame["network"].nunique() == 1 else ("",)
    if network not in NETWORKS:
        raise unknown("network of the frame, one at a time,", network, NETWORKS)
    return _ABOUT[network].format(blocks)


def _head(fig: Figure, frame: pd.DataFrame, title: str, seeds: pd.Series, note: str, blocks: Any = DEPTH) -> None:
    if seeds.empty:
        raise ConfigError(f"{title}: no run of that part is in the frame")
    style.headline(fig, title, seeds, _about(frame, blocks), [note])
