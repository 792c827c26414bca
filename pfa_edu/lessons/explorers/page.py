"""An explorer on a page: live, read the day after, or executed without anybody there.

A live explorer leaves two outputs in its cell: the widgets, and a saved picture with a line that says how to make it
live. While the widgets live they hide the saved picture. When the notebook is opened without its kernel, the saved
picture stands there, and hides the front end's "Error displaying widget".
"""

from __future__ import annotations

import html
import os
import sys
from typing import Any

from ...plots.on_page import STYLE, picture_html

VIEW = "application/vnd.jupyter.widget-view+json"
LIVE = "pfa-explorer"  # the CSS class of the widgets
MAKE_LIVE = "A saved picture. To make it live, run all cells: in JupyterLab, Run → Run All Cells."


def static_only() -> bool:
    """Whether nobody is there to move a slider: a notebook that papermill, nbconvert or ``lesson.execute`` runs.

    Such a notebook keeps a picture and no widgets, whose state would be dead when it is opened. PFA_EDU_STATIC=1 or 0
    decides; without it, lesson.execute's PFA_EDU_PROGRESS=line, or a cell that runs without a reader's keyboard
    (nbclient executes so) in a kernel that no Voilà page stands behind.
    """
    decided = os.environ.get("PFA_EDU_STATIC")
    if decided:
        return decided != "0"
    if os.environ.get("PFA_EDU_PROGRESS") == "line":
        return True
    if in_voila() or "google.colab" in sys.modules:
        return False
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return getattr(getattr(shell, "kernel", None), "_allow_stdin", True) is False


def in_voila() -> bool:
    """Whether a Voilà page stands behind this kernel: nothing of it is saved."""
    return os.environ.get("SERVER_SOFTWARE", "").startswith("voila")


def live_style(model_id: str) -> str:
    """The style sheet of a live explorer. It hides the saved picture of the same explorer."""
    return f"<style>{STYLE} .{_saved(model_id)} {{ display: none; }}</style>"


def saved_html(png: bytes, width: int, text: str, model_id: str) -> str:
    """The saved picture with ``text`` beneath it and how to make it live."""
    name = _saved(model_id)
    # The error of a lost widget is the output just before this one, and has no explorer in it.
    error = f".jp-OutputArea-child:has(+ .jp-OutputArea-child .{name}):not(:has(.{LIVE})) {{ display: none; }}"
    return (
        f'<style>{error}</style><div class="{name}">{picture_html(png, width, text)}'
        f"<p>{html.escape(text)}<br><i>{MAKE_LIVE}</i></p></div>"
    )


def image_layout(width: int) -> dict[str, Any]:
    """The layout of a live picture that is ``width`` pixels wide by itself, as ipywidgets takes it.

    It fills the cell up to a quarter more than that, keeps its shape, and leaves room on the screen for its controls.
    """
    return {
        "width": "100%", "max_width": f"{round(1.25 * width)}px", "height": "auto",
        "max_height": "max(240px, calc(100vh - 240px))", "object_fit": "contain", "object_position": "0 0",
    }  # fmt: skip


def _saved(model_id: str) -> str:
    return f"pfa-saved-{model_id}"
