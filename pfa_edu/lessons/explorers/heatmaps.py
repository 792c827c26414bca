"""Four matrices above two curves: the frame that both explorers of the lesson on feedback dimensions share."""

from __future__ import annotations

import numpy as np
from matplotlib.image import AxesImage
from matplotlib.text import Text
from torch import Tensor

from .picture import GREY, INK, Picture, tidy

CORNER = 20  # rows and columns shown of each matrix: few enough to compare two matrices cell by cell
COLOURS = "PuOr_r"  # purple negative, white zero, orange positive: told apart by the colour-blind


class FourMatrices(Picture):
    """Heat maps of the top left corners of four matrices; below, axes ``self.left`` and ``self.right`` for curves."""

    def __init__(self, signs: tuple[str, str, str]):
        """``signs``: what stands between the four matrices, e.g. ('×', '=', '≈')."""
        super().__init__(12, 6.3)
        (top,), (bottom,) = self.figure.subfigures(2, 1, squeeze=False, height_ratios=[1, 1.25])
        self._axes = list(top.subplots(1, 4))
        self._maps: list[AxesImage] = []
        self._notes: list[Text] = []
        for ax, sign in zip(self._axes, (*signs, ""), strict=True):
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_color(GREY)
            blank = np.zeros((CORNER, CORNER))
            image = ax.imshow(blank, cmap=COLOURS, vmin=-2.5, vmax=2.5, interpolation="nearest")
            note = ax.text(0, -0.1, "", transform=ax.transAxes, fontsize=9, color=INK)
            self.live(image, note)
            ax.set_xlabel(" ", fontsize=9)  # keeps the room that the note needs
            ax.text(1.16, 0.5, sign, transform=ax.transAxes, fontsize=20, ha="center", va="center", color=INK)
            self._maps.append(image)
            self._notes.append(note)
        self.left, self.right = bottom.subplots(1, 2)

    def name_matrices(self, *names: str) -> None:
        for ax, name in zip(self._axes, names, strict=True):
            ax.set_title(name, loc="left", fontsize=10.5, fontweight="bold", color=INK)

    def show_matrix(self, place: int, matrix: Tensor, scale: float) -> None:
        """Shows ``matrix`` (rows, columns) at ``place`` 0 to 3; the deepest colours stand for ±2.5 times ``scale``."""
        self._maps[place].set_data((matrix[:CORNER, :CORNER] / scale).numpy())
        rows, columns = matrix.shape
        self._notes[place].set_text(f"{rows} × {columns}, size of an entry {matrix.square().mean().sqrt():.3f}")

    def angle_axes(self, title: str, xlabel: str) -> None:
        """Makes ``self.right`` the axes of an angle between F and W."""
        tidy(self.right, title, xlabel, "∠(F, W) in degrees")
        self.right.set_ylim(-3, 100)
        self.right.set_yticks([0, 15, 30, 45, 60, 75, 90])
