"""What pe.audit found, as a table."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd


class Row(NamedTuple):
    """One parameter; :func:`pfa_edu.audit` says what the columns mean."""

    name: str
    shape: tuple[int, ...]
    learns: str
    called: str
    differs: bool | None
    feedback: str
    why: str


@dataclasses.dataclass(frozen=True, repr=False)
class Audit:
    """``rows``: one a parameter. ``problems``: what is not as the network says, in sentences."""

    rows: list[Row]
    problems: list[str]

    @property
    def ok(self) -> bool:
        return not self.problems

    def frame(self) -> pd.DataFrame:
        """The table as a pandas DataFrame, one row a parameter."""
        import pandas as pd  # here: nothing else of nn needs it

        return pd.DataFrame(self.rows, columns=list(Row._fields))

    def __str__(self) -> str:
        cells = [Row._fields, *([_word(value) for value in row] for row in self.rows)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(Row._fields))]
        table = ["  ".join(word.ljust(n) for word, n in zip(line, widths, strict=True)).rstrip() for line in cells]
        counts = ", ".join(f"{n} {kind}" for kind, n in Counter(row.learns for row in self.rows).items())
        found = [f"PROBLEM: {problem}" for problem in self.problems] or ["No problems."]
        return "\n".join([*table, f"{len(self.rows)} parameters: {counts}.", *found])

    __repr__ = __str__


def _word(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "×".join(map(str, value)) if isinstance(value, tuple) else str(value)
