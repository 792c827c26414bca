"""How deep does a soft start carry? FA from four angles, PFA and backprop in networks of 1, 2 and 4 hidden layers.

>>> results = study(seeds=3)    # doctest: +SKIP
>>> figure(results)             # doctest: +SKIP
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import to_hex

from .._settings import whole
from ..errors import ConfigError
from ..plots import draw, looks, statistics, style
from ..rules import Rule
from ..rules import rule as rule_by_name
from ..rules.soft import Soft
from ..runs.experiments import Experiment
from ..runs.grid import run_grid
from ..runs.presets import mnist

ANGLES = (0, 30, 60, 90)
DEPTHS = (1, 2, 4)  # hidden layers
WIDTH = 64
EPOCHS = 18
RULES: tuple[Rule | str, ...] = ("bp", "pfa", *(Soft(angle) for angle in ANGLES))


def deep(rule: Rule | str, depth: int, seed: int = 0, epochs: int = EPOCHS, out: str | Path | None = None,
         **settings: Any) -> Experiment:  # fmt: skip
    """mnist-5k on a network of ``depth`` hidden layers of WIDTH neurons, in the classroom's recipe without drops.

    Its learning rate of 0.01 is one at which FA learns here: at 0.05 it ends at chance with four hidden layers. PFA's
    a is 0.06 after 920 steps, 15 epochs.
    """
    network = "-".join(["mlp", *[str(WIDTH)] * whole("depth", depth, low=1)])
    e = mnist(rule, seed, "classroom", network=network, epochs=epochs, lr_drops=(), out=out, **settings)
    return dataclasses.replace(e, name="soft", group=f"soft-{depth}")


def study(
    rules: Iterable[Rule | str] = RULES, depths: Iterable[int] = DEPTHS, seeds: int = 3, epochs: int = EPOCHS,
    out: str | Path | None = None, jobs: int = 1,
) -> pd.DataFrame:  # fmt: skip
    """The runs of every rule, depth and seed: columns rule, depth, seed, epoch, layer, metric, value.

    Kept is what is looked at: all that is measured after the last epoch, and the path angles before the first.
    """
    frames, rules = [], [rule_by_name(r) for r in rules]
    for depth in depths:
        grid = [deep(r, depth, s, epochs, out) for s in range(whole("seeds", seeds, low=1)) for r in rules]
        frame = run_grid(grid, jobs=jobs)
        ends = frame["epoch"] == frame.groupby(["rule", "seed"])["epoch"].transform("max")
        starts = (frame["epoch"] == 0) & (frame["metric"] == "path_alignment")
        frame = frame[(ends | starts) & frame["metric"].isin(["test_accuracy", "path_alignment", "gradient_angle"])]
        frame.insert(1, "depth", depth)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def accuracies(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean and std of the test accuracy in percent, by rule and depth, and the number of seeds."""
    _checked(frame)
    rows = frame[frame["metric"] == "test_accuracy"]
    groups = rows.groupby(["rule", "depth"], sort=False)["value"]
    return groups.agg(mean="mean", std=statistics.std, seeds="count").reset_index()


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Test accuracy as 'mean ± std', a row for each rule and a column for each depth."""
    found = accuracies(frame)
    found["text"] = [f"{m:.1f} ± {s:.1f}" for m, s in zip(found["mean"], found["std"], strict=True)]
    wide = found.pivot(index="rule", columns="depth", values="text").loc[list(dict.fromkeys(found["rule"]))]
    wide.index = pd.Index([label(rule) for rule in wide.index], name="hidden layers")
    return wide.rename_axis(columns=None)


def label(rule: str) -> str:
    """What a rule is called here: 'FA from 45°', or its usual name."""
    made = rule_by_name(rule)
    return f"FA from {made.angle:g}°" if isinstance(made, Soft) else looks.rule_look(rule).label


def angle_colour(angle: float) -> str:
    """Dark where F starts near W, light where it knows nothing of it."""
    return to_hex(colormaps["viridis"](0.9 * angle / 90))


@style.themed
def figure(frame: pd.DataFrame, about: str = "") -> style.Figure:
    """Accuracy against depth (left), and the path angle after training against the one at the start (right)."""
    found = accuracies(frame)
    fig = style.Figure(figsize=(9.6, 4.8), layout="constrained")
    left, right = fig.subplots(1, 2)
    handles = []
    for rule in dict.fromkeys(found["rule"]):
        made = rule_by_name(rule)
        look = looks.rule_look(rule)._replace(label=label(rule))
        if isinstance(made, Soft):
            look = look._replace(colour=angle_colour(made.angle))
        rows = frame[(frame["rule"] == rule) & (frame["metric"] == "test_accuracy")]
        draw.rule_curve(left, rows, look, x="depth")
        handles.append(style.rule_handle(look))
    ends = path_angles(frame)
    for depth, line in zip(sorted(ends["depth"].unique()), ("-", "--", ":", "-."), strict=False):
        rows = ends[ends["depth"] == depth].groupby("angle")["value"].mean()
        name = "1 hidden layer" if depth == 1 else f"{depth} hidden layers"
        right.plot(rows.index, rows, line, color=style.INK, marker="o", markersize=4, label=name)
    right.plot([0, 90], [0, 90], color=style.GREY, linewidth=0.8)
    right.legend(frameon=False, fontsize=9)
    left.set_xscale("log")
    depths = sorted(found["depth"].unique())
    left.set_xticks(depths, [str(d) for d in depths])
    left.minorticks_off()
    left.set(xlabel="Hidden layers", ylabel="Test accuracy in %")
    right.set(xlabel="Path angle before training in degrees", ylabel="Path angle after it, mean over layers")
    style.dress(left, "After the last epoch", epochs=False)
    style.dress(right, "F stays, W moves", epochs=False)
    style.legend(fig, handles)
    style.headline(fig, "One-time soft alignment against depth", found["seeds"], about)
    return fig


def path_angles(frame: pd.DataFrame) -> pd.DataFrame:
    """The path angle after the last epoch, mean over layers and seeds, for each starting ``angle`` and ``depth``."""
    rows = frame[(frame["metric"] == "path_alignment") & (frame["epoch"] > 0)]
    start = {rule: getattr(rule_by_name(rule), "angle", None) for rule in rows["rule"].unique()}
    rows = rows.assign(angle=rows["rule"].map(start)).dropna(subset=["angle"])
    return rows.groupby(["angle", "depth"], as_index=False)["value"].mean()


def _checked(frame: pd.DataFrame) -> None:
    if "depth" not in frame.columns or frame.empty:
        raise ConfigError("not a frame of soft_study.study: without the column depth, or empty")
