"""The lessons for a class, in two versions from one source: the student's without solutions, the instructor's with.

The source is a lesson and, beside it, ``solutions/NAME_solutions.ipynb``. Both number their exercises alike: by a
heading ("## 3. Product feedback alignment", "### Exercise 3"), a bold number ("**3.**") or the items of a numbered list
below a heading "Exercises". What the solutions' notebook has under a number and the lesson has not is the solution.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from ..errors import LessonError
from . import notebooks
from .slides import notes
from .slides.splitting import slide_type
from .slides.text import blocks, heading

SOLUTION = "solution"  # tag of a cell that is for instructors only

_NUMBERED = re.compile(r"(?:(?:exercise|solution|answer)\s+)?(\d+)\b", re.IGNORECASE)
_BOLD = re.compile(r"\*\*(?:(?:exercise|solution|answer)\s+)?(\d+)\b", re.IGNORECASE)
_ITEM = re.compile(r"(\d+)[.)]\s")
_WHERE = re.compile(r" ?\b[A-Z](?:(?!\n\n)[^.`])*`solutions/[^`]*`[^.]*\.")  # the sentence that says where answers are


def write_version(to: Path, instructor: bool, force: bool = False) -> dict[Path, str]:
    """Writes every lesson in one version under ``to``, with what belongs to it; each path with what was done.

    Students get the handout; instructors also get the plans, the quiz and the notes.
    """
    make = instructors if instructor else students
    wanted = {to / path: _text(make(path.stem)) for path in _lessons()}
    given = [notes.folder() / "handout.pdf"]
    if instructor:
        given += [notes.folder() / "README.md", notes.folder() / "quiz.md", *sorted(notes.folder().glob("notes/*.md"))]
    wanted |= {to / "teaching" / path.relative_to(notes.folder()): path.read_bytes() for path in given}
    return notebooks.put(wanted, force)


def students(name: str) -> Any:
    """The lesson without what is for instructors only, and without the sentence that says where the answers are."""
    lesson = _read(notebooks.find(name))
    lesson.cells = [cell for cell in lesson.cells if not _instructors_only(cell)]
    for cell in lesson.cells:
        if cell.cell_type == "markdown":
            cell.source = _WHERE.sub("", cell.source)
    return lesson


def instructors(name: str) -> Any:
    """The lesson with the solution of each exercise behind it. An exercise without one is an error."""
    lesson = _read(notebooks.find(name))
    wanted = exercises(lesson.cells)
    if not wanted:
        return lesson
    found = solutions(name, lesson)
    inside = {number: True for cell in lesson.cells if SOLUTION in _tags(cell) for number in wanted.get(cell.id, [])}
    numbers = [number for numbers in wanted.values() for number in numbers]
    missing = [number for number in numbers if number not in found and number not in inside]
    if missing:
        listed = ", ".join(map(str, missing))
        raise LessonError(
            f"{name}.ipynb: no solution of exercise {listed}. Give each a heading with its number in "
            f"solutions/{name}_solutions.ipynb"
        )
    cells: list[Any] = []
    waiting: list[int] = []  # exercises whose last cell is not here yet
    first = True
    for cell in lesson.cells:
        starts = wanted.get(cell.id, [])
        if waiting and (starts or _ends(cell)):
            cells += _labelled(found, waiting)
            waiting = []
        if starts and first:
            cells += found.get(0, [])  # what the solutions need: imports
            first = False
        waiting += [number for number in starts if number in found]
        cells.append(cell)
    lesson.cells = cells + _labelled(found, waiting)
    return lesson


def exercises(cells: list[Any]) -> dict[str, list[int]]:
    """The numbers of the exercises that each cell begins, by the cell's id."""
    found: dict[str, list[int]] = {}
    listed = False  # whether a numbered list would be one of exercises
    for cell in cells:
        if cell.cell_type != "markdown":
            continue
        for block in blocks(cell.source):
            numbers = []
            if head := heading(block):
                words = head[1].lower()
                listed = head[0] > 1 and words.startswith(("exercise", "solution")) and not _NUMBERED.match(words)
                numbers = [int(n[1]) for n in [_NUMBERED.match(head[1])] if n]
            elif bold := _BOLD.match(block):
                numbers = [int(bold[1])]
            elif listed and (item := _ITEM.match(block)):
                numbers = [int(item[1])]
            found.setdefault(cell.id, []).extend(n for n in numbers if n not in found.get(cell.id, []))
    return {key: numbers for key, numbers in found.items() if numbers}


