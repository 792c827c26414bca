"""The named experiments, each a plain function that returns an :class:`Experiment`: write yours likewise.

Their numbers are in scales.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import data as datasets
from .._settings import imported
from ..errors import ConfigError, unknown
from ..rules import Rule, decay_to_fade, steps_to_fade
from ..rules import rule as rule_by_name
from ..train.execution import Execution
from ..train.optimizer import Optimizer
from ..train.recipe import Recipe, checked
from .experiments import Data, Experiment, Network
from .scales import PRESETS, Preset

SCALES = ("smoke", "classroom", "evening", "paper")


def mnist(rule: Rule | str, seed: int = 0, scale: str = "classroom", **settings: Any) -> Experiment:
    """784-512-512-10 on MNIST; at the small scales on the 5,000 digits that need no download."""
    return at_scale("mnist", rule, seed, scale, **settings)


def sparse(rule: Rule | str, seed: int = 0, scale: str = "classroom", **settings: Any) -> Experiment:
    """MNIST for rules of different density: at the small scales it learns faster, and decays less."""
    return at_scale("sparse", rule, seed, scale, **settings)


def cifar10(rule: Rule | str, seed: int = 0, scale: str = "classroom", **settings: Any) -> Experiment:
    """ResNet-20 on CIFAR-10, 45,000 images to train on and 5,000 held out."""
    return at_scale("cifar10", rule, seed, scale, **settings)


def imagenet(rule: Rule | str, seed: int = 0, scale: str = "paper", **settings: Any) -> Experiment:
    """ResNet-18 on a folder of pictures."""
    return at_scale("imagenet", rule, seed, scale, **settings)


def vit(rule: Rule | str, seed: int = 0, scale: str = "classroom", **settings: Any) -> Experiment:
    """A vision transformer of four blocks on CIFAR-10, by AdamW."""
    return at_scale("vit", rule, seed, scale, **settings)


def gpt(rule: Rule | str, seed: int = 0, scale: str = "classroom", **settings: Any) -> Experiment:
    """A transformer of four blocks that predicts the next character of Python's help, by AdamW."""
    return at_scale("gpt", rule, seed, scale, **settings)


EXPERIMENTS: dict[str, Callable[..., Experiment]] = {
    "mnist": mnist, "sparse": sparse, "cifar10": cifar10, "imagenet": imagenet, "vit": vit, "gpt": gpt,
}  # fmt: skip


def experiment(
    name: str | Callable[..., Experiment], rule: Rule | str, seed: int = 0, scale: str | None = None, **settings: Any
) -> Experiment:
    """The experiment ``name`` with ``rule``, ready to ``run()``.

    ``name``: 'mnist', 'sparse', 'cifar10', 'imagenet', 'vit' or 'gpt'; a function of your own that takes a rule, a seed
    and settings and returns an :class:`Experiment`, or 'module:function'. ``scale``: 'smoke', 'classroom', 'evening' or
    'paper', where the experiment has it. ``settings``: see :func:`at_scale`.

    >>> from pfa_edu import PFA
    >>> experiment("mnist", PFA(ratio=10), seed=0, scale="paper").recipe.strong_steps
    937
    """
    build = find(name)
    made = build(rule_by_name(rule), seed, **({} if scale is None else {"scale": scale}), **settings)
    if not isinstance(made, Experiment):
        raise ConfigError(f"{name} returned a {type(made).__name__}: a preset returns a pe.Experiment")
    return made


def find(name: str | Callable[..., Experiment]) -> Callable[..., Experiment]:
    """The function that makes the experiment ``name``."""
    if callable(name):
        return name
    if name in EXPERIMENTS:
        return EXPERIMENTS[name]
    if ":" not in str(name):
        raise unknown("experiment", name, EXPERIMENTS)
    found = imported(str(name), "experiment")
    if not callable(found):
        raise ConfigError(f"experiment {name!r} is not a function that returns a pe.Experiment")
    return found


def preset(name: str, scale: str) -> Preset:
    """The settings of a named experiment at a scale."""
    if name not in PRESETS:
        raise unknown("experiment", name, PRESETS)
    if scale not in PRESETS[name]:
        raise unknown(f"scale of {name}", scale, PRESETS[name])
    return PRESETS[name][scale]


