"""Exercises 4 to 6: the angle at which PFA's path ends, and the weight decay that brings it there soonest."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as nnf

from ...data import batches, load
from ...measure import path_alignment
from ...nn.conversion import convert
from ...nn.models import mlp
from ...rules import PFA, alignment_limit, mismatch
from ...train.step import train_step
from .questions import number
from .verdict import Stop, Verdict, call, open_, wrong

LR, MOMENTUM = 0.01, 0.9  # of every run in these exercises
FADED = 0.05  # exercise 5: a_t counts as faded once |a_t| is no larger, and stays so
ALIGNED, FLOOR, STEPS = 25.0, 85.0, 200  # exercise 6: degrees, test accuracy in percent, SGD steps of a run
SLACK = 1.25  # an answer is right if it needs at most so many times the fewest steps
_TOLERANCE = 0.06  # degrees: an angle given to one decimal place is right
_RATIOS = (1, 2, 10, 37, 100, 0.5)  # fewer mid neurons than outputs at last: no text speaks of that


# ---------------------------------------------------------------------------------------------- exercise 4: the angle


def check_limit_angle(answer: Callable[[float], float] | float, ratio: float = 10) -> Verdict:
    """``answer``: a function of the ratio that gives PFA's limit angle in degrees, or the angle for ``ratio`` alone."""
    title = "The limit angle"
    try:
        if answer is None or answer is ...:
            raise open_("there is no answer yet")
        ratios = _RATIOS if callable(answer) else (ratio,)
        given: list[float] = []
        for r in ratios:
            try:
                given.append(_angle(answer, r))
            except Stop:  # acos(1/√ratio), say, which has no value below ratio 1: first what is wrong above
                if given and (hint := _angle_hint(ratios[: len(given)], given)):
                    raise wrong(hint) from None
                raise
        hint = _angle_hint(ratios, given)
    except Stop as stop:
        return Verdict(title, (stop.point,))
    at = f"at the ratio {ratio:g}" if len(ratios) == 1 else f"at the ratios {', '.join(f'{r:g}' for r in ratios)}"
    return Verdict(title, (("wrong", hint) if hint else ("right", f"the angle is right {at}"),))


def _angle(answer: Callable[[float], float] | float, ratio: float) -> float:
    value = call(answer, {"ratio": ratio}, f"for the ratio {ratio:g} your function") if callable(answer) else answer
    if value is None or value is ...:
        raise open_("your function returns nothing")
    value = number(value, f"the angle for the ratio {ratio:g}")
    if not math.isfinite(value):
        raise wrong(f"the angle for the ratio {ratio:g} is {value}: every positive ratio has one")
    return value


_ANGLE_MISTAKES: list[tuple[Callable[[float], float], str]] = [
    (lambda r: math.radians(alignment_limit(r)), "right, but in radians: give degrees"),
    (lambda r: 90 - alignment_limit(r), "this is the triangle's other angle. With more mid neurons, should F come "
     "nearer to W or go away from it?"),
    (lambda r: math.tan(math.radians(alignment_limit(r))), "this is a ratio of two lengths; which angle has it?"),
    (lambda r: math.degrees(math.tan(math.radians(alignment_limit(r)))), "this takes a ratio of two lengths for an "
     "angle, which holds only while it is small"),
    (lambda r: math.cos(math.radians(alignment_limit(r))), "this is the cosine of an angle, not yet an angle"),
    (lambda r: math.degrees(math.atan(1 / r)), "it falls too fast with the ratio. An entry of B Bᵀ − I is a sum of "
     "`mid` random numbers: how does the size of such a sum grow with how many they are?"),
    (lambda r: math.degrees(math.asin(min(1, r**-0.5))), "right for large ratios, too large for small ones. The part "
     "of G W across W is one side of a right triangle: is the other side W, or is W the longest?"),
]  # fmt: skip


def _angle_hint(ratios: tuple[float, ...], given: list[float]) -> str | None:
    off = [value - alignment_limit(r) for r, value in zip(ratios, given, strict=True)]
    if all(abs(d) <= _TOLERANCE for d in off):
        return None
    for mistake, hint in _ANGLE_MISTAKES:
        if all(abs(value - mistake(r)) <= _TOLERANCE / 10 for r, value in zip(ratios, given, strict=True)):
            return hint
    if len(given) > 1 and max(given) - min(given) < _TOLERANCE:
        return "your angle is the same for every ratio. Draw B for a few ratios and look at B Bᵀ"
    groups = {
        "right": [r for r, d in zip(ratios, off, strict=True) if abs(d) <= _TOLERANCE],
        "too large": [r for r, d in zip(ratios, off, strict=True) if d > _TOLERANCE],
        "too small": [r for r, d in zip(ratios, off, strict=True) if d < -_TOLERANCE],
    }
    said = "; ".join(f"{what} at the ratio {', '.join(f'{r:g}' for r in rs)}" for what, rs in groups.items() if rs)
    return f"{said}. Split G W, with G = B Bᵀ, into its part along W and the rest. How long is each, on average?"


# ------------------------------------------------------------------------------------- exercise 5: a_t, on paper only


