"""What the autograd graph behind an output tells: which parameters are in it, and which are below a feedback path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch.autograd.graph import Node

from . import functional, taps
from .calling import tensors

_AFFINE = (functional._Affine, functional._AffineTransformed)
_SENDERS = (*_AFFINE, functional._Carry, taps._Tap, taps._TapTransformed)


def leaves(output: Any) -> set[int]:
    """The ids of the parameters in the graph behind every tensor of ``output``."""
    return {id(node.variable) for node in behind(*(t.grad_fn for t in tensors(output))) if hasattr(node, "variable")}


def behind(*roots: Node | None) -> Iterator[Any]:
    """``roots`` and every node that their gradients reach, each once."""
    seen: set[Node] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        stack += [n for n, _ in node.next_functions]


class Senders:
    """The places in the graph of ``output`` where a rule sends an error back.

    ``whose(ids)`` names the rules of the layers whose weights have these ids, and all that are possible if it is given
    an empty set (the weight is frozen, say, and so is not in the graph).
    """

    def __init__(self, output: Any, whose: Callable[[set[int]], set[str]]):
        self._ways: dict[str, list[Node]] = {}
        self.silent: set[int] = set()
        """Ids of weights whose layer sends no error back, because nothing below it learns."""
        talking: set[int] = set()
        for node in behind(*(t.grad_fn for t in tensors(output))):
            if getattr(node, "_forward_cls", None) not in _SENDERS:
                continue
            ways = [n for n, _ in node.next_functions]
            weights: set[int] = set()
            if node._forward_cls in _AFFINE:
                weights = {id(n.variable) for n in behind(ways[1]) if hasattr(n, "variable")}
                (talking if ways[0] is not None else self.silent).update(weights)
                ways = ways[:1]  # the second is W's own gradient, which no rule changes
            for rule in whose(weights):
                self._ways.setdefault(rule, []).extend(n for n in ways if n is not None)
        self.silent -= talking

    def below(self) -> dict[int, list[str]]:
        """By id, the parameters that an error reaches only or partly through some layer's feedback, and whose rules."""
        found: dict[int, list[str]] = {}
        for rule, ways in self._ways.items():
            for node in behind(*ways):
                if hasattr(node, "variable"):
                    found.setdefault(id(node.variable), []).append(rule)
        return found
