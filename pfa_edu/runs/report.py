"""What a run or a sweep ended with, as text for a terminal."""

from __future__ import annotations

import dataclasses

import pandas as pd

from ..rules import known_rules

_NUMBER = "{:.4g}".format
_SCORES = ("validation_accuracy", "test_accuracy", "validation_loss", "test_loss")  # what a sweep is judged by


def of_run(frame: pd.DataFrame) -> str:
    """The last epoch of one run: the whole network's metrics in one row, then a row for each layer.

    >>> rows = [("network", "test_accuracy", 97.5), ("fc1", "path_alignment", 17.5), ("fc2", "path_alignment", 18.25)]
    >>> print(of_run(pd.DataFrame([("pfa", 0, 3, *row) for row in rows],
    ...                           columns=["rule", "seed", "epoch", "layer", "metric", "value"])))
    after epoch 3  test_accuracy
    network                 97.5
    <BLANKLINE>
         path_alignment
    fc1            17.5
    fc2           18.25
    """
    epoch = frame["epoch"].max()
    last = frame[frame["epoch"] == epoch].drop_duplicates(["layer", "metric"], keep="last")
    wide = last.pivot(index="layer", columns="metric", values="value")
    wide = wide.reindex(index=last["layer"].unique(), columns=last["metric"].unique())
    whole = _text(wide[wide.index == "network"].rename_axis(columns=f"after epoch {epoch:g}"))
    layers = wide[wide.index != "network"]
    return f"{whole}\n\n{_text(layers.rename_axis(columns=None))}" if len(layers) else whole


def of_sweep(frame: pd.DataFrame) -> str:
    """Accuracy (of a regression: loss) after the last epoch for every configuration: mean, std, number of seeds.

    Settings that are the same everywhere are left out.
    """
    # a rule's knobs are in its label already
    knobs = {knob.name for rule in known_rules().values() for knob in dataclasses.fields(rule)}
    config = [name for name in frame.columns[: frame.columns.get_loc("rule") + 1] if name not in knobs]
    config = [name for name in config if frame[name].nunique(dropna=False) > 1 or name == "rule"]
    rows = frame[frame["metric"].isin(_SCORES) & frame["value"].notna()]
    rank = rows["metric"].map(_SCORES.index)
    runs = [rows[name] for name in (*config, "seed")]
    rows = rows[rank == rank.groupby(runs, dropna=False).transform("min")]  # of each run the first that it has
    last = rows.groupby([*config, "seed"], dropna=False)["epoch"].transform("max")
    scores = list(rows["metric"].unique())
    by = config if len(scores) == 1 else [*config, "metric"]
    table = rows[rows["epoch"] == last].groupby(by, dropna=False, sort=False)["value"].agg(["mean", "std", "count"])
    table = table.round(4 if any(name.endswith("_loss") for name in scores) else 2).reset_index()
    mean = f"{scores[0]}, mean" if len(scores) == 1 else "mean"
    return table.rename(columns={"mean": mean, "count": "seeds"}).to_string(
        index=False, float_format=_NUMBER, na_rep="–"
    )


def _text(wide: pd.DataFrame) -> str:
    return wide.dropna(axis=1, how="all").rename_axis(index=None).to_string(float_format=_NUMBER, na_rep="–")
