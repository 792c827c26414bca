"""From a tidy frame of runs to the table of results: what every rule reached, beside the paper and backprop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from .. import errors
from ..measure.rounding import MOST
from . import statistics
from .looks import in_order, is_backprop, looks_of
from .statistics import finite, half_width, last, select, std


def watched(frame: pd.DataFrame) -> str:
    """The accuracy measured after every epoch: on the validation images where a run had any, else on the test's."""
    statistics.check_columns(frame)
    return "validation_accuracy" if (frame["metric"] == "validation_accuracy").any() else "test_accuracy"


def paper(
    published: pd.DataFrame | None, metric: str, stats: pd.DataFrame, leaves: float | None = None
) -> pd.DataFrame:
    """The published rows of the rules and layers in ``stats``, no further than its last epoch, nor than ``leaves``."""
    rows = select(published, metric=metric)
    keep = rows["rule"].isin(stats["rule"]) & rows["layer"].isin(stats["layer"])
    until = stats["epoch"].max() if leaves is None else min(leaves, stats["epoch"].max())
    return rows[keep & (rows["epoch"] <= until) & (rows["epoch"] >= stats["epoch"].min())]


def table(
    frame: pd.DataFrame, published: pd.DataFrame | None = None, *, by: Sequence[str] = (), leaves: float | None = None,
    same_epoch: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """One row per rule: the numbers after the last epoch that all of the rule's seeds have reached (``epochs``).

    ``accuracy_on``: 'test', or 'validation' for runs that kept the test set for the end; those have ``test_mean`` and
    ``test_std`` beside it once they are complete. Accuracies are in percent: ``accuracy_mean``, ``accuracy_std`` (its
    divisor is n), and ``accuracy_low``, ``accuracy_high``, the mean's 95 % confidence interval (Student's t).
    ``to_bp``: points by which the rule lies above backprop, the mean of the differences seed by seed, with their
    confidence interval ``to_bp_low``, ``to_bp_high``; over the ``to_bp_seeds`` seeds that both have, after
    ``to_bp_epoch``, the last epoch that both have.
    ``paper_mean``, ``paper_std``: the published accuracy after ``paper_epoch``, which is ``epochs``, or the epoch
    ``leaves`` where runs have followed the paper's schedule up to there and no further; ``paper_ours`` is ours after
    that epoch, and ``difference`` ours minus theirs in points.
    ``path_min``, ``path_max``: path alignment in degrees, the lowest and highest layer. ``gradient_angle``: degrees,
    mean over the hidden layers (the output layer's is exact in every rule) whose angle is valid. ``angles_valid``: the
    share of angles that rounding cannot have turned by more than 5°, and ``activation_range``: the largest activations
    of a layer to the smallest, both from runs that measured them. NaN where a number does not exist.

    ``by``: further columns of the frame that tell runs apart, such as 'density': one row for each rule and setting.
    ``same_epoch`` False: ``to_bp`` is between the ends of the runs, for rules whose epochs do not cost the same.
    """
    if by and published is not None:
        raise errors.ConfigError("the paper's results are for its own settings: leave out either published or by")
    metric, keys = watched(frame), ["rule", *by]
    statistics.rows_of(frame, metric, tuple(by))  # for its checks
    groups = dict(iter(frame.groupby(keys, dropna=False)))
    references = {key: runs for key, runs in groups.items() if is_backprop(key[0])}
    rows = [
        {
            **dict(zip(keys, key, strict=True)),
            **_accuracy(runs, metric),
            **_to_backprop(key, runs, references, metric, same_epoch),
            **_against_paper(runs, metric, published, leaves),
            **_angles(runs),
        }
        for key, runs in groups.items()
    ]
    order = {rule: i for i, rule in enumerate(in_order(frame["rule"]))}
    return pd.DataFrame(rows).sort_values("rule", key=lambda c: c.map(order), kind="stable", ignore_index=True)


def _accuracy(runs: pd.DataFrame, metric: str) -> dict[str, Any]:
    scores = last(runs, metric)
    ours, test = scores["value"], last(runs, "test_accuracy")["value"]
    return {
        "seeds": len(ours),
        "epochs": scores["epoch"].iloc[0] if len(scores) else math.nan,
        "accuracy_on": metric.removesuffix("_accuracy"),
        "accuracy_mean": ours.mean(),
        "accuracy_std": std(ours),
        "accuracy_low": ours.mean() - half_width(ours),
        "accuracy_high": ours.mean() + half_width(ours),
        "test_mean": test.mean(),
        "test_std": std(test),
    }


def _against_paper(
    runs: pd.DataFrame, metric: str, published: pd.DataFrame | None, leaves: float | None
) -> dict[str, float]:
    scores = last(runs if leaves is None else runs[runs["epoch"] <= leaves], metric)
    at = scores["epoch"].iloc[0] if len(scores) else math.nan
    theirs = select(published, rule=runs["rule"].iloc[0], metric=metric, epoch=at)
    there = len(theirs) > 0
    ours = scores["value"].mean() if there else math.nan
    return {
        "paper_epoch": at if there else math.nan,
        "paper_ours": ours,
        "paper_mean": theirs["mean"].mean(),
        "paper_std": theirs["std"].mean(),
        "difference": ours - theirs["mean"].mean(),
    }


def _to_backprop(
    key: tuple[Any, ...], runs: pd.DataFrame, references: dict[Any, pd.DataFrame], metric: str, same_epoch: bool
) -> dict[str, float]:
    """Against backprop with the same settings; where it was run with one setting alone, against that."""
    same = [other for at, other in references.items() if at[1:] == key[1:]]
    same = same or (list(references.values()) if len(references) == 1 else [])
    found = dict.fromkeys(("mean", "low", "high", "seeds", "epoch"), math.nan)
    if same and not is_backprop(key[0]):
        found = statistics.paired(finite(runs, metric), finite(same[0], metric), same_epoch)
    return {"to_bp" if name == "mean" else f"to_bp_{name}": value for name, value in found.items()}


def _angles(runs: pd.DataFrame) -> dict[str, float]:
    path = last(runs, "path_alignment").groupby("layer")["value"].mean()
    angle = last(runs, "gradient_angle").groupby("layer", sort=False)["value"].mean()
    hidden = angle.iloc[:-1] if len(angle) > 1 else angle
    worth = last(runs, "reference_error")["value"]
    return {
        "path_min": path.min(),
        "path_max": path.max(),
        "gradient_angle": hidden.mean(),
        "angles_valid": (worth <= MOST).mean() if len(worth) else math.nan,
        "activation_range": last(runs, "activation_range")["value"].mean(),
    }


def not_valid(frame: pd.DataFrame) -> list[str]:
    """A sentence for a figure of gradient angles, if some are not valid; they are not drawn."""
    bad = finite(frame, "reference_error")["value"] > MOST
    if not bad.any():
        return []
    return [f"{bad.sum()} of {len(bad)} angles are not valid and left out: BP's own gradient is rounding noise there"]


def format_table(table: pd.DataFrame) -> str:
    """What ``table`` returns as plain text for a terminal, about 100 characters wide; '–' where there is no number.

    A column ``label`` takes the place of the rule's own name. The paper's result, the difference to BP with its 95 %
    confidence interval, the test accuracy beside the validation accuracy, and ``steps`` are shown where there are any.
    """

    def column(name: str, pattern: str, std: str | None = None) -> list[str]:
        spread = table[std] if std else [math.nan] * len(table)
        cells = ["–" if pd.isna(v) else pattern.format(v).replace("-0.00", "+0.00") for v in table[name]]
        return [cell + ("" if pd.isna(s) else f" ± {s:.2f}") for cell, s in zip(cells, spread, strict=True)]

    both = (table["accuracy_on"] == "validation").any()
    names = looks_of(table["rule"])
    columns = {
        "rule": list(table["label"]) if "label" in table else [names[rule].label for rule in table["rule"]],
        "seeds": [str(n) for n in table["seeds"]],
        "epochs": column("epochs", "{:.0f}"),
        "validation %" if both else "test %": column("accuracy_mean", "{:.2f}", "accuracy_std"),
    }
    if table["paper_mean"].notna().any():
        earlier = (table["paper_epoch"].notna() & (table["paper_epoch"] != table["epochs"])).any()
        if earlier:
            columns["at epoch"] = column("paper_epoch", "{:.0f}")
            columns["ours %"] = column("paper_ours", "{:.2f}")
        columns["paper %"] = column("paper_mean", "{:.2f}", "paper_std")
        columns["to paper"] = column("difference", "{:+.2f}")
    if table["to_bp"].notna().any():
        columns["to BP, 95 %"] = [_against(row) for row in table.to_dict("records")]
    lows, highs = column("path_min", "{:.1f}"), column("path_max", "{:.1f}")
    columns["path angle °"] = [a if a == b else f"{a} to {b}" for a, b in zip(lows, highs, strict=True)]
    columns["gradient °"] = column("gradient_angle", "{:.1f}")
    if both:
        columns["test %"] = column("test_mean", "{:.2f}", "test_std")
    if "steps" in table:
        columns["steps"] = column("steps", "{:.0f}")
    widths = [max(map(len, (title, *cells))) for title, cells in columns.items()]
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    text = ["  ".join([c[0].ljust(widths[0]), *map(str.rjust, c[1:], widths[1:])]) for c in rows]
    return "\n".join([text[0], "-" * len(text[0]), *text[1:]])


def _against(row: dict[str, Any]) -> str:
    """The difference to backprop, its interval, and after which epoch, where that is not the row's own."""
    if pd.isna(row["to_bp"]):
        return "–"
    text = f"{row['to_bp']:+.2f}".replace("-0.00", "+0.00")
    half = row["to_bp_high"] - row["to_bp"]
    when = "" if row["to_bp_epoch"] == row["epochs"] else f" after {row['to_bp_epoch']:.0f}"
    return text + ("" if pd.isna(half) else f" ± {half:.2f}") + when
