"""Exercises 1 to 3: a layer's backward pass under FA, KP and PFA, against what the library's own layer computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ...nn.modules import Linear
from ...rules import FA, KP, PFA, Rule
from .verdict import Stop, Verdict, call, open_, wrong

Tensors = dict[str, Tensor]
Mistake = tuple[Callable[[Tensors], Tensor], str]  # what the mistake computes, and the hint for it

# batch, in, out, ratio. First all sizes differ, so that a transposed matrix shows in the shape; then all are equal, so
# that it has to show in the values; then one sample, where a mean over the batch would pass for a sum.
_SIZES = [(7, 5, 4, 3), (6, 6, 6, 1), (1, 5, 3, 2)]
_SHAPES = {"dL/dh": "(batch, in)", "∇W": "(out, in)", "∇F": "(out, in)", "∇R": "(mid, in)"}


@dataclass(frozen=True)
class _Exercise:
    title: str
    name: str  # of the reader's function
    rule: Callable[[int], Rule]  # from the ratio
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    mistakes: dict[str, list[Mistake]]


def check_fa_backward(answer: Callable) -> Verdict:
    """``answer(delta, h, W, F)`` must return dL/dh under feedback alignment.

    Shapes: ``delta`` = dL/da (batch, out), ``h`` (batch, in), ``W``, ``F`` (out, in); dL/dh (batch, in).
    """
    return _check(_FA, answer)


def check_kp_backward(answer: Callable) -> Verdict:
    """``answer(delta, h, W, F)`` must return (dL/dh, ∇W, ∇F) under Kolen-Pollack.

    Shapes as in :func:`check_fa_backward`; ∇W and ∇F (out, in).
    """
    return _check(_KP, answer)


def check_pfa_backward(answer: Callable) -> Verdict:
    """``answer(delta, h, W, B, R)`` must return (dL/dh, ∇W, ∇R) under product feedback alignment.

    Shapes as in :func:`check_fa_backward`; ``B`` (out, mid), ``R`` and ∇R (mid, in).
    """
    return _check(_PFA, answer)


_WEIGHT_USED = (
    "this sends δ back through W, as backprop does, and so needs W's values at the feedback synapses. Which weight "
    "stands there under "
)
_SQUARE = "the shape fits only because this layer is square: "
_HEBB: list[Mistake] = [
    (lambda t: t["delta"].mean(0)[:, None] * t["h"].mean(0), "average the products, not the factors: the sum over the "
     "samples has to stand outside"),
    (lambda t: t["delta"].sum(0)[:, None] * t["h"].sum(0), "δ and h of one sample belong together: this multiplies "
     "sums over samples, and so mixes one sample's error with another's activity"),
]  # fmt: skip

_FA = _Exercise("FA's backward pass", "fa_backward", lambda ratio: FA(), ("delta", "h", "W", "F"), ("dL/dh",), {
    "dL/dh": [
        (lambda t: t["delta"] @ t["W"], _WEIGHT_USED + "feedback alignment?"),
        (lambda t: t["delta"] @ t["W"].t(), _SQUARE + "and it is W, which only the way forward may use"),
        (lambda t: t["delta"] @ t["F"].t(), _SQUARE + "write the shapes under the product. Which index of F counts the "
         "layer's outputs?"),
        (lambda t: t["delta"] @ t["W"].sign(), "this uses the signs of W: that is sign symmetry, another rule"),
        (lambda t: t["h"] @ t["F"].t(), "this sends the activity h through F, and forwards: what has to travel back?"),
    ],
})  # fmt: skip

_KP = _Exercise("KP's backward pass", "kp_backward", lambda ratio: KP(), ("delta", "h", "W", "F"),
                ("dL/dh", "∇W", "∇F"), {
    "dL/dh": [
        (lambda t: t["delta"] @ t["W"], _WEIGHT_USED + "Kolen-Pollack?"),
        *_FA.mistakes["dL/dh"][1:],
    ],
    "∇W": _HEBB,
    "∇F": [
        (lambda t: t["F"] - t["W"], "this pulls F towards W by looking at W: that is weight transport once more. What "
         "do both synapses see without looking at each other?"),
        (lambda t: t["W"] - t["F"], "this uses W's values: that is weight transport once more. What do both synapses "
         "see without looking at each other?"),
        (lambda t: torch.zeros_like(t["F"]), "F would never change: that is feedback alignment. Under Kolen-Pollack F "
         "learns"),
        (lambda t: t["F"], "this is F itself; its gradient is asked for"),
        *_HEBB,
    ],
})  # fmt: skip

_BEHIND = "R lies behind B: what part of the error does a mid neuron get to see?"
_PFA = _Exercise("PFA's backward pass", "pfa_backward", lambda ratio: PFA(ratio), ("delta", "h", "W", "B", "R"),
                 ("dL/dh", "∇W", "∇R"), {
    "dL/dh": [
        (lambda t: t["delta"] @ t["W"], _WEIGHT_USED + "product feedback alignment?"),
        (lambda t: t["delta"] @ t["B"], "the error has come as far as the mid neurons, and stops there: which weight "
         "leads on from them?"),
        (lambda t: t["delta"] @ t["R"], _SQUARE + "a factor is missing, the path has two legs"),
        (lambda t: t["delta"] @ t["B"].t() @ t["R"], _SQUARE + "one of the two factors is used the wrong way round. "
         "Which index of B counts the layer's outputs?"),
        (lambda t: t["delta"] @ t["B"] @ t["R"].t(), _SQUARE + "one of the two factors is used the wrong way round. "
         "Which index of R counts the mid neurons?"),
        (lambda t: t["delta"] @ t["R"] @ t["B"], _SQUARE + "the two factors come in the wrong order. Which of them "
         "does δ meet first?"),
        (lambda t: t["delta"] @ (t["B"] @ t["R"]).t(), _SQUARE + "the product is used the wrong way round"),
    ],
    "∇W": _HEBB,
    "∇R": [
        (lambda t: t["delta"].t() @ t["h"], f"this is ∇W as it stands, with the layer's outputs as rows. {_BEHIND}"),
        (lambda t: t["B"] @ t["delta"].t() @ t["h"], _SQUARE + "B stands the wrong way round. Write F = B R with its "
         "indices, and differentiate one entry of F by one entry of R"),
        (lambda t: torch.zeros_like(t["R"]), "R would never change, and F = B R with it: that is feedback alignment "
         "with a detour"),
        (lambda t: t["B"].t() @ t["W"], "this has W where its gradient belongs: the feedback path may not see W"),
        (lambda t: torch.linalg.pinv(t["B"]) @ t["delta"].t() @ t["h"], "this solves for the R that would copy W's "
         "step exactly. The chain rule asks for less, and no synapse could invert B"),
        (lambda t: t["R"], "this is R itself; its gradient is asked for"),
        (lambda t: (t["delta"] @ t["B"] @ t["R"]).t() @ t["h"], f"the error has already passed R here. {_BEHIND}"),
    ],
})  # fmt: skip


def _check(exercise: _Exercise, answer: Callable) -> Verdict:
    points: dict[str, tuple[str, str]] = {}
    try:
        if answer is None or answer is ...:
            raise open_("there is no function yet")
        for given, wanted in _problems(exercise):
            arguments = {name: t.clone() for name, t in given.items()}
            sizes = ", ".join(f"{name} {tuple(t.shape)}" for name, t in given.items())
            got = _outputs(exercise, call(answer, arguments, f"with shapes {sizes} your function"))
            for name, value in got.items():
                hint = _hint(exercise, name, value, given, wanted)
                if hint and points.get(name, ("right",))[0] == "right":
                    points[name] = ("wrong", f"{name}: {hint}")
                points.setdefault(name, ("right", f"{name} is what the library's own layer gives"))
            for name, t in given.items():
                if not torch.equal(arguments[name], t):
                    points[f"changed {name}"] = (
                        "wrong",
                        f"your function changed {name} itself: others still need it. Make a new tensor instead of "
                        f"writing into this one",
                    )
    except Stop as stop:
        points = {name: point for name, point in points.items() if point[0] == "wrong"}
        points[""] = stop.point
    return Verdict(exercise.title, tuple(points.values()))


def _problems(exercise: _Exercise) -> Iterator[tuple[Tensors, Tensors]]:
    """Random float64 inputs, and the outputs as the library's own layer computes them."""
    for seed, (batch, fan_in, out, ratio) in enumerate(_SIZES):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layer = Linear(fan_in, out, bias=False, rule=exercise.rule(ratio), dtype=torch.float64)
            h = torch.randn(batch, fan_in, dtype=torch.float64, requires_grad=True)  # (batch, in)
            delta = torch.randn(batch, out, dtype=torch.float64)  # (batch, out)
        layer(h).backward(delta)
        found: dict[str, Tensor | None] = {
            "delta": delta, "h": h.detach(), "W": layer.weight.detach(), "dL/dh": h.grad, "∇W": layer.weight.grad,
        }  # fmt: skip
        if layer.feedback is not None:
            for name, t in [*layer.feedback.named_parameters(), *layer.feedback.named_buffers()]:
                found |= {name: t.detach(), f"∇{name}": t.grad}
        values = {name: t for name, t in found.items() if t is not None}  # what is fixed has no gradient
        yield {n: values[n] for n in exercise.takes}, {n: values[n] for n in exercise.gives}


