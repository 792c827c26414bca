"""The checks of the exercises: right answers pass, each known mistake gets its hint, and no hint holds the solution."""

import math
import re

import numpy as np
import pytest
import torch

from pfa_edu import alignment_limit
from pfa_edu.lessons import exercises
from pfa_edu.lessons.exercises import (
    check_aligning_decay,
    check_fa_backward,
    check_fading_decay,
    check_kp_backward,
    check_limit_angle,
    check_pfa_backward,
)


def hebb(delta, h):
    return delta.T @ h


def changes_delta(d, h, W, F):
    d *= 2
    return d @ F / 2


def raises(d, h, W, F):
    raise KeyError("lost")


RIGHT = [
    (check_fa_backward, lambda d, h, W, F: d @ F),
    (check_fa_backward, lambda d, h, W, F: (F.T @ d.T).T),
    (check_fa_backward, lambda d, h, W, F: torch.einsum("bo,oi->bi", d, F)),
    (check_kp_backward, lambda d, h, W, F: (d @ F, hebb(d, h), hebb(d, h))),
    (check_kp_backward, lambda d, h, W, F: [d @ F, (h.T @ d).T, sum(torch.outer(*p) for p in zip(d, h, strict=True))]),
    (check_pfa_backward, lambda d, h, W, B, R: (d @ B @ R, hebb(d, h), B.T @ hebb(d, h))),
    (check_pfa_backward, lambda d, h, W, B, R: (d @ (B @ R), hebb(d, h), hebb(d @ B, h))),
    (check_limit_angle, lambda ratio: math.degrees(math.atan(1 / math.sqrt(ratio)))),
    (check_limit_angle, lambda ratio: np.degrees(np.arccos((1 + 1 / ratio) ** -0.5))),
    (check_limit_angle, lambda ratio: torch.rad2deg(torch.tensor(ratio**-0.5).atan())),
    (check_limit_angle, 17.5),
    (check_limit_angle, torch.tensor(17.548)),
    (check_fading_decay, 2 * (1 - 0.9**0.5) ** 2 / 0.01),
    (check_fading_decay, np.float64(0.54)),
    (check_aligning_decay, 0.26),
    (check_aligning_decay, 0.28),
]
UNANSWERED = [
    *[(check, lambda *args: None) for check in (check_fa_backward, check_kp_backward, check_pfa_backward)],
    *[(check, lambda *args: ...) for check in (check_fa_backward, check_limit_angle)],
    *[(check, ...) for check in (check_fa_backward, check_limit_angle, check_fading_decay, check_aligning_decay)],
    *[(check, None) for check in (check_pfa_backward, check_limit_angle, check_fading_decay, check_aligning_decay)],
]
FA = [
    (lambda d, h, W, F: d @ W, "as backprop does"),
    (lambda d, h, W, F: d @ W.sign(), "sign symmetry"),
    (
        lambda d, h, W, F: (d @ F).T,
        r"shape is \(5, 7\), the other way round: it should be \(batch, in\), here \(7, 5\)",
    ),
    (lambda d, h, W, F: d @ F.T, r"raised RuntimeError in line \d+ .* mat1 and mat2 .*Samples are rows"),
    (lambda d, h, W, F: d @ F if d.shape[1] != 6 else d @ F.T, "only because this layer is square: write the shapes"),
    (lambda d, h, W, F: d @ F if d.shape[1] != 6 else d @ W.T, "it is W, which only the way forward"),
    (lambda d, h, W, F: d @ F if d.shape[1] != 6 else h @ F.T, "what has to travel back"),
    (lambda d, h, W, F: d @ F if d.shape[1] != 6 else (d @ F).T, "square: it is the other way round"),
    (lambda d, h, W, F: h @ F.T, "sends the activity h"),
    (lambda d, h, W, F: -(d @ F), "the sign is turned"),
    (lambda d, h, W, F: d @ F / len(d), "divided by the size of the batch"),
    (lambda d, h, W, F: 2 * d @ F, "everything is 2 times"),
    (lambda d, h, W, F: d @ F + 1e-3, "the numbers are not"),
    (lambda d, h, W, F: d @ F.abs(), "the numbers are not"),
    (lambda d, h, W, F: (d @ F).float(), "torch.float32 although"),
    (lambda d, h, W, F: d.half() @ F.half(), "torch.float16 although"),
    (lambda d, h, W, F: (d @ F).to(torch.complex128), "everything here is real"),
    (lambda d, h, W, F: (d @ F).numpy(), "ndarray instead of a torch tensor"),
    (lambda d, h, W, F: (d @ F).sum(), r"shape is \(\): it should be"),
    (lambda d, h, W, F: (d @ F).mean(0), r"shape is \(5,\)"),
    (lambda d, h, W, F: F, r"shape is \(4, 5\): it should be"),
    (lambda d, h, W, F: torch.zeros_like(h), "all zeros"),
    (lambda d, h, W, F: d @ F / 0, "NaN or infinite"),
    (lambda d, h, W, F: torch.full_like(h, math.nan), "NaN or infinite"),
    (lambda d, h, W, F: (d @ F, hebb(d, h)), "returns 2 things in a tuple: give dL/dh alone"),
    (changes_delta, "changed delta itself"),
    (lambda d, h, W, F: torch.mm(d, F, out=h), "changed h itself"),
    (raises, "raised KeyError in line"),
    (lambda d, F: d @ F, r"must take the arguments \(delta, h, W, F\)"),
    (torch.ones(7, 5), "the function itself, not a Tensor"),
    (lambda d, h, W, F: d @ F if len(d) > 1 else 1 / 0, r"delta \(1, 3\), .* raised ZeroDivisionError"),
]
KP = [
    (lambda d, h, W, F: d @ F, "returns one Tensor: 3 things"),
    (lambda d, h, W, F: (d @ F, hebb(d, h)), "returns 2 things: 3 are asked for"),
    (lambda d, h, W, F: (d @ F, hebb(d, h), None), "∇F: None instead"),
    (lambda d, h, W, F: (d @ F, hebb(d, h), 0 * F), "that is feedback alignment"),
    (lambda d, h, W, F: (d @ F, hebb(d, h), F - W), "looking at W: that is weight transport"),
    (lambda d, h, W, F: (d @ F, hebb(d, h), W - F), "uses W's values: that is weight transport"),
    (lambda d, h, W, F: (d @ F, hebb(d, h), F), "this is F itself"),
    (lambda d, h, W, F: (d @ F, hebb(d, h), h.T @ d), r"∇F: the shape is \(5, 4\), the other way round"),
    (lambda d, h, W, F: (d @ F, h.T @ d, h.T @ d), r"∇W: the shape is \(5, 4\), the other way round"),
    (lambda d, h, W, F: (d @ W, hebb(d, h), hebb(d, h)), "dL/dh: .* as backprop does"),
    (lambda d, h, W, F: (hebb(d, h), d @ F, hebb(d, h)), "dL/dh: this is ∇W: the order"),
    (lambda d, h, W, F: (d @ F, hebb(d, h) / len(d), hebb(d, h)), "∇W: it is divided by the size of the batch"),
    (lambda d, h, W, F: (d @ F, d.sum(0)[:, None] * h.sum(0), hebb(d, h)), "∇W: δ and h of one sample belong together"),
    (lambda d, h, W, F: (d @ F, d.mean(0)[:, None] * h.mean(0), hebb(d, h)), "∇W: average the products"),
]
PFA = [
    (lambda d, h, W, B, R: (d @ W, hebb(d, h), hebb(d @ B, h)), "dL/dh: .* as backprop does"),
    (lambda d, h, W, B, R: (d @ B, hebb(d, h), hebb(d @ B, h)), "as far as the mid neurons"),
    (lambda d, h, W, B, R: (d @ B @ R, hebb(d, h), hebb(d, h)), "∇R: this is ∇W as it stands"),
    (lambda d, h, W, B, R: (d @ B @ R, hebb(d @ B, h), hebb(d, h)), "∇W: this is ∇R: the order"),
    (lambda d, h, W, B, R: (d @ B @ R, hebb(d, h), hebb(h, d @ B)), r"∇R: the shape is \(5, 12\), the other way"),
    (lambda d, h, W, B, R: (d @ B @ R, hebb(d, h), 0 * R), "with a detour"),
    (lambda d, h, W, B, R: (d @ B @ R, hebb(d, h), R), "this is R itself"),
    (lambda d, h, W, B, R: (d @ B @ R, hebb(d, h), B.T @ W), "may not see W"),
    (lambda d, h, W, B, R: (d @ B @ R, hebb(d, h), torch.linalg.pinv(B) @ hebb(d, h)), "no synapse could invert B"),
    (lambda d, h, W, B, R: (d @ B @ R, hebb(d, h), hebb(d @ B, h), hebb(d, h @ R.T)), "4 things: .* B is fixed"),
    (lambda d, h, W, B, R: (d @ B @ R, hebb(d, h), -hebb(d @ B, h)), "∇R: the sign is turned"),
]
SQUARE = [  # mistakes that only a square layer lets through as far as the values
    (lambda d, h, W, B, R: (d @ R, hebb(d, h), hebb(d @ B, h)), "a factor is missing"),
    (lambda d, h, W, B, R: (d @ B.T @ R, hebb(d, h), hebb(d @ B, h)), "Which index of B counts the layer's outputs"),
    (lambda d, h, W, B, R: (d @ B @ R.T, hebb(d, h), hebb(d @ B, h)), "Which index of R counts the mid neurons"),
    (lambda d, h, W, B, R: (d @ R @ B, hebb(d, h), hebb(d @ B, h)), "in the wrong order"),
    (lambda d, h, W, B, R: (d @ (B @ R).T, hebb(d, h), hebb(d @ B, h)), "product is used the wrong way round"),
    (lambda d, h, W, B, R: (d @ B @ R, hebb(d, h), B @ hebb(d, h)), "B stands the wrong way round"),
    (lambda d, h, W, B, R: (d @ B @ R, hebb(d, h), hebb(d @ B @ R, h)), "the error has already passed R"),
]
ANGLE = [
    (lambda r: math.atan(r**-0.5), "in radians"),
    (lambda r: math.degrees(math.atan(r**0.5)), "the triangle's other angle"),
    (lambda r: r**-0.5, "a ratio of two lengths; which angle"),
    (lambda r: math.degrees(r**-0.5), "takes a ratio of two lengths for an angle"),
    (lambda r: (1 + 1 / r) ** -0.5, "the cosine of an angle"),
    (lambda r: math.degrees(math.atan(1 / r)), "falls too fast"),
    (lambda r: math.degrees(math.asin(min(1, r**-0.5))), "too large for small ones"),
    (lambda r: 45.0, "the same for every ratio"),
    (lambda r: 45 / r, "right at the ratio 1; too large at the ratio 0.5; too small at the ratio 2, 10, 37, 100"),
    (lambda r: math.degrees(math.acos(r**-0.5)), "too large at the ratio 2, 10, 37, 100; too small at the ratio 1"),
    (lambda r: math.nan, "is nan: every positive ratio has one"),
    (lambda r: 1 / 0, "raised ZeroDivisionError"),
    (lambda r: torch.ones(2), "must be one number, not a Tensor"),
    (lambda r: "45", "must be one number, not a str"),
    (lambda: 45, r"must take the arguments \(ratio\)"),
    (18, "too large at the ratio 10"),
    (0.306, "in radians"),
    (72.45, "the triangle's other angle"),
]
FADING = [
    (1e-4, "after 1000 steps a_t is still 0.99.*too weak"),
    (0.03, "without ever overshooting by 0.05: too weak. Another decay is"),
    ((1 - 0.9**0.5) ** 2 / 0.01, "too weak"),  # critical damping: no overshoot at all, and slower for it
    (0.8, "shoots through zero .*: it swings"),
    (400, "grows instead of fading"),
    (1e200, "grows instead of fading"),
    (0, "must be a positive number"),
    (-2, "must be a positive number"),
    (math.nan, "must be a positive number"),
    (math.inf, "must be a positive number"),
    (lambda: 0.5, "must be one number, not a function"),
    ([0.5, 0.6], "must be one number, not a list"),
    (True, "must be one number, not a bool"),
]
ALIGNING = [
    (0.03, "not aligned.* Too weak"),
    (0.18, r"Another decay aligns 1\.\d times as fast and keeps"),
    (0.5, "the decay pulls W to zero as well. Too strong"),
    (1e9, "not aligned, .* Too strong"),
    ("0.26", "must be one number, not a str"),
]
WRONG = [
    (check, *case)
    for check, cases in [
        (check_fa_backward, FA), (check_kp_backward, KP), (check_pfa_backward, PFA), (check_limit_angle, ANGLE),
        (check_fading_decay, FADING), (check_aligning_decay, ALIGNING),
    ]
    for case in cases
]  # fmt: skip
# The solutions, in any of the ways that a hint could give them away. In the messages no product is ever spelt out.
SOLUTION = {
    check_fa_backward: r"@|matmul|einsum|δ ?F\b|Fᵀ ?δ|delta ?F\b",
    check_kp_backward: r"@|matmul|einsum|outer|δ ?F\b|Fᵀ ?δ|δᵀ|hᵀ|∇F = |∇F: this is ∇W",
    check_pfa_backward: r"@|matmul|einsum|outer|δ ?B ?R\b|Rᵀ|δᵀ|hᵀ|Bᵀ|B\.T|∇R = ",
    check_limit_angle: r"a(rc)?tan|sqrt|√|root|\*\*|17\.5|54\.7|35\.2|9\.3|5\.7",
    check_fading_decay: r"0\.(4[5-9]|5)",
    check_aligning_decay: r"0\.2[1-9]",
}


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_right(check, answer):
    verdict = check(answer)
    assert verdict, verdict
    assert verdict.state == "right"
    assert "✗" not in str(verdict)


