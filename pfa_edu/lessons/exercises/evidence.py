"""Lessons 3 and 7: a difference with its uncertainty, what is left of the start, and who overtakes when."""

from __future__ import annotations

import functools
from typing import Any

import pandas as pd

from ...plots import published
from ...rules import mismatch
from ..results import committed
from .questions import Formula, Number
from .verdict import Verdict

_EPOCH = 937  # lesson 3: steps with the strong decay, the paper's first epoch on MNIST
_CIFAR = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.005}  # lesson 7: the paper's first epoch, 351 steps


def check_difference(answer: Any) -> Verdict:
    """``answer(frame, rule)``: points by which ``rule`` ends above backprop, and the standard error of that number.

    ``frame``: tidy results as ``results.frame``. The same seed of two rules starts from the same weights and sees the
    same batches, so compare seed by seed: a list of the mean difference and its standard error, std/√n with the n − 1
    divisor.
    """
    return _DIFFERENCE.check(answer)


def _last(frame: pd.DataFrame, rule: str, epoch: Any = "last") -> pd.Series:
    """Test accuracy of each seed, in percent."""
    rows = frame[(frame["rule"] == rule) & (frame["metric"] == "test_accuracy")]
    if epoch == "best":
        return rows.groupby("seed")["value"].max()
    return rows[rows["epoch"] == rows["epoch"].max()].set_index("seed")["value"]


def _paired(frame: pd.DataFrame, rule: str, epoch: Any = "last") -> pd.Series:
    return _last(frame, rule, epoch) - _last(frame, "bp", epoch)


def _difference(frame: pd.DataFrame, rule: str) -> list[float]:
    gap = _paired(frame, rule)
    return [gap.mean(), gap.std() / len(gap) ** 0.5]


def _unpaired(frame: pd.DataFrame, rule: str) -> list[float]:
    ours, theirs = _last(frame, rule), _last(frame, "bp")
    return [ours.mean() - theirs.mean(), (ours.var() / len(ours) + theirs.var() / len(theirs)) ** 0.5]


@functools.cache
def _frames() -> list[tuple[Any, ...]]:
    frame = committed("mnist")
    return [(frame, rule) for rule in ("fa", "pfa", "sf")]


def _spread_only(frame: pd.DataFrame, rule: str) -> list[float]:
    gap = _paired(frame, rule)
    return [gap.mean(), gap.std()]


def _divisor_n(frame: pd.DataFrame, rule: str) -> list[float]:
    gap = _paired(frame, rule)
    return [gap.mean(), gap.std(ddof=0) / len(gap) ** 0.5]


def _best(frame: pd.DataFrame, rule: str) -> list[float]:
    gap = _paired(frame, rule, "best")
    return [gap.mean(), gap.std() / len(gap) ** 0.5]


_DIFFERENCE = Formula(
    "A difference, with its uncertainty",
    ("frame", "rule"),
    _frames,
    _difference,
    [
        (lambda f, r: [-_difference(f, r)[0], _difference(f, r)[1]], "the sign is turned: rule minus backprop, so that "
         "a loss is negative"),
        (_spread_only, "this is how far the seeds scatter. The mean of n of them is more certain by √n"),
        (_divisor_n, "this divides by n in the std. Five seeds do not know the true mean: divide by n − 1"),
        (_unpaired, "this treats the two rules as independent. The same seed gives both the same start and the same "
         "batches: take the difference seed by seed first"),
        (_best, "this takes each run's best epoch on the test set: choosing by the test set flatters every run. Take "
         "the last epoch"),
        (lambda f, r: _difference(f, r)[:1], "the mean is right; its standard error is missing"),
        (lambda f, r: _difference(f, r)[0], "the mean is right; give it in a list with its standard error"),
    ],
    "Subtract backprop's last accuracy from the rule's for each seed; then mean, and std divided by √n",
    tolerance=1e-3,
)  # fmt: skip


def check_left_after_first_epoch(answer: Any) -> Verdict:
    """``answer``: what is left of a after MNIST's strong first epoch: 937 steps, lr 0.01, momentum 0.9, decay 0.03."""
    return _LEFT.check(answer)


_LEFT = Number(
    "What is left after the first epoch",
    lambda: mismatch(_EPOCH, 0.01, 0.9, 0.03),
    "a",
    0.1,  # one digit is enough
    [
        (lambda: mismatch(_EPOCH, 0.01, 0.0, 0.03), "this leaves out the momentum"),
        (lambda: 1 - mismatch(_EPOCH, 0.01, 0.9, 0.03), "this is what has faded: how much is left?"),
        (lambda: 100 * mismatch(_EPOCH, 0.01, 0.9, 0.03), "give a as a fraction, not in percent"),
        (lambda: mismatch(_EPOCH, 0.01, 0.9, 0.00009), "this is the gentle decay of the later epochs"),
        (lambda: mismatch(40 * _EPOCH, 0.01, 0.9, 0.03), "the strong decay lasts for one epoch, not for forty"),
    ],
    "`pe.mismatch(steps, lr=…, momentum=…, weight_decay=…)` computes it.",
)


def check_first_epoch_on_cifar(answer: Any) -> Verdict:
    """``answer``: what is left of a after 351 steps at lr 0.1, momentum 0.9 and weight decay 0.005."""
    return _CIFAR_LEFT.check(answer)


_CIFAR_LEFT = Number(
    "What is left after CIFAR-10's first epoch",
    lambda: mismatch(351, **_CIFAR),
    "a",
    0.1,  # lesson 2's rule, exp(−t·lr·decay/(1 − momentum)), is 4 % above
    [
        (lambda: mismatch(351, **_CIFAR | {"momentum": 0.0}), "this leaves out the momentum"),
        (lambda: mismatch(351, **_CIFAR | {"lr": 0.01}), "this is MNIST's learning rate: here it is 0.1"),
        (lambda: mismatch(351, **_CIFAR | {"weight_decay": 0.03}), "this is MNIST's decay: here it is 0.005"),
        (lambda: mismatch(351, **_CIFAR | {"weight_decay": 0.0001}), "this is the gentle decay of the later epochs"),
        (lambda: 1 - mismatch(351, **_CIFAR), "this is what has faded: how much is left?"),
    ],
    "`pe.mismatch(351, lr=0.1, momentum=0.9, weight_decay=…)` computes it.",
)


def check_overtaking(answer: Any) -> Verdict:
    """``answer``: the first epoch from which PFA stays ahead of SF, in the paper's mean curves up to epoch 14."""
    return _OVERTAKES.check(answer)


@functools.cache
def _lead() -> pd.Series:
    """PFA's lead over SF in points by epoch, the paper's means of five seeds."""
    curves = published.curves("cifar10")
    rows = curves[(curves["metric"] == "validation_accuracy") & (curves["epoch"] <= 14)]
    means = rows.pivot_table(index="epoch", columns="rule", values="mean")
    return (means["pfa"] - means["sf"]).loc[1:]


_OVERTAKES = Number(
    "When PFA overtakes",
    lambda: float(_lead().index[_lead() <= 0].max() + 1),
    "the epoch",
    0,
    [
        (lambda: 1, "after the first epoch SF is still ahead: the strong decay slows PFA down"),
        (lambda: 14, "that is where the curves of this page leave the paper's. Look nearer to the start"),
        (lambda: float(_lead().idxmax()), "this is where PFA's lead is largest; it is ahead before that"),
    ],
    "Look at the dashed curves of the first few epochs.",
)
