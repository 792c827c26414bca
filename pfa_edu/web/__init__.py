"""The playground: one page that trains a small network by up to three rules in the browser, without a server.

The files beside this one are built from ``web/`` of the repository (``make web``) and are complete in themselves.
"""

from __future__ import annotations

import html
import webbrowser
from pathlib import Path

from ..errors import PfaEduError

_HERE = Path(__file__).parent


def page_path() -> Path:
    """The playground's page, a file to open in any browser.

    >>> page_path().name
    'index.html'
    """
    return _built("index.html")


def open_page() -> Path:
    """Shows the playground in the user's browser; the file that was opened."""
    path = page_path()
    if not webbrowser.open(path.as_uri()):
        raise PfaEduError(f"no browser could be started here: open this file in one, {path}")
    return path


class Playground:
    """The playground in a notebook's cell. It trains in the reader's browser, without a kernel: a saved page runs too.

    ``link``: what to show, the part after # of the page's own address; ``at=0`` waits for Play. ``height`` in pixels.

    >>> Playground("rules=bp,fa,pfa:10&at=0")
    Playground('rules=bp,fa,pfa:10&at=0')
    """

    def __init__(self, link: str = "at=0", height: int = 900):
        self.link, self.height = link.lstrip("#"), height

    def __repr__(self) -> str:
        return f"Playground({self.link!r})"

    def _repr_html_(self) -> str:
        root = '<div id="page"'
        text = page_path().read_text(encoding="utf-8").replace(root, f'{root} data-link="{html.escape(self.link)}"', 1)
        # srcdoc: the page travels inside the cell's output, so that neither a server nor a path has to be found
        return (
            f'<iframe title="Playground" srcdoc="{html.escape(text)}" allow="fullscreen" '
            f'style="width: 100%; height: {self.height}px; border: 0"></iframe>'
        )


def _built(name: str) -> Path:
    path = _HERE / name
    if not path.is_file():
        raise PfaEduError(f"{name} is missing in {_HERE}: reinstall pfa_edu, or run make web in its repository")
    return path
