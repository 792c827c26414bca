"""Lessons 5 and 9: networks that a rule reaches completely, steps that fade a start, and weight mirrors."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import ConfigError
from ...nn.conversion import ConversionWarning, convert
from ...nn.layer import layers
from ...rules import FA, mismatch, steps_to_fade
from .questions import Formula, Number
from .verdict import Stop, Verdict, open_, wrong

_TASK = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.02}  # lesson 5
_INPUTS, _BATCH, _ANGLE = 784, 64, 5.0  # lesson 9: of the mirror's layer; samples a step; degrees


def check_strong_steps(answer: Any) -> Verdict:
    """``answer``: steps until 6 % of the start is left, at lr 0.05, momentum 0.9 and weight decay 0.02."""
    return _STRONG.check(answer)


_STRONG = Number(
    "How long the decay must be strong",
    lambda: steps_to_fade(0.06, **_TASK),
    "the number of steps",
    0.1,  # lesson 2's rule, exp(−t·lr·decay/(1 − momentum)), is 7 % above
    [
        (lambda: steps_to_fade(0.06, **_TASK | {"momentum": 0.0}), "this leaves out the momentum, which makes every "
         "step count ten times"),
        (lambda: steps_to_fade(0.94, **_TASK), "this is when 6 % has faded: 6 % should be left"),
        (lambda: steps_to_fade(0.6, **_TASK), "6 % is 0.06"),
        (lambda: steps_to_fade(0.06, lr=0.02, momentum=0.9, weight_decay=0.1), "these are the lesson's own settings: "
         "here lr is 0.05 and the decay 0.02"),
    ],
    "`pe.steps_to_fade(0.06, lr=…, momentum=…, weight_decay=…)` computes it.",
)  # fmt: skip


def check_mismatch_without_strong_decay(answer: Any) -> Verdict:
    """``answer``: what is left of a after 372 steps at lr 0.02, momentum 0.9 and a usual decay of 1e-4."""
    return _USUAL.check(answer)


_USUAL = Number(
    "What a usual decay leaves",
    lambda: mismatch(372, 0.02, 0.9, 1e-4),
    "a",
    0.002,
    [
        (lambda: 1 - mismatch(372, 0.02, 0.9, 1e-4), "this is what has faded: how much is left?"),
        (lambda: mismatch(372, 0.02, 0.0, 1e-4), "this leaves out the momentum"),
        (lambda: mismatch(372, 0.02, 0.9, 0.1), "this is the strong decay: what does 1e-4 leave?"),
        (lambda: 100 * mismatch(372, 0.02, 0.9, 1e-4), "give a as a fraction, not in percent"),
    ],
    "`pe.mismatch(372, lr=0.02, momentum=0.9, weight_decay=1e-4)` computes it.",
)


def check_reached(answer: Any, x: Tensor) -> Verdict:
    """``answer``: an autoencoder for ``x`` (batch, 784) of which ``pe.convert`` reaches every weight.

    It must return a reconstruction of x's shape, through a code of at most 64 numbers.
    """
    title = "A network that is reached everywhere"
    try:
        if answer is None or answer is ...:
            raise open_("there is no network yet")
        if isinstance(answer, type):
            raise wrong(f"give a network, {answer.__name__}(), not its class")
        if not isinstance(answer, nn.Module):
            raise wrong(f"give a network, an nn.Module, not a {type(answer).__name__}")
        _reconstructs(answer, x)
        with warnings.catch_warnings(record=True) as caught, torch.random.fork_rng(devices=[]):
            warnings.simplefilter("always")
            try:
                net = convert(answer, FA(), example=x, verbose=False)
            except ConfigError as error:
                raise wrong(f"convert refuses it: {error}") from error
        told = [str(w.message) for w in caught if issubclass(w.category, ConversionWarning)]
        if told:
            raise wrong(f"convert still says: {told[0]}")
        found = layers(net)
        if len(found) < 2:
            raise wrong(f"{len(found)} layer is reached: encoder and decoder need one each")
        narrow = min(layer.weight.shape[0] for layer in found.values())
        if narrow > 64:
            raise wrong(f"its narrowest layer has {narrow} neurons: the code should have at most 64")
    except Stop as stop:
        return Verdict(title, (stop.point,))
    return Verdict(title, (("right", f"every weight learns by the rule: {', '.join(found)}"),))


def _reconstructs(net: nn.Module, x: Tensor) -> None:
    try:
        with torch.no_grad():
            out = net(x)
    except Exception as error:
        raise wrong(f"called with x {tuple(x.shape)} it raised {type(error).__name__}: {error}") from error
    if not isinstance(out, Tensor) or out.shape != x.shape:
        shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise wrong(f"it returns {shape} for x {tuple(x.shape)}: a reconstruction has x's own shape")


def check_mirror_rate(answer: Any) -> Verdict:
    """``answer``: the largest rate at which a weight mirror with 784 inputs and batches of 64 ends within 5° of W."""
    return _RATE.check(answer)


_TAN2 = math.tan(math.radians(_ANGLE)) ** 2
_RATE = Number(
    "How fast a mirror may learn",
    lambda: 2 * _TAN2 * _BATCH / _INPUTS,
    "the rate",
    0.05,
    [
        (lambda: 2 * math.sqrt(_TAN2) * _BATCH / _INPUTS, "‖F − W‖² is a square: take the square of the tangent too"),
        (lambda: 2 * _TAN2, "the number of inputs and the batch are missing: a layer with more inputs is noisier"),
        (lambda: 2 * _TAN2 * _INPUTS / _BATCH, "inputs and batch are the wrong way round: a larger batch allows a "
         "faster rate"),
        (lambda: _TAN2 * _BATCH / _INPUTS, "a factor of 2 is missing"),
    ],
    "Solve (rate/2)·(inputs/batch) = tan² of the angle for the rate.",
)  # fmt: skip


def check_mirror_on_data(answer: Any) -> Verdict:
    """``answer(W, C)``: the F (out, in) that a mirror makes of data with E[h hᵀ] = C (in, in)."""
    return _ON_DATA.check(answer)


def _driven() -> list[tuple[Any, ...]]:
    g = torch.Generator().manual_seed(5)
    found = []
    for out, fan_in in ((3, 5), (4, 4)):
        h = (
            torch.randn(40, fan_in, generator=g, dtype=torch.float64)
            @ torch.randn(fan_in, fan_in, generator=g).double()
        )
        found.append((torch.randn(out, fan_in, generator=g, dtype=torch.float64), h.T @ h / len(h)))
    return found


_ON_DATA = Formula(
    "A mirror that sees data",
    ("W", "C"),
    _driven,
    lambda W, C: W @ C,
    [
        (lambda W, C: W, "this holds for noise, where C is the identity"),
        (lambda W, C: (W @ C).T, "this is transposed: F has W's shape"),
        (lambda W, C: W @ torch.linalg.inv(C), "this would undo the correlations; the Hebbian product brings them in"),
        (lambda W, C: W @ C @ W.T, "this is E[a aᵀ]"),
        (lambda W, C: W * C.diagonal(), "this takes the inputs to be uncorrelated: C has entries off its diagonal too"),
    ],
    "Put a = W h into E[a hᵀ], and take W, which does not change, out of the mean",
)
