"""What theory says of the feedback path: where its angle ends, and how long its start is remembered."""

from __future__ import annotations

import math
from collections.abc import Iterable

from .._settings import real, whole
from ..errors import ConfigError

_KURTOSIS = 1.8  # of a uniform variable


def alignment_limit(ratio: float, density: float = 1.0, out: float = math.inf) -> float:
    """The path angle that PFA reaches once its initial mismatch has faded: arctan(1/sqrt(ratio·density)), in degrees.

    The angle between F = B R and W where R = mask ∘ Bᵀ W, for a random B, both with masks of ``density`` p: 45° at
    ratio 1, 17.55° at 10. PFA-o's limit is 0. This holds for wide layers; with few synapses left on a neuron the angle
    is larger, and for ``out`` output neurons the masks and B, drawn independently, give on average
    ⟨F, W⟩ = p ‖W‖² and ‖F‖² = (p² (1 − 1/mid) + p (out − 1 + κ/p)/mid) ‖W‖², mid = ratio·out, κ = 1.8 the kurtosis of
    B's uniform entries before the mask. Hence tan² = (out − 1 + κ/p)/(mid p) − 1/mid.

    >>> round(alignment_limit(10), 3), round(alignment_limit(10, density=0.1, out=100), 1)
    (17.548, 47.2)
    """
    ratio = real("ratio", ratio, above=0, what="mid neurons per output neuron")
    density = real("density", density, high=1, above=0, what="the fraction of feedback synapses that exist")
    out = out if out == math.inf else real("out", out, low=1, what="the number of output neurons")
    finite = 1 + ((_KURTOSIS / density - 1) - density) / out  # the sum above, in units of its limit 1/(ratio p)
    return math.degrees(math.atan(math.sqrt(finite / (ratio * density))))


def mismatch(steps: int, lr: float, momentum: float, weight_decay: float) -> float:
    """a_t after ``steps`` of SGD: what the optimiser makes of the scalar 1 with a zero gradient.

    It is the part of the initial mismatch E that is left in F = G W + a E (the closed form). One step is linear,
    (a, v) → (a − lr·(momentum·v + weight_decay·a), momentum·v + weight_decay·a), so this is a power of a 2 × 2 matrix.

    >>> round(mismatch(937, lr=0.01, momentum=0.9, weight_decay=0.03), 3)
    0.057
    """
    lr, momentum, weight_decay = _pace(lr, momentum, weight_decay)
    return _power(_step(lr, momentum, weight_decay), whole("steps", steps, low=0))[0]


def steps_to_fade(target: float, lr: float, momentum: float, weight_decay: float) -> int:
    """The number of SGD steps after which |a_t| stays at or below ``target``: how long a strong decay has to last.

    >>> steps_to_fade(0.06, lr=0.01, momentum=0.9, weight_decay=0.03)
    920
    """
    what = "the part of the mismatch that may be left, less than the whole that it starts from"
    target = real("target", target, high=math.nextafter(1, 0), above=0, what=what)
    lr, momentum, weight_decay = _pace(lr, momentum, weight_decay)
    lr = real("lr", lr, above=0, what="without it nothing fades")
    weight_decay = real("weight_decay", weight_decay, above=0, what="without it nothing fades")
    x = lr * weight_decay
    # The step's eigenvalues λ solve λ² − (1 + momentum − x) λ + momentum = 0. The slow one is 1 − δ; δ itself is kept,
    # which is far below the spacing of numbers near 1 where lr·weight_decay is tiny.
    discriminant = (1 - momentum + x) ** 2 - 4 * x
    if discriminant < 1e-9:  # a swings around zero, or is about to
        return _swinging(_step(lr, momentum, weight_decay), target, momentum)
    root = math.sqrt(discriminant)
    slow = 2 * x / (1 - momentum + x + root)  # δ
    fast = momentum / (1 - slow)  # the other eigenvalue
    weight = (1 - x - fast) / (1 - slow - fast)  # of the slow one in a_0 = 1, a_1 = 1 − x

    def left(t: int) -> float:
        return weight * math.exp(t * math.log1p(-slow)) + (1 - weight) * fast**t

    low, high = 0, 1
    while abs(left(high)) > target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if abs(left(middle)) > target else (low, middle)
    return high


def decay_to_fade(target: float, rates: Iterable[float]) -> float:
    """The decoupled weight decay that takes a to ``target`` over steps with these learning rates.

    AdamW and its like multiply W, R and so a by 1 − lr·decay in every step: a is the product of these factors.

    >>> round(decay_to_fade(0.05, [0.001] * 100), 2)
    29.51
    """
    what = "the part of the mismatch that may be left, less than the whole that it starts from"
    target = real("target", target, high=math.nextafter(1, 0), above=0, what=what)
    rates = [real("lr", rate, low=0) for rate in rates]
    if not any(rates):
        raise ConfigError(f"{len(rates)} steps without a learning rate: nothing fades in them. Give them one")
    low, high = 0.0, 1 / max(rates)  # at the upper end one factor is 0
    for _ in range(200):  # until the two are neighbours
        middle = (low + high) / 2
        left = math.prod(1 - rate * middle for rate in rates)
        low, high = (middle, high) if left > target else (low, middle)
    return high


def _swinging(step: tuple[float, float, float, float], target: float, momentum: float) -> int:
    """The first step from which on |a| stays at or below ``target``: the envelope shrinks as momentum^(t/2)."""
    (a, v), t, last = (1.0, 0.0), 0, 0
    horizon = math.ceil(2 * math.log(target / 100) / math.log(momentum)) if momentum > 0 else 1
    while t < horizon:
        t += 1
        a, v = step[0] * a + step[1] * v, step[2] * a + step[3] * v
        last = t if abs(a) > target else last
    return last + 1


def _pace(lr: float, momentum: float, weight_decay: float) -> tuple[float, float, float]:
    momentum = real("momentum", momentum, low=0)
    if momentum >= 1:
        real("momentum", momentum, high=math.nextafter(1, 0), what="less than 1, or nothing ever comes to rest")
    return real("lr", lr, low=0), momentum, real("weight_decay", weight_decay, low=0)


def _step(lr: float, momentum: float, weight_decay: float) -> tuple[float, float, float, float]:
    """One SGD step as the matrix that takes (a, v) to the next (a, v), row by row."""
    return 1 - lr * weight_decay, -lr * momentum, weight_decay, momentum


def _power(m: tuple[float, float, float, float], n: int) -> tuple[float, float]:
    """The first column of mⁿ: what n steps make of (1, 0)."""
    a, v = 1.0, 0.0
    p, q, r, s = m
    while n:
        if n & 1:
            a, v = p * a + q * v, r * a + s * v
        p, q, r, s = p * p + q * r, q * (p + s), r * (p + s), r * q + s * s
        n >>= 1
    return a, v
