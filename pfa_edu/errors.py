"""Errors that name the value, the reason and the way out.

Each class also derives from the builtin that a caller would expect, so ``except ValueError`` keeps working.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PfaEduError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(PfaEduError, ValueError):
    """An impossible setting: an unknown name, a number out of range, two options that exclude each other."""


class DataError(PfaEduError, RuntimeError):
    """A dataset that is missing, incomplete or corrupted."""


class CheckpointError(PfaEduError, RuntimeError):
    """A checkpoint that is truncated, foreign, or belongs to another run."""


class OutputError(PfaEduError, OSError):
    """A folder that cannot be written, is full, or is in use by another run."""


class BusyError(OutputError):
    """A folder that is in use by another run at the moment."""


class LessonError(PfaEduError, RuntimeError):
    """A notebook with a cell that failed."""


class DivergenceError(PfaEduError, ArithmeticError):
    """The loss stopped being a finite number."""


class GridError(PfaEduError, RuntimeError):
    """Runs of a grid failed. ``frame``: the results of all the others, which are done and kept."""

    frame = None


class ParallelError(PfaEduError, RuntimeError):
    """Processes that train one network together and have lost contact, or no longer hold the same network."""


class MemoryLimitError(PfaEduError, MemoryError):
    """The machine does not have enough memory for the network and batch."""


def unknown(kind: str, name: object, known: Iterable[str]) -> ConfigError:
    """The error for a name that is not among ``known``, with the nearest one as a suggestion.

    >>> print(unknown("rule", "pfaa", ["bp", "fa", "pfa"]))
    unknown rule 'pfaa': did you mean 'pfa'? Known: bp, fa, pfa
    """
    known = list(known)
    spelt = {str(one).lower(): one for one in known}
    near = difflib.get_close_matches(str(name).lower(), spelt, n=1, cutoff=0.5)
    hint = f"did you mean {spelt[near[0]]!r}? " if near else ""
    return ConfigError(f"unknown {kind} {name!r}: {hint}Known: {', '.join(known)}")
