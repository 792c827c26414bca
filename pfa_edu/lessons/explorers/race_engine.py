"""The race: up to three rules train the same network on the same batches, a step at a time, and are measured.

Plain code without a widget in it, so that it can be tested, scripted and stopped anywhere:

>>> race = Race(Settings(entries=(Entry("bp"), Entry("fa")), dataset="spirals", width=16))
>>> for _ in range(20):
...     race.step()
>>> race.measure()
>>> [lane.scores[-1].step for lane in race.lanes]
[20, 20]
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from torch import nn

from ... import data as datasets
from ... import measure as analysis
from ...errors import ConfigError, unknown
from ...nn.conversion import convert
from ...nn.models import mlp
from ...rules import Rule, known_rules, rule
from ...train.step import train_step
from . import toy
from .threads import one_thread

DATASETS = ("mnist-5k", "spirals")
MOST_RULES = 3
# What can be set, and within which bounds: (lowest, highest), both allowed.
LIMITS: dict[str, tuple[float, float]] = {
    "ratio": (1, 100), "density": (0.05, 1.0), "width": (8, 512), "depth": (1, 4), "lr": (1e-4, 0.3),
    "weight_decay": (0.0, 0.1), "seed": (0, 9999),
}  # fmt: skip
BATCH, MOMENTUM, PROBE = 64, 0.9, 64  # samples a step; the paper's momentum; samples that measure the gradient angle
HEAVY = 4_000_000  # synapses in one R beyond which a step is too slow to watch


@dataclass(frozen=True)
class Entry:
    """One runner: a rule by name with the two knobs that the race offers, where the rule has them."""

    name: str
    ratio: int = 10
    density: float = 1.0

    def knobs(self) -> set[str]:
        """Which of 'ratio' and 'density' the rule has."""
        if self.name not in known_rules():
            raise unknown("rule", self.name, known_rules())
        return known_rules()[self.name].knobs().keys() & {"ratio", "density"}

    def rule(self) -> Rule:
        """The rule, in its cheapest form that is exact: the race trains by SGD."""
        return rule(self.name, **{name: getattr(self, name) for name in sorted(self.knobs())}).under(torch.optim.SGD)

    def floor(self, width: int) -> float | None:
        """Where theory lets the path angle of a layer of ``width`` neurons end, in degrees; None if it does not say."""
        return self.rule().limit(width)


@dataclass(frozen=True)
class Settings:
    """A race's settings. ``lr`` and ``weight_decay`` may be changed while it runs, by ``Race.set_pace``."""

    entries: tuple[Entry, ...] = (Entry("bp"), Entry("fa"), Entry("pfa"))
    dataset: str = "mnist-5k"
    width: int = 128
    depth: int = 2
    lr: float = 0.02
    weight_decay: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dataset not in DATASETS:
            raise unknown("dataset", self.dataset, DATASETS)
        if not 1 <= len(self.entries) <= MOST_RULES:
            raise ConfigError(f"{len(self.entries)} rules: a race has 1 to {MOST_RULES}")
        for name in LIMITS:
            for value in self._values(name):
                check(name, value)
        for entry in self.entries:
            entry.rule()  # an unknown rule, or a knob that it refuses

    def _values(self, name: str) -> list[float]:
        return [getattr(self, name)] if hasattr(self, name) else [getattr(entry, name) for entry in self.entries]

    def lightened(self) -> tuple[Settings, str]:
        """The same settings with masked PFA's ratio lowered where R would be too large to train live, and why."""
        inputs = 784 if self.dataset == "mnist-5k" else 2
        most = max(1, HEAVY // (self.width * max(inputs, self.width)))
        heavy = [e for e in self.entries if e.knobs() >= {"ratio", "density"} and e.density < 1 and e.ratio > most]
        if not heavy:
            return self, ""
        entries = tuple(replace(e, ratio=most) if e in heavy else e for e in self.entries)
        why = f"a sparse PFA holds every synapse of R: ratio {heavy[0].ratio} is too large here, {most} is used"
        return replace(self, entries=entries), why


def check(name: str, value: float) -> None:
    """ConfigError unless ``value`` is a number within the bounds of ``name``."""
    low, high = LIMITS[name]
    if not (isinstance(value, (int, float)) and low <= value <= high):
        raise ConfigError(f"{name} {value!r}: it must be between {low:g} and {high:g}")


def _named(dataset: str) -> datasets.Dataset:
    return toy.spirals() if dataset == "spirals" else datasets.load("mnist-5k")


class Score(NamedTuple):
    """How many of the held-out samples a lane gets right, in percent."""

    step: int
    accuracy: float


class Angles(NamedTuple):
    """Degrees by layer name; ``path`` is empty for DFA, which has no F."""

    step: int
    path: dict[str, float]
    gradient: dict[str, float]


@dataclass
class Lane:
    """One runner of the race: its network, its optimiser and everything that was measured of it."""

    entry: Entry
    net: nn.Module
    scores: list[Score] = field(default_factory=list)
    angles: list[Angles] = field(default_factory=list)
    fell_at: int | None = None  # the step at which its loss stopped being finite

    @functools.cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """Made for the first step, which sets its pace: a process's first optimiser imports for 1.5 s."""
        return torch.optim.SGD(self.net.parameters(), momentum=MOMENTUM, fused=True)

    @property
    def label(self) -> str:
        """The rule's own label, as in every result table: 'pfa ratio=4'."""
        return self.entry.rule().label


class Race:
    """Networks of the same initial weights, each with its own rule, trained on the same batches.

    ``data`` is loaded by name unless it is given. All random draws come from ``settings.seed``; the caller's random
    stream is left as it was.
    """

    def __init__(self, settings: Settings, data: datasets.Dataset | None = None):
        self.settings = settings
        self.data = _named(settings.dataset) if data is None else data
        if self.data.classes is None:
            raise ConfigError(f"{self.data.name} does not say how many classes it has: a race is about classes")
        self.classes = self.data.classes
        self.steps = 0
        self.lanes = [self._lane(entry) for entry in settings.entries]
        self._order = torch.Generator().manual_seed(settings.seed)
        self._batches: Iterator[torch.Tensor] = iter(())
        self.measure()

    def _lane(self, entry: Entry) -> Lane:
        s, inputs = self.settings, math.prod(self.data.train_x.shape[1:])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(s.seed)  # convert draws every W before any feedback: all rules start from the same W
            plain = mlp((inputs, *[s.width] * s.depth, self.classes))
            net = convert(plain, entry.rule(), init="xavier", inplace=True, verbose=False)
        return Lane(entry, net)

    @property
    def running(self) -> list[Lane]:
        """The lanes whose loss is still a number."""
        return [lane for lane in self.lanes if lane.fell_at is None]

    def set_pace(self, lr: float, weight_decay: float) -> None:
        """Another learning rate and weight decay from the next step on. The closed form holds for any schedule."""
        check("lr", lr)
        check("weight_decay", weight_decay)
        self.settings = replace(self.settings, lr=lr, weight_decay=weight_decay)

    @one_thread()
    def step(self) -> None:
        """One SGD step of every lane on the same batch. A lane whose loss is no longer finite drops out."""
        index = next(self._batches, None)
        if index is None:
            self._batches = datasets.batches(len(self.data.train_y), BATCH, self._order)
            index = next(self._batches)
        x, y = self.data.train_x[index], self.data.train_y[index]
        for lane in self.running:
            lane.optimizer.param_groups[0].update(lr=self.settings.lr, weight_decay=self.settings.weight_decay)
            loss = train_step(lane.net, lane.optimizer, nnf.cross_entropy, x, y)
            if not math.isfinite(loss.item()):
                lane.fell_at = self.steps
        self.steps += 1

    @one_thread()
    def measure(self, moving: bool = False) -> None:
        """Adds to each lane what it is now, unless that is known already. Training is not changed by it.

        Angles cost more than accuracy: ``moving`` takes those of one lane only, of each lane in turn.
        """
        for lane in self.running:
            if not lane.scores or lane.scores[-1].step != self.steps:
                lane.scores.append(Score(self.steps, self._accuracy(lane.net)))
        stale = [lane for lane in self.running if not lane.angles or lane.angles[-1].step != self.steps]
        if moving:
            stale = sorted(stale, key=lambda lane: lane.angles[-1].step)[:1]
        probe = self.data.train_x[:PROBE], self.data.train_y[:PROBE]
        for lane in stale:
            gradient = analysis.gradient_angle(lane.net, nnf.cross_entropy, *probe)
            lane.angles.append(Angles(self.steps, analysis.path_alignment(lane.net), gradient))

    @torch.no_grad()
    def _accuracy(self, net: nn.Module) -> float:
        right = net(self.data.test_x).argmax(1) == self.data.test_y
        return right.double().mean().item() * 100