def solutions(name: str, lesson: Any) -> dict[int, list[Any]]:
    """The cells of each exercise's solution, tagged; under 0 the code that all of them need. None: no such notebook."""
    place = notebooks.folder() / "solutions" / f"{name}_solutions.ipynb"
    if not place.exists():
        return {}
    asked = {_words(block) for cell in lesson.cells for block in _blocks(cell)}
    found: dict[int, list[Any]] = {}
    for number, cell in _parts(_read(place).cells):
        new = [block for block in _blocks(cell) if _words(block) not in asked]  # the question is not part of the answer
        if not new or (number == 0 and cell.cell_type != "code"):
            continue
        own = _with(cell, "\n\n".join(new))
        own.metadata["tags"] = sorted({*_tags(cell), SOLUTION})
        found.setdefault(number, []).append(own)
    return found


def _blocks(cell: Any) -> list[str]:
    return blocks(cell.source) if cell.cell_type == "markdown" else [cell.source.strip()]


def _words(block: str) -> str:
    """A heading is the same at any level."""
    head = heading(block)
    return head[1] if head else block


def _parts(cells: list[Any]) -> Iterator[tuple[int, Any]]:
    """Each cell with the number of its exercise; a cell with several exercises is cut into one for each."""
    starts = exercises(cells)
    number = 0
    for cell in cells:
        numbers = starts.get(cell.id, [])
        if len(numbers) < 2:
            number = numbers[0] if numbers else number
            yield number, cell
            continue
        pieces: dict[int, list[str]] = {}
        for block in blocks(cell.source):
            for one in exercises([_with(cell, f"## Exercises\n\n{block}" if _ITEM.match(block) else block)]).values():
                number = one[-1]
            pieces.setdefault(number, []).append(block)
        for number, piece in pieces.items():
            yield number, _with(cell, "\n\n".join(piece), f"{cell.id}-{number}")


def _labelled(found: dict[int, list[Any]], numbers: list[int]) -> list[Any]:
    """The solutions, each under a heading where several follow one another."""
    cells = []
    for number in numbers:
        own = [deepcopy(cell) for cell in found[number]]
        if len(numbers) > 1:
            cells.append(_heading(f"### Solution {number}", f"solution-{own[0].id}"))
        cells += own
    return cells


def _heading(words: str, id: str) -> Any:
    import nbformat.v4

    return nbformat.v4.new_markdown_cell(words, id=id[:64], metadata={"tags": [SOLUTION]})


def _ends(cell: Any) -> bool:
    """Whether a heading of a new section begins in the cell: the exercise before it is over."""
    head = heading(cell.source.split("\n", 1)[0]) if cell.cell_type == "markdown" else None
    return bool(head and head[0] <= 2)


def _with(cell: Any, source: str, id: str | None = None) -> Any:
    new = deepcopy(cell)
    new.update({"source": source, "id": id or cell.id})
    return new


def _instructors_only(cell: Any) -> bool:
    return SOLUTION in _tags(cell) or slide_type(cell) == "notes"


def _tags(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", []))


def _lessons() -> list[Path]:
    return [path for path in notebooks.all_lessons() if path.parent == Path()]


def _read(path: Path) -> Any:
    import nbformat

    return nbformat.read(path, as_version=4)


def _text(notebook: Any) -> bytes:
    import nbformat

    return (nbformat.writes(notebook) + "\n").encode()
