"""Lesson 2's explorers against theory: the angle, the spectrum, the fading mismatch; and how fast they redraw."""

import time

import numpy as np
import pytest
import torch

import pfa_edu as pe
from pfa_edu import errors
from pfa_edu.lessons.explorers import closed_form, dimensions

DEFAULT = {"ratio": 10, "density": 1.0, "out": 100, "fan_in": 256, "orthogonal": False, "seed": 0}


def product(**changed):
    return dimensions.compute(**(DEFAULT | changed))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("ratio", [1, 3.16, 10, 100])
def test_the_angle_is_the_arctan_of_the_ratio(ratio, seed):
    result = product(ratio=ratio, seed=seed)
    assert result.angle == pytest.approx(pe.alignment_limit(ratio), abs=0.6)
    assert dimensions.theory(result) == pytest.approx(pe.alignment_limit(result.ratio))


# Simulated for W 100 × 256 at ratio 10 (design, oracles).
@pytest.mark.parametrize(("density", "expected"), [(0.5, 24.3), (0.3, 30.6), (0.17, 38.6), (0.1, 47.3), (0.05, 58.9)])
def test_sparse_feedback_has_the_angle_that_is_expected(density, expected):
    measured = np.mean([product(density=density, seed=seed).angle for seed in range(4)])
    assert measured == pytest.approx(expected, abs=0.5)
    assert dimensions.sparse_limit(10, density, out=100) == pytest.approx(expected, abs=0.4)


@pytest.mark.parametrize("ratio", [1, 10])
def test_an_orthogonal_b_leaves_no_angle(ratio):
    result = product(ratio=ratio, orthogonal=True)
    assert result.angle < 1e-3
    np.testing.assert_allclose(result.eigenvalues, 1, atol=1e-5)
    assert dimensions.theory(result) == 0
    assert dimensions.theory(product(orthogonal=True, density=0.5)) is None


def test_shapes_masks_and_the_ratio_that_a_whole_number_of_mid_neurons_gives():
    result = product(ratio=1.13, out=30, fan_in=40, density=0.3)
    assert (result.B.shape, result.R.shape, result.F.shape) == ((30, 34), (34, 40), (30, 40))
    assert result.ratio == 34 / 30
    for masked in (result.B, result.R):
        assert (masked != 0).double().mean().item() == pytest.approx(0.3, abs=0.06)
    torch.testing.assert_close(result.F, result.B @ result.R)


def test_a_draw_is_repeatable_and_leaves_the_random_stream_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, second = product(seed=1), product(seed=1)
    torch.testing.assert_close(torch.rand(2), expected)
    assert torch.equal(first.B, second.B)
    assert not torch.equal(first.B, product(seed=2).B)


# ------------------------------------------------------------------------------------------ the spectrum


@pytest.mark.parametrize("ratio", [1, 2, 10, 100])
def test_marchenko_pastur_is_a_density_of_mean_1_and_variance_one_over_the_ratio(ratio):
    low, high = dimensions.edges(ratio)
    # x = low + (high − low) sin²: the substitution takes the square-root edges, and ratio 1's pole at 0, out
    angle = (np.arange(20_000) + 0.5) * np.pi / 2 / 20_000
    x = low + (high - low) * np.sin(angle) ** 2
    weight = dimensions.marchenko_pastur(x, ratio) * (high - low) * np.sin(2 * angle) * np.pi / 2 / 20_000
    assert weight.sum() == pytest.approx(1, abs=1e-4)
    assert (x * weight).sum() == pytest.approx(1, abs=1e-4)
    assert ((x - 1) ** 2 * weight).sum() == pytest.approx(1 / ratio, abs=1e-4)
    assert not dimensions.marchenko_pastur(np.array([-1.0, 0.0, high + 0.1]), ratio).any()


@pytest.mark.parametrize("ratio", [2, 10])
def test_the_eigenvalues_follow_marchenko_pastur(ratio):
    eigenvalues = np.concatenate([product(ratio=ratio, seed=seed).eigenvalues for seed in range(10)])
    x = np.linspace(*dimensions.edges(ratio), 4001)
    law = np.cumsum(dimensions.marchenko_pastur(x, ratio)) * (x[1] - x[0])
    measured = np.searchsorted(np.sort(eigenvalues), x) / len(eigenvalues)
    assert abs(measured - law).max() < 0.03  # Kolmogorov's distance


def _correlation_angle(result):
    """The scatter's own angle: of the two clouds of entries, seen as long vectors."""
    F, W = result.F.double().flatten(), result.W.double().flatten()
    return np.degrees(np.arccos((F @ W / (F.norm() * W.norm())).item()))


