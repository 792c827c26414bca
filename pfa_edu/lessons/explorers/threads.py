"""One thread of torch for what trains live, beside a browser."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Networks this small gain little from a second core, and lose a hundredfold if it is busy with the browser."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_thread_from_now_on() -> None:
    """The same for every plain cell of a lesson: its kernel computes on one thread until told otherwise.

    Measured with two other processes on two cores: a step of 784-128-128-10 took 42 to 45 ms on one thread and 390 to
    529 ms on two, since each of the two waits for the other's turn.
    """
    torch.set_num_threads(1)
