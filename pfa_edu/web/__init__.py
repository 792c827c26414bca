"""The playground: one page that trains a small network by up to three rules in the browser, without a server.

The files beside this one are built from ``web/`` of the repository (``make web``) and are complete in themselves.
"""

from __future__ import annotations

import webbrowser
from pathlib import Path

from ..errors import PfaEduError

_HERE = Path(__file__).parent


def page() -> Path:
    """The playground's page, a file to open in any browser.

    >>> page().name
    'index.html'
    """
    return _built("index.html")


def widget() -> Path:
    """The same views as an ES module for anywidget: a notebook's kernel trains, the browser draws."""
    return _built("widget.js")


def open_page() -> Path:
    """Shows the playground in the user's browser; the file that was opened."""
    path = page()
    if not webbrowser.open(path.as_uri()):
        raise PfaEduError(f"no browser could be started here: open this file in one, {path}")
    return path


def _built(name: str) -> Path:
    path = _HERE / name
    if not path.is_file():
        raise PfaEduError(f"{name} is missing in {_HERE}: reinstall pfa_edu, or run make web in its repository")
    return path
