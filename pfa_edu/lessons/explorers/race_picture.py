"""The race as one picture that is added to, not drawn anew: curves above, a network and its angles for each rule below.

A whole drawing by matplotlib takes a fifth of a second, too long for a picture that moves. So the canvas keeps what is
on it: a curve gets only its newest piece, and what is overwritten (a number, the lines of a feedback path, a map) is a
*tile*, wiped and drawn again only when what it shows has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox
from PIL import Image, ImageDraw

from ...errors import ConfigError
from ...plots.looks import layer_colours, rule_look
from . import toy
from .moving import Curve, Number, Tile, font
from .network_drawing import NetworkDrawing, angle_colour
from .picture import GREY, INK, Picture, tidy
from .race_engine import Angles, Lane, Race

_FIRST_SPAN = 64  # steps that the curves' axes begin with; they double whenever a curve reaches the end
_BEST = 100.6  # the accuracy axis stretches towards this, so that 97 and 98 % can be told apart
_SHADE = 3  # degrees by which an angle must change before its feedback path is drawn in another colour
_CLASS_COLOURS = np.array([[0.95, 0.84, 0.62], [0.68, 0.86, 0.96], [0.70, 0.90, 0.82]])  # pale, for the map
_WIDE, _HIGH = 11.5, 5.9  # inches: on a screen of 1280 by 720 the controls stay in sight
_SCORES, _ANGLES = attrgetter("scores"), attrgetter("angles")
_POINT_COLOURS = ("#9A6700", "#1B6FA8", "#00694C")


class RacePicture(Picture):
    """Shows a :class:`Race`. One of other rules, data or depth than the last is laid out from nothing."""

    def __init__(self) -> None:
        super().__init__(_WIDE, _HIGH)
        self.figure.set_layout_engine("none")  # every place below is given
        self.race: Race | None = None
        self._kind: Any = None

    def show(self, result: Race) -> None:
        settings = result.settings
        kind = settings.entries, settings.dataset, settings.depth, settings.width
        if kind != self._kind:
            self._lay_out(result)
            self._kind = kind
        if result is not self.race:
            self.race, self._span = result, _FIRST_SPAN
            self._wipe()
        if self._span < result.steps:
            while self._span < result.steps:
                self._span *= 2
            self._wipe()

    def _shown(self) -> Race:
        if self.race is None:
            raise ConfigError("there is no race in this picture yet: call show(race) first")
        return self.race

    def _wipe(self) -> None:
        """Everything that was added to the frame is to be drawn again."""
        self._clean = False

    def paint(self) -> None:
        if self._frame is None:
            self.canvas.draw()
            self._frame = self.canvas.copy_from_bbox(self.figure.bbox)
            for tile in self._tiles:
                tile.blank = self.canvas.copy_from_bbox(tile.box)
            self._wipe()
        if not self._clean:
            self.canvas.restore_region(self._frame)
            for curve in self._curves:
                curve.drawn = 0
            for tile in self._tiles:
                tile.key = None
            self._clean = True
        race, renderer = self._shown(), self.canvas.get_renderer()
        for curve in self._curves:
            curve.grow(renderer, race, self._span)
        for tile in self._tiles:
            key = tile.read(race)
            if key != tile.key:
                tile.key = key
                self.canvas.restore_region(tile.blank)
                for artist in tile.redraw(key):
                    self.figure.draw_artist(artist)

    def letter(self, image: Image.Image) -> None:
        draw, race = ImageDraw.Draw(image), self._shown()
        for number in self._numbers:
            draw.text((number.x, number.y), number.read(race), INK, font(number.points), number.anchor)

    # -------------------------------------------------------------------------------------------- laying out

    def _lay_out(self, race: Race) -> None:
        """The places are fractions of the figure: left, bottom, width, height."""
        self.figure.clear()
        self.reframe()
        self._curves: list[Curve] = []
        self._tiles: list[Tile] = []
        self._numbers: list[Number] = []
        accuracy = self._axes((0.06, 0.755, 0.41, 0.195), "Accuracy on held-out samples, in % (stretched towards 100)")
        accuracy.set_yscale("function", functions=(lambda y: -np.log10(_BEST - y), lambda v: _BEST - 10.0**-v))
        accuracy.set_yticks([0, 80, 90, 95, 98, 100])
        accuracy.set_ylim(0, 100)
        gradient = self._axes((0.56, 0.755, 0.41, 0.195), "Gradient angle to backprop, hidden layers' mean", "degrees")
        _degrees(gradient)
        for i, lane in enumerate(race.lanes):
            self._lane(race, lane, i, accuracy, gradient)
        self._scale()

    def _axes(self, place: tuple[float, float, float, float], title: str, ylabel: str = "") -> Axes:
        """Axes over steps; x runs from 0 to 1, and the numbers beneath are written as the span grows."""
        ax = self.figure.add_axes(place)
        tidy(ax, title, "", ylabel)
        ax.set(xlim=(0, 1), xticks=np.linspace(0, 1, 5), xticklabels=[])
        for x in (0, 0.5, 1):
            anchor = "ra" if x == 1 else "ma"
            self._number(ax, x, ax.get_ylim()[0], anchor, 9, self._steps_at(x), down=8)
        return ax

    def _steps_at(self, x: float) -> Callable[[Race], str]:
        return lambda race: f"{x * self._span:.0f}" + " steps" * (x == 1)

    def _lane(self, race: Race, lane: Lane, i: int, accuracy: Axes, gradient: Axes) -> None:
        left, style, layers = 0.02 + 0.327 * i, rule_look(lane.entry.name), list(lane.angles[0].gradient)
        look: dict[str, Any] = {
            "color": style.colour, "marker": style.marker, "markersize": 5.5 * style.size, "linewidth": 1.6,
            "markerfacecolor": (style.colour, "white", "#BBBBBB")[i],
        }  # fmt: skip
        self._curve(accuracy, i, _SCORES, lambda score: score.accuracy, look)
        hidden = layers[:-1]
        self._curve(gradient, i, _ANGLES, lambda now: float(np.mean([now.gradient[name] for name in hidden])), look)

        head = self.figure.add_axes((left, 0.645, 0.31, 0.045))
        head.set(xlim=(0, 1), ylim=(0, 1))
        head.axis("off")
        head.plot([0.02], [0.5], **(look | {"markersize": 7 * style.size}))
        title = f"{style.label} {lane.label.partition(' ')[2]}".strip()
        head.text(0.055, 0.5, title, fontsize=10.5, fontweight="bold", color=INK, va="center")
        self._number(head, 1, 0.5, "rm", 10, lambda race: _said(race.lanes[i]))

        small = race.settings.dataset == "spirals"
        place = self.figure.add_axes((left, 0.355, 0.185 if small else 0.31, 0.285))
        drawing = NetworkDrawing(
            place, lane.entry, layers, race.data.train_x[0].numel(), race.classes, direct=not lane.angles[0].path
        )
        for name in drawing.feedback:
            self._feedback(place, drawing, i, name)
        if small:
            self._map(race, i, self.figure.add_axes((left + 0.19, 0.38, 0.12, 0.12 * _WIDE / _HIGH)))
        self._angles(race, lane, i, left, layers)

    def _feedback(self, place: Axes, drawing: NetworkDrawing, i: int, name: str) -> None:
        """The feedback path of one layer, coloured by its angle, and the angle under it."""

        def degrees(race: Race) -> float:
            return race.lanes[i].angles[-1].path[name]

        self._tile(
            place, drawing.place(name), lambda race: round(degrees(race) / _SHADE) * _SHADE,
            lambda shade: [drawing.set_angle(name, shade)],
        )  # fmt: skip
        self._number(place, drawing.middles[name], 0.02, "mm", 9, lambda race: f"{degrees(race):.0f}°")

    def _angles(self, race: Race, lane: Lane, i: int, left: float, layers: list[str]) -> None:
        ax = self._axes((left + 0.025, 0.06, 0.27, 0.18), "")
        _degrees(ax)
        if not lane.angles[0].path:
            ax.text(
                0.5,
                45,
                f"{rule_look(lane.entry.name).label} has no F to compare with W",
                color=GREY,
                ha="center",
                fontsize=9,
            )
            return
        floor, colours = lane.entry.floor(race.settings.width), layer_colours(layers)
        ax.text(0, 1.08, "∠(F, W) of", transform=ax.transAxes, fontsize=9, color=INK)
        if floor is not None:
            ax.axhline(floor, color=INK, linestyle=":", linewidth=1.3)
            ax.text(1, 1.08, f"floor {floor:.3g}°", transform=ax.transAxes, ha="right", fontsize=9, color=GREY)
        for j, name in enumerate(layers):
            self._curve(ax, i, _ANGLES, _path_of(name), {"color": colours[name], "linewidth": 1.7})
            ax.text(
                0.25 + 0.1 * j, 1.08, name, transform=ax.transAxes, color=colours[name], fontsize=9, fontweight="bold"
            )

    def _map(self, race: Race, i: int, ax: Axes) -> None:
        """What the network answers over the plane, and some of the held-out samples."""
        square = (-toy.REACH, toy.REACH)
        ax.set(xlim=square, ylim=square, xticks=[], yticks=[])
        ax.set_title("what it answers", fontsize=9, color=GREY, pad=2)
        image = ax.imshow(
            np.ones((2, 2, 3)), extent=(*square, *square), origin="lower", interpolation="nearest", animated=True
        )
        points = [
            ax.plot(*race.data.test_x[race.data.test_y == c][:40].T, ".", color=colour, markersize=2.5, animated=True)[
                0
            ]
            for c, colour in enumerate(_POINT_COLOURS)
        ]

        def redraw(key: Any) -> Sequence[Artist]:
            image.set_data(
                toy.class_map(self._shown().lanes[i].net).numpy() @ _CLASS_COLOURS
            )  # (side, side, classes) to RGB
            return [image, *points]

        self._tile(
            ax, (*[square[0]] * 2, *[square[1]] * 2), lambda race: (id(race), race.lanes[i].scores[-1].step), redraw
        )

    def _scale(self) -> None:
        """The colours of the feedback paths, under the networks."""
        ax = self.figure.add_axes((0.36, 0.315, 0.28, 0.015))
        ax.imshow([[angle_colour(degrees) for degrees in range(91)]], aspect="auto", extent=(0, 90, 0, 1))
        ax.set(xticks=[], yticks=[])
        for x, ha, text in ((-2, "right", "feedback path aligned, 0°"), (92, "left", "90°: F knows nothing of W")):
            ax.text(x, 0.5, text, ha=ha, va="center", fontsize=9, color=INK)
        ax.spines[:].set_visible(False)

    def _curve(self, ax: Axes, i: int, history: Callable, read: Callable[[Any], float], look: dict[str, Any]) -> None:
        (line,) = ax.plot([], [], animated=True, **look)
        self._curves.append(Curve(ax, line, i, history, read))

    def _tile(self, ax: Axes, place: tuple[float, ...], read: Callable[[Race], Any], redraw: Callable) -> None:
        """``place``: x0, y0, x1, y1 in ``ax``'s data."""
        self._tiles.append(Tile(Bbox.from_extents(*place).transformed(ax.transData), read, redraw))

    def _number(
        self, ax: Axes, x: float, y: float, anchor: str, points: float, read: Callable[[Race], str], down: float = 0
    ) -> None:
        """``x``, ``y`` in ``ax``'s data, then ``down`` pixels lower."""
        right, up = ax.transData.transform((x, y))
        self._numbers.append(Number(right, self.canvas.get_width_height()[1] - up + down, anchor, points, read))


def _degrees(ax: Axes) -> None:
    ax.set_ylim(0, 108)  # at the start an update may point away from backprop's
    ax.set_yticks([0, 30, 60, 90])


def _path_of(name: str) -> Callable[[Angles], float]:
    return lambda measured: measured.path[name]


def _said(lane: Lane) -> str:
    if lane.fell_at is not None:
        return f"loss not finite at step {lane.fell_at}"
    return f"{lane.scores[-1].accuracy:.1f} % right"
