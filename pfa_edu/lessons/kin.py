"""Other ways for F and W to find each other, to compare PFA with: weight mirrors, and training on noise beforehand.

Both work on a network of FA layers, whose F is a buffer. The mirror moves F towards W, noise training moves W towards
F. Neither touches the network's gradients, its mode, its batch-norm statistics, or torch's random stream. As rules,
:class:`Mirror` and :class:`Noise`, they take part in any experiment, and show what a rule's hooks can do.

Cost is counted in *products*: one batch times one matrix of W's size, for every layer. A training step has three (W h,
Fᵀ δ, δ hᵀ), under every rule here; a mirror step has two (W h, and the correlation); a step on noise has three.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
import torch.nn.functional as nnf
from torch import nn

from .._settings import real, whole
from ..errors import ConfigError
from ..nn.layer import RuleLayer, layers
from ..nn.modules import Conv2d
from ..rules import BP, FA, KP, PFA, SF, Feedback, Look, PFAo, Rule
from ..rules import rule as rule_by_name
from ..rules.base import hidden
from ..rules.fa import Fixed
from ..rules.feedback import Layer
from ..rules.soft import Soft
from ..runs.experiments import Experiment
from ..runs.presets import mnist
from ..train.callbacks import Callback
from ..train.step import train_step

PRODUCTS = {"training": 3, "noise": 3, "mirror": 2}


def mirror_weights(net: nn.Module, steps: int, batch: int = 64, rate: float = 0.03, seed: int = 0) -> None:
    """Moves every FA layer's F towards its W by the weight mirror of Akrout et al. 2019 (arXiv 1904.05391).

    In mirror mode each layer is driven by noise of its own, h ~ N(0, 1), with its bias silent, answers a = W h, and F
    learns by a Hebbian product with decay: F ← F + rate·(⟨a hᵀ⟩ − F), the mean over ``batch``. No error and no data are
    needed, and W is never read by F: E[a hᵀ] = W. F therefore forgets its start as (1 − rate)^steps, and keeps a noise
    of ‖F − W‖² ≈ (rate/2)·(in/batch)·‖W‖².

    >>> from pfa_edu import Linear, path_alignment
    >>> net = nn.Sequential(Linear(20, 10, rule=FA()))
    >>> mirror_weights(net, steps=500)
    >>> path_alignment(net)["0"] < 15
    True
    """
    steps, batch = whole("steps", steps, low=0), whole("batch", batch, low=1)
    rate = real("rate", rate, high=1, above=0)
    found = _fa_layers(net)
    for name, (layer, _) in found.items():
        if isinstance(layer, Conv2d):
            raise ConfigError(f"layer {name} is a convolution: the mirror is defined for Linear layers here")
    stream = torch.Generator().manual_seed(seed)  # on the CPU: the same noise for every device
    with torch.no_grad():
        for _ in range(steps):
            for layer, f in found.values():
                W = layer.weight
                h = torch.randn(batch, W.shape[1], generator=stream, dtype=W.dtype).to(W.device)  # (batch, in)
                a = h @ W.t()  # (batch, out)
                f.F.lerp_(a.t() @ h / batch, rate)
                if f.mask is not None:
                    f.F.mul_(f.mask)


def pretrain_on_noise(
    net: nn.Module, steps: int, shape: tuple[int, ...], classes: int, batch: int = 64, lr: float = 1e-3, seed: int = 0
) -> None:  # fmt: skip
    """Trains ``net`` on inputs ~ N(0, 1) of ``shape`` with labels drawn at random, before it has seen any data.

    Cheon, Lee & Paik 2024 (arXiv 2405.16731): there is nothing to learn in it, but under FA the error's way through F
    leaves its mark in W, which turns towards F. Adam on cross-entropy, with a fresh input and label in every step; its
    moments end with it. The effect is small here, and a matter of rate and time: on 784-100-10, one seed, the last
    layer's angle fell from 93° to 74° in 8,000 steps at ``lr`` 1e-4, and to 80° in 500 steps at 1e-3, but was back at
    90° after 4,000. With SGD (100-100-10, nine settings of rate, decay and scale) it ended where
    it began. The first layer sends nothing back and has no reason to turn.
    """
    steps, batch = whole("steps", steps, low=0), whole("batch", batch, low=1)
    lr = real("lr", lr, above=0)
    weight = next(iter(_fa_layers(net).values()))[0].weight
    stream = torch.Generator().manual_seed(seed)
    with _no_trace(net):
        optimizer = torch.optim.Adam(net.parameters(), lr=lr)
        for _ in range(steps):
            x = torch.randn(batch, *shape, generator=stream, dtype=weight.dtype).to(weight.device)  # (batch, *shape)
            y = torch.randint(classes, (batch,), generator=stream).to(weight.device)
            train_step(net, optimizer, nnf.cross_entropy, x, y)


def _fa_layers(net: nn.Module) -> dict[str, tuple[RuleLayer, Fixed]]:
    """Every layer with its feedback, by name."""
    found = {}
    for name, layer in layers(net).items():
        if not isinstance(layer.feedback, Fixed):
            raise ConfigError(f"layer {name} learns by {layer.rule}: these phases are for FA, convert(net, FA())")
        found[name] = layer, layer.feedback
    return found


@contextlib.contextmanager
def _no_trace(net: nn.Module) -> Iterator[None]:
    """Gradients, modes, buffers (batch-norm statistics) and the random stream come back; the parameters may change."""
    grads = [(p, p.grad) for p in net.parameters()]
    modes = [(m, m.training) for m in net.modules()]
    buffers = [(b, b.detach().clone()) for b in net.buffers() if b is not None]
    try:
        with torch.random.fork_rng(), torch.enable_grad():
            net.train()
            for p, _ in grads:
                p.grad = None
            yield
    finally:
        for p, grad in grads:
            p.grad = grad
        for m, training in modes:
            m.training = training
        with torch.no_grad():
            for b, before in buffers:
                b.copy_(before)


class _Prepared(Rule, abstract=True):
    """FA with ``share`` of the run's cost spent on something else than training.

    ``spare_epochs``: the same in epochs of training, where whole epochs leave another share than was asked for.
    """

    share: float = 0.2
    spare_epochs: int | None = hidden(None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "share", real("share", self.share, low=0, high=0.9, what="of the cost, not training"))

    def make(self, layer: Layer) -> Feedback:
        return Fixed(layer.weight)

    def spare(self, epochs: int, steps_per_epoch: int) -> float:
        """Products that are spent on something else in a run of ``epochs``."""
        spare = self.share / (1 - self.share) * epochs if self.spare_epochs is None else self.spare_epochs
        return spare * PRODUCTS["training"] * steps_per_epoch

    def cost(self, epoch: int, epochs: int, steps_per_epoch: int) -> float:
        """What has been spent on it by the end of ``epoch``, in training steps."""
        return 0.0


class Mirror(_Prepared):
    """Weight mirror (Akrout et al. 2019): FA whose F is moved towards W before every epoch, by noise alone."""

    name: ClassVar[str] = "mirror"
    look: ClassVar[Look] = Look("Weight mirror", "#7B3294", "p", 1.2)
    equation: ClassVar[str] = "F mirrors W on noise"

    def _steps(self, epochs: int, steps_per_epoch: int) -> int:
        return round(self.spare(epochs, steps_per_epoch)) // epochs // PRODUCTS["mirror"]

    def before_epoch(self, run: Any) -> None:
        steps = self._steps(run.recipe.epochs, run.steps_per_epoch)
        mirror_weights(run.net, steps, seed=1000 * run.seed + run.epoch + 1)

    def cost(self, epoch: int, epochs: int, steps_per_epoch: int) -> float:
        return epoch * self._steps(epochs, steps_per_epoch) * PRODUCTS["mirror"] / PRODUCTS["training"]


class Noise(_Prepared):
    """FA after training on noise (Cheon, Lee & Paik 2024): W is turned towards F before there are any data."""

    name: ClassVar[str] = "noise"
    look: ClassVar[Look] = Look("FA after noise", "#8C5A00", ">")
    equation: ClassVar[str] = "F fixed, W turned to it"

    def _steps(self, epochs: int, steps_per_epoch: int) -> int:
        return round(self.spare(epochs, steps_per_epoch)) // PRODUCTS["noise"]

    def before_training(self, run: Any) -> None:
        steps = self._steps(run.recipe.epochs, run.steps_per_epoch)
        pretrain_on_noise(run.net, steps, run.data.input_shape, run.data.classes, seed=run.seed)

    def cost(self, epoch: int, epochs: int, steps_per_epoch: int) -> float:
        return self._steps(epochs, steps_per_epoch)


class Cost(Callback):
    """Logs 'cost': what the run has cost by the end of each epoch, in training steps of three products."""

    def before_training(self, run: Any) -> None:
        self._log(run)

    def on_epoch(self, run: Any) -> None:
        self._log(run)

    def _log(self, run: Any) -> None:
        rule = next(iter(layers(run.net).values())).rule
        beside = rule.cost(run.epoch, run.recipe.epochs, run.steps_per_epoch) if isinstance(rule, _Prepared) else 0
        run.log("cost", run.epoch * run.steps_per_epoch + beside)


RELATIVES: dict[str, tuple[Rule, str]] = {
    "BP": (BP(), "Rumelhart, Hinton & Williams 1986"),
    "FA": (FA(), "Lillicrap et al. 2016"),
    "FA after noise": (Noise(), "Cheon, Lee & Paik 2024, arXiv 2405.16731"),
    "FA, soft start": (Soft(), "Cheon, Bae & Paik 2025, arXiv 2505.20892"),
    "Weight mirror": (Mirror(), "Akrout et al. 2019, arXiv 1904.05391"),
    "KP": (KP(), "Kolen & Pollack 1994; Akrout et al. 2019"),
    "uSF": (SF("uniform"), "Liao et al. 2016; Xiao et al. 2019"),
    "frSF": (SF("fixed"), "the same"),
    "brSF": (SF("batch"), "the same"),
    "PFA": (PFA(), "Li Ji-An & Benna 2024, arXiv 2405.20594"),
    "PFA-o": (PFAo(), "the same"),
}


def equal_cost(rule: Rule | str, seed: int = 0, scale: str = "classroom", **settings: Any) -> Experiment:
    """The ``mnist`` experiment at ``scale``, as many epochs of it as leave the rule's other work its share.

    The learning rate's schedule shrinks with the epochs. Every run costs the same in the end, and logs its 'cost'.

    >>> equal_cost(Mirror(), scale="classroom").recipe.epochs, equal_cost("fa", scale="classroom").recipe.epochs
    (24, 30)
    """
    rule = rule_by_name(rule)
    share = rule.share if isinstance(rule, _Prepared) else 0.0
    e = mnist(rule, seed, scale, **settings)
    epochs = max(1, round(e.recipe.epochs * (1 - share)))
    drops = tuple(max(1, round(drop * epochs / e.recipe.epochs)) for drop in e.recipe.lr_drops)
    recipe = dataclasses.replace(e.recipe, epochs=epochs, lr_drops=drops)
    if isinstance(rule, _Prepared):
        rule = dataclasses.replace(rule, spare_epochs=e.recipe.epochs - epochs)
    group = e.group.replace("mnist-", "relatives-", 1)
    return dataclasses.replace(
        e, name="relatives", group=group, rule=rule, recipe=recipe, callbacks=(*e.callbacks, Cost())
    )
