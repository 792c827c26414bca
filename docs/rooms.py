"""The reference: a page for each room of the package, with everything public that lives in it."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

import pfa_edu
from pfa_edu import data, measure, plots, rules

ROOMS = {
    "rules": ("Rules", "What stands where backprop uses W, one class a rule, and what theory says of it."),
    "nn": ("Networks", "Layers that learn by a rule, ``convert``, ``audit``, and what they need of an optimiser."),
    "measure": (
        "Measures",
        "Angles are in degrees. A dictionary has one entry for each layer, by its name.",
    ),
    "data": ("Data", "Datasets by name, or your own. They live on the device that trains on them."),
    "train": ("Training", "The recipe, the optimiser, the trainer, and what may act while it trains."),
    "runs": ("Experiments", "Runs that go on where they were cut; grids and sweeps of them. Results are tidy frames."),
    "plots": ("Figures", "Results to figures and tables, the paper's own curves behind."),
    "errors": (
        "Errors",
        "An error names the value, the reason and the way out. Each is also a builtin one.",
    ),
}
EXTRA: dict[str, ModuleType] = {"rules": rules, "measure": measure, "data": data, "plots": plots}


def public() -> dict[str, dict[str, Any]]:
    """Every public name by room: what ``pfa_edu`` exports, and what the rooms with a list of their own add to it."""
    found: dict[str, dict[str, Any]] = {room: {} for room in ROOMS}
    for name in pfa_edu.__all__:
        thing = getattr(pfa_edu, name)
        if inspect.ismodule(thing):
            continue
        found[room_of(thing)][f"pfa_edu.{name}"] = thing
    for room, module in EXTRA.items():
        there = {id(thing) for names in found.values() for thing in names.values()}
        for name in module.__all__:
            thing = getattr(module, name)
            if id(thing) not in there:
                found[room][f"{module.__name__}.{name}"] = thing
    return found


def room_of(thing: Any) -> str:
    room = thing.__module__.split(".")[1]
    return "errors" if room == "_files" and inspect.isclass(thing) else {"_files": "runs"}.get(room, room)


def directive(name: str, thing: Any) -> str:
    """What autodoc is asked for: a class with its methods, a function, or a constant."""
    if inspect.isclass(thing):
        return f".. autoclass:: {name}\n   :members:\n   :show-inheritance:\n"
    if callable(thing) and inspect.isfunction(inspect.unwrap(thing)):
        return f".. autofunction:: {name}\n"
    value = "" if hasattr(thing, "__origin__") else f"   :value: {thing!r}\n"
    return f".. py:data:: {name}\n{value}"  # autodoc would show the documentation of dict


def also(name: str) -> str:
    """A second place for what is not in ``pe`` itself: source pages link back to it as if it were."""
    _, *room, short = name.split(".")
    return f'.. raw:: html\n\n   <span id="pfa_edu.{short}"></span>\n\n' if room in (["rules"], ["measure"]) else ""


def reference_pages() -> dict[str, str | bytes]:
    """``reference/ROOM.rst`` and the list of them."""
    pages: dict[str, str | bytes] = {}
    for room, names in public().items():
        title, what = ROOMS[room]
        body = "\n".join(also(name) + directive(name, thing) for name, thing in names.items())
        pages[f"reference/{room}.rst"] = f"{title}\n{'=' * len(title)}\n\n{what}\n\n{body}"
    tree = "\n".join(f"   {room}" for room in ROOMS)
    pages["reference/index.rst"] = INDEX.format(tree=tree)
    return pages


INDEX = """Reference
=========

Everything public, by room; imports run one way, down this list. ``import pfa_edu as pe`` gives all of it. Shapes are in
brackets, such as (batch, out); angles are in degrees. The examples are run by the tests.

.. toctree::
   :maxdepth: 2

{tree}
"""
