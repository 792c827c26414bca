"""The rules, each a small frozen dataclass of its knobs that knows how to make a layer's feedback.

>>> PFA(ratio=10)
PFA(ratio=10, density=1.0, form='explicit')
>>> rule("pfa-o").name
'pfa-o'
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from .errors import ConfigError, unknown
from .feedback import ClosedProduct, DeferredProduct, Direct, Feedback, Fixed, KolenPollack, Product, SignSymmetric


def _check_density(density: float) -> None:
    if not (isinstance(density, (int, float)) and 0 < density <= 1):
        raise ConfigError(f"density {density!r} is the fraction of feedback synapses that exist: it must be in (0, 1]")


@dataclass(frozen=True)
class Rule:
    """Base of the rules. ``name`` is how the command line and the result tables call it."""

    name: ClassVar[str]

    def make(self, layer: nn.Module) -> Feedback | None:
        """Draws the feedback for ``layer`` (a Linear or Conv2d), beside its present weight and on its device."""
        raise TypeError(f"{type(self).__name__} is not a rule by itself: use one of {', '.join(RULES)}")

    @property
    def label(self) -> str:
        """The name, followed by every knob that differs from its default and changes what is learned."""
        knobs = (f for f in dataclasses.fields(self) if f.name not in ("form", "outputs"))
        changed = [f"{f.name}={getattr(self, f.name)}" for f in knobs if getattr(self, f.name) != f.default]
        return " ".join([self.name, *changed])


@dataclass(frozen=True)
class BP(Rule):
    """Backpropagation: F = W, which asks every pair of neurons for symmetric synapses."""

    name: ClassVar[str] = "bp"

    def make(self, layer: nn.Module) -> None:
        return None


@dataclass(frozen=True)
class FA(Rule):
    """Feedback alignment (Lillicrap et al. 2016): F random and fixed."""

    name: ClassVar[str] = "fa"
    density: float = 1.0

    def __post_init__(self):
        _check_density(self.density)

    def make(self, layer: nn.Module) -> Feedback:
        return Fixed(layer.weight, self.density)


@dataclass(frozen=True)
class SF(Rule):
    """Sign symmetry (Liao et al. 2016; Xiao et al. 2019): F shares W's signs.

    ``kind``: 'uniform' (uSF: one magnitude, the paper's SF), 'fixed' (frSF: random magnitudes, drawn once),
    'batch' (brSF: random magnitudes, drawn anew for every batch).
    """

    name: ClassVar[str] = "sf"
    kind: str = "uniform"
    density: float = 1.0

    def __post_init__(self):
        if self.kind not in ("uniform", "fixed", "batch"):
            raise unknown("kind of sign symmetry", self.kind, ["uniform", "fixed", "batch"])
        _check_density(self.density)

    def make(self, layer: nn.Module) -> Feedback:
        return SignSymmetric(layer.weight, self.kind, self.density)


@dataclass(frozen=True)
class KP(Rule):
    """Kolen-Pollack (Kolen & Pollack 1994; Akrout et al. 2019): F is its own weight and receives W's gradient.

    F − W does not change by learning: only weight decay makes it fade, see :class:`PFA`.
    """

    name: ClassVar[str] = "kp"

    def make(self, layer: nn.Module) -> Feedback:
        return KolenPollack(layer.weight)


@dataclass(frozen=True)
class PFA(Rule):
    """Product feedback alignment (Li Ji-An & Benna, arXiv 2405.20594): F = B R through ``ratio``·out mid neurons.

    **Weight decay aligns it.** Training moves F and (B Bᵀ) W alike; the random start between them fades by weight
    decay alone, as a_t. With a usual decay of 1e-4 that takes many thousands of steps, so the paper begins with a
    strong one for an epoch. ``pe.steps_to_fade(0.03, lr, momentum, strong_decay)`` says how many steps such a phase
    needs; ``pe.path_alignment(net)`` says how far it has come, ``pe.alignment_limit(ratio)`` where it ends.

    ``form='explicit'`` holds B and R and is right for every optimiser. ``form='closed'`` holds G, E, a: the same F at a
    cost free of the ratio, but only under SGD (any momentum, Nesterov, any schedule) with W and a under the same
    settings, gradients untouched between backward and step, and no mask. A wrong optimiser is an error at its first
    step. Element-wise gradient clipping cannot be seen and would make it wrong: use the explicit form there.
    ``form='deferred'`` holds B and, for the rest, asks for what the closed form asks for, but allows masks: R is worked
    out from W when it is needed. It is free in a layer that sends no error back, the first one, and dear elsewhere.
    """

    name: ClassVar[str] = "pfa"
    ratio: float = 10
    density: float = 1.0
    form: str = "explicit"
    orthogonal: ClassVar[bool] = False

    def __post_init__(self):
        if not (isinstance(self.ratio, (int, float)) and 0 < self.ratio < math.inf):
            raise ConfigError(f"ratio {self.ratio!r} is mid neurons per output neuron: it must be a positive number")
        _check_density(self.density)
        if self.form not in ("explicit", "closed", "deferred"):
            raise unknown("form of PFA", self.form, ["explicit", "closed", "deferred"])
        if self.form == "closed" and self.density != 1:
            raise ConfigError(
                f"PFA's closed form does not hold for masked feedback (density {self.density}): use form='explicit'"
            )

    def mid(self, out: int) -> int:
        """Mid neurons for ``out`` output neurons; an error if the ratio gives no whole number."""
        mid = self.ratio * out
        if abs(mid - round(mid)) > 1e-6 or round(mid) < 1:
            near = max(1, round(mid)) / out
            raise ConfigError(
                f"ratio {self.ratio} gives {mid:g} mid neurons for a layer of {out} outputs, which is no whole number: "
                f"{near:g} would give {max(1, round(mid))}"
            )
        return round(mid)

    def make(self, layer: nn.Module) -> Feedback:
        mid = self.mid(layer.weight.shape[0])
        if self.form == "closed":
            return ClosedProduct(layer.weight, mid, self.orthogonal)
        product = DeferredProduct if self.form == "deferred" else Product
        return product(layer.weight, mid, self.orthogonal, self.density)


@dataclass(frozen=True)
class PFAo(Rule):
    """PFA-o: PFA with mid = out and B a random orthogonal matrix: G = B Bᵀ = I, and the path angle can reach 0.

    As :class:`PFA` it aligns by weight decay.
    """

    name: ClassVar[str] = "pfa-o"
    form: str = "explicit"

    def __post_init__(self):
        if self.form not in ("explicit", "closed"):
            raise unknown("form of PFA-o", self.form, ["explicit", "closed"])

    def make(self, layer: nn.Module) -> Feedback:
        weight: Tensor = layer.weight
        if self.form == "closed":
            return ClosedProduct(weight, weight.shape[0], orthogonal=True)
        return Product(weight, weight.shape[0], orthogonal=True, density=1.0)


@dataclass(frozen=True)
class DFA(Rule):
    """Direct feedback alignment (Nøkland 2016): the output error reaches every layer through its own fixed D.

    ``outputs``: the size of the network's output (number of classes). ``convert()`` finds it itself.
    """

    name: ClassVar[str] = "dfa"
    outputs: int | None = None
    density: float = 1.0

    def __post_init__(self):
        if self.outputs is not None and not (isinstance(self.outputs, int) and self.outputs > 0):
            raise ConfigError(f"DFA's outputs {self.outputs!r} is the network's number of outputs: a positive integer")
        _check_density(self.density)

    def make(self, layer: nn.Module) -> Feedback:
        if self.outputs is None:
            raise ConfigError(
                "DFA must know the size of the network's output: say DFA(outputs=10), or use convert(model, DFA()), "
                "which finds it"
            )
        fan_in = layer.weight.shape[1] * getattr(layer, "groups", 1)
        return Direct(layer.weight, fan_in, self.outputs, self.density)


RULES: dict[str, type[Rule]] = {cls.name: cls for cls in (BP, FA, DFA, SF, KP, PFA, PFAo)}


def rule(name: Rule | str, **knobs) -> Rule:
    """The rule of that name ('bp', 'fa', 'dfa', 'sf', 'kp', 'pfa', 'pfa-o') with the given knobs; a rule is itself.

    >>> rule("pfa", ratio=20)
    PFA(ratio=20, density=1.0, form='explicit')
    """
    if isinstance(name, Rule) and not knobs:
        return name
    spelt = {key.replace("-", ""): cls for key, cls in RULES.items()}  # PFA-o, pfa_o and PFAo are all understood
    cls = spelt.get(str(name).lower().replace("-", "").replace("_", ""))
    if cls is None:
        raise unknown("rule", name, RULES)
    known = [f.name for f in dataclasses.fields(cls)]
    for knob in knobs:
        if knob not in known:
            raise unknown(f"knob of {name}", knob, known or ["(it has none)"])
    return cls(**knobs)
