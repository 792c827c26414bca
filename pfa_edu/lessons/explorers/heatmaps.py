"""Four matrices, F drawn against W, and two curves: the frame that both explorers of feedback dimensions share."""

from __future__ import annotations

import numpy as np
from matplotlib.image import AxesImage
from matplotlib.text import Text
from torch import Tensor

from .picture import GREY, INK, Picture, tidy

CORNER = 20  # rows and columns shown of each matrix: few enough to compare two matrices cell by cell
COLOURS = "PuOr_r"  # purple negative, white zero, orange positive: told apart by the colour-blind
POINTS = 1200  # entries of W in the scatter: more would be one blot


class FourMatrices(Picture):
    """Heat maps of the top left corners of four matrices, and beside them F's entries against W's.

    Below are the axes ``self.left`` and ``self.right`` for curves. Two noisy matrices look alike only when they are
    nearly equal; a cloud of points shows any angle between them.
    """

    def __init__(self, signs: tuple[str, str, str]):
        """``signs``: what stands between the four matrices, e.g. ('×', '=', '≈')."""
        super().__init__(11.5, 5.9)
        (top,), (bottom,) = self.figure.subfigures(2, 1, squeeze=False, height_ratios=[1, 1.15])
        *self._axes, self.cloud = top.subplots(1, 5)
        self._maps: list[AxesImage] = []
        self._notes: list[Text] = []
        for ax, sign in zip(self._axes, (*signs, ""), strict=True):
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_color(GREY)
            blank = np.zeros((CORNER, CORNER))
            image = ax.imshow(blank, cmap=COLOURS, vmin=-2.5, vmax=2.5, interpolation="nearest")
            note = ax.text(0, -0.13, "", transform=ax.transAxes, fontsize=9, color=INK)
            self.live(image, note)
            ax.set_xlabel(" ", fontsize=9)  # keeps the room that the note needs
            ax.text(1.12, 0.5, sign, transform=ax.transAxes, fontsize=18, ha="center", va="center", color=INK)
            self._maps.append(image)
            self._notes.append(note)
        self._lay_out_cloud()
        self.left, self.right = bottom.subplots(1, 2)

    def _lay_out_cloud(self) -> None:
        ax = self.cloud
        tidy(ax, "F against W", "an entry of W", "the same of F")
        ax.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[-2, 0, 2], yticks=[-2, 0, 2], aspect="equal")
        (line,) = ax.plot([-3, 3], [-3, 3], color=INK, linestyle=":", linewidth=1.3)
        (self._points,) = ax.plot([], [], ".", markersize=2.5, alpha=0.4, markeredgewidth=0)
        self._told = ax.text(-2.8, 2.35, "", fontsize=9, fontweight="bold", color=INK)
        self._question = ax.text(0, 0, "?", fontsize=30, color=GREY, ha="center", va="center", visible=False)
        self.live(line, self._points, self._told)
        self.answers(line, self._points, self._told)

    def ask(self, asking: bool) -> None:
        super().ask(asking)
        self._question.set_visible(asking)

    def name_matrices(self, *names: str) -> None:
        for ax, name in zip(self._axes, names, strict=True):
            ax.set_title(name, loc="left", fontsize=10.5, fontweight="bold", color=INK)

    def show_matrix(self, place: int, matrix: Tensor, scale: float) -> None:
        """Shows ``matrix`` (rows, columns) at ``place`` 0 to 3; the deepest colours stand for ±2.5 times ``scale``."""
        self._maps[place].set_data((matrix[:CORNER, :CORNER] / scale).numpy())
        rows, columns = matrix.shape
        self._notes[place].set_text(f"{rows} × {columns}, size {matrix.square().mean().sqrt():.3f}")

    def show_cloud(self, F: Tensor, W: Tensor, degrees: float, colour: str) -> None:
        """F's entries against W's, each in units of its own size: on the dotted line the two are equal but for size."""
        step = max(1, W.numel() // POINTS)
        x, y = (m.flatten()[::step] / m.square().mean().sqrt() for m in (W, F))  # (points,)
        self._points.set_data(x.numpy(), y.numpy())
        self._points.set_color(colour)
        self._told.set_text(f"{degrees:.1f}°")

    def angle_axes(self, title: str, xlabel: str) -> None:
        """Makes ``self.right`` the axes of an angle between F and W."""
        tidy(self.right, title, xlabel, "∠(F, W) in degrees")
        self.right.set_ylim(-3, 100)
        self.right.set_yticks([0, 15, 30, 45, 60, 75, 90])
