"""Drawings that explain an idea before any number is computed: inline SVG in the colours of the page around it.

Letters and neurons take the page's own text colour, so a drawing reads on a light page and on a dark one. The two
colours for forward and feedback synapses stand out on both, and the two kinds differ in their dashes too.

>>> "mid neuron" in two_paths().svg
True
"""

from __future__ import annotations

from dataclasses import dataclass

FORWARD, FEEDBACK = "#2F86C9", "#D9622B"  # at least 3 : 1 against white and against JupyterLab's dark grey
_INK = "var(--jp-content-font-color1, currentColor)"
_RADIUS = 24


@dataclass(frozen=True)
class Drawing:
    """An SVG for a notebook. ``alt``: what it shows, in words."""

    svg: str
    alt: str

    def _repr_html_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return self.alt


def two_paths() -> Drawing:
    """The way back of an error: under backprop over a copy of the forward synapse, under PFA through a mid neuron."""
    alt = (
        "Left, backprop: neuron j drives neuron k through a synapse W; the error returns from k to j through a synapse "
        "that must be equal to W. Right, PFA: the error returns from k through B to the mid neuron m, and from m "
        "through R to j; no synapse is a copy of another."
    )
    parts = [
        *_pair(130, "Backprop"),
        _arrow((148, 222), (148, 100), FEEDBACK, dashed=True, back=True),
        _text(162, 155, "must equal W", "start"),
        _text(162, 174, "at every moment", "start", small=True),
        *_pair(430, "PFA"),
        _neuron(585, 160, "m"),
        _arrow((452, 86), (566, 144), FEEDBACK, dashed=True),
        _arrow((566, 178), (452, 234), FEEDBACK, dashed=True),
        _text(520, 104, "B, fixed", "start"),
        _text(520, 226, "R, learns", "start"),
        _text(616, 165, "mid neuron", "start"),
        _line_key(40, 296, FORWARD, "activity, forwards", dashed=False),
        _line_key(250, 296, FEEDBACK, "error, back", dashed=True),
    ]
    return Drawing(_svg(740, 320, alt, parts), alt)


def _pair(x: int, title: str) -> list[str]:
    """Neuron j below, k above, and the forward synapse W between them."""
    return [
        _text(x, 24, title, "middle", bold=True),
        _neuron(x, 76, "k"),
        _neuron(x, 246, "j"),
        _arrow((x - 18, 222), (x - 18, 100), FORWARD),
        _text(x - 32, 165, "W", "end"),
        _text(x - 38, 80, "layer above", "end", small=True),
        _text(x - 38, 250, "layer below", "end", small=True),
    ]


def _svg(width: int, height: int, alt: str, parts: list[str]) -> str:
    heads = "".join(
        f'<marker id="head-{colour[1:]}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        f'orient="auto-start-reverse"><path d="M0 0 L10 5 L0 10 z" fill="{colour}"/></marker>'
        for colour in (FORWARD, FEEDBACK)
    )
    return (
        f'<svg role="img" aria-label="{alt}" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" '
        f'style="width:100%;max-width:{width}px;height:auto;font-family:sans-serif;background:none">'
        f"<defs>{heads}</defs>{''.join(parts)}</svg>"
    )


def _neuron(x: int, y: int, name: str) -> str:
    circle = f'<circle cx="{x}" cy="{y}" r="{_RADIUS}" style="fill:none;stroke:{_INK};stroke-width:2"/>'
    return circle + _text(x, y + 6, name, "middle", italic=True)


def _arrow(
    start: tuple[int, int], end: tuple[int, int], colour: str, dashed: bool = False, back: bool = False
) -> str:  # fmt: skip
    """A synapse; ``back``: it is drawn upwards and points down."""
    (x1, y1), (x2, y2) = (end, start) if back else (start, end)
    dashes = ' stroke-dasharray="8 5"' if dashed else ""
    return (
        f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" stroke-width="3"{dashes} '
        f'marker-end="url(#head-{colour[1:]})"/>'
    )


def _line_key(x: int, y: int, colour: str, label: str, dashed: bool) -> str:
    return _arrow((x, y), (x + 50, y), colour, dashed) + _text(x + 60, y + 5, label, "start", small=True)


def _text(
    x: int, y: int, text: str, anchor: str, bold: bool = False, italic: bool = False, small: bool = False
) -> str:  # fmt: skip
    look = ("font-weight:bold;" if bold else "") + ("font-style:italic;" if italic else "")
    size = 14 if small else 17
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" style="fill:{_INK};{look}font-size:{size}px">{text}</text>'
