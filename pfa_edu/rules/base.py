"""What every rule has in common, and the registry that knows them all.

A rule is one class in one file. Its knobs are annotated attributes, and once the class is defined, the rule is known
everywhere: by name, on the command line, in sweeps, figures and the race.

>>> from pfa_edu import Path
>>> class Halved(Rule):
...     \"\"\"Sends back half of what backprop would.\"\"\"
...     share: float = 0.5
...     def make(self, layer):
...         return HalvedFeedback(self.share)
>>> class HalvedFeedback(Feedback):
...     def __init__(self, share):
...         super().__init__()
...         self.share = share
...     def path(self, weight):
...         return Path(F=self.share * weight.detach())
>>> rule("halved", share=0.25)
Halved(share=0.25)
>>> forget(Halved)
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, NoReturn

import torch
from torch import nn
from typing_extensions import dataclass_transform

from .._settings import imported
from ..errors import ConfigError, unknown
from .feedback import Feedback, Layer


class Look(NamedTuple):
    """How figures show a rule. ``size`` evens out the areas of the markers."""

    label: str
    colour: str
    marker: str
    size: float = 1.0


_classes: list[type[Rule]] = []  # in the order of definition, which is that of every legend and table


@dataclass_transform(frozen_default=True)
@dataclass(frozen=True)
class Rule:
    """Base of the rules: subclass it, annotate its knobs, define :meth:`make`.

    Class attributes, all optional: ``name``, by which the command line and result tables know it (default: the class's
    name in lower case); ``look``, a :class:`Look` for figures (default: the name, and the next colour of a cycle);
    ``equation``, the feedback weight in a few symbols; ``aligns_by_decay``: weight decay is what turns F towards W, so
    experiments begin with their strong decay; ``records``: layers keep ``layer.h`` and ``layer.delta`` of every step.
    """

    name: ClassVar[str] = "rule"
    look: ClassVar[Look | None] = None
    equation: ClassVar[str] = ""
    aligns_by_decay: ClassVar[bool] = False
    records: ClassVar[bool] = False

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        dataclass(frozen=True, repr=False)(cls)
        del cls.__setattr__, cls.__delattr__  # Rule's own do it, and a second @dataclass(frozen=True) is then no error
        if abstract:  # a base class that several rules share is not a rule
            return
        if "name" not in cls.__dict__:
            cls.name = cls.__name__.lower()
        same = (cls.__module__, cls.__qualname__)  # a notebook's cell run again defines the class again
        _classes[:] = [c for c in _classes if (c.__module__, c.__qualname__) != same]
        taken = next((c for c in _classes if _spelt(c.name) == _spelt(cls.name)), None)
        if taken is not None:
            raise ConfigError(
                f"the name {cls.name!r} is already taken by {taken.__module__}.{taken.__qualname__}: give "
                f'{cls.__name__} another one, name = "..."'
            )
        _classes.append(cls)

    def make(self, layer: Layer) -> Feedback | None:
        """Draws the feedback for ``layer`` beside its present ``layer.weight``; None: the layer learns by backprop."""
        raise ConfigError(f"{type(self).__name__} is not a complete rule: define make(self, layer)")

    def limit(self, out: float = float("inf")) -> float | None:
        """Where theory says the path angle of a layer of ``out`` neurons ends, in degrees; None: no prediction."""
        return None

    def mid(self, out: int) -> int | None:
        """Mid neurons of the feedback path of a layer of ``out`` neurons; None where the path has none."""
        return None

    def under(self, optimizer: type[torch.optim.Optimizer], first: bool = False) -> Rule:
        """The same rule in the cheapest form that is exact under ``optimizer``; itself where there is one form only.

        ``first``: for a layer that sends no error back.
        """
        return self

    def for_network(self, outputs: int) -> Rule:
        """The same rule, told the size of the network's output; itself where that does not matter."""
        return self

    # Hooks of a training run, as pe.Callback has them: ``run`` is the Trainer, with net, optimizer, data, epoch, step.

    def before_training(self, run: Any) -> None:
        """Once, before the first epoch; not when an interrupted run resumes."""

    def before_epoch(self, run: Any) -> None:
        """Before every epoch."""

    def before_step(self, run: Any) -> None:
        """Before the forward pass of every step."""

    def on_step(self, run: Any) -> None:
        """After the optimiser's step; a rule that ``records`` finds h and δ at ``layer.h`` and ``layer.delta``."""

    def on_epoch(self, run: Any) -> None:
        """After an epoch has been measured, before its checkpoint is written."""

    @classmethod
    def knobs(cls) -> dict[str, dataclasses.Field]:
        """The knobs that change what is learned, by name; neither ``form`` nor what convert() fills in is one."""
        return {f.name: f for f in dataclasses.fields(cls) if not f.metadata.get("hidden")}

    def __repr__(self) -> str:
        shown = (f for f in dataclasses.fields(self) if not self.unsaid(f))
        return f"{type(self).__qualname__}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in shown)})"

    def unsaid(self, field: dataclasses.Field) -> bool:
        """Whether ``field`` is a quiet one at its default, which neither representation nor results name."""
        return bool(field.metadata.get("quiet") and getattr(self, field.name) == field.default)

    @property
    def label(self) -> str:
        """The name, followed by every knob that differs from its default.

        >>> rule("pfa", ratio=20).label
        'pfa ratio=20'
        """
        changed = [f"{k}={getattr(self, k)}" for k, f in self.knobs().items() if getattr(self, k) != f.default]
        return " ".join([self.name, *changed])


