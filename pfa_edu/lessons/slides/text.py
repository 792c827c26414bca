"""Markdown, cut into blocks, and blocks into pages that fit a slide."""

from __future__ import annotations

import math
import re

LINE = 72  # characters of a line of text on a slide
PAGE = 11.0  # lines of text on a slide, its heading not counted

_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_ITEM = re.compile(r"(\d+[.)]|[-*+])\s")
_COMMAND = re.compile(r"\\(?:color\{[^}]*\}|[a-zA-Z]+)|[{}$]")  # of TeX: a symbol, or nothing to see
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def heading(block: str) -> tuple[int, str] | None:
    """Level and words of a heading; None for any other block.

    >>> heading("## Predict"), heading("Predict")
    ((2, 'Predict'), None)
    """
    found = _HEADING.fullmatch(block)
    return (len(found[1]), found[2].strip()) if found else None


def blocks(text: str) -> list[str]:
    """Headings, paragraphs, list items, tables, formulas, code, folded parts: what may not be cut any further.

    >>> blocks("# One\\nA line\\nand more.\\n\\n- first\\n  goes on\\n- second")
    ['# One', 'A line\\nand more.', '- first\\n  goes on', '- second']
    """
    found: list[str] = []
    block: list[str] = []
    closing = ""  # what ends the block that is open, where a blank line does not

    def close() -> None:
        if text := "\n".join(block).strip("\n"):
            found.append(text)
        block.clear()

    lines = text.splitlines()
    for number, line in enumerate(lines):
        if closing:
            block.append(line)
            if closing in line:
                closing = ""
                close()
            continue
        closing = _opens(line)
        if closing or heading(line) or _ITEM.match(line):
            close()
        if not line.strip() and not (block and _ITEM.match(block[0]) and _indented(lines, number + 1)):
            close()
            continue
        block.append(line)
        if heading(line):
            close()
    close()
    return found


def _opens(line: str) -> str:
    """What the line's block ends with, for the kinds of block in which a blank line means nothing."""
    if line.startswith("```"):
        return "```"
    if line.startswith("<details"):
        return "</details>"
    return "$$" if line.startswith("$$") and line.count("$$") == 1 else ""


def _indented(lines: list[str], number: int) -> bool:
    return number < len(lines) and lines[number].startswith(("  ", "\t"))


def height(block: str) -> float:
    """The lines that a block takes on a slide, with the gap below it.

    >>> height("short"), height("x" * 100)
    (1.4, 2.4)
    """
    lines = [_LINK.sub(r"\1", line) for line in block.splitlines()]
    if block.startswith("|"):
        return sum(0.3 + max(1, math.ceil(len(line) / (LINE * 1.2))) for line in lines) + 0.4
    if block.startswith("```"):
        return 0.7 * len(lines)
    if block.startswith("$$"):
        return 1.2 * max(1.0, len(lines) - 2 if len(lines) > 1 else 1) + 1.0
    if block.startswith("<details"):
        return 1.4  # folded
    words = " ".join(line.strip() for line in lines)
    if "$" in words:
        words = _COMMAND.sub(" ", words).replace("  ", " ")
    return math.ceil(len(words) / LINE) + 0.4


def pages(content: list[str]) -> list[list[str]]:
    """Blocks, none of them a heading, in pages of about equal height; what leads into a list stays with it."""
    total = sum(map(height, content))
    room = max(total / max(1, math.ceil(total / PAGE)), max(map(height, content), default=0.0))
    found: list[list[str]] = [[]]
    used = 0.0
    for number, block in enumerate(content):
        needed = height(block)
        with_next = needed + height(content[number + 1]) if _introduces(content, number) else needed
        middle = used + needed / 2 > room  # most of this block would be beyond an even share
        if found[-1] and (used + needed > PAGE or (middle or used + with_next > PAGE)):
            if _introduces(content, number - 1) and len(found[-1]) > 1:
                found.append([found[-1].pop()])
            elif not _introduces(content, number - 1):
                found.append([])
            used = sum(map(height, found[-1]))
        found[-1].append(block)
        used += needed
    return found


def _introduces(content: list[str], number: int) -> bool:
    return 0 <= number < len(content) - 1 and content[number].rstrip().endswith((":", ":**", ","))