@pytest.mark.parametrize("density", [1.0, 0.5, 0.3, 0.1])
def test_the_spectrum_that_is_shown_explains_the_angle(density):
    """tan of the angle is the eigenvalues' spread over their mean; under a mask, those of each input's own B Mⱼ Bᵀ."""
    result = product(density=density)
    assert result.spread == pytest.approx(result.angle, abs=1)
    assert result.angle == pytest.approx(_correlation_angle(result), abs=1e-3)
    whole = np.linalg.eigvalsh((result.B @ result.B.T).double().numpy())
    of_the_whole = np.degrees(np.arctan(whole.std() / whole.mean()))
    if density < 1:
        assert of_the_whole < result.angle - 4, "B Bᵀ alone would promise a smaller angle"
    else:
        assert of_the_whole == pytest.approx(result.spread, abs=1e-3)


def test_a_ratio_below_1_has_no_such_density():
    with pytest.raises(errors.ConfigError, match=r"ratio 0\.5"):
        dimensions.marchenko_pastur(np.ones(1), 0.5)


# --------------------------------------------------------------------------------------- the closed form


def test_the_closed_form_is_what_sgd_makes_of_b_and_r():
    """R_t = a R_0 + Bᵀ (W_t − a W_0) for the explorer's own draw, with the mismatch written out."""
    start = closed_form.draw(10, 0)
    torch.testing.assert_close(start.weight(1.0), start.W0)
    W = start.weight(0.4)
    torch.testing.assert_close(start.feedback(0.4), start.G @ W + 0.4 * start.E)
    assert W.norm().item() == pytest.approx(start.W0.norm().item(), rel=0.05)


@pytest.mark.parametrize("ratio", [1, 10, 100])
def test_the_angle_starts_at_90_and_falls_to_its_floor(ratio):
    first = closed_form.compute(steps=0, weight_decay=0.03, ratio=ratio, seed=0)
    last = closed_form.compute(steps=5000, weight_decay=0.03, ratio=ratio, seed=0)
    assert first.a == 1
    assert first.angle == pytest.approx(90, abs=2)
    assert last.a < 1e-5
    assert last.angle == pytest.approx(pe.alignment_limit(ratio), abs=1.2)  # one draw of a finite B
    assert np.all(np.diff(last.angle_curve) < 0.01)
    assert last.angle_curve[-1] == pytest.approx(last.angle)


def test_weight_decay_is_what_fades_the_mismatch():
    after = [closed_form.compute(1000, decay, 10, 0) for decay in (1e-4, 3e-3, 3e-2)]
    assert [round(r.a, 3) for r in after] == [round(pe.mismatch(1000, 0.01, 0.9, r.weight_decay), 3) for r in after]
    assert after[0].angle > 85
    assert after[0].angle > after[1].angle > after[2].angle


# ----------------------------------------------------------------------------------------- what is shown


def test_the_picture_shows_the_numbers():
    e = dimensions.explorer()
    e.answer()
    e.set(ratio=100)
    picture, result = e.picture, e.result
    assert picture._point.get_data() == ([100], [result.angle])
    assert picture._value.get_text() == f"{result.angle:.1f}°" == "5.8°"
    values, edges, _ = picture._bars.get_data()
    assert np.sum(values * np.diff(edges)) == pytest.approx(1)
    np.testing.assert_allclose(picture._maps[3].get_array(), result.W[:20, :20] / result.W.std(), rtol=1e-5)
    assert e.text.startswith("Ratio 100: the angle between F = B R and W is 5.8° (theory 5.7°)")
    x, y = picture._points.get_data()
    assert np.corrcoef(x, y)[0, 1] == pytest.approx(np.cos(np.radians(result.angle)), abs=0.01)
    e.set(ratio=500)
    assert e.status == "Ratio mid / out 500 is above 100: set to 100."
    e.set(ratio=1, density=0.05, out=20)  # the widest spectrum there is
    e.set(orthogonal=True, density=1)
    assert "0.0° (theory 0.0°)" in e.text


def test_the_closed_forms_picture_shows_the_numbers():
    e = closed_form.explorer()
    e.answer()
    e.set(steps=0)
    assert e.picture._a_text.get_text() == "1.000"
    e.set(steps=5000, ratio=1)
    assert e.picture._angle_dot.get_data() == ([5000], [e.result.angle])
    assert e.picture._angle_text.get_text() == f"{e.result.angle:.1f}°"
    assert abs(e.picture._maps[1].get_array()).max() < 1e-3  # a E has faded


@pytest.mark.parametrize("module", [dimensions, closed_form])
def test_a_slider_redraws_quickly(module):
    """Required: 0.1 s on a quiet machine at default sizes. Processor time here, since tests share their machine."""
    e = module.explorer()
    e.answer()
    seconds = []
    for ratio in (1, 2, 5, 10, 20, 50, 100):
        begun = time.process_time()
        e.set(ratio=ratio)
        seconds.append(time.process_time() - begun)
    assert np.median(seconds) < 0.25
