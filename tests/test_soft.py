"""One-time soft alignment: the angle is the one asked for, to the last digit, and F never moves again."""

import pandas as pd
import pytest
import torch
from torch import nn

import pfa_edu as pe
from pfa_edu.lessons import exercises as ex
from pfa_edu.lessons import kin, soft_study
from pfa_edu.lessons.exercises import without_alignment
from pfa_edu.lessons.exercises.questions import Formula
from pfa_edu.lessons.soft import Soft, turned


@pytest.mark.parametrize("angle", [0, 17.5, 60, 90, 180])
@pytest.mark.parametrize("layer", [lambda r: pe.Linear(30, 20, rule=r), lambda r: pe.Conv2d(3, 8, 3, rule=r)])
def test_the_start_is_exact(angle, layer):
    torch.manual_seed(0)
    made = layer(Soft(angle)).double()
    made.reset_feedback()
    assert pe.path_alignment(made).popitem()[1] == pytest.approx(angle, abs=1e-6)
    assert pe.norm_ratio(made).popitem()[1] == pytest.approx(1, abs=1e-12)


def test_the_random_part_is_made_orthogonal():
    """Also where the random direction is nearly W's own, and what is left of it is tiny."""
    W = torch.randn(4, 5, dtype=torch.float64)
    for direction in (torch.randn(4, 5, dtype=torch.float64), 3 * W + 1e-5 * torch.randn(4, 5, dtype=torch.float64)):
        F = turned(W, 90, direction)
        assert abs(float((F * W).sum())) < 1e-12 * float(W.square().sum())
        assert F.norm() == pytest.approx(float(W.norm()))


def test_F_never_moves_and_sends_the_error():
    torch.manual_seed(0)
    net = pe.convert(pe.mlp((20, 16, 12, 5)), Soft(30), init="xavier", verbose=False)
    start = {name: layer.feedback_weight().clone() for name, layer in pe.layers(net).items()}
    x, y = torch.randn(8, 20), torch.arange(8) % 5
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5, weight_decay=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    for name, layer in pe.layers(net).items():
        assert torch.equal(layer.feedback_weight(), start[name])
        assert not layer.feedback_parameters()
    assert all(angle > 30.5 for angle in pe.path_alignment(net).values())  # W moved
    h = torch.randn(3, 12, requires_grad=True)
    (grad,) = torch.autograd.grad(net.fc3(h).sum(), h)
    torch.testing.assert_close(grad, torch.ones(3, 5) @ start["fc3"])


def test_from_0_degrees_the_first_step_is_backprops():
    torch.manual_seed(0)
    net = pe.convert(pe.mlp((20, 16, 5)), Soft(0), init="xavier", verbose=False)
    x, y = torch.randn(8, 20), torch.arange(8) % 5
    assert max(pe.gradient_angle(net, nn.functional.cross_entropy, x, y).values()) < 1e-2


def test_known_everywhere():
    assert pe.rule("soft angle=30") == kin.Soft(30)
    assert kin.Soft(30).label == "soft angle=30"


def test_a_study_and_its_figure():
    frame = soft_study.study(["bp", Soft(0), Soft(90)], depths=[1], seeds=1, epochs=1)
    assert set(frame.depth) == {1}
    angles = frame[(frame.metric == "path_alignment") & (frame.epoch == 0)]
    assert angles[angles.rule == "soft angle=90"].value.tolist() == pytest.approx([90, 90], abs=0.01)
    assert soft_study.figure(frame).axes[0].has_data()
    assert list(soft_study.table(frame).columns) == [1]
    assert soft_study.label("soft angle=90") == "FA from 90°"


def test_the_exercises():
    def start(W, N, angle):
        alpha, across = torch.deg2rad(torch.tensor(angle)), N - (N * W).sum() / (W * W).sum() * W
        return alpha.cos() * W + alpha.sin() * across / across.norm() * W.norm()

    assert ex.check_soft_start(start), ex.check_soft_start(start)
    assert ex.check_tries(lambda angle, n: (n - 1) * torch.deg2rad(torch.tensor(90 - angle)).tan() ** 2)
    for question in vars(without_alignment).values():
        if isinstance(question, Formula):
            for mistake, hint in question.mistakes:
                verdict = question.check(mistake)
                assert verdict.state == "wrong"
                assert hint in str(verdict)


ERRORS = [
    (lambda: Soft(-1), "angle -1: it must be a number from 0 to 180"),
    (lambda: turned(torch.zeros(3, 2), 45, torch.randn(3, 2)), "no angle to anything"),
    (lambda: turned(torch.ones(1, 1), 45, torch.ones(1, 1)), "more than one entry"),
    (lambda: soft_study.figure(pd.DataFrame({"rule": ["bp"]})),
     "without the column depth"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_errors(call, message):
    with pytest.raises(pe.ConfigError, match=message):
        call()