@pytest.mark.parametrize(("check", "answer"), UNANSWERED)
def test_unanswered(check, answer):
    verdict = check(answer)
    assert not verdict
    assert verdict.state == "open"
    assert "not answered yet" in str(verdict)


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong(check, answer, hint):
    verdict = check(answer)
    assert not verdict
    assert verdict.state == "wrong"
    assert re.search(hint, str(verdict)), verdict
    assert not re.search(SOLUTION[check], str(verdict)), verdict


@pytest.mark.parametrize(("answer", "hint"), SQUARE)
def test_wrong_in_a_square_layer_only(answer, hint):
    def shaped(d, h, W, B, R):
        if len({*d.shape, *h.shape, *B.shape}) == 1:
            return answer(d, h, W, B, R)
        return d @ B @ R, hebb(d, h), hebb(d @ B, h)

    verdict = check_pfa_backward(shaped)
    assert verdict.state == "wrong"
    assert re.search(hint, str(verdict)), verdict
    assert not re.search(SOLUTION[check_pfa_backward], str(verdict)), verdict


def test_a_part_that_is_right_is_said_to_be():
    verdict = check_kp_backward(lambda d, h, W, F: (d @ F, hebb(d, h), 0 * F))
    assert [state for state, _ in verdict.points] == ["right", "right", "wrong"]


def test_angle_for_another_ratio():
    assert check_limit_angle(round(alignment_limit(4), 1), ratio=4)
    assert not check_limit_angle(17.5, ratio=4)


def test_html_escapes_what_the_reader_wrote():
    def answer(d, h, W, F):
        raise ValueError("<script>alert(1)</script>")

    page = check_fa_backward(answer)._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_checks_leave_the_random_stream_alone():
    before = torch.get_rng_state()
    check_pfa_backward(lambda *args: None)
    exercises.align.__wrapped__(0.25)
    assert torch.equal(torch.get_rng_state(), before)


def test_align_is_a_real_run():
    weak, strong = exercises.align(1e-4), exercises.align(0.26)
    assert list(strong.angles.index) == list(range(0, 201, 5))
    assert weak.angles.iloc[0].tolist() == strong.angles.iloc[0].tolist()  # one start, whatever the decay
    assert weak.steps is None
    assert weak.accuracy > strong.accuracy > 80
    assert strong.angles.iloc[-1].max() < 20 < weak.angles.iloc[-1].min()
    assert strong.angles.loc[strong.steps :].max().max() < 25 <= strong.angles.loc[strong.steps - 5].max()
