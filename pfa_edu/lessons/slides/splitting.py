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
_CODE = 0.7  # lines of text that a line of code is as high as
_BESIDE_PICTURE = 2.0  # lines of text and code that leave a picture on the same page large enough to read


def split(notebook: Any) -> Any:
    """A copy of the notebook in which every cell is at most one slide and says where it belongs.

    >>> import nbformat.v4 as v4
    >>> cells = [v4.new_markdown_cell("# Title\\nFirst.\\n\\n## Next\\nSecond."), v4.new_code_cell("1 + 1")]
    >>> slides = split(v4.new_notebook(cells=cells))
    >>> [(slide_type(cell), cell.source) for cell in slides.cells]
    [('slide', '# Title\\n\\nFirst.'), ('slide', '## Next\\n\\nSecond.'), ('-', '1 + 1')]
    """
    slides = deepcopy(notebook)
    slides.cells = []
    slides.metadata.pop("widgets", None)  # the pictures are in the outputs; a slide has no kernel
    running, used = "", text.PAGE  # the last heading; the lines that the page holds so far
    for cell in notebook.cells:
        kind = slide_type(cell)
        if kind in ("skip", "notes"):
            slides.cells.append(deepcopy(cell))
        elif cell.cell_type == "markdown":
            new, running, used = _markdown(cell, kind, running)
            slides.cells += new
        elif cell.cell_type == "code" and not _housekeeping(cell):
            slides.cells += _code(cell, kind, running, used)
            used = text.PAGE
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


def _markdown(cell: Any, kind: str, running: str) -> tuple[list[Any], str, float]:
    """The cell's slides, the heading that holds after it, and the lines of text on the last one."""
    new: list[Any] = []
    content: list[str] = []
    head: tuple[int, str] | None = None
    used = 0.0

    def close() -> None:
        nonlocal used
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
            used = sum(map(text.height, page))

    for block in text.blocks(cell.source):
        if found := text.heading(block):
            close()
            head, content, running = found, [], found[1]
        else:
            content.append(block)
    close()
    return new, running, used


def again(running: str) -> str:
    """The heading of a page that goes on where the last one ended."""
    return f"### {running}" if running else ""


def _code(cell: Any, kind: str, running: str, used: float) -> list[Any]:
    """Code and what it shows: with the text before it where there is room, else on a page, or two, of their own."""
    if _unanswered(cell.source):
        cell = of_type(cell, kind, outputs=[])  # "not answered yet" is no news to a class
    code = _CODE * len(cell.source.splitlines())
    printed, picture = _shown(cell)
    most = _BESIDE_PICTURE if picture else text.PAGE
    together = code + printed <= (text.PAGE if picture is False else 3 * _BESIDE_PICTURE)
    room = used == 0 or used + code + (printed if together else 0) <= most  # 0: a heading waits for it
    stays = kind == "fragment" or (kind in ("", "-") and room)
    first = of_type(cell, kind if kind == "fragment" else "-", outputs=cell.outputs if together else [])
    new = [first] if stays else [*_page(first, running)]
    if cell.outputs and not together:
        shown = of_type(cell, "-", id=cell.get("id", "cell") + "-out")
        shown.metadata["transient"] = {"remove_source": True}
        new += _page(shown, running)
    return new


def _unanswered(source: str) -> bool:
    """Whether the code holds a ``...`` that a student is to replace."""
    nodes = ast.walk(_parsed(source) or ast.Module([], []))
    return any(isinstance(node, ast.Constant) and node.value is ... for node in nodes)


def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except SyntaxError:  # a magic command of IPython
        return None


def _shown(cell: Any) -> tuple[float, bool]:
    """The height of what the cell printed, in lines of text, and whether it shows a picture or a table."""
    printed = sum(len(out.text.splitlines()) for out in cell.outputs if out.output_type == "stream")
    rich = [set(out.get("data", {})) - {"text/plain"} for out in cell.outputs]
    plain = [out.data["text/plain"] for out, more in zip(cell.outputs, rich, strict=True) if "data" in out and not more]
    return _CODE * (printed + sum(len(one.splitlines()) for one in plain)), any(rich)


def _page(cell: Any, running: str) -> list[Any]:
    """The cell on a page of its own, below the heading that holds."""
    return [_head(cell, running), cell] if running else [of_type(cell, "subslide")]


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
    tree = _parsed(cell.source)
    return tree is not None and all(isinstance(one, (ast.Import, ast.ImportFrom)) for one in tree.body)
