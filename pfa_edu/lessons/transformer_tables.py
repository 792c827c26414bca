"""The transformer study in numbers: its arms by name, what each run ended at, gaps to backprop, the table.

Frames are of one network, as ``committed("gpt")`` gives them.

>>> from pfa_edu.lessons.results import committed
>>> ends(committed("gpt"), "validation_loss").loc["bp"].round(3).to_dict()  # seed: nats per character
{0: 1.178, 1: 1.185, 2: 1.187}
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from ..nn.transformers import part_of
from ..plots import style
from ..plots.looks import rule_look
from ..plots.statistics import half_width, std
from ..rules import Look
from .transformer_study import DEPTH

_OWN = {  # arms that are more than a rule; Paul Tol's muted scheme, which no rule has
    "frozen": Look("BP, lower blocks frozen", style.GREY, "X"),
    "pfa-aligned": Look("PFA, aligned from the start", "#882255", "p", 1.1),
    "pfa-slow": Look("PFA, phase three times as long", "#44AA99", "h", 1.1),
    "pfa-half": Look("PFA, half the decay", "#999933", "8"),
    "pfa-noise": Look("PFA, aligned on noise", "#332288", "P"),
    "pfa-none": Look("PFA, no phase", "#AA4499", "d"),
    "bp-strong": Look("BP with PFA's phase", "#661100", "H", 1.1),
}


def look(arm: str) -> Look:
    """How an arm is drawn, and its name for readers.

    >>> look("pfa-3").label, look("frozen").label
    ('PFA ratio=3', 'BP, lower blocks frozen')
    """
    if arm in _OWN:
        return _OWN[arm]
    name, _, ratio = arm.partition("-")
    return rule_look(f"pfa ratio={ratio}" if name == "pfa" and ratio.isdecimal() else arm)


def part(frame: pd.DataFrame, name: str, depth: int = DEPTH, arms: Iterable[str] | None = None) -> pd.DataFrame:
    """The rows of one part of the study: 'main', 'schedule', 'depth' or 'evening'."""
    rows = frame[(frame["part"] == name) & (frame["depth"] == depth)]
    return rows if arms is None else rows[rows["arm"].isin(list(arms))]


def ends(frame: pd.DataFrame, metric: str, name: str = "main", depth: int = DEPTH) -> pd.DataFrame:
    """A network-wide ``metric`` after each run's last epoch: a row for each arm, a column for each seed."""
    rows = part(frame, name, depth)
    rows = rows[(rows["metric"] == metric) & (rows["layer"] == "network")]
    rows = rows[rows["epoch"] == rows.groupby(["arm", "seed"])["epoch"].transform("max")]
    return rows.pivot(index="arm", columns="seed", values="value")


def gaps(frame: pd.DataFrame, metric: str = "validation_loss") -> pd.DataFrame:
    """What each arm of 'main' and the aligned start lose against backprop with the same seed, by arm and seed."""
    main = ends(frame, metric)
    aligned = ends(frame, metric, "schedule")
    both = pd.concat([main, aligned[aligned.index == "pfa-aligned"]])
    return both.sub(main.loc["bp"]) if metric.endswith("loss") else -both.sub(main.loc["bp"])


def angles(frame: pd.DataFrame, metric: str, name: str = "main") -> pd.DataFrame:
    """'path_alignment' or 'gradient_angle' of every projection of a block after the last epoch: arm, block, kind."""
    rows = part(frame, name)
    rows = rows[(rows["metric"] == metric) & rows["layer"].str.startswith("blocks.")].dropna(subset=["value"])
    rows = rows[rows["epoch"] == rows.groupby(["arm", "seed"])["epoch"].transform("max")]
    places = rows["layer"].map(part_of)
    return rows.assign(block=places.str[0], kind=places.str[1])


def table(frame: pd.DataFrame, name: str = "main") -> pd.DataFrame:
    """The numbers after the last epoch, 'mean ± std' over seeds, the lowest validation loss first; path and gradient
    angles are means over the projections of all blocks, the path's with its range."""
    metrics = {"validation loss": "validation_loss", "test loss": "test_loss", "test accuracy %": "test_accuracy"}
    values = {title: ends(frame, metric, name) for title, metric in metrics.items()}
    losses = values["validation loss"]
    path, gradient = (angles(frame, metric, name) for metric in ("path_alignment", "gradient_angle"))
    rates = part(frame, name).groupby("arm")["lr"].first()
    rows: list[dict[str, Any]] = []
    for arm in losses.mean(axis=1).sort_values().index:
        digits = {"validation loss": 3, "test loss": 3, "test accuracy %": 1}
        row = {title: _pm(values[title].loc[arm].dropna(), digits[title]) for title in metrics}
        own, turned = path[path["arm"] == arm]["value"], gradient[gradient["arm"] == arm]["value"]
        exact = arm in ("bp", "frozen", "bp-strong")  # F is W
        rows.append({
            "arm": look(arm).label, "lr": f"{rates[arm]:g}", "seeds": int(losses.loc[arm].count()), **row,
            "path angle °": "0" if exact else _range(own),
            "gradient angle °": "0" if exact else f"{turned.mean():.1f}",
        })  # fmt: skip
    return pd.DataFrame(rows)


def summary(gpt: pd.DataFrame, vit: pd.DataFrame) -> pd.DataFrame:
    """Both networks side by side: GPT by validation loss, ViT by test accuracy, and what each lies behind backprop.

    Behind: the mean over the seeds that both have run and its 95 % confidence interval, where there are several.
    """
    columns = {"GPT": (gpt, "validation_loss", 3), "ViT": (vit, "test_accuracy", 1)}
    lost = {name: gaps(frame, metric) for name, (frame, metric, _) in columns.items()}
    rows: list[dict[str, Any]] = []
    for arm in lost["GPT"].mean(axis=1).sort_values().index:
        row: dict[str, Any] = {"arm": look(arm).label}
        for name, (frame, metric, digits) in columns.items():
            part_of_arm = "schedule" if arm == "pfa-aligned" else "main"
            values, behind = ends(frame, metric, part_of_arm).loc[arm].dropna(), lost[name].loc[arm].dropna()
            half = half_width(behind)
            unit = "loss, nats" if name == "GPT" else "accuracy, %"
            row[f"{name}: {unit} (seeds)"] = f"{values.mean():.{digits}f} ({len(values)})"
            certain = "" if len(behind) < 2 else f" ± {half:.{digits}f}"
            row[f"{name}: behind BP"] = "" if arm == "bp" else f"{behind.mean():.{digits}f}{certain}"
        rows.append(row)
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """A table as README files have it.

    >>> print(markdown(pd.DataFrame({"arm": ["BP"], "seeds": [3]})))
    | arm | seeds |
    |---|---|
    | BP | 3 |
    """
    lines = [list(table.columns), ["---"] * table.shape[1], *table.astype(str).to_numpy().tolist()]
    return "\n".join("|" + "|".join(line) + "|" if line[0] == "---" else f"| {' | '.join(line)} |" for line in lines)


def _range(values: pd.Series) -> str:
    """'17.7 (16.9 to 18.4)'; of DFA, which has no F of W's shape, a dash."""
    return f"{values.mean():.1f} ({values.min():.1f} to {values.max():.1f})" if len(values) else "–"


def _pm(values: pd.Series, digits: int) -> str:
    mean = f"{values.mean():.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {std(values):.{digits}f}"