def check_fading_decay(answer: float) -> Verdict:
    """``answer``: the weight decay with which a_t fades soonest under SGD at LR and MOMENTUM.

    Faded: abs(a_t) ≤ FADED from this step on. Right: at most SLACK times the fewest steps that any decay needs.
    """
    title = "The decay that fades the mismatch fastest"
    try:
        decay = _decay(answer)
        trace = [abs(mismatch(t, LR, MOMENTUM, decay)) for t in range(1001)]
        if not trace[-1] <= FADED:
            grows = not trace[-1] <= 1
            raise wrong(
                "a_t grows instead of fading: each step overshoots by more than the last, so this is far too strong"
                if grows else f"after 1000 steps a_t is still {trace[-1]:.3f}: too weak"
            )  # fmt: skip
        steps = _settled(np.array(trace)[:, None])[0]
        if steps <= SLACK * _fewest_fading():
            text = f"a_t has faded after {steps} steps, and no decay needs fewer than {_fewest_fading()}"
            return Verdict(title, (("right", text),))
        first = next(t for t, a in enumerate(trace) if a <= FADED)
        how = (
            f"it passes {FADED} after {first} steps, but shoots through zero to the other side, and stays small "
            f"only after {steps}: it swings"
            if first < steps else f"it takes {steps} steps without ever overshooting by {FADED}: too weak"
        )  # fmt: skip
        raise wrong(f"{how}. Another decay is {steps / _fewest_fading():.1f} times as fast")
    except Stop as stop:
        return Verdict(title, (stop.point,))


@functools.lru_cache(maxsize=1)
def _fewest_fading() -> int:
    """The fewest steps that any of 2,000 decays needs."""
    decays = np.geomspace(0.01, 10, 2000)
    a, v = np.ones_like(decays), np.zeros_like(decays)  # (decays,): what SGD makes of the scalar 1 under each of them
    trace = []
    for _ in range(200):
        trace.append(np.abs(a))
        v = MOMENTUM * v + decays * a
        a = a - LR * v
    return int(_settled(np.array(trace)).min())


def _settled(trace: np.ndarray) -> np.ndarray:
    """The step from which each column of |a_t|, (steps, decays), stays at or below FADED."""
    loud = ~(trace <= FADED)
    return np.where(loud.any(0), len(trace) - loud[::-1].argmax(0), 0)


# ------------------------------------------------------------------------------------ exercise 6: in a real network


@dataclass(frozen=True)
class Alignment:
    """A short training run of PFA. ``angles``: path alignment in degrees, one row every 5 steps, one column a layer."""

    weight_decay: float
    angles: pd.DataFrame
    accuracy: float  # test accuracy in percent after the last step

    @property
    def steps(self) -> int | None:
        """Steps after which every layer's path angle is below ALIGNED for good; None if that is not reached."""
        largest = self.angles.max(axis=1)
        still = largest.index[~(largest < ALIGNED)]  # a diverged run has no angle, and is not aligned
        later = largest.index[largest.index > still.max()] if len(still) else largest.index
        return int(later[0]) if len(later) else None

    def __str__(self) -> str:
        when = "not aligned" if self.steps is None else f"aligned after {self.steps} steps"
        return f"weight decay {self.weight_decay:g}: {when}, test accuracy {self.accuracy:.1f} %"


@functools.lru_cache(maxsize=128)
def align(weight_decay: float, seed: int = 0) -> Alignment:
    """Trains 784-32-10 by PFA(ratio=10) for STEPS steps of 64 digits of mnist-5k at LR, MOMENTUM and ``weight_decay``.

    Takes about a third of a second. Leaves torch's random stream as it was.
    """
    data = load("mnist-5k")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        rule = PFA(ratio=10, form="closed")
        net = convert(mlp((784, 32, 10)), rule, init="xavier", inplace=True, verbose=False)
    optimizer = torch.optim.SGD(net.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=weight_decay)
    order, step, angles = torch.Generator().manual_seed(seed), 0, {0: path_alignment(net)}
    while step < STEPS:
        for index in list(batches(len(data.train_y), 64, order))[: STEPS - step]:
            train_step(net, optimizer, nnf.cross_entropy, data.train_x[index], data.train_y[index])
            step += 1
            if step % 5 == 0:
                angles[step] = path_alignment(net)
    with torch.no_grad():
        accuracy = (net(data.test_x).argmax(1) == data.test_y).double().mean().item() * 100
    frame = pd.DataFrame.from_dict(angles, orient="index").rename_axis("step")
    return Alignment(weight_decay, frame, accuracy)


def check_aligning_decay(answer: float) -> Verdict:
    """``answer``: the weight decay with which the network of :func:`align` aligns soonest and still learns.

    Right: test accuracy of at least FLOOR percent, and aligned within SLACK times the fewest steps that any decay
    with that accuracy needs. Both are measured here and now, in real runs.
    """
    title = "The decay that aligns a real network fastest"
    try:
        run = align(_decay(answer))
        if run.accuracy < FLOOR:
            raise wrong(
                f"{run}. That is less than the {FLOOR:g} % asked for: the decay pulls W to zero as well. Too strong"
            )
        if run.steps is None:
            raise wrong(f"{run}: after {STEPS} steps an angle is still {run.angles.iloc[-1].max():.0f}°. Too weak")
        fewest = _fewest_aligning()
        if run.steps > SLACK * fewest:
            raise wrong(f"{run}. Another decay aligns {run.steps / fewest:.1f} times as fast and keeps the accuracy")
        return Verdict(title, (("right", f"{run}"), ("right", f"the fastest on our grid needs {fewest} steps")))
    except Stop as stop:
        return Verdict(title, (stop.point,))


@functools.lru_cache(maxsize=1)
def _fewest_aligning() -> int:
    """The fewest steps among 12 decays, 15 % apart, that keep the accuracy; a run each, about 4 seconds in all."""
    runs = [align(float(decay)) for decay in np.geomspace(0.1, 0.5, 12)]
    return min(run.steps for run in runs if run.accuracy >= FLOOR and run.steps is not None)


# --------------------------------------------------------------------------------------------------------- numbers


def _decay(answer: object) -> float:
    if answer is None or answer is ...:
        raise open_("there is no number yet")
    value = number(answer, "the weight decay")
    if not 0 < value < math.inf:
        raise wrong(f"a weight decay of {value:g}: it must be a positive number, else nothing is forgotten")
    return value
