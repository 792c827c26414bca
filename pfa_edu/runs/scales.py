"""The settings of every named experiment at every scale: networks, recipes, decays, learning rates."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from torch.nn import functional as nnf

from ..nn.transformers import token_loss
from ..train.optimizer import Optimizer
from ..train.recipe import Recipe
from ..train.step import Loss


@dataclass(frozen=True)
class Preset:
    """An experiment at one scale.

    ``network``: a name that ``models.build`` takes. ``subset``: so many training (and two fifths as many validation)
    images, None for all. ``strong_decay`` fades the initial mismatch of rules that align by decay; it lasts one epoch
    where ``fade`` is None, as in the paper, else until a_t is ``fade``. ``gentle_decay`` is their weight decay
    afterwards. ``lr_of``: rules with a learning rate of their own, by name; all others have the recipe's. ``leaves``:
    the number of epochs after which the schedule is no longer that of the published run whose curves stand behind it,
    None: it is all of it.
    ``optimizer``, ``loss``: as an experiment has them. Under an optimiser with decoupled decay, PFA takes its coupled
    form, and the strong phase is the warm-up, with the decay that takes a to ``fade`` in it.
    """

    dataset: str
    network: str
    recipe: Recipe
    strong_decay: float
    gentle_decay: float
    fade: float | None = None
    subset: int | None = None
    lr_of: dict[str, float] = field(default_factory=dict)
    published: str | None = None
    leaves: int | None = None
    optimizer: Optimizer = field(default_factory=Optimizer)
    loss: Loss = nnf.cross_entropy


# The paper's networks and settings to the letter (arXiv 2405.20594). On MNIST a_t is 0.057 after the first epoch; on a
# small set an epoch has few steps, so the strong decay lasts as many steps as a_t needs to become about as small.
_MNIST = Recipe(epochs=40, batch_size=64, lr=0.01, lr_drops=(20, 30))
_CIFAR = Recipe(epochs=250, batch_size=128, lr=0.1, lr_drops=(100, 150, 200), lr_gamma=0.1)
_IMAGENET = Recipe(epochs=75, batch_size=256, lr=0.1, lr_drops=(20, 40, 60), lr_gamma=0.1)
MNIST = {
    "smoke": Preset("mnist-5k", "mlp-32-32", replace(_MNIST, epochs=3, lr_drops=(2,)), 0.3, 9e-5, fade=0.06),
    "classroom": Preset(
        "mnist-5k", "mlp-512-512", replace(_MNIST, epochs=30, lr_drops=(20, 25)), 0.03, 9e-5, fade=0.06
    ),
    "paper": Preset("mnist", "mlp-512-512", _MNIST, 0.03, 9e-5, published="mnist"),
}
_CIFAR_PAPER = Preset("cifar10", "resnet20", _CIFAR, 0.005, 1e-4, lr_of={"dfa": 0.001}, published="cifar10")
CIFAR10 = {
    # Few steps, so a lower learning rate than the paper's, and the strong decay on weights alone.
    "smoke": Preset(
        "mnist-5k", "resnet20-4",
        replace(_CIFAR, epochs=3, batch_size=32, lr=0.02, lr_drops=(2,), strong_on="weights"), 0.5, 1e-4,
        fade=0.25, subset=512, lr_of={"dfa": 0.002},
    ),
    # The paper's own run, its first epochs only: what a class can train while it looks at an evening's results.
    "classroom": replace(_CIFAR_PAPER, recipe=replace(_CIFAR, epochs=2, lr_drops=())),
    # The paper's first 14 epochs to the letter, then its learning rate drops at once, not after 100 and 150 epochs.
    "evening": replace(_CIFAR_PAPER, recipe=replace(_CIFAR, epochs=20, lr_drops=(14, 18)), leaves=14),
    "paper": _CIFAR_PAPER,
}  # fmt: skip
IMAGENET = {
    "smoke": Preset(
        "imagenet-64", "resnet18", replace(_IMAGENET, epochs=2, batch_size=16, lr=0.02, lr_drops=(1,)), 0.5, 1e-4,
        fade=0.06,
    ),
    "paper": Preset("imagenet", "resnet18", _IMAGENET, 0.0005, 1e-4),
}  # fmt: skip
# Sparse feedback takes MNIST's settings, but at the small scales learns five times as fast with a fifth of the strong
# decay: a_t is the same. A thinned F = B R is short (‖F‖/‖W‖ = √(p² + p/ratio): 0.09 at density 0.05, ratio 10), so the
# layers behind it learn slowly: they lose to a strong decay, and at MNIST's rate a short run ends before they have
# learned (classroom, density 0.05: training loss 0.25 where FA's was 0.12).
SPARSE = {
    scale: replace(p, recipe=replace(p.recipe, lr=5 * p.recipe.lr), strong_decay=p.strong_decay / 5)
    for scale, p in MNIST.items()
    if scale != "paper"
} | {"paper": replace(MNIST["paper"], published=None)}
# Transformers: AdamW with decay on matrices only, a warm-up of a tenth of all steps, then a cosine to a tenth.
_ADAMW = Optimizer("AdamW", betas=(0.9, 0.95), fused=True)
_VIT = Recipe(
    epochs=3, batch_size=128, lr=3e-3, weight_decay=0.1, warm_up=105, cosine=0.1, decay_on="weights",
    strong_on="weights",
)  # fmt: skip
_GPT = replace(_VIT, epochs=5, batch_size=64, warm_up=64)
# The best of five rates for each rule, by validation loss after one epoch (ViT) and two (GPT), at four blocks:
# figures/vit/search.csv and figures/gpt/search.csv. Backprop's, 0.003 in both, is the recipe's own.
_VIT_RATES = {"pfa-o": 0.01, "dfa": 0.01, "soft": 0.001}
_GPT_RATES = {"pfa": 0.01, "pfa-o": 0.001, "kp": 0.001, "fa": 0.01, "soft": 0.01, "dfa": 0.01}
_DECOUPLED: dict[str, Any] = {"strong_decay": 0.0, "gentle_decay": 0.1, "fade": 0.05, "optimizer": _ADAMW}
VIT = {
    "smoke": Preset("mnist-5k", "vit-2-32", replace(_VIT, batch_size=32, warm_up=10), subset=512, **_DECOUPLED),
    "classroom": Preset("cifar10", "vit-4", _VIT, lr_of=_VIT_RATES, **_DECOUPLED),
    "evening": Preset("cifar10", "vit-4", replace(_VIT, epochs=30, warm_up=1050), lr_of=_VIT_RATES, **_DECOUPLED),
}
GPT = {
    "smoke": Preset(
        "pydoc-topics", "gpt-2-48", replace(_GPT, epochs=3, batch_size=8, lr=2e-3, warm_up=10), subset=256,
        loss=token_loss, **_DECOUPLED,
    ),
    "classroom": Preset("pydoc-topics", "gpt-4", _GPT, lr_of=_GPT_RATES, loss=token_loss, **_DECOUPLED),
    "evening": Preset(
        "pydoc-topics", "gpt-4", replace(_GPT, epochs=30, warm_up=384), lr_of=_GPT_RATES, loss=token_loss,
        **_DECOUPLED,
    ),
}  # fmt: skip
PRESETS: dict[str, dict[str, Preset]] = {
    "mnist": MNIST, "sparse": SPARSE, "cifar10": CIFAR10, "imagenet": IMAGENET, "vit": VIT, "gpt": GPT,
}  # fmt: skip
