"""One-time soft alignment, alive: how near to W must a fixed F start, to carry an error through a deep network?

compute(angle) → Started → SoftPicture. Nothing is trained here: it shows runs that are kept with the package.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import pandas as pd

from ...errors import ConfigError
from ...plots import rule_look
from ...rules import rule as rule_by_name
from ...rules.soft import Soft
from ..results import committed
from ..soft_study import ANGLES, accuracies
from .base import Explorer
from .controls import Number
from .picture import GREY, INK, Picture, tidy

CONTROLS = (
    Number("angle", "Start of F", "Degrees between F and W before training", 0, 90, 90, step=ANGLES[1], whole=True),
)
RESULTS = "soft-classroom"


@dataclass(frozen=True)
class Started:
    """What FA from ``angle`` degrees did: accuracy by depth, and the path angle of each layer after training in the
    deepest network; the same of PFA and backprop. Means over seeds, and the seeds' standard deviation."""

    angle: int
    accuracy: dict[str, dict[int, float]]  # by rule: 'soft', 'pfa', 'bp', then by hidden layers
    std: dict[str, dict[int, float]]
    path: dict[str, dict[str, float]]  # by rule: 'soft', 'pfa', then by layer


@functools.cache
def results() -> pd.DataFrame:
    """The committed runs."""
    return committed(RESULTS)


def compute(angle: float) -> Started:
    """The runs whose angle is nearest to ``angle``.

    >>> compute(40).angle   # doctest: +SKIP
    30
    """
    frame = results()
    rules = {rule: rule_by_name(rule) for rule in frame["rule"].unique()}
    there = {made.angle: rule for rule, made in rules.items() if isinstance(made, Soft)}
    if not there:
        raise ConfigError(f"the results {RESULTS} hold no run of {Soft.__name__}")
    nearest = min(there, key=lambda a: abs(a - angle))
    chosen = {"soft": there[nearest], "pfa": "pfa", "bp": "bp"}
    found = accuracies(frame)
    deepest = frame[(frame["depth"] == frame["depth"].max()) & (frame["epoch"] > 0)]
    angles = deepest[deepest["metric"] == "path_alignment"].groupby(["rule", "layer"], sort=False)["value"].mean()
    by_rule = {name: found[found["rule"] == rule].set_index("depth") for name, rule in chosen.items()}
    return Started(
        round(nearest),
        {name: rows["mean"].to_dict() for name, rows in by_rule.items()},
        {name: rows["std"].to_dict() for name, rows in by_rule.items()},
        {name: angles[rule].to_dict() for name, rule in chosen.items() if name != "bp"},
    )


def summary(result: Started) -> str:
    deep = max(result.accuracy["soft"])
    scores = {name: f"{by[deep]:.1f} ± {result.std[name][deep]:.1f} %" for name, by in result.accuracy.items()}
    return (
        f"FA from {result.angle}°, {deep} hidden layers: {scores['soft']} "
        f"(PFA {scores['pfa']}, backprop {scores['bp']}; mean ± std over seeds)."
    )


class SoftPicture(Picture):
    """Accuracy against depth (left), and each layer's path angle after training (right)."""

    def __init__(self) -> None:
        super().__init__(10.5, 4.2)
        start = compute(90)
        left, right = self.figure.subplots(1, 2)
        tidy(left, "Accuracy after training", "Hidden layers", "Test accuracy in %")
        depths = sorted(start.accuracy["bp"])
        left.set_xscale("log")
        left.set_xticks(depths, [str(d) for d in depths])
        left.minorticks_off()
        values = accuracies(results())["mean"]
        left.set_ylim(min(values) - 6, 100)
        for name in ("bp", "pfa"):
            look = rule_look(name)
            line = start.accuracy[name]
            left.errorbar(
                list(line), list(line.values()), yerr=list(start.std[name].values()), color=look.colour,
                marker=look.marker, capsize=3, label=look.label,
            )  # fmt: skip
        look = rule_look("soft")
        (self._line,) = left.plot([], [], color=look.colour, marker=look.marker, linewidth=2.5, label="FA from here")
        self._bars = left.vlines([], [], [], color=look.colour, linewidth=1.5)
        left.legend(loc="lower left", frameon=False, fontsize=9)

        tidy(right, f"F and W after training, {depths[-1]} hidden layers", "Layer", "∠(F, W) in degrees")
        layers = list(start.path["pfa"])
        right.set_xticks(range(len(layers)), layers)
        right.set(ylim=(-2, 97), yticks=range(0, 91, 15))
        pfa = rule_look("pfa")
        right.plot(list(start.path["pfa"].values()), color=pfa.colour, marker=pfa.marker, linestyle="none")
        self._start = right.axhline(0, color=GREY, linestyle=":", linewidth=1.4)
        (self._ends,) = right.plot([], [], color=look.colour, marker=look.marker, linestyle="none", markersize=8)
        self._value = left.text(0, 0, "", fontsize=10.5, fontweight="bold", color=INK, ha="right", va="top")
        self.live(self._line, self._bars, self._start, self._ends, self._value)
        self.answers(self._line, self._bars, self._value, self._ends)

    def show(self, result: Started) -> None:
        line = result.accuracy["soft"]
        self._line.set_data(list(line), list(line.values()))
        spread = result.std["soft"]
        self._bars.set_segments([[(d, mean - spread[d]), (d, mean + spread[d])] for d, mean in line.items()])
        deep = max(line)
        self._value.set_text(f"{line[deep]:.1f} %")
        self._value.set_position((deep, line[deep] - 1))
        self._start.set_ydata([result.angle, result.angle])
        ends = list(result.path["soft"].values())
        self._ends.set_data(range(len(ends)), ends)


def explorer() -> Explorer:
    """The explorer of one-time soft alignment: the angle at which a fixed F starts."""
    question = "Up to which angle does a fixed F carry the error through four hidden layers? Move the slider."
    return Explorer(CONTROLS, compute, SoftPicture(), summary, question=question, static={"angle": 30})
