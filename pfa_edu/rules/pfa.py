"""PFA and PFA-o: product feedback alignment (Li Ji-An & Benna, arXiv 2405.20594). The forms are in product.py."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch

from .._settings import choice, real
from ..errors import ConfigError
from .base import Look, Rule, hidden, quiet
from .draw import check_density, check_init
from .feedback import Feedback, Layer
from .product import ClosedProduct, DeferredProduct, Product
from .theory import alignment_limit

MOST_RATIO = 10_000  # where the limit angle is half a degree; beyond it drawing B and R takes hours


class PFA(Rule):
    """Product feedback alignment (Li Ji-An & Benna, arXiv 2405.20594): F = B R through ``ratio``·out mid neurons.

    **Weight decay aligns it.** Training moves F and (B Bᵀ) W alike; the random start between them fades by weight
    decay alone, as a_t. With a usual decay of 1e-4 that takes many thousands of steps, so the paper begins with a
    strong one for an epoch. ``pe.steps_to_fade(0.03, lr, momentum, strong_decay)`` says how many steps such a phase
    needs; ``pe.path_alignment(net)`` says how far it has come, ``pe.alignment_limit(ratio)`` where it ends.

    ``init``: the size of R at the start, 'xavier', 'kaiming', or a gain on Xavier's. Or 'aligned': R = Bᵀ W, so that
    nothing has to fade. No brain could begin so; it shows what the start costs.

    ``form`` says how F is computed:

    - ``'explicit'`` holds B and R, and R learns by its own gradient Bᵀ ∇W under any optimiser.
    - ``'closed'`` holds G, E and a: the same F at a cost free of the ratio, under SGD (any momentum, Nesterov, any
      schedule), no mask, and gradients that reach the optimiser as backward left them. Anything else is an error.
    - ``'coupled'`` is computed as ``'closed'``, under any optimiser whose weight decay is decoupled (AdamW, Muon) or
      none: R is moved by Bᵀ times the update that W gets, scaling and clipping and all. Under SGD that is the explicit
      form, if both are clipped alike: R's own gradient (explicit) counts in the norm that
      ``clip_grad_norm_(net.parameters(), ...)`` takes. Under Adam it is another rule, the one for which the theory
      promises the limit angle: R with a gradient of its own (explicit) is scaled in its own way. In
      examples/any_optimizer.py, at ratio 10 under AdamW, explicit ends at 23.1° and coupled at 16.4°, where the limit
      for wide layers is 17.5°.
    - ``'deferred'`` holds B and works R out from W when it is needed, under the conditions of ``'closed'`` except that
      masks are allowed. It costs nothing in a layer that sends no error back, such as the first, and is expensive
      elsewhere. ``'coupled'`` with a mask works so too.
    - ``'auto'``: explicit in a layer or a network of your own; in an experiment, which knows its optimiser, the
      cheapest form that is exactly the explicit one.
    """

    name: ClassVar[str] = "pfa"
    look: ClassVar[Look] = Look("PFA", "#D55E00", "D")
    equation: ClassVar[str] = "F = B R, via mid neurons"
    orthogonal: ClassVar[bool] = False
    ratio: float = 10
    density: float = 1.0
    form: str = hidden("auto")
    init: str | float = quiet("xavier")

    def __post_init__(self) -> None:
        object.__setattr__(self, "init", check_init(self.init, "aligned"))
        what = "mid neurons per output neuron"
        object.__setattr__(self, "ratio", real("ratio", self.ratio, high=MOST_RATIO, above=0, what=what))
        object.__setattr__(self, "density", check_density(self.density))
        choice("form of PFA", self.form, ["auto", "explicit", "closed", "coupled", "deferred"])
        if self.form == "closed" and self.density != 1:
            raise ConfigError(
                f"PFA's closed form does not hold for masked feedback (density {self.density}): use form='explicit'"
            )

    @property
    def aligns_by_decay(self) -> bool:  # type: ignore[override]
        """Whether there is a random start that has to fade."""
        return self.init != "aligned"

    def mid(self, out: int) -> int:
        """Mid neurons for ``out`` output neurons; an error if the ratio does not give a whole number."""
        mid = self.ratio * out
        if abs(mid - round(mid)) > 1e-6 or round(mid) < 1:
            near = max(1, round(mid)) / out
            raise ConfigError(
                f"ratio {self.ratio} gives {mid:g} mid neurons for a layer of {out} outputs, and it has to be a whole "
                f"number: ratio {near:g} would give {max(1, round(mid))}"
            )
        return round(mid)

    @property
    def label(self) -> str:
        return super().label + _plasticity(self.form)

    def limit(self, out: float = float("inf")) -> float:
        return alignment_limit(self.ratio, self.density, out)

    def under(self, optimizer: type[torch.optim.Optimizer], first: bool = False) -> PFA:
        if self.form != "auto":
            return self
        if optimizer is not torch.optim.SGD:
            return dataclasses.replace(self, form="explicit")
        masked = "deferred" if first else "explicit"
        return dataclasses.replace(self, form="closed" if self.density == 1 else masked)

    def make(self, layer: Layer) -> Feedback:
        mid, strict = self.mid(layer.weight.shape[0]), self.form != "coupled"
        if self.form == "closed" or (not strict and self.density == 1):
            return ClosedProduct(layer.weight, mid, self.orthogonal, strict, self.init)
        if self.form == "deferred" or not strict:
            return DeferredProduct(layer.weight, mid, self.orthogonal, self.density, strict, self.init)
        return Product(layer.weight, mid, self.orthogonal, self.density, self.init)


def _plasticity(form: str) -> str:
    """What a label adds: of all forms, the coupled one alone may learn something else (under Adam and its like)."""
    return " form=coupled" if form == "coupled" else ""


class PFAo(Rule):
    """PFA-o: PFA with mid = out and B a random orthogonal matrix: G = B Bᵀ = I, and the path angle can reach 0.

    Like :class:`PFA` it aligns by weight decay, and ``form`` means the same.
    """

    name: ClassVar[str] = "pfa-o"
    look: ClassVar[Look] = Look("PFA-o", "#0072B2", "^")
    equation: ClassVar[str] = "F = B R, B orthogonal"
    aligns_by_decay: ClassVar[bool] = True
    form: str = hidden("auto")

    def __post_init__(self) -> None:
        choice("form of PFA-o", self.form, ["auto", "explicit", "closed", "coupled"])

    @property
    def label(self) -> str:
        return super().label + _plasticity(self.form)

    def mid(self, out: int) -> int:
        return out

    def limit(self, out: float = float("inf")) -> float:
        return 0.0

    def under(self, optimizer: type[torch.optim.Optimizer], first: bool = False) -> PFAo:
        if self.form != "auto":
            return self
        return dataclasses.replace(self, form="closed" if optimizer is torch.optim.SGD else "explicit")

    def make(self, layer: Layer) -> Feedback:
        mid = layer.weight.shape[0]
        if self.form in ("closed", "coupled"):
            return ClosedProduct(layer.weight, mid, orthogonal=True, strict=self.form == "closed")
        return Product(layer.weight, mid, orthogonal=True)
