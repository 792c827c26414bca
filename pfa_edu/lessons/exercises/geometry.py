"""Lessons 2, 4 and 8: what ratio, density and decay do to the angle between F and W, and to F's length."""

from __future__ import annotations

import math
from typing import Any

from ...rules import alignment_limit
from .alignment import LR, MOMENTUM
from .questions import Choice, Formula, Number, number
from .verdict import Stop, Verdict, open_, wrong

_KEPT, _STEPS = 0.02, 2000  # lesson 2: of the mismatch, after so many steps
_WANTED = 20.0  # lesson 4: degrees
_DENSITY = 0.2  # lesson 8


def check_same_angle(first: Any, second: Any) -> Verdict:
    """Two different settings (ratio, density), density on both B and R, with one limit angle in wide layers."""
    title = "Two paths with the same angle"
    try:
        pairs = [_setting(one) for one in (first, second)]
        (r, p), (s, q) = pairs
        if pairs[0] == pairs[1]:
            raise wrong("both settings are the same: change the ratio and the density")
        angles = [math.degrees(math.atan(1 / math.sqrt(a * b))) for a, b in pairs]
        if abs(angles[0] - angles[1]) > 0.3:
            said = f"their limits are {angles[0]:.1f}° and {angles[1]:.1f}°"
            if math.isclose(r * q, s * p, rel_tol=0.02):
                raise wrong(f"{said}. You keep ratio / density the same. Do fewer synapses help as more neurons do?")
            if math.isclose(r * p * p, s * q * q, rel_tol=0.02):
                raise wrong(f"{said}. You count the density twice, for B and for R. Look at the axis: is that so?")
            raise wrong(f"{said}. Halve the density of one setting: which ratio makes up for it?")
    except Stop as stop:
        return Verdict(title, (stop.point,))
    return Verdict(title, (("right", f"both end at {angles[0]:.1f}° in wide layers"),))


def _setting(given: Any) -> tuple[float, float]:
    if given is None or given is ...:
        raise open_("there are no two settings yet")
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise wrong("give each setting as (ratio, density), for example (10, 1)")
    ratio, density = number(given[0], "the ratio"), number(given[1], "the density")
    if not (1 <= ratio <= 100 and 0.05 <= density <= 1):
        raise wrong(f"({ratio:g}, {density:g}): the ratio goes from 1 to 100, the density from 0.05 to 1")
    return ratio, density


def check_eigenvalue_variance(answer: Any) -> Verdict:
    """``answer(ratio)``: the variance of B Bᵀ's eigenvalues, for a large B with entries of variance 1/mid."""
    return _VARIANCE.check(answer)


_VARIANCE = Formula(
    "How far the eigenvalues spread",
    ("ratio",),
    lambda: [(1,), (2,), (10,), (37.0,)],
    lambda r: 1 / r,
    [
        (lambda r: r**-0.5, "this is their standard deviation: its square is asked for"),
        (lambda r: 1.0, "this is their mean, which is the same for every ratio"),
        (lambda r: r, "more mid neurons should bring the eigenvalues nearer to 1, not farther away"),
        (lambda r: 1 + 1 / r, "this is the mean of their squares. What does the variance take away from it?"),
        (lambda r: 4 * r**-0.5, "this is the width of their range, from (1 − 1/√ratio)² to (1 + 1/√ratio)²"),
        (lambda r: r**-2.0, "this falls too fast. An entry of B Bᵀ off the diagonal has variance 1/mid; how many such "
         "entries are there in a row?"),
    ],
    "The mean of the squared eigenvalues is ‖B Bᵀ‖²/out. Add up the entries on the diagonal and off it",
)  # fmt: skip


def check_weakest_decay(answer: Any) -> Verdict:
    """``answer``: the weight decay that leaves 2 % of a after 2,000 steps at lr 0.01, momentum 0.9."""
    return _WEAKEST.check(answer)


def _exponent(rate: float) -> float:
    return math.log(1 / _KEPT) / (_STEPS * rate)


_WEAKEST = Number(
    "The weakest decay that is strong enough",
    lambda: _exponent(LR / (1 - MOMENTUM)),
    "the weight decay",
    0.03,
    [
        (lambda: _exponent(LR), "this leaves out the momentum, by which each step counts 1/(1 − 0.9) times"),
        (lambda: _exponent(LR / (1 - MOMENTUM)) * LR / (1 - MOMENTUM), "this is the decay per step: the "
         "weight decay is multiplied by lr/(1 − momentum) to give it"),
        (lambda: math.log10(1 / _KEPT) / (_STEPS * LR / (1 - MOMENTUM)), "this takes the logarithm to base 10"),
        (lambda: (1 - _KEPT) / (_STEPS * LR / (1 - MOMENTUM)), "this lets a fall along a straight line: it decays by a "
         "fraction of what is left"),
    ],
    "a falls about as exp(−t · lr · decay / (1 − momentum)); try pe.mismatch(2000, 0.01, 0.9, decay).",
)  # fmt: skip


def check_ratio_for_floor(answer: Any) -> Verdict:
    """``answer``: the smallest whole ratio at which PFA's floor lies at or below 20°."""
    return _RATIO.check(answer)


