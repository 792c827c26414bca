"""The race with its controls: choose rules, press Play, watch. The engine is race_engine, the picture race_picture."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import torch

from ...plots import rule_look
from ...rules import known_rules
from .base import row
from .controls import SHARE, Choice, Control, Number, require_ipywidgets
from .live import LiveExplorer
from .race_engine import DATASETS, LIMITS, MOST_RULES, Entry, Race, Settings
from .race_picture import RacePicture

MOST_STEPS = 20_000  # where a race that nobody watches ends
_START = Settings()
_NONE = ""  # the rule of a lane without a runner


def _number(name: str, label: str, tooltip: str, default: float, i: int | None = None, **how: Any) -> Number:
    """A number within the engine's own limits."""
    return Number(name if i is None else f"{name}{i}", label, tooltip, *LIMITS[name], default, **how)


def _controls() -> list[Control]:
    rules = {rule_look(name).label: name for name in known_rules()}
    made: list[Control] = []
    for i in range(1, MOST_RULES + 1):
        entry = _START.entries[i - 1]
        options = rules if i == 1 else rules | {"nobody": _NONE}
        made += [
            Choice(f"rule{i}", f"Rule {i}", "How the error is carried back in this lane", options, entry.name),
            _number("ratio", "Ratio", "PFA: mid neurons per neuron", entry.ratio, i, log=True, step=0.05, whole=True),
            _number("density", "Density", "Fraction of the feedback synapses that exist", entry.density, i, step=0.05),
        ]  # fmt: skip
    return [
        *made,
        Choice("dataset", "Data", "5,000 digits, or points in a plane", {d: d for d in DATASETS}, _START.dataset),
        _number("lr", "Learn rate", "Learning rate; may be changed while it runs", _START.lr, log=True, step=0.05),
        _number("weight_decay", "Decay", "Weight decay; may be changed while it runs", _START.weight_decay, step=0.001),
        _number("width", "Width", "Neurons in each hidden layer", _START.width, whole=True, step=8),
        _number("depth", "Depth", "Hidden layers", _START.depth, whole=True),
        _number("seed", "Seed", "Another draw of the weights and of the batches' order", _START.seed, whole=True),
    ]  # fmt: skip


def settings(**state: Any) -> Settings:
    """The engine's settings for the controls' values by name."""
    entries = tuple(
        Entry(state[f"rule{i}"], state[f"ratio{i}"], round(state[f"density{i}"], 2))
        for i in range(1, MOST_RULES + 1)
        if state[f"rule{i}"] != _NONE
    )
    return Settings(entries, **{name: value for name, value in state.items() if not name[-1].isdigit()})


def step(race: Race) -> bool:
    """One step of every lane; whether there is more to do."""
    if race.steps < MOST_STEPS and race.running:
        race.step()
    return race.steps < MOST_STEPS and bool(race.running)


def summary(race: Race) -> str:
    """Who is where, in one line."""
    told = []
    for lane in race.lanes:
        path = ", ".join(f"{degrees:.0f}°" for degrees in lane.angles[-1].path.values())
        angles, label = f", F at {path} to W" if path else "", rule_look(lane.entry.name).label
        fell = (
            f", loss not finite since step {lane.fell_at}: lower the learning rate" if lane.fell_at is not None else ""
        )
        told.append(f"{label} {lane.scores[-1].accuracy:.1f} %{angles}{fell}")
    end = f" The race ends at {MOST_STEPS} steps." if race.steps >= MOST_STEPS else ""
    return f"Step {race.steps}: {'; '.join(told)}.{end}"


class RaceExplorer(LiveExplorer):
    """The race. Learning rate and decay act at once; every other change waits for Reset once a step has been made."""

    def __init__(self, static_steps: int = 60):
        super().__init__(_controls(), Race, RacePicture(), summary, live=False, step=step, static_steps=static_steps)

    def _compute(self) -> None:
        wanted, why = settings(**self.state).lightened()
        race: Race | None = self.result
        now = race and replace(wanted, lr=race.settings.lr, weight_decay=race.settings.weight_decay)
        if race is not None and now == race.settings:
            race.set_pace(wanted.lr, wanted.weight_decay)
        elif race is None or race.steps == 0:
            self.result = Race(wanted)
        else:
            self.status = f"{self.status} Press Reset to race with the new settings.".strip()
        self.status = f"{self.status} {why}".strip()
        self._draw(moving=self.playing)

    def _idle(self) -> set[str]:
        """A lane's knobs that its rule does not have."""
        chosen = {i: self.state[f"rule{i}"] for i in range(1, MOST_RULES + 1)}
        has = {i: Entry(name).knobs() if name else set() for i, name in chosen.items()}
        return {f"{knob}{i}" for i in chosen for knob in ("ratio", "density") if knob not in has[i]}

    async def _play(self) -> None:
        # Torch imports its compiler for a process's first optimiser: elsewhere, so that Pause answers meanwhile.
        await asyncio.to_thread(torch.optim.SGD, [torch.zeros(1, requires_grad=True)])
        await super()._play()

    def reset(self) -> None:
        self.pause()
        with self._shown():
            self.result, self.status = None, ""
            self._compute()

    def _measure(self, moving: bool = False) -> None:
        self.result.measure(moving)

    def advance(self, steps: int) -> None:
        for done in range(1, steps + 1):
            if not self.step_run(self.result):
                break
            if done % 4 == 0:  # the curves' points
                self.result.measure()
        self._measure()
        self.redraw()

    def _arrange(self, built: dict[str, Any]) -> tuple[Any, Any]:
        """At first the three rules; folded, a column of knobs for each lane, and what all lanes share."""
        w = require_ipywidgets()
        rules = row([built[f"rule{i}"] for i in range(1, MOST_RULES + 1)])
        lanes = [[f"ratio{i}", f"density{i}"] for i in range(1, MOST_RULES + 1)]
        shared = [name for name in built if not name[-1].isdigit()]
        columns = [lane + shared[i::MOST_RULES] for i, lane in enumerate(lanes)]
        boxes = [w.VBox([built[name] for name in column], layout=w.Layout(**SHARE)) for column in columns]
        for box in built.values():
            box.layout.max_width = "100%"
        for name in (name for column in columns for name in column):
            built[name].layout.flex = "0 0 auto"
        return rules, row(boxes)


def explorer(static_steps: int = 60) -> RaceExplorer:
    """The race, ready to be shown. ``static_steps``: how far it runs where nobody can press Play."""
    return RaceExplorer(static_steps)
