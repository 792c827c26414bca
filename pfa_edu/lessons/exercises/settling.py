"""Lesson 10: the error that a nudge finds, what a feedback synapse sees, the exact error, and a local pull."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .questions import Formula
from .verdict import Verdict

_SIZES = [(5, 3), (4, 4), (1, 6)]  # batch and neurons; once as many of both, once a single sample


def _normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def check_nudged_error(answer: Any) -> Verdict:
    """``answer(up, down, beta)``: the error d (batch, out) from the rates under the nudges +β and −β."""
    return _NUDGED.check(answer)


_NUDGED = Formula(
    "The error from two nudges",
    ("up", "down", "beta"),
    lambda: [(_normal(*s), _normal(*s) + 1, beta) for s, beta in zip(_SIZES, (0.1, 0.5, 2.0), strict=True)],
    lambda up, down, beta: (down - up) / (2 * beta),
    [
        (lambda up, down, beta: (up - down) / (2 * beta), "the sign is turned. The nudge +β lowers the loss, so the "
         "rates go *down* the gradient; d is to point up it"),
        (lambda up, down, beta: (down - up) / beta, "twice as long as it should be: how far apart are the two nudges?"),
        (lambda up, down, beta: (up - down) / beta, "two things: how far apart are the nudges, and which way do the "
         "rates go under +β?"),
        (lambda up, down, beta: down - up, "it depends on how hard the output was pulled: divide"),
    ],
    "It is the slope of the rates over β, with a minus.",
)  # fmt: skip


def check_feedback_update(answer: Any) -> Verdict:
    """``answer(d_above, d_below, r_above, r_below)``: ∇F in W's shape (above, below), summed over the batch."""
    return _FEEDBACK.check(answer)


_FEEDBACK = Formula(
    "What a feedback synapse learns",
    ("d_above", "d_below", "r_above", "r_below"),
    lambda: [(_normal(b, a), _normal(b, a + 1), _normal(b, a) + 1, _normal(b, a + 1) - 1) for b, a in _SIZES]
    + [(_normal(3, 4), _normal(3, 4) + 2, _normal(3, 4) + 1, _normal(3, 4) - 1)],
    lambda d_above, d_below, r_above, r_below: r_above.t() @ d_below,
    [
        (lambda d_above, d_below, r_above, r_below: d_above.t() @ r_below, "this is ∇W, of the synapse that leads up. "
         "A feedback synapse leads down: whose rate is before it, and whose error is behind it?"),
        (lambda d_above, d_below, r_above, r_below: d_below.t() @ r_above, "the right product, the other way round: "
         "F has W's shape, (above, below)"),
        (lambda d_above, d_below, r_above, r_below: d_above.t() @ r_below + r_above.t() @ d_below, "this is the sum "
         "of both directions, as if one synapse worked both ways: it is what the symmetric network of 2017 uses. "
         "Here the feedback synapse learns on its own"),
    ],
    "Error of the neuron behind the synapse times rate of the neuron before it.",
)  # fmt: skip


def check_exact_error(answer: Any) -> Verdict:
    """``answer(A, D, g)``: the exact error δ (neurons,) for one sample; A and D (neurons, neurons), g (neurons,)."""
    return _EXACT.check(answer)


def _solved(A: Tensor, D: Tensor, g: Tensor) -> Tensor:
    return torch.linalg.solve(torch.eye(len(g), dtype=g.dtype) - D @ A, D @ g)


_EXACT = Formula(
    "The exact error",
    ("A", "D", "g"),
    lambda: [(_normal(n, n) / (3 * n), torch.diag(_normal(n).abs()), _normal(n)) for n in (2, 5, 9)],
    lambda A, D, g: _solved(A.t(), D, g),
    [
        (_solved, "this is what the nudge finds. The exact error travels the other way along every synapse"),
        (lambda A, D, g: torch.linalg.solve(torch.eye(len(g), dtype=g.dtype) - A.t() @ D, D @ g), "D and Aᵀ stand the "
         "wrong way round: an error is summed first, and multiplied with the neuron's own slope afterwards"),
        (lambda A, D, g: torch.linalg.solve(torch.eye(len(g), dtype=g.dtype) - D @ A.t(), g), "the last D is missing: "
         "g is with respect to the rates, δ with respect to the inputs"),
        (lambda A, D, g: D @ g, "this is the error with no loops at all: the part that has not travelled yet"),
        (lambda A, D, g: D @ g + D @ A.t() @ D @ g, "this is the first two terms of a series that goes on for ever. "
         "What does it add up to?"),
    ],
    "δ = D (g + Aᵀ δ). Solve it for δ.",
)  # fmt: skip


def check_pull(answer: Any) -> Verdict:
    """``answer(noise_above, noise_below, heard_above, heard_below)``: the pull on W (above, below), draws summed."""
    return _PULL.check(answer)


_PULL = Formula(
    "A local pull towards symmetry",
    ("noise_above", "noise_below", "heard_above", "heard_below"),
    lambda: [(_normal(b, a), _normal(b, a + 1), _normal(b, a) + 1, _normal(b, a + 1) - 1) for b, a in _SIZES]
    + [(_normal(3, 4), _normal(3, 4) + 2, _normal(3, 4) + 1, _normal(3, 4) - 1)],
    lambda na, nb, ha, hb: ha.t() @ nb - na.t() @ hb,
    [
        (lambda na, nb, ha, hb: na.t() @ hb - ha.t() @ nb, "the sign is turned: its mean is F − W, the pull on F. A "
         "gradient points uphill, and W is to come down towards F"),
        (lambda na, nb, ha, hb: ha.t() @ nb, "its mean is W. That is half of it: which product has F for its mean?"),
        (lambda na, nb, ha, hb: na.t() @ hb, "its mean is F. That is half of it: which product has W for its mean?"),
        (lambda na, nb, ha, hb: ha.t() @ nb + na.t() @ hb, "its mean is W + F, which is 0 only when both are gone: "
         "the pull is to vanish when they agree"),
        (lambda na, nb, ha, hb: hb.t() @ na - nb.t() @ ha, "it is the other way round: W has the shape (above, below)"),
    ],
    "The mean of the answer is to be W − F. E[heard_above noise_belowᵀ] = W: what is F?",
)  # fmt: skip
