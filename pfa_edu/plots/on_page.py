"""A picture on a page: in its own shape at any width, in the colours of the page's theme.

Figures are drawn once, dark on white. A style sheet does the rest where the picture is looked at: in a dark theme it
inverts brightness and keeps the hues, so that the same saved picture reads well on both, in a kernel's life and after.
"""

from __future__ import annotations

import base64
import html

PICTURE = "pfa-picture"  # the CSS class of every such picture
# JupyterLab, Notebook 7, Voilà and nbconvert's pages; VS Code; Colab.
_DARK = 'body[data-jp-theme-light="false"], body.vscode-dark, html[theme="dark"]'
# White becomes black, and a black that is blended by "screen" is the page's own background.
STYLE = (
    f".{PICTURE} {{ mix-blend-mode: multiply; }} "
    f":is({_DARK}) .{PICTURE} {{ filter: invert(1) hue-rotate(180deg); mix-blend-mode: screen; }}"
)


def picture_html(png: bytes, width: int, alt: str) -> str:
    """``png`` as HTML, ``width`` pixels wide where the page has them, never wider than the page.

    >>> picture_html(b"...", 640, "accuracy")[:20]
    '<style>.pfa-picture '
    """
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<style>{STYLE}</style><img class="{PICTURE}" alt="{html.escape(alt)}" src="data:image/png;base64,{data}" '
        f'width="{width}" style="width: {width}px; max-width: 100%; height: auto">'
    )
