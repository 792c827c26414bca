"""Speaker notes: what the lecturer says and asks at a slide, kept beside the lessons and not in them.

``teaching/notes/NAME.md`` belongs to the lesson ``NAME.ipynb``. Each of its headings is a heading of the lesson, and
the text below it is the note to that slide. A heading that a lesson has more than once is numbered: "Predict (2)".
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from ...errors import ConfigError, LessonError, unknown
from . import text
from .splitting import GOES_ON


def folder() -> Path:
    """The folder ``teaching``: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parents[2]
    for place in (package / "teaching", package.parent / "teaching"):
        if place.is_dir():
            return place
    raise ConfigError(f"no folder teaching beside {package}: reinstall pfa-edu")


def read(name: str) -> dict[str, str]:
    """The notes of the lesson ``name`` (a file name without its ending) by heading; none where it has no file."""
    file = folder() / "notes" / f"{name}.md"
    notes: dict[str, str] = {}
    if not file.exists():
        return notes
    where = ""
    for block in text.blocks(file.read_text(encoding="utf-8")):
        if found := text.heading(block):
            where = found[1]
            if where in notes:
                raise LessonError(f"{file.name} has two notes for {where!r}: number them, as in '{where} (2)'")
            continue
        if where:
            notes[where] = f"{notes[where]}\n\n{block}" if where in notes else block
    return notes


def add(slides: Any, name: str, notes: dict[str, str]) -> None:
    """Puts each note behind every page under its heading. A note that finds no slide is an error."""
    import nbformat.v4

    seen: Counter[str] = Counter()
    where, cells = "", []
    for cell in slides.cells:
        cells.append(cell)
        if cell.metadata.get("slideshow", {}).get("slide_type") not in ("slide", "subslide"):
            continue
        first = text.heading(cell.source.split("\n", 1)[0])
        if first and not cell.metadata.get(GOES_ON):
            seen[first[1]] += 1
            where = first[1] if seen[first[1]] == 1 else f"{first[1]} ({seen[first[1]]})"
        if where in notes:
            note = nbformat.v4.new_markdown_cell(notes[where], id=f"note-{len(cells)}")
            note.metadata["slideshow"] = {"slide_type": "notes"}
            cells.append(note)
    known = [heading if n == 0 else f"{heading} ({n + 1})" for heading in seen for n in range(seen[heading])]
    for heading in notes:
        if heading not in known:
            raise LessonError(f"teaching/notes/{name}.md: {unknown('heading', heading, known)}")
    slides.cells = cells
