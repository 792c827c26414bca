"""Three kinds of question, each with its right answer and the usual mistakes: a number, a formula, a choice.

>>> legs = Number("Legs", lambda: 8, "legs of a spider", mistakes=[(lambda: 6, "that is an insect")])
>>> print(legs.check(6))
Legs: not right yet
  ✗ that is an insect
>>> bool(legs.check(8))
True
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .verdict import Stop, Verdict, call, open_, wrong


@dataclass(frozen=True)
class Number:
    """One number. ``right`` and every mistake are computed when they are needed, never written down."""

    title: str
    right: Callable[[], float]
    what: str  # names the number in a message
    tolerance: float = 0.01  # relative; of a whole number that must be exact: 0
    mistakes: Sequence[tuple[Callable[[], float], str]] = ()
    nudge: str = ""  # for a wrong number that no mistake explains

    def check(self, answer: object) -> Verdict:
        try:
            if answer is None or answer is ...:
                raise open_("there is no number yet")
            value, right = number(answer, self.what), self.right()
            if not math.isfinite(value):
                raise wrong(f"{self.what} is {value}: it must be a finite number")
            if not self._near(value, right):
                made = [(abs(value - other), hint) for mistake, hint in self.mistakes
                        if self._near(value, other := mistake())]  # fmt: skip
                if made:
                    raise wrong(min(made)[1])  # the nearest: two mistakes may differ by a percent
                raise wrong(f"{value:g} is too {'large' if value > right else 'small'}. {self.nudge}")
        except Stop as stop:
            return Verdict(self.title, (stop.point,))
        return Verdict(self.title, (("right", f"{self.what}: {right:.4g}"),))

    def _near(self, value: float, other: float) -> bool:
        return abs(value - other) <= self.tolerance * abs(other) + 1e-12


@dataclass(frozen=True)
class Formula:
    """A function of numbers or tensors, tried on several ``problems``, each a tuple of its arguments."""

    title: str
    takes: tuple[str, ...]
    problems: Callable[[], Sequence[tuple[Any, ...]]]
    right: Callable[..., Any]
    mistakes: Sequence[tuple[Callable[..., Any], str]] = ()
    nudge: str = ""
    tolerance: float = 1e-4  # relative

    def check(self, answer: object) -> Verdict:
        try:
            if answer is None or answer is ...:
                raise open_("there is no function yet")
            problems = self.problems()
            given = [self._ask(answer, problem) for problem in problems]
            if not self._all_near(given, self.right, problems):
                for mistake, hint in self.mistakes:
                    if self._all_near(given, mistake, problems):
                        raise wrong(hint)
                raise wrong(self._first_difference(given, problems))
        except Stop as stop:
            return Verdict(self.title, (stop.point,))
        return Verdict(self.title, (("right", f"right for all {len(problems)} problems that were tried"),))

    def _ask(self, answer: Any, problem: tuple[Any, ...]) -> Tensor:
        copies = [value.clone() if isinstance(value, Tensor) else value for value in problem]
        value = call(answer, dict(zip(self.takes, copies, strict=True)), "your function")
        if value is None or value is ...:
            raise open_("your function returns nothing")
        for name, before, after in zip(self.takes, problem, copies, strict=True):
            if isinstance(before, Tensor) and not torch.equal(before, after):
                raise wrong(f"your function changed {name} itself. Make a new tensor instead of writing into this one")
        return _tensor(value)

    def _all_near(self, given: list[Tensor], other: Callable[..., Any], problems: Sequence[tuple[Any, ...]]) -> bool:
        for value, problem in zip(given, problems, strict=True):
            try:
                wanted = _tensor(other(*problem))
            except (RuntimeError, ValueError, ArithmeticError):  # shapes or values that this mistake cannot have
                return False
            if value.shape != wanted.shape or not torch.allclose(value, wanted, rtol=self.tolerance, atol=1e-9):
                return False
        return True

    def _first_difference(self, given: list[Tensor], problems: Sequence[tuple[Any, ...]]) -> str:
        for value, problem in zip(given, problems, strict=True):
            wanted = _tensor(self.right(*problem))
            if value.shape != wanted.shape:
                return f"the shape is {tuple(value.shape)}, but it should be {tuple(wanted.shape)}. {self.nudge}"
            if torch.allclose(value, wanted, rtol=self.tolerance, atol=1e-9):
                continue
            shown = ", ".join(
                f"{name} = {argument:g}" for name, argument in zip(self.takes, problem, strict=True)
                if isinstance(argument, (int, float))
            )  # fmt: skip
            if shown and value.ndim == 0:
                size = "not a finite number" if not value.isfinite() else "too large" if value > wanted else "too small"
                return f"for {shown} your answer, {value.item():.4g}, is {size}. {self.nudge}"
            break
        return f"the shape is right, the numbers are not. {self.nudge}"


@dataclass(frozen=True)
class Choice:
    """Some names out of a list. ``why``: a hint for each name that can be missing, or be there by mistake."""

    title: str
    right: frozenset[str]
    why: dict[str, str] = field(default_factory=dict)

    def check(self, answer: object) -> Verdict:
        try:
            if answer is None or answer is ...:
                raise open_("nothing is chosen yet")
            names = [answer] if isinstance(answer, str) else answer
            if not isinstance(names, (list, tuple, set, frozenset)) or not all(isinstance(n, str) for n in names):
                raise wrong(f'give the names as a list, ["...", "..."], not a {type(answer).__name__}')
            if unknown := [name for name in names if name not in self.why]:
                raise wrong(f"{unknown[0]!r} is not on the list: {', '.join(self.why)}")
            chosen = frozenset(names)
            points = [("wrong", f"{name}: {self.why[name]}") for name in self.why if name in chosen - self.right]
            points += [("wrong", "one is missing")] if self.right - chosen else []
            if points:
                return Verdict(self.title, tuple(points))
        except Stop as stop:
            return Verdict(self.title, (stop.point,))
        return Verdict(self.title, tuple(("right", f"{name}: {self.why[name]}") for name in sorted(self.right)))


def number(value: Any, what: str) -> float:
    """One real number, whatever it comes in (an int, numpy, a tensor of one element)."""
    try:
        if isinstance(value, (str, bytes, bool)) or callable(value):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise wrong(f"{what} must be one number, not a {type(value).__name__}") from None


def _tensor(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().double()
    try:
        if isinstance(value, (str, bytes, bool)) or callable(value):
            raise TypeError
        return torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise wrong(f"your function must return a number or a tensor, not a {type(value).__name__}") from None
