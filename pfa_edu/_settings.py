"""Settings checked in one place: the same clear error from Python, the command line, TOML and papermill.

Each function returns the value as a plain Python number or string, so that ``numpy.int64(20)``, ``20.0`` and ``20`` are
one setting with one name.
"""

from __future__ import annotations

import importlib
import math
import numbers
import sys
from collections.abc import Iterable
from typing import Any

from .errors import ConfigError, unknown


def whole(name: str, value: Any, low: int | None = None, high: int | None = None, what: str = "") -> int:
    """``value`` as an int within [low, high]; ConfigError for anything else, such as 2.5 or True.

    >>> whole("epochs", 3.0, low=1)
    3
    """
    if not _is_number(value) or not float(value).is_integer():
        raise ConfigError(f"{name} {value!r}: it must be a whole number{_range(low, high)}{_why(what)}")
    return _within(name, int(value), low, high, what)


def real(
    name: str, value: Any, low: float = -math.inf, high: float = math.inf, what: str = "", above: float | None = None
) -> float:
    """``value`` as a finite number within [low, high], and greater than ``above`` if that is given.

    A whole number comes back as an int: ratio 10.0 and ratio 10 are the same setting.

    >>> real("ratio", 20.0), real("lr", 0.5, above=0)
    (20, 0.5)
    """
    if not _is_number(value) or not math.isfinite(float(value)):
        raise ConfigError(f"{name} {value!r}: it must be a finite number{_range(low, high, above)}{_why(what)}")
    number = int(value) if float(value).is_integer() else float(value)
    if above is not None and not number > above:
        raise ConfigError(f"{name} {value!r}: it must be a number{_range(low, high, above)}{_why(what)}")
    if number < low or number > high:
        raise ConfigError(f"{name} {value!r}: it must be a number{_range(low, high, above)}{_why(what)}")
    return number


def choice(name: str, value: Any, known: Iterable[str]) -> str:
    """``value`` if it is one of ``known``."""
    known = list(known)
    if value not in known:
        raise unknown(name, value, known)
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _within(name: str, number: Any, low: float | None, high: float | None, what: str) -> Any:
    if (low is not None and number < low) or (high is not None and number > high):
        raise ConfigError(f"{name} {number!r}: it must be a number{_range(low, high)}{_why(what)}")
    return number


def imported(text: str, what: str) -> Any:
    """What 'module:name' names, a module of the current folder too, as `python -m` would find it."""
    module, _, name = text.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{what} {text!r} cannot be imported ({error}): give it as module:name") from error


def _range(low: float | None, high: float | None, above: float | None = None) -> str:
    """In words: ' of at least 1', ' from 0 to 1', ' greater than 0'."""
    low = None if low is None or low == -math.inf else low
    high = None if high is None or high == math.inf else high
    if above is not None:
        return f" greater than {above:g}" + (f" and at most {high:g}" if high is not None else "")
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    if low is not None:
        return f" of at least {low:g}"
    return f" of at most {high:g}" if high is not None else ""


def _why(what: str) -> str:
    return f" ({what})" if what else ""
