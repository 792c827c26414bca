"""What lesson 11 adds to the study of transformers: a few of its runs made live, and the lowest loss of long ones.

>>> from pfa_edu.lessons.results import committed
>>> lowest(committed("gpt")).loc["BP", ["lowest loss", "in epoch"]].tolist()
[1.224, 7.0]
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from .._settings import whole
from ..errors import ConfigError, unknown
from ..runs.grid import run_grid
from . import transformer_study as study
from .results import committed
from .transformer_tables import ends, look, part


def lowest(frame: pd.DataFrame, name: str = "evening") -> pd.DataFrame:
    """For training so long that networks overfit: each arm's lowest validation loss, when that was, and the end.

    Losses are means over the seeds, in nats; the accuracy is that of the test part after the last epoch, in percent.
    """
    rows = part(frame, name)
    lost = rows[rows["metric"] == "validation_loss"].groupby(["arm", "epoch"])["value"].mean().unstack("epoch")
    if lost.empty:
        raise ConfigError(f"the results have no validation loss of {name}: nothing to take the lowest of")
    table = pd.DataFrame({
        "lowest loss": lost.min(axis=1), "in epoch": lost.idxmin(axis=1), "last loss": lost[lost.columns.max()],
        "accuracy": ends(frame, "test_accuracy", name).mean(axis=1),
    })  # fmt: skip
    table = table.sort_values("lowest loss").rename(index=lambda arm: look(arm).label).rename_axis(None)
    return table.round({"lowest loss": 3, "last loss": 3, "accuracy": 1})


def live(
    network: str, arms: Iterable[str], seeds: int = 1, scale: str = "classroom", out: str | Path = "out/transformer",
    jobs: int = 1, minutes: float | None = None, **place: Any,
) -> pd.DataFrame:  # fmt: skip
    """Some arms of the study, run here at the learning rates that its search chose; as figures take them.

    What was cut goes on from there; ``minutes``: no epoch is begun after so many. ``place``: device, engine, precision.
    At scale 'smoke' the networks have two blocks.
    """
    chosen, known = list(arms), (*study.MAIN, *study.SCHEDULES)
    if network not in study.NETWORKS:
        raise unknown("network", network, study.NETWORKS)
    for arm in chosen:
        if arm not in known:
            raise unknown("arm", arm, known)
    rates = study.best_rates(committed(network))
    parts = {arm: "main" if arm in study.MAIN else "schedule" for arm in chosen}
    depth = 2 if scale == "smoke" else study.DEPTH
    grid = [
        study.planned(
            parts[arm], network, arm, seed, rates[network, study.rate_of(arm)], depth, scale=scale, out=out, **place
        )
        for seed in range(whole("seeds", seeds, low=1, high=10_000)) for arm in chosen
    ]  # fmt: skip
    run_grid([run for run, _ in grid], jobs=jobs, minutes=minutes)
    found = study.results(grid)
    if found.empty:
        raise ConfigError("no run is complete yet: ask again to go on, or give it more minutes")
    return pd.concat([study.of_part(found, network, name) for name in dict.fromkeys(parts.values())])