def _outputs(exercise: _Exercise, result: object) -> dict[str, object]:
    """What the reader's function returned, by name; raises Stop if it is not as many things as asked for."""
    count, names = len(exercise.gives), ", ".join(exercise.gives)
    if result is None or result is ...:
        raise open_("your function returns nothing")
    if count == 1:
        if isinstance(result, (tuple, list)):
            raise wrong(f"your function returns {len(result)} things in a {type(result).__name__}: give {names} alone")
        return {names: result}
    if not isinstance(result, (tuple, list)):
        raise wrong(f"your function returns one {type(result).__name__}: {count} things are asked for, {names}")
    if len(result) != count:
        fixed = ". B is fixed, and has no gradient to return" if "B" in exercise.takes and len(result) > count else ""
        raise wrong(f"your function returns {len(result)} things: {count} are asked for, {names}{fixed}")
    return dict(zip(exercise.gives, result, strict=True))


def _hint(exercise: _Exercise, name: str, value: object, given: Tensors, wanted: Tensors) -> str | None:
    """None if ``value`` is right, else what to look at."""
    right = wanted[name]
    if value is None:
        return "None instead of a tensor"
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__} instead of a torch tensor; all inputs are tensors, so no conversion is needed"
    if value.is_complex():
        return f"the numbers are {value.dtype}: everything here is real"
    dtype, value = value.dtype, value.detach().cpu().double()
    if _same(value, right):
        return None if dtype == torch.float64 else _precision(dtype)
    for mistake, hint in exercise.mistakes[name]:
        if _same(value, _try(mistake, given)):
            return hint
    for other, t in wanted.items():
        if other != name and not torch.equal(t, right) and _same(value, t):
            return f"this is {other}: the order asked for is {', '.join(exercise.gives)}"
    if value.shape != right.shape:
        shapes = f"{_SHAPES[name]}, here {tuple(right.shape)}"
        if value.shape == right.t().shape:
            return f"the shape is {tuple(value.shape)}, the other way round: it should be {shapes}"
        return f"the shape is {tuple(value.shape)}: it should be {shapes}. Write the shapes under your product"
    if not value.isfinite().all():
        return "there are NaN or infinite numbers in it: is something divided by zero, or never filled?"
    if not value.any():
        return "it is all zeros"
    if value.shape[0] == value.shape[1] and _same(value, right.t()):
        return f"{_SQUARE}it is the other way round, {_SHAPES[name]} is asked for"
    factor = (value * right).sum() / right.square().sum()
    if _same(value, factor * right):
        return _factor(factor.item(), len(given["delta"]))
    if dtype != torch.float64 and torch.allclose(value, right, rtol=1e-2, atol=1e-2):
        return _precision(dtype)
    return "the shape is right, the numbers are not. Do it by hand for one sample and a layer of one input and output"


def _precision(dtype: torch.dtype) -> str:
    return f"the result is {dtype} although every input is torch.float64: where does your function lose digits?"


def _factor(factor: float, batch: int) -> str:
    if abs(factor + 1) < 1e-9:
        return "the sign is turned: a gradient points uphill, and it is the optimiser that takes the minus"
    if abs(factor * batch - 1) < 1e-9:
        return "it is divided by the size of the batch: the loss has averaged already, and δ holds that"
    return f"the direction is right, the length is not: everything is {factor:.4g} times what it should be"


def _same(value: Tensor, other: Tensor | None) -> bool:
    return other is not None and value.shape == other.shape and torch.allclose(value, other, rtol=1e-9, atol=1e-12)


def _try(mistake: Callable[[Tensors], Tensor], given: Tensors) -> Tensor | None:
    try:
        return mistake(given)
    except RuntimeError:  # shapes that do not fit: then it is not this mistake
        return None
