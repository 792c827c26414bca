"""Other ways for F and W to find each other, to compare PFA with: weight mirrors, and training on noise beforehand.

Both work on a network of FA layers (``convert(net, FA())``), whose F is a buffer. The mirror moves F towards W, noise
training moves W towards F. Neither touches the network's gradients, its mode, its batch-norm statistics, or torch's
random stream.

Cost is counted in *products*: one batch times one matrix of W's size, for every layer. A training step has three (W h,
Fᵀ δ, δ hᵀ), under every rule here; a mirror step has two (W h, and the correlation); a step on noise has three.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import joblib
import pandas as pd
import torch
import torch.nn.functional as nnf
from torch import nn

from .. import data as datasets
from ..errors import ConfigError, unknown
from ..nn.modules import Conv2d, RuleLayer, layers
from ..rules import BP, FA, KP, PFA, SF, PFAo, Rule
from ..rules.fa import Fixed
from ..runs.experiments import COLUMNS, experiment, preset, write_csv

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
    if steps < 0 or batch < 1 or not 0 < rate <= 1:
        raise ConfigError(f"mirror_weights needs steps >= 0, batch >= 1, 0 < rate <= 1; got {steps}, {batch}, {rate}")
    found = _fa_layers(net)
    for name, layer in found.items():
        if isinstance(layer, Conv2d):
            raise ConfigError(f"layer {name} is a convolution: the mirror is defined for Linear layers here")
    stream = torch.Generator().manual_seed(seed)  # on the CPU: the same noise for every device
    with torch.no_grad():
        for _ in range(steps):
            for layer in found.values():
                W, f = layer.weight, layer.feedback
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
    if steps < 0 or batch < 1 or not lr > 0:
        raise ConfigError(f"pretrain_on_noise needs steps >= 0, batch >= 1, lr > 0; got {steps}, {batch}, {lr}")
    weight = next(iter(_fa_layers(net).values())).weight
    stream = torch.Generator().manual_seed(seed)
    with _no_trace(net):
        optimizer = torch.optim.Adam(net.parameters(), lr=lr)
        for _ in range(steps):
            x = torch.randn(batch, *shape, generator=stream, dtype=weight.dtype).to(weight.device)  # (batch, *shape)
            y = torch.randint(classes, (batch,), generator=stream).to(weight.device)
            optimizer.zero_grad()
            nnf.cross_entropy(net(x), y).backward()
            optimizer.step()


def _fa_layers(net: nn.Module) -> dict[str, RuleLayer]:
    found = layers(net)
    for name, layer in found.items():
        if not isinstance(layer.feedback, Fixed):
            raise ConfigError(f"layer {name} learns by {layer.rule}: these phases are for FA, convert(net, FA())")
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


@dataclass(frozen=True)
class Relative:
    """A way to learn: ``rule``, and what part of the cost goes into ``noise`` beforehand, or to the ``mirror``."""

    label: str
    rule: Rule
    reference: str
    noise: float = 0.0
    mirror: float = 0.0


RELATIVES: dict[str, Relative] = {
    "bp": Relative("BP", BP(), "Rumelhart, Hinton & Williams 1986"),
    "fa": Relative("FA", FA(), "Lillicrap et al. 2016"),
    "noise": Relative("FA after noise", FA(), "Cheon, Lee & Paik 2024, arXiv 2405.16731", noise=0.2),
    "mirror": Relative("Weight mirror", FA(), "Akrout et al. 2019, arXiv 1904.05391", mirror=0.2),
    "kp": Relative("KP", KP(), "Kolen & Pollack 1994; Akrout et al. 2019"),
    "usf": Relative("uSF", SF("uniform"), "Liao et al. 2016; Xiao et al. 2019"),
    "frsf": Relative("frSF", SF("fixed"), "the same"),
    "brsf": Relative("brSF", SF("batch"), "the same"),
    "pfa": Relative("PFA", PFA(), "Li Ji-An & Benna 2024, arXiv 2405.20594"),
    "pfa-o": Relative("PFA-o", PFAo(), "the same"),
}


def compare(
    name: str, seed: int = 0, scale: str = "classroom", dataset: str | None = None, device: str | None = None,
    progress: str = "auto",
) -> pd.DataFrame:  # fmt: skip
    """Trains relative ``name`` at the cost of the ``mnist`` experiment's run at ``scale``; returns its tidy frame.

    Its part for noise or the mirror is taken from the epochs on data, whose schedule shrinks with them. The mirror is
    at work before every epoch. ``rule`` is ``name``; the metric 'cost' of layer 'network' is what an epoch's end has
    cost, in training steps (three products each), and epoch 0 is after the noise.
    """
    if name not in RELATIVES:
        raise unknown("relative", name, RELATIVES)
    chosen = RELATIVES[name]
    part = chosen.noise + chosen.mirror
    whole = experiment("mnist", chosen.rule, seed, scale, dataset=dataset, out=None, device=device).recipe
    epochs = max(1, round(whole.epochs * (1 - part)))
    drops = tuple(max(1, round(drop * epochs / whole.epochs)) for drop in whole.lr_drops)
    e = experiment(
        "mnist", chosen.rule, seed, scale, dataset=dataset, out=None, device=device, epochs=epochs, lr_drops=drops
    )
    data = datasets.load(e.dataset, e.device)
    trainer = e.trainer(data)
    a_epoch = len(data.train_x) // e.recipe.batch_size  # steps
    spare = (whole.epochs - epochs) * a_epoch * PRODUCTS["training"]  # products left for what is not training
    cost = 0.0
    if chosen.noise:
        steps = spare // PRODUCTS["noise"]
        pretrain_on_noise(trainer.net, steps, data.input_shape, data.classes, seed=seed)
        cost += steps
    rows = []
    for epoch in range(epochs + 1):
        if chosen.mirror and epoch:
            steps = spare // epochs // PRODUCTS["mirror"]
            mirror_weights(trainer.net, steps, seed=1000 * seed + epoch)
            cost += steps * PRODUCTS["mirror"] / PRODUCTS["training"]
        if epoch:
            cost += a_epoch
        trainer.recipe = replace(e.recipe, epochs=max(epoch, 1))
        trainer.train(None, progress, deadline=0 if epoch == 0 else None)  # at first it is only measured
        rows.append((name, seed, epoch, "network", "cost", cost))
    frame = pd.DataFrame(trainer.rows, columns=["epoch", "layer", "metric", "value"]).assign(rule=name, seed=seed)
    return pd.concat([frame[COLUMNS], pd.DataFrame(rows, columns=COLUMNS)], ignore_index=True)


def compare_all(
    names: Iterable[str], seeds: int, scale: str, dataset: str | None = None, device: str | None = None,
    out: str | Path = "runs", jobs: int = 1,
) -> pd.DataFrame:  # fmt: skip
    """``compare`` of every name with seeds 0, 1, ...; one CSV per finished run in ``out``, and what is there stays."""
    names = list(names)
    for name in names:
        if name not in RELATIVES:
            raise unknown("relative", name, RELATIVES)
    dataset = dataset or preset("mnist", scale).dataset
    Path(out).mkdir(parents=True, exist_ok=True)
    runs = [(name, seed, scale, dataset, device, Path(out)) for seed in range(seeds) for name in names]
    frames = []
    parallel = joblib.Parallel(n_jobs=jobs, backend="loky", return_as="generator")
    for run, frame in zip(runs, parallel(joblib.delayed(_kept)(*run) for run in runs), strict=True):
        frames.append(frame)
        accuracy = frame.loc[(frame.metric == "test_accuracy") & (frame.epoch == frame.epoch.max()), "value"].item()
        told = f"{RELATIVES[run[0]].label}, seed {run[1]}: test accuracy {accuracy:.2f} %"
        print(f"relatives {len(frames)}/{len(runs)}: {told}", flush=True)
    return pd.concat(frames, ignore_index=True)


def _kept(name: str, seed: int, scale: str, dataset: str, device: str | None, out: Path) -> pd.DataFrame:
    path = out / f"{name}-{dataset}-{scale}-seed{seed}.csv"
    if path.exists():
        return pd.read_csv(path)
    frame = compare(name, seed, scale, dataset, device, "none")
    write_csv(frame, path)
    return pd.read_csv(path)  # the same digits as in the run that finds it there
