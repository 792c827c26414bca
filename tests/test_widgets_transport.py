"""Lesson 1's explorers: the drawn errors are the library's own, and FA's angle falls as the lesson says."""

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf

from pfa_edu.lessons.explorers import feedback_alignment, transport

# -------------------------------------------------------------------------------------------- the two paths


@pytest.mark.parametrize("seed", [0, 5])
def test_backprops_errors_are_autograds(seed):
    paths = transport.compute(stage=6, rule="bp", neuron=1, seed=seed)
    h, sums = paths.h[0], []
    for layer, W in enumerate(paths.W):
        a = (W @ h).requires_grad_()
        sums.append(a)
        h = a.tanh() if layer < 2 else a
    exact = torch.autograd.grad(nnf.cross_entropy(h[None], torch.tensor([0])), sums)
    for delta, gradient in zip(paths.delta, exact, strict=True):
        torch.testing.assert_close(delta, gradient)


def test_every_rule_has_the_same_forward_path_and_its_own_feedback():
    bp, fa, sf = (transport.compute(6, rule, 2, 0) for rule in ("bp", "fa", "sf"))
    for other in (fa, sf):
        for ours, theirs in zip(bp.h, other.h, strict=True):
            torch.testing.assert_close(ours, theirs)
    assert torch.equal(bp.F[1], bp.W[1])
    assert torch.equal(sf.F[1].sign(), sf.W[1].sign())
    assert not torch.equal(fa.F[1].sign(), fa.W[1].sign())
    torch.testing.assert_close(fa.delta[1], (fa.F[2].T @ fa.delta[2]) * (1 - fa.h[2] ** 2))


@pytest.mark.parametrize(("stage", "names"), [
    (4, []),
    (5, ["W3[1,2]", "W3[2,2]"]),
    (6, ["W2[1,2]", "W2[2,2]", "W2[3,2]", "W2[4,2]"]),
])  # fmt: skip
def test_a_hidden_neuron_needs_every_synapse_that_leaves_it(stage, names):
    paths = transport.compute(stage, "bp", 2, 0)
    assert [name for name, _, _ in paths.needed()] == names
    for name, forward, back in paths.needed():
        layer, k, j = int(name[1]) - 1, int(name[3]) - 1, int(name[5]) - 1
        assert forward == back == paths.W[layer][k, j].item()


def test_the_drawing_links_what_must_be_equal_and_nothing_under_fa():
    e = transport.explorer()
    e.set(stage=6)
    assert len(e.picture._links.get_segments()) == 4
    assert "must equal them" in e.text
    e.set(stage=5)
    assert len(e.picture._links.get_segments()) == 2
    e.set(rule="fa")
    assert len(e.picture._links.get_segments()) == 0
    assert "know nothing of them" in e.text
    assert len(e.picture._wires.get_segments()) == 12 + 16 + 8 + 16 + 8
    e.set(stage=0)
    shown = [text.get_text() for column in e.picture._numbers for text in column]
    assert sum(bool(text) for text in shown) == 3  # only the input
    e.set(stage=9)
    assert e.state["stage"] == 6
    assert "above 6" in e.status


# -------------------------------------------------------------------------------------- feedback alignment

SETTINGS = {"width": 32, "depth": 2, "size": 1.0, "lr": 0.005, "seed": 0}


@pytest.fixture(scope="module")
def trained():
    run = feedback_alignment.start(**SETTINGS)
    while run.step < 300:
        assert feedback_alignment.step(run)
    return run


def test_both_networks_start_from_the_same_weights():
    run = feedback_alignment.start(**SETTINGS | {"size": 0.5})
    ours, theirs = (dict(run.nets[rule].named_parameters()) for rule in ("fa", "bp"))
    assert list(ours) == list(theirs)
    for name in ours:
        assert torch.equal(ours[name], theirs[name])
    assert run.accuracy["fa"] == run.accuracy["bp"]
    assert (run.steps, len(run.gradient[0]), len(run.path[0])) == ([0], 2, 2)


def test_fa_learns_and_its_gradient_angle_falls_while_f_stays(trained):
    assert trained.steps == list(range(0, 301, 10))
    assert trained.accuracy["fa"][0] < 30
    assert trained.accuracy["fa"][-1] > 70
    gradient, path = np.array(trained.gradient), np.array(trained.path)
    assert gradient[0].mean() == pytest.approx(90, abs=10)
    assert gradient[-5:].mean() < 70
    assert (path[-1] < path[0] - 5).all()
    fresh = feedback_alignment.start(**SETTINGS)
    name = "fc2.feedback.F"
    assert torch.equal(trained.nets["fa"].state_dict()[name], fresh.nets["fa"].state_dict()[name])


def test_the_run_ends_and_the_picture_has_every_point(monkeypatch):
    monkeypatch.setattr(feedback_alignment, "LAST", 20)
    e = feedback_alignment.explorer()
    e.set(width=16, depth=1)
    e.advance(100)
    assert e.result.step == 20
    assert not feedback_alignment.step(e.result)
    lines = e.picture._gradient
    assert lines[0].get_xdata() == [0, 10, 20]
    assert [line.get_label() for line in e.picture._axes[0].get_legend().get_lines()] == ["fc1"]
    assert len(lines[1].get_xdata()) == 0
    assert e.text.startswith("Step 20 of 20.")
    e.set(depth=3)
    assert [line.get_label() for line in e.picture._axes[1].get_legend().get_lines()] == ["fc2", "fc3", "fc4"]
