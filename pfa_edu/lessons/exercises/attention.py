"""Lesson 11: the error of the queries, bits per character, the control, a decay that is decoupled, a floor."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...rules import alignment_limit
from ..results import committed
from .questions import Choice, Formula, Number
from .verdict import Verdict


def check_query_error(answer: Any) -> Verdict:
    """``answer(delta, P, k, v)``: the error of the queries (tokens, size) of one head; δ is that of its output P v."""
    return _QUERY.check(answer)


def _heads() -> list[tuple[Tensor, ...]]:
    made: list[tuple[Tensor, ...]] = []
    for tokens, size in ((3, 4), (5, 2), (4, 4)):
        stream = torch.Generator().manual_seed(10 * tokens + size)
        delta, k, v, q = (torch.randn(tokens, size, generator=stream, dtype=torch.float64) for _ in range(4))
        made.append((delta, (q @ k.t() / math.sqrt(size)).softmax(-1), k, v))
    return made


def _error(delta: Tensor, P: Tensor, k: Tensor, v: Tensor) -> Tensor:
    at_P = delta @ v.t()  # (tokens, tokens)
    return P * (at_P - (P * at_P).sum(-1, keepdim=True)) @ k / math.sqrt(k.shape[1])


_QUERY = Formula(
    "The error of the queries",
    ("delta", "P", "k", "v"),
    _heads,
    _error,
    [
        (lambda delta, P, k, v: P * (delta @ v.t()) @ k / math.sqrt(k.shape[1]), "softmax's slope is not P alone. The "
         "weights of a row add up to 1, so raising one score lowers all the others: subtract the row's mean error, "
         "weighted by P"),
        (lambda delta, P, k, v: _error(delta, P, k, v) * math.sqrt(k.shape[1]), "the scores are q·k/√size: a factor is "
         "missing"),
        (lambda delta, P, k, v: P * (1 - P) * (delta @ v.t()) @ k / math.sqrt(k.shape[1]), "P (1 − P) is what a "
         "weight's own score does to it. All other scores of the row change it too"),
        (lambda delta, P, k, v: (delta @ v.t()) @ k / math.sqrt(k.shape[1]), "the step through softmax is missing: "
         "this takes the error of P for the error of the scores"),
        (lambda delta, P, k, v: P.t() @ delta, "this is the error of the values"),
        (lambda delta, P, k, v: (P * (delta @ v.t() - (P * (delta @ v.t())).sum(-2, keepdim=True))) @ k
         / math.sqrt(k.shape[1]), "softmax runs along a row, over the keys; this subtracts the mean of each column"),
    ],
    "Three steps back: from P v to P, from P to the scores, from the scores to q.",
)  # fmt: skip


def check_gap_in_bits(answer: Any) -> Verdict:
    """``answer``: how many bits per character FA ends behind backprop, the mean of three seeds."""
    return _BITS.check(answer)


def _loss(rule: str, metric: str = "validation_loss", epoch: int = 5, seeds: tuple[int, ...] = (0, 1, 2)) -> float:
    """Of GPT's classroom runs, in nats per character, the mean over ``seeds``."""
    rows = committed("gpt").query("part == 'main' and arm == @rule and metric == @metric and epoch == @epoch")
    return float(rows.loc[rows["seed"].isin(seeds), "value"].mean())


def _nats(**which: Any) -> float:
    return _loss("fa", **which) - _loss("bp", **which)


_BITS = Number(
    "FA's gap in bits",
    lambda: _nats() / math.log(2),
    "bits per character",
    0.01,
    [
        (_nats, "this is the gap in nats. One bit is ln 2 = 0.693 nats"),
        (lambda: _nats() * math.log(2), "multiplied where it should be divided: a bit is less than a nat, so there "
         "are more of them"),
        (lambda: _loss("fa") / math.log(2), "this is FA's own loss in bits. The gap is what it loses to backprop"),
        (lambda: _nats() / math.log(10), "this is in decimal digits: a bit is ln 2 nats"),
        (lambda: -_nats() / math.log(2), "the sign is turned: FA's loss is the higher one"),
        (lambda: _nats(metric="test_loss") / math.log(2), "this is from the test part; the question is about the "
         "validation loss, as in the table"),
    ],
    "Take the difference of the two validation losses in the table, and change its unit.",
)  # fmt: skip


def check_beats_control(answer: Any) -> Verdict:
    """``answer``: the rules that beat the control in every seed on both networks, of SF, soft, KP, PFA, PFA-o, FA, DFA."""  # noqa: E501
    return _CONTROL.check(answer)


_CONTROL = Choice(
    "Who beats the control?",
    frozenset({"SF", "soft"}),
    {
        "SF": "far ahead of the control on both, in every seed",
        "soft": "ahead of the control on both, in every seed; on the pictures by 2.7 points",
        "KP": "well ahead on the text. On the pictures two of its three seeds are less accurate than the control",
        "PFA": "ahead on the text in every seed, once by two points only. What about the pictures?",
        "PFA-o": "well ahead on the text. On the pictures it is the last of all",
        "FA": "ahead on the text, by less than a point of accuracy. On the pictures it is seven points behind",
        "DFA": "on the text its lead is below a point and not there in every seed; on the pictures it is behind",
    },
)


def check_decoupled_steps(answer: Any) -> Verdict:
    """``answer``: steps of AdamW at learning rate 0.003 and decay 10 until a is down to 0.05."""
    return _STEPS.check(answer)


_LR, _DECAY, _LEFT = 0.003, 10.0, 0.05


def _steps(each: float, left: float = _LEFT) -> float:
    """Until (1 − each)^steps is ``left``, as a whole number."""
    return math.ceil(math.log(left) / math.log1p(-each))


_STEPS = Number(
    "Steps of a decoupled decay",
    lambda: _steps(_LR * _DECAY),
    "steps",
    0.012,  # 98.3 and 99 are both right
    [
        (lambda: _steps(_LR * _DECAY / 0.1), "this is lesson 2's rule for SGD with momentum 0.9, where a step of decay "
         "counts ten times. Decoupled decay passes no momentum"),
        (lambda: math.ceil((1 - _LEFT) / (_LR * _DECAY)), "a straight line: every step takes its share of what is "
         "left, not of the whole"),
        (lambda: _steps(_LR * _DECAY, 1 - _LEFT), "0.05 is to be left, not gone"),
        (lambda: math.log10(1 / _LEFT) / (_LR * _DECAY), "base 10: the share that is left is exp(−steps · lr · decay), "
         "nearly"),
        (lambda: _steps(_LR), "the decay is missing: one step takes lr · decay"),
    ],
    "One step multiplies a by 1 − lr · decay.",
)  # fmt: skip


def check_path_at_ratio_3(answer: Any) -> Verdict:
    """``answer``: the path angle, in degrees, at which PFA's layers end at ratio 3."""
    return _RATIO_3.check(answer)


_RATIO_3 = Number(
    "The path angle at ratio 3",
    lambda: alignment_limit(3),
    "degrees",
    0.01,
    [
        (lambda: math.radians(alignment_limit(3)), "in radians"),
        (lambda: math.degrees(math.asin(3**-0.5)), "the sine; what is 1/√ratio the tangent of?"),
        (lambda: math.degrees(math.atan(1 / 3)), "the square root of the ratio is missing"),
        (lambda: 45 / 3, "45° divided by the ratio: it is the tangent that shrinks, by the ratio's root"),
        (lambda: 45 / math.sqrt(3), "the angle divided by √3: it is its tangent that is"),
    ],
    "arctan(1/√ratio), whatever the network.",
)
