"""The checks of lessons 0 to 5, 7 to 9 and 11: right answers pass, wrong ones fail, known mistakes get their hints."""

import itertools
import math
import re

import numpy as np
import pytest
import torch
from torch import nn

import pfa_edu as pe
from pfa_edu.lessons import exercises as ex
from pfa_edu.lessons.exercises.questions import Choice, Formula, Number
from pfa_edu.lessons.results import committed
from pfa_edu.lessons.transformer_tables import ends as ends_of

X = torch.randn(3, 784, generator=torch.Generator().manual_seed(0))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode, self.middle = nn.Linear(784, 64), nn.Linear(64, 64)

    def forward(self, x):
        return self.middle(self.encode(x).relu()) @ self.encode.weight


def ends(frame, rule):
    rows = frame[(frame.rule == rule) & (frame.metric == "test_accuracy") & (frame.epoch == frame.epoch.max())]
    return rows.set_index("seed")["value"]


def gap(frame, rule):
    return ends(frame, rule) - ends(frame, "bp")


def reached(net):
    return ex.check_reached(net, X)


def same(pairs):
    return ex.check_same_angle(*pairs)


def products(sizes):
    return [a * b for a, b in itertools.pairwise(sizes)]


def hidden(a, W, delta, j):
    return (a[j] > 0) * sum(W[k, j] * delta[k] for k in range(len(delta)))


def changes(a, W, delta, j):
    delta *= 2
    return (a[j] > 0) * (W[:, j] @ delta) / 2


def query_error(delta, P, k, v, scale=True):
    at_P = delta @ v.T
    at_scores = P * at_P - P * (P * at_P).sum(1, keepdim=True)
    return at_scores @ k / (k.shape[1] ** 0.5 if scale else 1)


def lost(arm):
    """Nats per character that it ends behind backprop in GPT."""
    losses = ends_of(committed("gpt"), "validation_loss").mean(axis=1)
    return losses[arm] - losses["bp"]


