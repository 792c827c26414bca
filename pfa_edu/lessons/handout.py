"""The symbols on one page of A4: a drawing of the two paths, what each symbol stands for, the rules, the limit angles.

>>> [row[0] for row in SYMBOLS][:4]
['$W$', '$h$', '$\\\\delta$', '$F$']
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

from ..rules import alignment_limit
from . import notebooks

WIDTH, HEIGHT = 210 / 25.4, 297 / 25.4  # inches
_LEFT, _RIGHT = 0.7, WIDTH - 0.7
_FORWARD, _FEEDBACK, _INK, _SOFT = "#52606d", "#b5541c", "#1a1a1a", "#5a6472"

SYMBOLS = (  # symbol, shape, what it is, in the code
    ("$W$", "out × in", "forward weight: the layer computes $Wh + b$", "layer.weight"),
    ("$h$", "in", "activity that comes in from the layer below", ""),
    (r"$\delta$", "out", r"error at the layer's output, $\partial L/\partial(Wh+b)$", "delta"),
    ("$F$", "out × in", r"feedback weight: sends $F^\top\delta$ down, backprop $W^\top\delta$",
     "layer.feedback_weight()"),
    ("$B$", "out × mid", "PFA: fixed and random, from outputs to mid neurons", "layer.feedback.B"),
    ("$R$", "mid × in", r"PFA: learns by the local product $(B^\top\delta)\,h^\top = B^\top\nabla W$; $F = BR$",
     "layer.feedback.R"),
    ("$G$", "out × out", r"$BB^\top$; the identity on average, and exactly for PFA-o", "layer.feedback.G"),
    ("$E$", "out × in", "mismatch of the random start, $BR_0 - GW_0$", "layer.feedback.E"),
    ("$a$", "a number", "part of $E$ that is left: 1 at first, shrunk by weight decay alone", "pe.mismatch(...)"),
    ("ratio", "a number", "mid neurons for each output neuron, mid = ratio · out", "pe.PFA(ratio=10)"),
    ("density $p$", "0 to 1", "fraction of the feedback synapses that exist, in $B$ and in $R$", "pe.PFA(density=0.3)"),
)  # fmt: skip
RULES = (  # rule, F, what learns in it
    ("BP", "$W$", "every feedback synapse is a copy"),
    ("FA", "random", "nothing: $W$ turns towards $F$"),
    ("SF", r"$s\cdot\mathrm{sign}(W)$", "nothing: the signs are given"),
    ("KP", "a weight of its own", r"$F$, by $\nabla W$; forward and back between the same neurons"),
    ("PFA", "$BR$", r"$R$, by $B^\top\nabla W$; no pair of neurons needs synapses both ways"),
    ("PFA-o", "$BR$, $B$ orthogonal", "$R$, in the same way"),
    ("DFA", r"none: $D^\top e$", "nothing: the output error $e$ goes straight to each layer"),
)
ANGLES = (  # ratio, density: columns of the last table
    (1, 1.0), (3, 1.0), (10, 1.0), (30, 1.0), (100, 1.0), (10, 0.5), (10, 0.3), (10, 0.1)
)  # fmt: skip


def write_handout(to: Path, force: bool = False) -> dict[Path, str]:
    """Writes ``to/handout.pdf``; the path with what was done."""
    page = io.BytesIO()
    about = {"Title": "Product Feedback Alignment: the symbols", "Keywords": source(), "CreationDate": None}
    figure().savefig(page, format="pdf", metadata=about)  # without a date, so that the same page is the same file
    return notebooks.put({to / "handout.pdf": page.getvalue()}, force)


def source() -> str:
    """What the page is made from, as a short hash: the PDF carries it, so a test can tell that it is up to date."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]