def at_scale(
    name: str, rule: Rule | str, seed: int = 0, scale: str = "classroom", *, dataset: str | Data | None = None,
    network: Network | None = None, out: str | Path | None = "runs", device: str | None = None,
    engine: str | None = None, precision: str | None = None, data_root: str | Path | None = None,
    workers: int | None = None, optimizer: Any = None, callbacks: tuple[Any, ...] = (), frozen: Any = 0, **changes: Any,
) -> Experiment:  # fmt: skip
    """The named experiment with another ``dataset``, ``network``, ``optimizer``, or other numbers in its recipe.

    ``out``: the folder of runs that keeps it, in a folder of its own, ``out``/mnist-classroom/pfa-seed0 (None keeps
    nothing). ``device``: 'cpu' or 'cuda', by default a GPU where there is one. ``engine`` ('eager', 'compile', 'graph')
    and ``precision`` ('float32', 'tf32', 'bf16'): how steps are run, by default eagerly and in float32
    (:class:`~pfa_edu.Execution`). ``data_root``, ``workers``: where the data is, and processes that read pictures
    (:func:`pfa_edu.data.load`). ``frozen``: lower layers that keep their initial values, how many or their names.
    ``changes``: fields of the :class:`~pfa_edu.Recipe`, e.g. ``epochs=5``.
    """
    chosen, rule = preset(name, scale), rule_by_name(rule)
    optimizer = chosen.optimizer if optimizer is None else Optimizer.of(optimizer)
    if not chosen.optimizer.is_sgd and not optimizer.is_sgd and getattr(rule, "form", "") == "auto":
        rule = replace(rule, form="coupled")  # type: ignore[call-arg]
    changes = {field: checked(field, value) for field, value in changes.items()}
    data = chosen.dataset if dataset is None else dataset
    images = None
    if isinstance(data, str):
        if data not in datasets.NAMES:
            raise unknown("dataset", data, datasets.NAMES)
        images = datasets.train_size(data, data_root) if data in datasets.FOLDERS else None
        if images is not None and chosen.subset is not None:
            raise ConfigError(f"{name} at scale {scale!r} trains on a part of a dataset in memory, which {data} is not")
    size = chosen.subset or images or (datasets.train_size(data) if isinstance(data, str) else data.train_size)
    return Experiment(
        network or chosen.network, data, rule, _recipe(chosen, rule, optimizer, size, changes), seed, name,
        None if out is None else Path(out), chosen.loss, optimizer, tuple(callbacks), "xavier",
        frozen=frozen, device=device, execution=Execution(engine or "eager", precision or "float32"), scale=scale,
        subset=chosen.subset, data_root=None if data_root is None else str(data_root), workers=workers,
        train_images=images, group="-".join([name, scale, *([] if data == chosen.dataset else [_named(data)])]),
    )  # fmt: skip


def _named(data: str | Data) -> str:
    return data if isinstance(data, str) else data.name


def _recipe(chosen: Preset, rule: Rule, optimizer: Optimizer, size: int, changes: dict[str, Any]) -> Recipe:
    """The preset's recipe with ``changes``, and for a rule that aligns by decay its strong first phase.

    Where the preset's optimiser is SGD, the phase is a matter of its law: under another one it is there if both its
    settings are given.
    """
    lr = chosen.lr_of.get(rule.name, chosen.recipe.lr)
    recipe = replace(chosen.recipe, strong_on=changes.get("strong_on", chosen.recipe.strong_on), lr=lr)
    plain = {k: v for k, v in changes.items() if k not in ("strong_decay", "strong_steps")}
    recipe = replace(recipe, **plain)
    phase = {k: changes[k] for k in ("strong_decay", "strong_steps") if k in changes}
    if 0 in phase.values():  # either of them 0: no strong phase
        return recipe
    decoupled = not chosen.optimizer.is_sgd and optimizer == chosen.optimizer
    if not (rule.aligns_by_decay and (optimizer.is_sgd or decoupled)):
        return replace(recipe, **phase)
    one_epoch = size // recipe.batch_size
    if not one_epoch:
        raise ConfigError(f"batch_size {recipe.batch_size} is more than the {size} training samples: lower it")
    if decoupled:
        steps = phase.get("strong_steps", recipe.warm_up)
        rates = [recipe.lr_in(step, one_epoch) for step in range(steps)]
        decay = phase["strong_decay"] if "strong_decay" in phase else decay_to_fade(chosen.fade or 0.05, rates)
    else:
        decay, fade = phase.get("strong_decay", chosen.strong_decay), chosen.fade  # None: the phase is one epoch
        steps = phase.get("strong_steps")
        if steps is None:
            steps = one_epoch if fade is None else steps_to_fade(fade, recipe.lr, recipe.momentum, decay)
    gentle = changes.get("weight_decay", chosen.gentle_decay)
    return replace(recipe, strong_decay=decay, strong_steps=steps, weight_decay=gentle)