def _frozen(self: Rule, name: str, value: Any = None) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"a rule cannot be changed: use dataclasses.replace(rule, {name}=...)")


Rule.__setattr__ = Rule.__delattr__ = _frozen  # type: ignore[method-assign,assignment]


def hidden(default: Any) -> Any:
    """A dataclass field that is not a knob: it does not change what is learned."""
    return dataclasses.field(default=default, metadata={"hidden": True})


def quiet(default: Any) -> Any:
    """A knob that a rule's representation names only where it is not at its default."""
    return dataclasses.field(default=default, metadata={"quiet": True})


def known_rules() -> dict[str, type[Rule]]:
    """Every rule that is known, by name, in the order of legends and tables.

    >>> list(known_rules())[:7]
    ['bp', 'fa', 'dfa', 'sf', 'kp', 'pfa', 'pfa-o']
    """
    return {cls.name: cls for cls in _classes}


def rule(name: Rule | str, **knobs: Any) -> Rule:
    """The rule of that name with the given knobs; a rule object is returned as it is.

    ``name``: as in :func:`known_rules`, in any spelling ('PFA-o', 'pfao'), 'module:Class' for a rule of your own, or a
    rule's label, as results write it ('pfa ratio=20').

    >>> rule("pfa", ratio=20) == rule("pfa ratio=20")
    True
    """
    if isinstance(name, Rule):
        return dataclasses.replace(name, **_known(type(name), knobs)) if knobs else name
    if isinstance(name, type) and issubclass(name, Rule):
        raise ConfigError(f"rule {name.__name__} is a class: write {name.__name__}(), with any knobs inside")
    text, *of_label = str(name).split() or [""]
    knobs = {knob: _literal(value) for knob, _, value in (pair.partition("=") for pair in of_label)} | knobs
    cls = _imported(text) if ":" in text else {_spelt(k): c for k, c in known_rules().items()}.get(_spelt(text))
    if cls is None:
        raise unknown("rule", name, known_rules())
    return cls(**_known(cls, knobs))


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):  # a word, such as SF's kind
        return text


def forget(cls: type[Rule]) -> None:
    """Takes a rule out of the registry."""
    _classes.remove(cls)


def rules_in(net: nn.Module) -> Iterator[Rule]:
    """The distinct rules of the layers of ``net``."""
    held = (getattr(m, "rule", None) for m in net.modules())
    return iter(dict.fromkeys(rule for rule in held if isinstance(rule, Rule)))


def _known(cls: type[Rule], knobs: dict[str, Any]) -> dict[str, Any]:
    known = [f.name for f in dataclasses.fields(cls)]
    for knob in knobs:
        if knob not in known:
            raise unknown(f"knob of {cls.name}", knob, known or ["(it has none)"])
    return knobs


def _spelt(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")  # PFA-o, pfa_o and PFAo are all understood


def _imported(text: str) -> type[Rule]:
    """The class that 'module:Class' names."""
    found = imported(text, "rule")
    if not (isinstance(found, type) and issubclass(found, Rule)):
        raise ConfigError(f"rule {text!r} is not a subclass of pfa_edu.Rule")
    return found
