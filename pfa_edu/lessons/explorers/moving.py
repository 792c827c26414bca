"""Parts of a picture that is added to while it moves: curves that grow, tiles that are wiped, numbers written last.

Matplotlib needs a fifth of a second to draw a whole figure, and a millisecond for one word in it. These parts bring a
picture that is on the canvas already up to date in a few milliseconds altogether.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.transforms import Bbox, IdentityTransform
from PIL import ImageFont

from .picture import DPI
from .race_engine import Lane, Race


class Curve:
    """A line on the canvas that grows by what was measured of lane ``i`` since it was last drawn.

    ``history`` gives all that was measured of a lane, each with its ``step``, and ``read`` the height of one of them.
    ``line`` gives the look, and the marker, which is set eight times over the axes' width. Matplotlib's own way to draw
    a line takes ten times as long as its renderer does.
    """

    def __init__(
        self, ax: Axes, line: Line2D, i: int, history: Callable[[Lane], Sequence[Any]], read: Callable[[Any], float]
    ):  # fmt: skip
        self.ax, self.line, self.i, self.history, self.read = ax, line, i, history, read
        self.drawn = 0

    def grow(self, renderer: RendererAgg, race: Race, span: int) -> None:
        measured = self.history(race.lanes[self.i])
        if self.drawn >= len(measured):
            return
        piece = measured[max(self.drawn - 1, 0) :]
        self.drawn = len(measured)
        points = np.array([(m.step / span, self.read(m)) for m in piece])  # (measurements, 2)
        gc = renderer.new_gc()
        gc.set_foreground(self.line.get_color())
        gc.set_linewidth(self.line.get_linewidth())
        gc.set_clip_rectangle(self.ax.bbox)
        gc.set_joinstyle("round")
        gc.set_capstyle("round")
        renderer.draw_path(gc, Path(self.ax.transData.transform(points)), IdentityTransform())
        gc.restore()
        if self.line.get_marker() not in (None, "None"):
            turn = np.floor(points[:, 0] * 8 + self.i / 3)  # the lanes take turns, so that no marker hides another
            marked = points[1:][np.diff(turn) > 0]
            if len(marked):
                self.line.set_data(*marked.T)
                self.line.set_linestyle("none")
                self.ax.draw_artist(self.line)


class Tile:
    """A rectangle of the canvas. ``read`` says what it should show, ``redraw`` sets artists to it and returns them."""

    def __init__(self, box: Bbox, read: Callable[[Race], Any], redraw: Callable[[Any], Sequence[Artist]]):
        self.box, self.read, self.redraw = box, read, redraw
        self.key: Any = None
        self.blank: Any = None  # its pixels without the artists


class Number(NamedTuple):
    """Text that changes, written on the finished pixels; ``x``, ``y`` from the upper left, ``anchor`` as Pillow's."""

    x: float
    y: float
    anchor: str
    points: float
    read: Callable[[Race], str]


@functools.lru_cache
def font(points: float) -> ImageFont.FreeTypeFont:
    """The figures' own typeface."""
    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), round(points * DPI / 72))