def figure() -> Any:
    """The page as a figure, in inches from its top left corner."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"font.family": "DejaVu Sans", "mathtext.fontset": "dejavusans", "pdf.fonttype": 42}):
        page = Figure(figsize=(WIDTH, HEIGHT))
        ax = page.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(HEIGHT, 0))
        ax.axis("off")
        ax.text(_LEFT, 0.62, "Product Feedback Alignment: the symbols", size=17, weight="bold", va="center", color=_INK)
        _draw_paths(ax, 0.95)
        y = _table(ax, 4.05, ("symbol", "shape", "what it is", "in the code"), SYMBOLS, (0, 0.95, 1.8, 5.3))
        y = _head(ax, y + 0.4, "The law, and where it ends")
        law = r"$F_t = G\,W_t + a_t\,E$" + "      under SGD, where no synapse is missing: at every step, for every task"
        ax.text(_LEFT, y, law, size=8.6, va="center", color=_INK)
        ax.text(
            _LEFT, y + 0.3, "As $a_t$ fades, the angle between $F$ and $W$ ends at", size=8.6, va="center", color=_INK
        )
        limit = r"$\arctan(1/\sqrt{\mathrm{ratio}\cdot p})$"
        ax.text(_LEFT + 3.35, y + 0.3, limit, size=10, va="center", color=_FEEDBACK)
        ax.text(_LEFT + 5.0, y + 0.3, "in wide layers", size=8.6, va="center", color=_INK)
        angle = r"(0° for PFA-o and KP). Its cosine is $\langle F, W\rangle\,/\,(\|F\|\,\|W\|)$, both as long vectors."
        ax.text(_LEFT, y + 0.58, angle, size=8.6, va="center", color=_INK)
        limits = [f"{alignment_limit(ratio, p):.1f}°" for ratio, p in ANGLES]
        rows = (("density $p$", *(f"{p:g}" for _, p in ANGLES)), ("angle", *limits))
        columns = (0, *(1.1 + 0.72 * i for i in range(len(ANGLES))))
        y = _table(ax, y + 0.9, ("ratio", *(str(ratio) for ratio, _ in ANGLES)), rows, columns)
        y = _table(ax, y + 0.38, ("rule", "F", "what learns in the feedback"), RULES, (0, 0.95, 2.7))
        papers = (
            "Li Ji-An & Marcus K. Benna, Deep Learning without Weight Symmetry, arXiv 2405.20594."
            " FA: Lillicrap et al. 2016. KP: Kolen & Pollack 1994. DFA: Nøkland 2016."
        )
        ax.text(_LEFT, HEIGHT - 0.45, papers, size=6, va="center", color=_SOFT)
    return page


def _draw_paths(ax: Any, top: float) -> None:
    """The layer below on the left, the layer above on the right; forward straight, back through the mid neurons."""
    left, right, middle = _LEFT + 1.1, _RIGHT - 1.1, (_LEFT + _RIGHT) / 2
    above, below = top + 0.55, top + 2.35
    _neurons(ax, [(left, above + 0.33 * i) for i in range(4)], _FORWARD)
    _neurons(ax, [(right, above + 0.165 + 0.33 * i) for i in range(3)], _FORWARD)
    _neurons(ax, [(middle + 0.3 * (i - 4.5), below) for i in range(10)], _FEEDBACK)
    _arrow(ax, (left + 0.25, above + 0.33), (right - 0.25, above + 0.33), _FORWARD, "$W$", (middle, above + 0.15))
    _arrow(ax, (right - 0.1, above + 1.2), (middle + 1.6, below), _FEEDBACK, r"$B$", (right - 0.7, below - 0.3))
    _arrow(ax, (middle - 1.6, below), (left + 0.1, above + 1.3), _FEEDBACK, r"$R$", (left + 0.75, below - 0.3))
    small = {"size": 8.2, "va": "center", "color": _INK}
    ax.text(left, top + 0.22, "layer below: $h$", ha="center", **small)
    ax.text(right, top + 0.22, r"layer above: $Wh+b$, error $\delta$", ha="center", **small)
    ax.text(middle, below + 0.3, r"mid neurons: $B^\top\delta$", ha="center", **small)
    ax.text(middle, above + 0.53, "forward", ha="center", size=7.2, va="center", color=_FORWARD)
    ax.text(middle, below - 0.35, r"back: $F^\top\delta = R^\top B^\top\delta$", ha="center", size=8.2, va="center",
            color=_FEEDBACK)  # fmt: skip


def _neurons(ax: Any, places: list[tuple[float, float]], colour: str) -> None:
    from matplotlib.patches import Circle

    for place in places:
        ax.add_patch(Circle(place, 0.1, facecolor="white", edgecolor=colour, linewidth=1.4, zorder=3))


def _arrow(ax: Any, start: tuple[float, float], end: tuple[float, float], colour: str, name: str, at: Any) -> None:
    ax.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 2.2})
    ax.text(*at, name, size=14, ha="center", va="center", color=colour)


def _head(ax: Any, y: float, words: str) -> float:
    ax.text(_LEFT, y, words, size=10, weight="bold", va="center", color=_INK)
    return y + 0.27


def _table(
    ax: Any, y: float, heads: tuple[str, ...], rows: tuple[tuple[str, ...], ...], at: tuple[float, ...]
) -> float:
    """A table whose columns begin ``at`` so many inches from the margin; returns where its last row stands."""
    for x, head in zip(at, heads, strict=True):
        ax.text(_LEFT + x, y, head, size=7.6, va="center", color=_SOFT)
    ax.plot([_LEFT, _RIGHT], [y + 0.13, y + 0.13], color=_SOFT, linewidth=0.6)
    y += 0.06
    for row in rows:
        y += 0.235
        for x, cell in zip(at, row, strict=True):
            code = cell.startswith(("layer.", "pe.", "delta"))
            font = {"family": "DejaVu Sans Mono", "size": 6.8} if code else {"size": 8.2}
            ax.text(_LEFT + x, y, cell, va="center", color=_INK, **font)
    return y
