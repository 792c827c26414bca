"""Who is drawn how: a colour and a marker for every rule, the shades of its variants, the colours of layers.

The label of a result names its rule first, then the knobs that differ from their defaults: 'pfa', 'pfa ratio=20'.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex, to_rgb

from ..rules import BP, Look, Rule, known_rules

# The rules' own colours are Okabe and Ito's palette, told apart by the colour-blind too. A rule without a look of its
# own takes the next of these, which are none of them (Paul Tol's muted scheme).
_CYCLE = ["#882255", "#44AA99", "#999933", "#332288", "#AA4499", "#117733", "#661100", "#6699CC"]
_MARKERS = "ph8P<>dH"
_STEPS = [-0.7, 0.6, -0.4, 0.9]  # shades for knobs that are words: below 0 lighter than the rule itself, above darker
_TRIES = 24  # variants of one rule in one figure that can be told apart


def rule_look(label: str) -> Look:
    """How a rule is shown, by the label that results have.

    A variant has a shade and a marker of its own: lighter where its knob is below the default, darker where above. A
    rule that this process does not know (somebody else's results) is shown under its own name.

    >>> rule_look("pfa ratio=20").label
    'PFA ratio=20'
    >>> rule_look("theirs").label
    'theirs'
    """
    return _candidate(label, 0)


def looks_of(labels: Iterable[str]) -> dict[str, Look]:
    """The look of every label, in the order of legends and tables; no two of one figure have the same colour.

    Each is its :func:`rule_look`, unless another label has taken that colour or marker; a rule's own are never taken.
    """
    ordered = in_order(labels)
    found = {label: rule_look(label) for label in ordered if _has_own(label)}
    taken = {part for look in found.values() for part in (look.colour, look.marker)}
    for label in ordered:
        if label not in found:
            candidates = (_candidate(label, step) for step in range(_TRIES))
            found[label] = min(candidates, key=lambda look: (look.colour in taken, look.marker in taken))
            taken |= {found[label].colour, found[label].marker}
    return {label: found[label] for label in ordered}


def in_order(labels: Iterable[str]) -> list[str]:
    """Each label once, in the order of legends and tables: that of the rules, then the unknown ones by name.

    >>> in_order(["theirs", "pfa ratio=20", "pfa ratio=3", "pfa", "bp"])
    ['bp', 'pfa', 'pfa ratio=3', 'pfa ratio=20', 'theirs']
    """
    order = {name: i for i, name in enumerate(known_rules())}

    def key(label: str) -> tuple[int, list[tuple[float, str]]]:
        # 'ratio=3' stands before 'ratio=20': numbers are compared as numbers, the words between them as words
        parts = re.split(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)", label)
        words = [(float(part), "") if i % 2 else (-1.0, part) for i, part in enumerate(parts)]
        return order.get(label.partition(" ")[0], len(order)), words

    return sorted(dict.fromkeys(labels), key=key)


def is_backprop(label: str) -> bool:
    """Whether the label's rule is backprop, which all others are compared with: its angles are 0 by definition."""
    cls = known_rules().get(label.partition(" ")[0])
    return cls is not None and issubclass(cls, BP)


def layer_colours(layers: Sequence[str]) -> dict[str, str]:
    """A colour for each layer, dark = near the input: plasma, whose hues differ most, without its pale end."""
    shades = mpl.colormaps["plasma"](np.linspace(0.0, 0.85, len(layers)))
    return {layer: to_hex(shade) for layer, shade in zip(layers, shades, strict=True)}


def _has_own(label: str) -> bool:
    cls = known_rules().get(label)
    return cls is not None and cls.look is not None


def _candidate(label: str, step: int) -> Look:
    """The ``step``-th choice of a look for ``label``; the first is the one that it has wherever it can."""
    name, _, knobs = label.partition(" ")
    cls = known_rules().get(name)
    look = None if cls is None else cls.look
    if look is None:
        without = [n for n, c in known_rules().items() if c.look is None]
        i = without.index(name) if name in without else zlib.crc32(name.encode())
        i += 0 if knobs else step
        look = Look(name, _CYCLE[i % len(_CYCLE)], _MARKERS[(i + i // len(_CYCLE)) % len(_MARKERS)])
    if not knobs:
        return look
    free = [marker for marker in _MARKERS if marker != look.marker]
    i = zlib.crc32(knobs.encode()) + step
    shade = _distance(cls, knobs)
    colour = _shaded(look.colour, _STEPS[i % len(_STEPS)] if shade is None else shade)
    return Look(f"{look.label} {knobs}", colour, free[i % len(free)])


def _distance(cls: type[Rule] | None, knobs: str) -> float | None:
    """How far one number is from its default, -1 (far below) to 1 (far above); None for words and for several knobs."""
    name, _, text = knobs.partition("=")
    try:
        default: Any = cls.knobs()[name].default  # type: ignore[union-attr]  # no class: an AttributeError, below
        far = math.tanh(math.log10(float(text) / float(default)))
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return math.copysign(0.25 + 0.75 * abs(far), far)  # so that a near neighbour, too, can be told from the rule


def _shaded(colour: str, shade: float) -> str:
    towards = 0.0 if shade > 0 else 1.0
    red, green, blue = (c + (towards - c) * 0.6 * abs(shade) for c in to_rgb(colour))
    return to_hex((red, green, blue))