RIGHT = [
    (ex.check_feedback_synapses, lambda i, o, r: r * o * (o + i)),
    (ex.check_pairs, lambda sizes: sum(products(sizes[1:]))),
    (ex.check_hidden_error, hidden),
    (ex.check_second_update, lambda F, e, x, eta: eta * torch.outer(e, eta * F.T @ e * x.square().sum())),
    (same, ((10, 1), (20, 0.5))),
    (same, ((5, 0.4), (40, 0.05))),
    (ex.check_eigenvalue_variance, lambda ratio: 1 / ratio),
    (ex.check_weakest_decay, 0.0196),
    (ex.check_difference, lambda f, r: [gap(f, r).mean(), gap(f, r).sem()]),
    (ex.check_difference, lambda f, r: (gap(f, r).mean(), np.std(gap(f, r), ddof=1) / np.sqrt(5))),
    (ex.check_left_after_first_epoch, 0.06),
    (ex.check_ratio_for_floor, 8),
    (ex.check_zero_floor, ["KP", "PFA-o"]),
    (ex.check_strong_steps, pe.steps_to_fade(0.06, lr=0.05, momentum=0.9, weight_decay=0.02)),
    (ex.check_strong_steps, math.log(1 / 0.06) * 0.1 / (0.05 * 0.02)),  # lesson 2's rule by hand
    (ex.check_first_epoch_on_cifar, math.exp(-351 * 0.1 * 0.005 / 0.1)),
    (ex.check_mismatch_without_strong_decay, 0.993),
    (reached, nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 784))),
    (ex.check_first_epoch_on_cifar, pe.mismatch(351, lr=0.1, momentum=0.9, weight_decay=0.005)),
    (ex.check_overtaking, 2),
    (ex.check_ratio_for_density, 50),
    (ex.check_sf_angle, lambda p: np.degrees(np.arccos(np.sqrt(p) * np.sqrt(3) / 2))),
    (ex.check_path_length, lambda r, p: p * math.sqrt(1 + 1 / (r * p))),
    (ex.check_mirror_rate, 0.00125),
    (ex.check_mirror_on_data, lambda W, C: (C @ W.T).T),
    (ex.check_query_error, query_error),
    (ex.check_gap_in_bits, lost("fa") / math.log(2)),
    (ex.check_beats_control, ["soft", "SF"]),
    (ex.check_decoupled_steps, 99),
    (ex.check_decoupled_steps, math.log(0.05) / math.log(0.97)),
    (ex.check_path_at_ratio_3, 30),
]  # fmt: skip
FUNCTIONS = [
    ex.check_feedback_synapses, ex.check_pairs, ex.check_hidden_error, ex.check_second_update,
    ex.check_eigenvalue_variance, ex.check_difference, ex.check_sf_angle, ex.check_path_length, ex.check_mirror_on_data,
    ex.check_query_error,
]  # fmt: skip
UNANSWERED = [
    *[(check, lambda *args: ...) for check in FUNCTIONS],
    *[(check, None) for check in FUNCTIONS],
    *[(check, ...) for check, _ in RIGHT if check is not same],
    (same, ((10, 1), ...)),
]
WRONG = [
    (ex.check_feedback_synapses, lambda i, o, r: i * o, "size of W"),
    (ex.check_feedback_synapses, lambda i, o, r: r * o, "counts the mid neurons"),
    (ex.check_feedback_synapses, lambda i, o, r: r * o * i, "R alone"),
    (ex.check_feedback_synapses, lambda i, o, r: r * o * o, "B alone"),
    (ex.check_feedback_synapses, lambda i, o, r: (r * o + o) * i, "W once more"),
    (ex.check_feedback_synapses, lambda i, o, r: r * o * (i + o) + o * i, "W too"),
    (ex.check_feedback_synapses, lambda i, o, r: 7, "too small. Write down the shapes"),
    (ex.check_feedback_synapses, lambda i, o: 7, "must take the arguments"),
    (ex.check_pairs, lambda s: sum(products(s)), "the first layer too"),
    (ex.check_pairs, lambda s: sum(products(s[:-1])), "the last layer is missing"),
    (ex.check_pairs, lambda s: 2 * sum(products(s[1:])), "both synapses of a pair"),
    (ex.check_pairs, lambda s: sum(s[1:]), "counts neurons"),
    (ex.check_pairs, lambda s: sum(s[1:-1]), "counts hidden neurons"),
    (ex.check_pairs, lambda s: sum(products(s[1:])) + sum(s[2:]), "counts biases"),
    (ex.check_pairs, lambda s: math.prod(s[1:]), "multiplies the layers"),
    (ex.check_pairs, lambda s: s[0], "the numbers are not. Which matrices"),
    (ex.check_hidden_error, lambda a, W, d, j: W[:, j] @ d, "the slope f′"),
    (ex.check_hidden_error, lambda a, W, d, j: a[j].relu() * (W[:, j] @ d), "by the activity"),
    (ex.check_hidden_error, lambda a, W, d, j: a[j] * (W[:, j] @ d), "by a itself"),
    (ex.check_hidden_error, lambda a, W, d, j: (a[j] > 0) * W[:, j].sum() * d.sum(), "its own synapse"),
    (ex.check_hidden_error, lambda a, W, d, j: (a[j] > 0) * W[:, j].sum(), "errors of the layer above are missing"),
    (ex.check_hidden_error, lambda a, W, d, j: (a > 0) * (d @ W), "whole layer's"),
    (ex.check_hidden_error, lambda a, W, d, j: (a[j] > 0) * (W.sign()[:, j] @ d), "sign symmetry"),
    (ex.check_hidden_error, lambda a, W, d, j: (a[j] <= 0) * 1.0, "too (small|large). Neuron j"),
    (ex.check_hidden_error, lambda a, W, d, j: W[j] @ d, r"raised (RuntimeError|IndexError) in line"),
    (ex.check_hidden_error, lambda a, W, d, j: -hidden(a, W, d, j), "sign is turned"),
    (ex.check_hidden_error, changes, "changed delta itself"),
    (ex.check_second_update, lambda F, e, x, eta: eta * (x @ x) * torch.outer(e, F.T @ e), "η appears twice"),
    (ex.check_second_update, lambda F, e, x, eta: eta**2 * torch.outer(e, F.T @ e), "the input is missing"),
    (ex.check_second_update, lambda F, e, x, eta: eta * torch.outer(e, F.T @ e), "one η and the input"),
    (ex.check_second_update, lambda F, e, x, eta: -(eta**2) * (x @ x) * torch.outer(e, F.T @ e), "sign is turned"),
    (ex.check_second_update, lambda F, e, x, eta: eta**2 * (x @ x) * torch.outer(F.T @ e, e), "transposed"),
    (ex.check_second_update, lambda F, e, x, eta: eta * torch.outer(F.T @ e, x), "this is the first step"),
    (ex.check_second_update, lambda F, e, x, eta: 0 * F, "first step is zero"),
    (ex.check_second_update, lambda F, e, x, eta: eta**2 * (x @ x) * (e @ e) * F, "close"),
    (ex.check_second_update, lambda F, e, x, eta: F, "the numbers are not"),
    (ex.check_second_update, lambda F, e, x, eta: "F", "a number or a tensor, not a str"),
    (same, ((10, 1), (5, 0.5)), "ratio / density the same"),
    (same, ((4, 1), (16, 0.5)), "count the density twice"),
    (same, ((10, 1), (10, 0.3)), "Halve the density"),
    (same, ((10, 1), (10, 1)), "are the same"),
    (same, ((10, 1), (200, 0.05)), "goes from 1 to 100"),
    (same, ((10, 1), 5), r"as \(ratio, density\)"),
    (ex.check_eigenvalue_variance, lambda r: r**-0.5, "standard deviation"),
    (ex.check_eigenvalue_variance, lambda r: 1, "this is their mean"),
    (ex.check_eigenvalue_variance, lambda r: r, "nearer to 1"),
    (ex.check_eigenvalue_variance, lambda r: 1 + 1 / r, "mean of their squares"),
    (ex.check_eigenvalue_variance, lambda r: 4 / math.sqrt(r), "width of their range"),
    (ex.check_eigenvalue_variance, lambda r: 1 / r**2, "falls too fast"),
    (ex.check_eigenvalue_variance, lambda r: 2 / r, "for ratio = 1 your answer, 2, is too large"),
    (ex.check_eigenvalue_variance, lambda r: math.inf, "not a finite number"),
    (ex.check_weakest_decay, 0.196, "leaves out the momentum"),
    (ex.check_weakest_decay, math.log(50) / 2000, "the decay per step"),
    (ex.check_weakest_decay, math.log10(50) / 200, "base 10"),
    (ex.check_weakest_decay, 0.0049, "straight line"),
    (ex.check_weakest_decay, 0.03, "too large. a falls"),
    (ex.check_weakest_decay, math.nan, "finite"),
    (ex.check_weakest_decay, "0.0196", "one number, not a str"),
    (ex.check_difference, lambda f, r: [-gap(f, r).mean(), gap(f, r).sem()], "sign is turned"),
    (ex.check_difference, lambda f, r: [gap(f, r).mean(), gap(f, r).std()], "how far the seeds scatter"),
    (ex.check_difference, lambda f, r: [gap(f, r).mean(), gap(f, r).std(ddof=0) / 5**0.5], "n − 1"),
    (
        ex.check_difference,
        lambda f, r: [gap(f, r).mean(), math.hypot(ends(f, r).sem(), ends(f, "bp").sem())],
        "as independent",
    ),
    (ex.check_difference, lambda f, r: gap(f, r).mean(), "give it in a list"),
    (ex.check_difference, lambda f, r: [gap(f, r).mean()], "standard error is missing"),
    (ex.check_difference, lambda f, r: [0, 0], "the numbers are not. Subtract"),
    (ex.check_left_after_first_epoch, pe.mismatch(937, 0.01, 0, 0.03), "leaves out the momentum"),
    (ex.check_left_after_first_epoch, 0.94, "what has faded"),
    (ex.check_left_after_first_epoch, 6, "not in percent"),
    (ex.check_left_after_first_epoch, pe.mismatch(937, 0.01, 0.9, 0.00009), "gentle"),
    (ex.check_left_after_first_epoch, 0, "one epoch, not for forty"),
    (ex.check_left_after_first_epoch, 0.5, "too large"),
    (ex.check_ratio_for_floor, 7, "still 20.7°"),
    (ex.check_ratio_for_floor, 3, "the square root of the ratio"),
    (ex.check_ratio_for_floor, 9, "the sine"),
    (ex.check_ratio_for_floor, 2.25, "45°/ratio"),
    (ex.check_ratio_for_floor, 6, "its tangent"),
    (ex.check_ratio_for_floor, 30, "too large"),
    (ex.check_zero_floor, ["KP"], "one is missing"),
    (ex.check_zero_floor, ["KP", "PFA-o", "PFA"], "only roughly the identity"),
    (ex.check_zero_floor, ["SF", "FA"], "its F never moves"),
    (ex.check_zero_floor, "DFA", "no F"),
    (ex.check_zero_floor, ["BP", "KP"], "not on the list"),
    (ex.check_zero_floor, 2, "as a list"),
    (ex.check_strong_steps, pe.steps_to_fade(0.06, 0.05, 0.0, 0.02), "leaves out the momentum"),
    (ex.check_strong_steps, pe.steps_to_fade(0.94, 0.05, 0.9, 0.02), "6 % should be left"),
    (ex.check_strong_steps, pe.steps_to_fade(0.6, 0.05, 0.9, 0.02), "6 % is 0.06"),
    (ex.check_strong_steps, pe.steps_to_fade(0.06, 0.02, 0.9, 0.1), "the lesson's own settings"),
    (ex.check_strong_steps, 1, "too small"),
    (ex.check_mismatch_without_strong_decay, 0.0072, "what has faded|too small"),
    (ex.check_mismatch_without_strong_decay, 99.3, "not in percent"),
    (ex.check_mismatch_without_strong_decay, pe.mismatch(372, 0.02, 0, 1e-4), "leaves out the momentum"),
    (ex.check_mismatch_without_strong_decay, pe.mismatch(372, 0.02, 0.9, 0.1), "the strong decay"),
    (reached, Tied(), "convert still says"),
    (reached, Tied, "not its class"),
    (reached, 3, "not a int|an nn.Module"),
    (reached, nn.Sequential(nn.Linear(784, 64)), "reconstruction has x's own shape"),
    (reached, nn.Sequential(nn.Linear(784, 784), nn.Linear(784, 784)), "at most 64"),
    (reached, nn.Linear(784, 784), "encoder and decoder"),
    (reached, nn.Identity(), "convert refuses it|0 layer"),
    (reached, nn.Linear(5, 784), "raised RuntimeError"),
    (ex.check_first_epoch_on_cifar, pe.mismatch(351, 0.1, 0, 0.005), "leaves out the momentum"),
    (ex.check_first_epoch_on_cifar, pe.mismatch(351, 0.01, 0.9, 0.005), "MNIST's learning rate"),
    (ex.check_first_epoch_on_cifar, pe.mismatch(351, 0.1, 0.9, 0.03), "MNIST's decay"),
    (ex.check_first_epoch_on_cifar, pe.mismatch(351, 0.1, 0.9, 0.0001), "gentle"),
    (ex.check_first_epoch_on_cifar, 1 - pe.mismatch(351, 0.1, 0.9, 0.005), "what has faded"),
    (ex.check_overtaking, 1, "SF is still ahead"),
    (ex.check_overtaking, 14, "leave the paper's"),
    (ex.check_overtaking, 9, "too large"),
    (ex.check_ratio_for_density, 2, "grows twice over"),
    (ex.check_ratio_for_density, 250, "once for B and once for R"),
    (ex.check_ratio_for_density, 22.4, "without a root"),
    (ex.check_ratio_for_density, 10, "as good as all"),
    (ex.check_sf_angle, lambda p: math.acos(math.sqrt(3 * p) / 2), "in radians"),
    (ex.check_sf_angle, lambda p: math.degrees(math.acos(math.sqrt(p))), "one size"),
    (ex.check_sf_angle, lambda p: math.degrees(math.acos(p * math.sqrt(3) / 2)), "F gets shorter"),
    (ex.check_sf_angle, lambda p: math.degrees(math.acos(math.sqrt(2 * p / math.pi))), "Gaussian"),
    (ex.check_sf_angle, lambda p: math.sqrt(3 * p) / 2, "the cosine of the angle"),
    (ex.check_sf_angle, lambda p: 30, "for density = 0.5 your answer, 30, is too small"),
    (ex.check_path_length, lambda r, p: p * p + p / r, "square of the length"),
    (ex.check_path_length, lambda r, p: math.sqrt(p), "single entries"),
    (ex.check_path_length, lambda r, p: p, "only the part of F along W"),
    (ex.check_path_length, lambda r, p: p * math.sqrt(1 + 1 / r), "once, not twice"),
    (ex.check_path_length, lambda r, p: math.sqrt(1 + 1 / r), "without masks"),
    (ex.check_path_length, lambda r, p: math.sqrt(p + p / r), "its square has p²"),
    (ex.check_path_length, lambda r, p: 0.5, "too small"),
    (ex.check_mirror_rate, 2 * math.tan(math.radians(5)) * 64 / 784, "square of the tangent"),
    (ex.check_mirror_rate, 2 * math.tan(math.radians(5)) ** 2, "a layer with more inputs is noisier"),
    (ex.check_mirror_rate, 2 * math.tan(math.radians(5)) ** 2 * 784 / 64, "wrong way round"),
    (ex.check_mirror_rate, math.tan(math.radians(5)) ** 2 * 64 / 784, "factor of 2"),
    (ex.check_mirror_rate, 0.03, "too large. Solve"),
    (ex.check_mirror_on_data, lambda W, C: W, "holds for noise"),
    (ex.check_mirror_on_data, lambda W, C: (W @ C).T, "transposed"),
    (ex.check_mirror_on_data, lambda W, C: W @ torch.linalg.inv(C), "undo the correlations"),
    (ex.check_mirror_on_data, lambda W, C: W @ C @ W.T, r"E\[a aᵀ\]"),
    (ex.check_mirror_on_data, lambda W, C: W * C.diagonal(), "off its diagonal"),
    (ex.check_mirror_on_data, lambda W, C: 2 * W @ C, "the numbers are not. Put a = W h"),
    (ex.check_query_error, lambda d, P, k, v: P * (d @ v.T) @ k / k.shape[1] ** 0.5, "raising one score lowers"),
    (ex.check_query_error, lambda d, P, k, v: query_error(d, P, k, v, scale=False), "a factor is missing"),
    (ex.check_query_error, lambda d, P, k, v: P * (1 - P) * (d @ v.T) @ k / k.shape[1] ** 0.5, "All other scores"),
    (ex.check_query_error, lambda d, P, k, v: d @ v.T @ k / k.shape[1] ** 0.5, "step through softmax is missing"),
    (ex.check_query_error, lambda d, P, k, v: P.T @ d, "error of the values"),
    (ex.check_query_error, lambda d, P, k, v: d @ v.T, "the shape is"),
    (ex.check_query_error, lambda d, P, k, v: d, "the numbers are not. Three steps back"),
    (ex.check_gap_in_bits, lost("fa"), "the gap in nats"),
    (ex.check_gap_in_bits, lost("fa") * math.log(2), "multiplied where"),
    (ex.check_gap_in_bits, 3.61, "FA's own loss"),
    (ex.check_gap_in_bits, -lost("fa") / math.log(2), "sign is turned"),
    (ex.check_gap_in_bits, lost("sf") / math.log(2), "too small"),
    (ex.check_beats_control, ["SF"], "one is missing"),
    (ex.check_beats_control, ["SF", "soft", "KP"], "two of its three seeds"),
    (ex.check_beats_control, ["SF", "soft", "FA"], "seven points behind"),
    (ex.check_beats_control, ["BP"], "not on the list"),
    (ex.check_decoupled_steps, 9, "passes no momentum"),
    (ex.check_decoupled_steps, 90, "too small. One step"),
    (ex.check_decoupled_steps, 32, "a straight line"),
    (ex.check_decoupled_steps, 2, "to be left, not gone"),
    (ex.check_decoupled_steps, math.log10(20) / 0.03, "base 10"),
    (ex.check_decoupled_steps, 998, "the decay is missing"),
    (ex.check_path_at_ratio_3, math.pi / 6, "in radians"),
    (ex.check_path_at_ratio_3, 35.26, "the sine"),
    (ex.check_path_at_ratio_3, 18.43, "square root of the ratio"),
    (ex.check_path_at_ratio_3, 15, "divided by the ratio"),
    (ex.check_path_at_ratio_3, 26, "divided by √3"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_right(check, answer):
    verdict = check(answer)
    assert verdict.state == "right", verdict
    assert "✗" not in str(verdict)


@pytest.mark.parametrize(("check", "answer"), UNANSWERED)
def test_unanswered(check, answer):
    verdict = check(answer)
    assert verdict.state == "open", verdict


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong(check, answer, hint):
    verdict = check(answer)
    assert verdict.state == "wrong", verdict
    assert re.search(hint, str(verdict)), verdict


def test_every_mistake_is_one():
    """No mistake gives the right answer, or what an earlier mistake gives: then its hint would never be seen."""
    from pfa_edu.lessons.exercises import attention, evidence, geometry, networks, wiring

    for module in (attention, evidence, geometry, networks, wiring):
        for question in vars(module).values():
            if isinstance(question, Number):
                hints = [question.check(mistake()) for mistake, _ in question.mistakes]
                wanted = [hint for _, hint in question.mistakes]
            elif isinstance(question, Formula):
                hints = [question.check(mistake) for mistake, _ in question.mistakes]
                wanted = [hint for _, hint in question.mistakes]
            else:
                assert not isinstance(question, Choice) or question.right < question.why.keys()
                continue
            for verdict, hint in zip(hints, wanted, strict=True):
                assert verdict.state == "wrong", verdict
                assert hint in str(verdict)


def test_the_best_epoch_on_the_test_set_is_no_answer():
    def best(frame, rule):
        tops = frame[frame.metric == "test_accuracy"].groupby(["rule", "seed"])["value"].max()
        difference = tops[rule] - tops["bp"]
        return [difference.mean(), difference.sem()]

    assert "flatters every run" in str(ex.check_difference(best))


def test_variance_of_the_eigenvalues_is_what_matrices_have():
    for ratio in (2, 10):
        B = torch.randn(400, ratio * 400, generator=torch.Generator().manual_seed(0)) / (ratio * 400) ** 0.5
        assert torch.linalg.eigvalsh(B @ B.T).var().item() == pytest.approx(1 / ratio, rel=0.05)


def test_fas_second_step_is_what_autograd_free_gradient_descent_takes():
    F, e, x, eta = ex.wiring._samples()[0]
    eta = 1e-4
    W1, W2, y = torch.zeros(F.shape[1], len(x)).double(), torch.zeros_like(F), e
    for _ in range(2):
        error = y - W2 @ W1 @ x
        before = W2
        W2, W1 = W2 + eta * torch.outer(error, W1 @ x), W1 + eta * torch.outer(F.T @ error, x)
    assert torch.allclose(W2 - before, ex.wiring._SECOND.right(F, e, x, eta), rtol=1e-6, atol=0)


def test_the_path_length_is_what_a_layer_has():
    torch.manual_seed(0)
    layer = pe.Linear(400, 400, rule=pe.PFA(10, density=0.2))
    with torch.no_grad():
        layer.feedback.R.copy_((layer.feedback.B.t() @ layer.weight) * layer.feedback.R_mask)
    F = layer.feedback_weight()
    assert (F.norm() / layer.weight.norm()).item() == pytest.approx(ex.geometry._LENGTH.right(10, 0.2), rel=0.03)


def test_fa_loses_on_mnist_whatever_the_seed():
    frame = committed("mnist")
    mean, error = ex.evidence._difference(frame, "fa")
    assert mean + 4 * error < 0


def test_the_error_of_the_queries_is_autograds():
    for delta, P, k, v in ex.attention._heads():
        q = torch.zeros_like(k, requires_grad=True)
        scores = P.log() + q @ k.T / k.shape[1] ** 0.5  # their softmax is P
        (exact,) = torch.autograd.grad(scores.softmax(-1) @ v, q, delta)
        torch.testing.assert_close(ex.attention._QUERY.right(delta, P, k, v), exact)


def test_who_beats_the_control_is_what_the_runs_say():
    behind = {}
    for network in ("gpt", "vit"):
        runs = ends_of(committed(network), "test_accuracy")
        behind[network] = runs - runs.loc["frozen"]
    names = {name: name.lower() for name in ex.attention._CONTROL.why}
    better = {name for name, arm in names.items() if all((b.loc[arm] > 0).all() for b in behind.values())}
    assert better == ex.attention._CONTROL.right
    assert (behind["vit"].loc["kp"] < 0).sum() == 2
    assert behind["vit"].loc["soft"].mean() == pytest.approx(2.7, abs=0.05)
    assert behind["vit"].mean(axis=1).idxmin() == "pfa-o"
    assert behind["gpt"].loc["pfa"].min() == pytest.approx(2.2, abs=0.05)
    assert (behind["gpt"].loc[["kp", "pfa", "pfa-o", "fa"]] > 0).all(axis=None)  # what the solution says of the text
    assert (behind["gpt"].loc["fa"] < 1).all()
    assert [(behind["vit"].loc[arm] > 0).sum() for arm in ("pfa", "kp", "pfa-o", "fa", "dfa")] == [1, 1, 0, 0, 0]
    assert behind["gpt"].loc["dfa"].min() < 0 < behind["gpt"].loc["dfa"].mean() < 1
    assert behind["vit"].loc["fa"].mean() == pytest.approx(-7, abs=0.5)
