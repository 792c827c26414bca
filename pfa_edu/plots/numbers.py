"""From a tidy frame of runs to the numbers that figures draw and tables print.

The std divides by n, not n − 1 (the paper does not say which it uses), and is NaN for a single seed.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from .. import errors
from .style import in_order, rule_look

COLUMNS = ["rule", "seed", "epoch", "layer", "metric", "value"]


def stats(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean, std (NaN for one seed) and number of seeds per rule, layer and epoch; ``depth`` numbers the layers."""
    _check_columns(frame)
    rows = select(frame, metric=metric)
    rows = rows[np.isfinite(rows["value"].astype(float))]
    if rows.empty:
        there = ", ".join(sorted(frame["metric"].unique())) or "none"
        raise errors.ConfigError(f"the frame has no values of metric {metric!r}; its metrics: {there}")
    groups = rows.groupby(["rule", "layer", "epoch"], sort=False)["value"]
    stats = groups.agg(mean="mean", std=lambda v: v.std(ddof=0) if len(v) > 1 else math.nan, seeds="count")
    stats = stats.reset_index()
    depth = {layer: i for i, layer in enumerate(rows["layer"].unique())}  # the frame names them from input to output
    stats["depth"] = stats["layer"].map(depth)
    return stats.sort_values(["depth", "epoch"], ignore_index=True)


def _check_columns(frame: pd.DataFrame) -> None:
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise errors.ConfigError(f"not a frame of runs: without the columns {', '.join(missing)}")


def watched(frame: pd.DataFrame) -> str:
    """The accuracy measured after every epoch: on the validation images where a run had any, else on the test's."""
    _check_columns(frame)
    return "validation_accuracy" if (frame["metric"] == "validation_accuracy").any() else "test_accuracy"


def select(frame: pd.DataFrame | None, **wanted) -> pd.DataFrame:
    if frame is None:
        return pd.DataFrame({name: [] for name in ("rule", "epoch", "layer", "metric", "mean", "std")}, dtype=float)
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    return frame


def last(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One rule's rows at the last epoch that all of its seeds have reached, so that the mean is over like and like."""
    rows = select(runs, metric=metric)
    rows = rows[np.isfinite(rows["value"].astype(float))]
    return select(rows, epoch=rows.groupby("seed")["epoch"].max().min()) if len(rows) else rows


def at_the_end(stats: pd.DataFrame) -> pd.DataFrame:
    """Of what ``stats`` gives, every rule's rows at its own last epoch."""
    return stats[stats["epoch"] == stats.groupby("rule")["epoch"].transform("max")]


def paper(published: pd.DataFrame | None, metric: str, stats: pd.DataFrame) -> pd.DataFrame:
    """The published rows of the rules and layers in ``stats``, no further than its last epoch."""
    rows = select(published, metric=metric)
    keep = rows["rule"].isin(stats["rule"]) & rows["layer"].isin(stats["layer"])
    return rows[keep & (rows["epoch"] <= stats["epoch"].max()) & (rows["epoch"] >= stats["epoch"].min())]


def rules(frame: pd.DataFrame) -> list[str]:
    return in_order(frame["rule"])


def table(frame: pd.DataFrame, published: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row per rule: the numbers after the last epoch that all of the rule's seeds have reached (``epochs``).

    ``accuracy_on``: 'test', or 'validation' for runs that kept the test set for the end; those have ``test_mean`` and
    ``test_std`` beside it once they are complete. Accuracies in percent; ``paper_mean`` and ``paper_std`` are the
    published ones after the SAME epoch, and ``difference`` is ours minus theirs in points. ``path_min``, ``path_max``:
    path alignment in degrees, the lowest and highest layer. ``gradient_angle``: degrees, mean over the hidden layers
    (the output layer's is exact in every rule).
    NaN where a number does not exist.
    """
    metric = watched(frame)
    stats(frame, metric)  # for its checks
    rows = []
    for rule, runs in frame.groupby("rule"):
        scores = last(runs, metric)
        test = last(runs, "test_accuracy")["value"]
        epoch = scores["epoch"].iloc[0] if len(scores) else math.nan
        ours = scores["value"]
        paper = select(published, rule=rule, metric=metric, epoch=epoch)
        path = last(runs, "path_alignment").groupby("layer")["value"].mean()
        angle = last(runs, "gradient_angle").groupby("layer", sort=False)["value"].mean()
        rows.append(
            {
                "rule": rule,
                "seeds": len(ours),
                "epochs": epoch,
                "accuracy_on": metric.removesuffix("_accuracy"),
                "accuracy_mean": ours.mean(),
                "accuracy_std": _std(ours),
                "test_mean": test.mean(),
                "test_std": _std(test),
                "paper_mean": paper["mean"].mean(),
                "paper_std": paper["std"].mean(),
                "path_min": path.min(),
                "path_max": path.max(),
                "gradient_angle": (angle.iloc[:-1] if len(angle) > 1 else angle).mean(),
            }
        )
    result = pd.DataFrame(rows).set_index("rule").loc[rules(frame)].reset_index()
    result.insert(result.columns.get_loc("path_min"), "difference", result["accuracy_mean"] - result["paper_mean"])
    return result


def _std(values: pd.Series) -> float:
    return values.std(ddof=0) if len(values) > 1 else math.nan


def format_table(table: pd.DataFrame) -> str:
    """What ``table`` returns as plain text for a terminal, about 100 characters wide; '–' where there is no number.

    A column ``label`` takes the place of the rule's own name. The paper's result, the test accuracy beside the
    validation accuracy, and ``steps`` are shown where there are any.
    """

    def column(name, pattern, std=None):
        spread = table[std] if std else [math.nan] * len(table)
        cells = ["–" if pd.isna(v) else pattern.format(v).replace("-0.00", "+0.00") for v in table[name]]
        return [cell + ("" if pd.isna(s) else f" ± {s:.2f}") for cell, s in zip(cells, spread, strict=True)]

    both = (table["accuracy_on"] == "validation").any()
    columns = {
        "rule": list(table["label"]) if "label" in table else [rule_look(rule).label for rule in table["rule"]],
        "seeds": [str(n) for n in table["seeds"]],
        "epochs": column("epochs", "{:.0f}"),
        "validation %" if both else "test %": column("accuracy_mean", "{:.2f}", "accuracy_std"),
    }
    if table["paper_mean"].notna().any():
        columns["paper %"] = column("paper_mean", "{:.2f}", "paper_std")
        columns["difference"] = column("difference", "{:+.2f}")
    lows, highs = column("path_min", "{:.1f}"), column("path_max", "{:.1f}")
    columns["path angle °"] = [a if a == b else f"{a} to {b}" for a, b in zip(lows, highs, strict=True)]
    columns["gradient angle °"] = column("gradient_angle", "{:.1f}")
    if both:
        columns["test %"] = column("test_mean", "{:.2f}", "test_std")
    if "steps" in table:
        columns["steps"] = column("steps", "{:.0f}")
    widths = [max(map(len, (title, *cells))) for title, cells in columns.items()]
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    text = ["  ".join([c[0].ljust(widths[0]), *map(str.rjust, c[1:], widths[1:])]) for c in rows]
    return "\n".join([text[0], "-" * len(text[0]), *text[1:]])
