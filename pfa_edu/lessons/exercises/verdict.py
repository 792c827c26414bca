"""What a check returns: true when the answer is right, and readable as text or in a notebook."""

from __future__ import annotations

import html
import inspect
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# The symbol tells the three apart without the colour.
_LOOK = {"right": ("✓", "#00704F"), "wrong": ("✗", "#A84300"), "open": ("○", "#555555")}
_HEADING = {"right": "right", "wrong": "not right yet", "open": "not answered yet"}


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check. ``points``: (state, text) for each thing looked at, states 'right', 'wrong', 'open'.

    >>> verdict = Verdict("An exercise", (("right", "its first part"), ("wrong", "its second part: look at the sign")))
    >>> bool(verdict)
    False
    >>> verdict
    An exercise: not right yet
      ✓ its first part
      ✗ its second part: look at the sign
    """

    exercise: str
    points: tuple[tuple[str, str], ...]

    @property
    def state(self) -> str:
        """'open' while unanswered, else 'wrong' if any point is, else 'right'."""
        states = [state for state, _ in self.points]
        return next((s for s in ("open", "wrong") if s in states), "right")

    def __bool__(self) -> bool:
        return self.state == "right"

    def __str__(self) -> str:
        lines = [f"  {_LOOK[state][0]} {text}" for state, text in self.points]
        return "\n".join([f"{self.exercise}: {_HEADING[self.state]}", *lines])

    __repr__ = __str__  # so that it also reads well as the last line of a cell in a terminal

    def _repr_html_(self) -> str:
        def line(state: str, text: str) -> str:
            symbol, colour = _LOOK[state]
            return f'<div><b style="color:{colour}">{symbol}</b> {html.escape(text)}</div>'

        symbol, colour = _LOOK[self.state]
        heading = f'<b style="color:{colour}">{symbol} {html.escape(self.exercise)}: {_HEADING[self.state]}</b>'
        body = "".join(line(state, text) for state, text in self.points)
        return f'<div style="border-left:4px solid {colour};padding:2px 0 2px 10px">{heading}{body}</div>'


class Stop(Exception):
    """Raised inside a check when there is nothing more to look at; holds the last point."""

    def __init__(self, state: str, text: str):
        super().__init__(text)
        self.point = (state, text)


def open_(what: str) -> Stop:
    """Nothing there to judge."""
    return Stop("open", f"{what}. Replace the dots by your answer; a function also needs its `return`.")


def wrong(text: str) -> Stop:
    return Stop("wrong", text)


def call(answer: Callable, arguments: dict[str, Any], name: str) -> Any:
    """Calls ``answer`` with ``arguments`` in their order; raises Stop with a readable reason if that fails."""
    wanted = ", ".join(arguments)
    if not callable(answer):
        raise wrong(
            f"the check needs the function itself, not a {type(answer).__name__}: give its name without parentheses, "
            f"and let it take ({wanted})"
        )
    try:
        inspect.signature(answer).bind(*arguments.values())
    except TypeError:
        raise wrong(f"your function must take the arguments ({wanted}), in this order") from None
    except ValueError:
        pass  # a builtin without a signature: calling it will tell
    try:
        return answer(*arguments.values())
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is this function
        where = f" in line {frames[0].lineno} of the cell or file that defines it" if frames else ""
        rows = (
            ". Samples are rows here, one below the other, as in backprop's line above" if "mat1" in str(error) else ""
        )
        raise wrong(f"{name} raised {type(error).__name__}{where}: {error}{rows}") from error
