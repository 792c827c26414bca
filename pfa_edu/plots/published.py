"""The paper's own results (Li Ji-An and Benna, arXiv 2405.20594), in the shape in which our runs come out.

A figure that draws the published curves behind ours, and a table that subtracts the two, need one count of epochs.
Here ``epoch`` is always the number of epochs COMPLETED: 0 is before training. The files in ``reference/`` keep the
numbering of the figures they were read from; the translation is made in this file and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import pandas as pd

from .. import errors

COLUMNS = ["rule", "epoch", "layer", "metric", "mean", "std"]

# The file's names for what we measure under another name.
_METRICS = {"alignment_deg": "path_alignment", "norm_ratio": "norm_ratio"}


@dataclass(frozen=True)
class _Source:
    """Where one experiment's numbers lie, and the last-epoch accuracies as the paper states them."""

    accuracy: str  # file names in reference/
    alignment: str
    epochs: int  # length of the published run
    part: str  # what the accuracy curve is on: 'test', or the 'validation' images held out of the training set
    final: dict[str, tuple[float, float]] = field(default_factory=dict)  # rule -> (mean, std), percent


_SOURCES = {
    "mnist": _Source(
        accuracy="mnist_mlp_accuracy.csv",
        alignment="mnist_mlp_alignment.csv",
        epochs=40,
        part="test",
        final={
            "bp": (98.38, 0.03),
            "fa": (98.23, 0.06),
            "dfa": (98.15, 0.02),
            "sf": (98.25, 0.05),
            "pfa": (98.39, 0.04),
            "pfa-o": (98.42, 0.04),
        },
    ),
    "cifar10": _Source(
        accuracy="cifar10_resnet20_accuracy.csv",
        alignment="cifar10_resnet20_alignment.csv",
        epochs=250,
        part="validation",
        final={
            "bp": (91.42, 0.19),
            "fa": (64.70, 1.78),
            "dfa": (30.67, 1.23),
            "sf": (89.97, 0.22),
            "pfa": (90.70, 0.43),
            "pfa-o": (91.31, 0.18),
        },
    ),
}


def experiments() -> list[str]:
    """Names of the experiments whose published numbers are here."""
    return list(_SOURCES)


def curves(experiment: str) -> pd.DataFrame:
    """The published curves of ``experiment``, one row per rule, epoch, layer and metric.

    Columns: ``rule``; ``epoch`` (epochs completed); ``layer`` ('network' for the accuracy, else 'fc1' …); ``metric``
    (path_alignment in degrees, norm_ratio, and in percent test_accuracy, or for cifar10 validation_accuracy: there the
    paper's curve is on the 5,000 images held out of the training set); ``mean``; ``std`` over the paper's seeds, NaN
    where it shows one seed. Backprop has no alignment rows (F is W), DFA none (it has no F).

    Every call returns a copy of its own. Raises ConfigError for an experiment whose numbers are not here.
    """
    _source(experiment)  # before the cache, so that an unhashable or unknown name gets the clear error
    return _load(experiment).copy()


def final(experiment: str) -> dict[str, tuple[float, float]]:
    """The accuracy after the last epoch as ``{rule: (mean, std)}``, in percent and rounded as the paper prints it.

    Raises ConfigError for an experiment whose numbers are not here.
    """
    return dict(_source(experiment).final)


def _source(experiment: str) -> _Source:
    if not isinstance(experiment, str) or experiment not in _SOURCES:
        raise errors.unknown("experiment with published results", experiment, _SOURCES)
    return _SOURCES[experiment]


@cache
def _load(experiment: str) -> pd.DataFrame:
    source = _SOURCES[experiment]

    accuracy = _read(source.accuracy).rename(
        columns={"algorithm": "rule", "test_accuracy_percent_mean": "mean", "test_accuracy_percent_std": "std"}
    )
    accuracy["epoch"] += 1  # their epoch 0 was measured after the first epoch
    accuracy["layer"] = "network"
    accuracy["metric"] = f"{source.part}_accuracy"

    alignment = _read(source.alignment).rename(columns={"algorithm": "rule", "value": "mean"})
    # Measured at the START of every epoch, so their number already counts completed epochs; but the last row was
    # taken after training had ended, so it stands one epoch later than it says (the step up to it is a double one).
    last = alignment["epoch"] == source.epochs - 1
    alignment.loc[last, "epoch"] = source.epochs
    alignment["metric"] = alignment["metric"].map(_METRICS)
    alignment["std"] = float("nan")  # these figures show seed 0 alone

    return pd.concat([accuracy[COLUMNS], alignment[COLUMNS]], ignore_index=True)


def _read(name: str) -> pd.DataFrame:
    # Through importlib.resources, so that it also works from a wheel that was never unpacked into a folder.
    with (resources.files(__package__) / "reference" / name).open("r", encoding="utf-8") as file:
        return pd.read_csv(file)
