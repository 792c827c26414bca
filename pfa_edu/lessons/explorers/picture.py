"""One figure that is drawn once and then only touched up: fixed size, no pyplot, a PNG at the end.

Drawing axes, ticks and letters anew takes matplotlib a quarter of a second; the artists that change take a tenth of
that. So a picture draws its frame once, keeps the pixels, and on every update puts back those pixels and draws only
its *live* artists over them.
"""

from __future__ import annotations

import io
from typing import Any, TypeVar

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ...plots.style import GREY, INK, look

__all__ = ["CSS_DPI", "DPI", "GREY", "INK", "Picture", "tidy"]

CSS_DPI = 80  # pixels of the page per inch of the figure
DPI = 100  # pixels of the PNG per inch: a little more, for dense screens


A = TypeVar("A", bound=Artist)


class Picture:
    """Base: a subclass makes its axes in ``__init__``, and its ``show(result)`` sets the live artists.

    ``width``, ``height`` in inches; the page shows 80 pixels for each.

    >>> class Dot(Picture):
    ...     def __init__(self):
    ...         super().__init__(3, 2)
    ...         ax = self.figure.subplots()
    ...         (self.dot,) = self.live(*ax.plot([0], [0], "o"))
    ...     def show(self, result):
    ...         self.dot.set_data([result], [result])
    >>> dot = Dot()
    >>> dot.show(0.01)
    >>> dot.png()[1:4]
    b'PNG'
    """

    def __init__(self, width: float, height: float):
        self.figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        self.canvas = FigureCanvasAgg(self.figure)
        self._live: list[Artist] = []
        self._answers: list[Artist] = []
        self.asking = False
        self._frame: Any = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height on the page, in its pixels."""
        width, height = self.figure.get_size_inches() * CSS_DPI
        return round(width), round(height)

    def live(self, *artists: A) -> tuple[A, ...]:
        """Says that these artists change from one result to the next; they are drawn above everything else."""
        for artist in artists:
            artist.set_animated(True)
        self._live.extend(artists)
        return artists

    def answers(self, *artists: Artist) -> None:
        """Says that these artists would tell the answer to the explorer's question: hidden while it is asked."""
        self._answers.extend(artists)

    def ask(self, asking: bool) -> None:
        """Whether the question is asked, its answer hidden."""
        if asking != self.asking:
            self.asking = asking
            self.reframe()
        for artist in self._answers:
            artist.set_visible(not asking)

    def show(self, result: Any) -> None:
        """Sets the live artists to ``result``."""
        raise TypeError(f"{type(self).__name__} does not say how to show a result")

    def reframe(self) -> None:
        """Says that something other than the live artists changed (a limit, a tick): the next ``png`` draws it all."""
        self._frame = None

    def paint(self) -> None:
        """Brings the pixels of ``canvas`` up to the present result."""
        if self._frame is None:
            self.canvas.draw()  # all but the live artists; this also lays the axes out
            self.figure.set_layout_engine("none")  # once: nothing may move from now on
            self._frame = self.canvas.copy_from_bbox(self.figure.bbox)
        self.canvas.restore_region(self._frame)
        for artist in sorted(self._live, key=lambda a: a.get_zorder()):
            self.figure.draw_artist(artist)

    def letter(self, image: Image.Image) -> None:
        """Writes onto the finished pixels what matplotlib is too slow for; nothing here."""

    def png(self) -> bytes:
        """The present picture."""
        return self._encoded("png", compress_level=1)  # speed, not size

    def jpeg(self) -> bytes:
        """The present picture in about a fifth of the time of ``png``, for one that the next soon replaces."""
        return self._encoded("jpeg", quality=85, subsampling=0)  # colour at full resolution: thin lines keep theirs

    def _encoded(self, kind: str, **options: Any) -> bytes:
        """The present picture as a file of that kind; ``options`` are Pillow's."""
        self.paint()
        size = self.canvas.get_width_height()
        # Every fourth byte of the canvas, opaque everywhere, is skipped while the rest is taken in.
        image = Image.frombytes("RGB", size, self.canvas.buffer_rgba(), "raw", "RGBX")
        self.letter(image)
        buffer = io.BytesIO()
        image.save(buffer, format=kind, **options)
        return buffer.getvalue()


def tidy(ax: Axes, title: str, xlabel: str = "", ylabel: str = "") -> None:
    """The look of this package's figures, for axes of any unit."""
    ax.set(xlabel=xlabel, ylabel=ylabel)
    look(ax, title)
