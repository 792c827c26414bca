"""From a tidy frame of runs to means over seeds, and to how sure one can be of them.

Two measures of scatter, for two questions. The **std** (divided by n: the paper does not say which it uses) says how
far apart the seeds lie, and is what bands and '±' show. The **95 % confidence interval** (Student's t, so from the std
divided by n − 1) says where the mean over all possible seeds may lie, given these few. Both are NaN for a single seed.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pandas as pd

from .. import errors

COLUMNS = ["rule", "seed", "epoch", "layer", "metric", "value"]
CONFIDENCE = 0.95


def rows_of(frame: pd.DataFrame, metric: str, by: tuple[str, ...] = ()) -> pd.DataFrame:
    """The frame's finite values of ``metric``, at least one; ``by``: columns of settings that tell runs apart."""
    check_columns(frame, by)
    rows = finite(frame, metric)
    if rows.empty:
        there = ", ".join(sorted(frame["metric"].unique())) or "none"
        raise errors.ConfigError(f"the frame has no values of metric {metric!r}; its metrics: {there}")
    twice = rows[rows.duplicated(["rule", *by, "seed", "epoch", "layer"])]
    if len(twice):
        one = twice.iloc[0]
        raise errors.ConfigError(
            f"two runs share rule {one['rule']!r} and seed {one['seed']}: {metric} of layer {one['layer']!r} after "
            f"epoch {one['epoch']:g} is there twice. Select one of them, or give them different rule labels"
        )
    return rows


def check_columns(frame: pd.DataFrame, by: tuple[str, ...] = ()) -> None:
    missing = [name for name in (*COLUMNS, *by) if name not in frame.columns]
    if missing:
        raise errors.ConfigError(f"not a frame of runs: it lacks the columns {', '.join(missing)}")


def select(frame: pd.DataFrame | None, **wanted: Any) -> pd.DataFrame:
    """The rows whose columns have these values; of None, none."""
    if frame is None:
        return pd.DataFrame({name: [] for name in ("rule", "epoch", "layer", "metric", "mean", "std")}, dtype=float)
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    return frame


def finite(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows of ``metric`` whose value is a number: a run that diverged has some that are none."""
    rows = select(frame, metric=metric)
    return rows[np.isfinite(rows["value"].astype(float))]


def over_seeds(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean, std and number of seeds per rule, layer and epoch; ``depth`` numbers the layers from input to output."""
    rows = rows_of(frame, metric)
    groups = rows.groupby(["rule", "layer", "epoch"], sort=False)["value"]
    mean, scatter, seeds = groups.mean(), groups.std(ddof=0), groups.count()
    stats = pd.DataFrame({"mean": mean, "std": scatter.where(seeds > 1), "seeds": seeds}).reset_index()
    depth = {layer: i for i, layer in enumerate(rows["layer"].unique())}  # the frame has them in order
    stats["depth"] = stats["layer"].map(depth)
    return stats.sort_values(["depth", "epoch"], ignore_index=True)


def last(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One rule's rows at the last epoch that all of its seeds have reached, so that the mean is over like and like."""
    rows = finite(runs, metric)
    return select(rows, epoch=rows.groupby("seed")["epoch"].max().min()) if len(rows) else rows


def std(values: pd.Series) -> float:
    """Standard deviation with divisor n; NaN for a single value.

    >>> std(pd.Series([1.0, 3.0]))
    1.0
    """
    return float(values.std(ddof=0)) if len(values) > 1 else math.nan


def half_width(values: pd.Series) -> float:
    """What to add to and take from the mean for its 95 % confidence interval; NaN for a single value.

    >>> round(half_width(pd.Series([1.0, 2.0, 3.0])), 3)   # 4.303 · 1 / sqrt(3)
    2.484
    """
    n = len(values)
    return math.nan if n < 2 else student_t(n - 1) * float(values.std(ddof=1)) / math.sqrt(n)


def paired(ours: pd.DataFrame, reference: pd.DataFrame, same_epoch: bool = True) -> dict[str, float]:
    """The mean difference of one rule to its reference over the seeds that both have, with its confidence interval.

    Pairing by seed takes out what a seed does to both (its initial weights and batches), and often most of the scatter.
    ``ours``, ``reference``: rows of one metric and layer. Both are read at the last epoch that both have, or with
    ``same_epoch`` False each at its own last one, for runs whose epochs are not alike.
    """
    a, b = (rows.pivot(index="epoch", columns="seed", values="value") for rows in (ours, reference))  # (epoch, seed)
    seeds = a.columns.intersection(b.columns)
    a, b = a[seeds].dropna(), b[seeds].dropna()
    both = a.index.intersection(b.index)
    if seeds.empty or a.empty or b.empty or (same_epoch and both.empty):
        return dict.fromkeys(("mean", "low", "high", "seeds", "epoch"), math.nan)
    at = (both.max(), both.max()) if same_epoch else (a.index.max(), b.index.max())
    differences = a.loc[at[0]] - b.loc[at[1]]
    mean, half = float(differences.mean()), half_width(differences)
    return {"mean": mean, "low": mean - half, "high": mean + half, "seeds": len(seeds), "epoch": float(at[0])}


@functools.cache
def student_t(dof: int, inside: float = CONFIDENCE) -> float:
    """The t within ±t of which Student's distribution with ``dof`` degrees of freedom has ``inside`` of its mass.

    By bisection of the exact sum for whole degrees of freedom (Abramowitz & Stegun, 26.7.3 and 26.7.4).

    >>> round(student_t(4), 3)   # five seeds
    2.776
    """

    def mass(angle: float) -> float:  # within ±t, t = sqrt(dof) tan(angle)
        sine, cosine = math.sin(angle), math.cos(angle)
        term, total = (cosine, 0.0) if dof % 2 else (1.0, 0.0)  # odd powers of the cosine, or even ones
        for power in range(dof % 2, dof - 1, 2):
            total += term
            term *= cosine**2 * (power + 1) / (power + 2)
        return 2 / math.pi * (angle + sine * total) if dof % 2 else sine * total

    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if mass(middle) < inside else (low, middle)
    return math.sqrt(dof) * math.tan((low + high) / 2)
