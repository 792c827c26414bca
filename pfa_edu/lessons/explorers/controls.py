"""What a reader can set: each control knows its range, says what it did to a value out of it, and builds its widget.

A control is plain data, so that settings can be checked without a browser:

>>> ratio = Number("ratio", "Ratio", "mid neurons per output neuron", low=1, high=100, default=10, log=True)
>>> ratio.clean(500)
(100.0, 'Ratio 500 is above 100: set to 100.')
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ...errors import ConfigError, unknown

_LABEL, _TEXT = "120px", "66px"
# A control takes a share of its row. At 310 pixels a slider's track still has 100 beside its label and its field.
SHARE = {"flex": "1 1 310px", "min_width": "min(310px, 100%)", "max_width": "400px", "width": "auto"}
Told = Callable[[str, Any], None]  # a control's way to say: the reader set ``name`` to this value


def require_ipywidgets() -> ModuleType:
    """The module ipywidgets, or a ConfigError that says how to get it."""
    try:
        import ipywidgets
    except ImportError as error:
        raise ConfigError(
            'interactive explorers need ipywidgets, which is not installed: pip install "pfa-edu[notebooks]"'
        ) from error
    return ipywidgets


@dataclass(frozen=True)
class Number:
    """A number in [low, high]: a slider, and beside it a field to type in.

    ``log``: the slider moves in equal factors, ``step`` is then in decades. ``whole``: whole numbers only.
    """

    name: str
    label: str
    tooltip: str
    low: float
    high: float
    default: float
    step: float = 1
    log: bool = False
    whole: bool = False

    def clean(self, value: Any) -> tuple[float, str]:
        """The value as it is taken, and a message if it is not the one that was asked for ('' otherwise)."""
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if math.isnan(number):
            raise ConfigError(f"{self.label} {value!r}: it must be a number from {self.low:g} to {self.high:g}")
        kind = int if self.whole else float
        for bound, side in ((self.low, "below"), (self.high, "above")):
            if (number < bound) if side == "below" else (number > bound):
                return kind(bound), f"{self.label} {number:g} is {side} {bound:g}: set to {bound:g}."
        if self.whole and number != round(number):
            return round(number), f"{self.label} {number:g} is not a whole number: set to {round(number)}."
        return kind(number), ""

    def build(self, told: Told, live: bool) -> tuple[Any, Callable[[Any], None]]:
        """The widget, and a function that makes it show a value. ``live``: tell of every move, else on release."""
        w = require_ipywidgets()
        common = {
            "description": self.label, "tooltip": self.tooltip, "continuous_update": live, "readout": False,
            "style": {"description_width": _LABEL}, "layout": w.Layout(flex="1 1 auto", width="auto", min_width="0"),
        }  # fmt: skip
        if self.log:
            low, high = math.log10(self.low), math.log10(self.high)
            slider = w.FloatLogSlider(self.default, base=10, min=low, max=high, step=self.step, **common)
        else:
            cls = w.IntSlider if self.whole else w.FloatSlider
            slider = cls(self.default, min=self.low, max=self.high, step=self.step, **common)
        # A slider's own readout cuts a typed value without a word; this field passes it on, and ``clean`` speaks.
        text = (w.IntText if self.whole else w.FloatText)(
            self.default,
            continuous_update=False,
            tooltip=f"{self.label}: type a value",
            layout=w.Layout(flex=f"0 0 {_TEXT}", width=_TEXT),
        )
        stands_at = None

        def moved(change: dict[str, Any]) -> None:
            # A browser puts the handle on a step and tells so: only another step is the reader's doing. Without this
            # a value between two steps (set in Python, or typed) would not survive being shown.
            if self.place(change["new"]) != stands_at:
                told(self.name, self.at(self.place(change["new"])))

        def show(value: float) -> None:
            nonlocal stands_at
            stands_at, text.value = self.place(value), value
            if self.place(slider.value) != stands_at:  # a handle that is being dragged is left alone
                slider.value = self.at(stands_at)

        slider.observe(moved, "value")
        text.observe(lambda change: told(self.name, change["new"]), "value")
        show(self.default)
        return w.HBox([slider, text], layout=w.Layout(**SHARE)), show

    def _steps(self, value: float) -> float:
        """Steps from ``low`` to ``value``."""
        return (math.log10(value / self.low) if self.log else value - self.low) / self.step

    def place(self, value: float) -> int:
        """The step of the slider that is nearest to ``value``, from 0."""
        return min(round(self._steps(value)), math.ceil(self._steps(self.high) - 1e-6))

    def at(self, place: int) -> float:
        """The value at a step of the slider; in three digits on a logarithmic one. The last step may be a short one."""
        moved = place * self.step
        value = float(f"{self.low * 10**moved:.3g}") if self.log else round(self.low + moved, 9)
        value = min(value, self.high)
        return round(value) if self.whole else float(value)


@dataclass(frozen=True)
class Choice:
    """One of several values: a drop-down list. ``options`` maps what the reader sees to the value."""

    name: str
    label: str
    tooltip: str
    options: dict[str, Any]
    default: Any

    def clean(self, value: Any) -> tuple[Any, str]:
        if value not in self.options.values():
            raise unknown(self.label.lower(), value, [str(v) for v in self.options.values()])
        return value, ""

    def build(self, told: Told, live: bool) -> tuple[Any, Callable[[Any], None]]:
        w = require_ipywidgets()
        box = w.Dropdown(
            options=list(self.options.items()), value=self.default, description=self.label, tooltip=self.tooltip,
            style={"description_width": _LABEL}, layout=w.Layout(**SHARE),
        )  # fmt: skip
        box.observe(lambda change: told(self.name, change["new"]), "value")
        return box, lambda value: setattr(box, "value", value)


@dataclass(frozen=True)
class Switch:
    """On or off: a check box."""

    name: str
    label: str
    tooltip: str
    default: bool = False

    def clean(self, value: Any) -> tuple[bool, str]:
        return bool(value), ""

    def build(self, told: Told, live: bool) -> tuple[Any, Callable[[Any], None]]:
        w = require_ipywidgets()
        box = w.Checkbox(
            self.default, description=self.label, tooltip=self.tooltip,
            style={"description_width": _LABEL}, layout=w.Layout(**SHARE),
        )  # fmt: skip
        box.observe(lambda change: told(self.name, change["new"]), "value")
        return box, lambda value: setattr(box, "value", value)


Control = Number | Choice | Switch


@dataclass(frozen=True)
class Button:
    """Something to press. ``icon`` is a Font Awesome name; ``action`` takes nothing."""

    label: str
    tooltip: str
    icon: str
    action: Callable[[], None]

    def build(self, guard: Callable[[Callable[[], None]], None]) -> Any:
        """``guard`` runs the action and shows the reader what it raises."""
        w = require_ipywidgets()
        button = w.Button(description=self.label, tooltip=self.tooltip, icon=self.icon, layout=w.Layout(width="110px"))
        button.on_click(lambda _: guard(self.action))
        return button