_TAN = math.tan(math.radians(_WANTED))
_RATIO = Number(
    "The ratio for a floor of 20°",
    lambda: next(r for r in range(1, 101) if alignment_limit(r) <= _WANTED),
    "the smallest ratio",
    0,
    [
        (lambda: math.floor(_TAN**-2), f"at this ratio the floor is still "
         f"{alignment_limit(math.floor(_TAN**-2)):.1f}°, above 20°"),
        (lambda: math.ceil(1 / _TAN), "1/tan of the angle is the square root of the ratio"),
        (lambda: math.ceil(math.sin(math.radians(_WANTED)) ** -2), "this takes the sine: in the triangle, "
         "W is the other short side, not the long one"),
        (lambda: 45 / _WANTED, "the angle does not fall as 45°/ratio: look at the curve in lesson 2"),
        (lambda: math.ceil((45 / _WANTED) ** 2), "the angle is not quite 45°/√ratio: it is its tangent that falls so"),
    ],
    "The tangent of the floor is 1/√ratio; `pe.alignment_limit(ratio)` gives it in degrees.",
)  # fmt: skip


def check_zero_floor(answer: Any) -> Verdict:
    """``answer``: a list of the rules whose F ends at W itself once their start has faded."""
    return _ZERO.check(answer)


_ZERO = Choice(
    "Whose path ends at 0°?",
    frozenset({"KP", "PFA-o"}),
    {
        "FA": "its F never moves, and nothing pulls W all the way to it",
        "SF": "it has every sign, but all entries of one size: about 30° are left",
        "KP": "F and W get the same updates, and decay makes both forget their starts",
        "PFA": "F ends at B Bᵀ W, and B Bᵀ is only roughly the identity",
        "PFA-o": "F ends at B Bᵀ W, and B Bᵀ is the identity when B is orthogonal",
        "DFA": "it has no F to compare with W",
    },
)


def check_ratio_for_density(answer: Any) -> Verdict:
    """``answer``: the ratio at which density 0.2 gives the same limit angle as ratio 10 with all synapses."""
    return _SPARSE.check(answer)


_SPARSE = Number(
    "Mid neurons for synapses",
    lambda: 10 / _DENSITY,
    "the ratio",
    0.02,
    [
        (lambda: 10 * _DENSITY, "with fewer synapses and fewer mid neurons the angle grows twice over"),
        (lambda: 10 / _DENSITY**2, "this counts the density once for B and once for R; the angle counts it once"),
        (lambda: 10 / math.sqrt(_DENSITY), "it is ratio times density that counts, without a root"),
        (lambda: 10, "then a fifth of the synapses would be as good as all of them"),
    ],
    "tan² of the angle is 1/(ratio · density).",
)


def check_sf_angle(answer: Any) -> Verdict:
    """``answer(density)``: degrees between a W uniform in −c to c and SF's s·sign(W), a fraction ``density`` kept."""
    return _SIGNS.check(answer)


_MEAN = math.sqrt(3) / 2  # E|w| / √E w² of a uniform distribution around 0
_SIGNS = Formula(
    "What the signs are worth",
    ("density",),
    lambda: [(1.0,), (0.5,), (0.17,), (0.05,)],
    lambda p: math.degrees(math.acos(math.sqrt(p) * _MEAN)),
    [
        (lambda p: math.acos(math.sqrt(p) * _MEAN), "right, but in radians: give degrees"),
        (lambda p: math.degrees(math.acos(math.sqrt(p))), "this takes all weights to be of one size: what is "
         "E|w|/√E w² for a uniform distribution?"),
        (lambda p: math.degrees(math.acos(p * _MEAN)), "F gets shorter too when entries are cut: the cosine divides by "
         "its length"),
        (lambda p: math.degrees(math.acos(math.sqrt(p * 2 / math.pi))), "this is for Gaussian weights: uniform ones "
         "have no tails"),
        (lambda p: math.sqrt(p) * _MEAN, "this is the cosine of the angle"),
    ],
    "The cosine is ⟨F, W⟩ / (‖F‖ ‖W‖): take the mean over the entries of each of the three",
)  # fmt: skip


def check_path_length(answer: Any) -> Verdict:
    """``answer(ratio, density)``: ‖F‖/‖W‖ of an aligned sparse PFA path, F = B (mask ⊙ BᵀW), in wide layers."""
    return _LENGTH.check(answer)


_LENGTH = Formula(
    "How long a sparse path is",
    ("ratio", "density"),
    lambda: [(10, 1.0), (10, 0.05), (1, 0.5), (50, 0.2)],
    lambda r, p: math.sqrt(p * p + p / r),
    [
        (lambda r, p: p * p + p / r, "this is the square of the length"),
        (lambda r, p: math.sqrt(p), "this is the length that FA's and SF's F keep, which lose single entries"),
        (lambda r, p: p, "this is only the part of F along W; the noise across it has a length too"),
        (lambda r, p: math.sqrt(p * p + p * p / r), "in the noise the density counts once, not twice"),
        (lambda r, p: math.sqrt(1 + 1 / r), "this is right without masks; where does the density come in?"),
        (lambda r, p: math.sqrt(p + p / r), "the part along W is p‖W‖ long, so its square has p²"),
    ],
    "⟨F, W⟩ = p‖W‖² gives the part along W, and the angle gives the part across it",
)
