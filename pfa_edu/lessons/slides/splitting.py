"""A notebook as slides: every heading begins one, text that is too long goes on below, code stands with its picture.

Slide types that a cell brings along (``metadata.slideshow.slide_type``, as JupyterLab's property inspector sets them)
are kept; only cells without one are given one here.
"""

from __future__ import annotations

import ast
from copy import deepcopy
from typing import Any

from . import text

GOES_ON = "goes_on"  # metadata of a page that only repeats the heading of the one before it
_LONG_CODE = 8  # lines: longer code leaves no room for what it shows


def split(notebook: Any) -> Any:
    """A copy of the notebook in which every cell is at most one slide and says where it belongs.

    >>> import nbformat.v4 as v4
    >>> cells = [v4.new_markdown_cell("# Title\\nFirst.\\n\\n## Next\\nSecond."), v4.new_code_cell("1 + 1")]
    >>> slides = split(v4.new_notebook(cells=cells))
    >>> [(slide_type(cell), cell.source) for cell in slides.cells]
    [('slide', '# Title\\n\\nFirst.'), ('slide', '## Next\\n\\nSecond.'), ('subslide', '### Next'), ('-', '1 + 1')]
    """
    slides = deepcopy(notebook)
    slides.cells = []
    slides.metadata.pop("widgets", None)  # the pictures are in the outputs; a slide has no kernel
    running, empty = "", False  # the last heading; whether nothing but a heading is on the page so far
    for cell in notebook.cells:
        kind = slide_type(cell)
        if kind in ("skip", "notes"):
            slides.cells.append(deepcopy(cell))
        elif cell.cell_type == "markdown":
            new, running, empty = _markdown(cell, kind, running)
            slides.cells += new
        elif cell.cell_type == "code" and not _housekeeping(cell):
            slides.cells += _code(cell, kind, running, empty)
            empty = False
    return slides


def slide_type(cell: Any) -> str:
    """'slide', 'subslide', 'fragment', 'skip', 'notes' or '-'; '' where the cell does not say."""
    return str(cell.metadata.get("slideshow", {}).get("slide_type", ""))


def of_type(cell: Any, kind: str, **changes: Any) -> Any:
    """A copy of the cell as a slide of that type."""
    new = deepcopy(cell)
    new.metadata["slideshow"] = {"slide_type": kind}
    new.update(changes)
    return new


def _markdown(cell: Any, kind: str, running: str) -> tuple[list[Any], str, bool]:
    """The cell's slides, the heading that holds after it, and whether the last one has room for a picture."""
    new: list[Any] = []
    content: list[str] = []
    head: tuple[int, str] | None = None
    empty = False

    def close() -> None:
        nonlocal empty
        if head is None and not content:
            return
        for number, page in enumerate(text.pages(content)):
            top = f"{'#' * head[0]} {head[1]}" if head and not number else again(running)
            first = kind if not new else ""
            if first in ("-", "fragment"):
                top = f"{'#' * head[0]} {head[1]}" if head else ""
            default = "slide" if head and head[0] <= 2 and not number else "subslide"
            source = "\n\n".join([top, *page] if top else page)
            changes = {"source": source, "id": cell.get("id", "cell") + (f"-{len(new)}" if new else "")}
            new.append(of_type(cell, first or default, **changes))
            if number or head is None:
                new[-1].metadata[GOES_ON] = True
            empty = not page

    for block in text.blocks(cell.source):
        if found := text.heading(block):
            close()
            head, content, running = found, [], found[1]
        else:
            content.append(block)
    close()
    return new, running, empty


def again(running: str) -> str:
    """The heading of a page that goes on where the last one ended."""
    return f"### {running}" if running else ""


def _code(cell: Any, kind: str, running: str, empty: bool) -> list[Any]:
    """Code and what it shows on one page, under the heading; on two where the code is long."""
    if kind:
        return [deepcopy(cell)]
    long = len(cell.source.splitlines()) > _LONG_CODE and bool(cell.outputs)
    code = of_type(cell, "-", outputs=[] if long else cell.outputs)
    new = [code] if empty or not running else [_head(cell, running), code]
    if not empty and not running:
        code.metadata.slideshow.slide_type = "subslide"
    if long:
        shown = of_type(cell, "-", id=cell.get("id", "cell") + "-out")
        shown.metadata["transient"] = {"remove_source": True}
        new += [_head(shown, running), shown] if running else [of_type(shown, "subslide")]
    return new


def _head(cell: Any, running: str) -> Any:
    import nbformat.v4

    head = nbformat.v4.new_markdown_cell(again(running), id=cell.get("id", "cell") + "-head")
    head.metadata[GOES_ON] = True
    return of_type(head, "subslide")


def _housekeeping(cell: Any) -> bool:
    """Parameters, imports and the check of the parameters: nothing to look at on a slide."""
    if {"parameters", "injected-parameters"} & set(cell.metadata.get("tags", [])):
        return True
    if "check_parameters(" in cell.source:
        return True
    try:
        statements = ast.parse(cell.source).body
    except SyntaxError:  # a magic command of IPython
        return False
    return all(isinstance(statement, (ast.Import, ast.ImportFrom)) for statement in statements)
