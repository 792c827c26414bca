"""LiveExplorer: an explorer whose result changes by itself, step by step, while every button and slider still answers.

The work runs as an asyncio task in the kernel's own loop: a slice of steps, a picture, then a moment for the kernel to
hear what the reader pressed. No thread touches a network while a slider changes it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from .base import Explorer
from .controls import Button

SLICE_S = 0.08  # of steps between two pictures: with the drawing it stays well below the 0.2 s a press may wait
REST_S = 0.01  # in which the kernel reads its messages


class LiveExplorer(Explorer):
    """An :class:`Explorer` with Play, Pause, Step and Reset.

    ``compute(**state)`` makes a fresh run, quickly; ``step(run)`` does a little of it (at most some 50 ms) and returns
    whether there is more to do. A changed setting makes a fresh run, and goes on playing if it was.
    ``static_steps``: how far to go before the picture for a notebook without a reader is taken.
    """

    def __init__(self, *args: Any, step: Callable[[Any], bool], static_steps: int = 0, **kwargs: Any):
        self.step_run, self.static_steps = step, static_steps
        self._task: asyncio.Task | None = None
        buttons = (
            Button("Play", "Train until it is done or paused", "play", self.play),
            Button("Pause", "Stop after the present step; Play goes on from there", "pause", self.pause),
            Button("Step", "One step", "step-forward", self.step),
            Button("Reset", "Begin again with the present settings", "refresh", self.reset),
        )
        super().__init__(*args, buttons=buttons, **kwargs)

    @property
    def playing(self) -> bool:
        return self._task is not None and not self._task.done()

    def play(self) -> None:
        """Starts the task; does nothing if it runs. Needs a running event loop, as every notebook has."""
        if not self.playing:
            self._task = asyncio.get_running_loop().create_task(self._play())

    def pause(self) -> None:
        """Stops the task where it is; what was computed stays."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def step(self) -> None:
        """One step, whether or not it plays."""
        with self._shown():
            self.step_run(self.result)
            self._draw()

    def reset(self) -> None:
        """A fresh run with the present settings, at rest."""
        self.pause()
        self.update()

    def advance(self, steps: int) -> None:
        """Up to ``steps`` steps at once, without a picture in between: for tests and for static pictures."""
        for _ in range(steps):
            if not self.step_run(self.result):
                break
        self.redraw()

    async def _play(self) -> None:
        more = True
        while more:
            with self._shown():
                until = time.perf_counter() + SLICE_S
                while more and time.perf_counter() < until:
                    more = self.step_run(self.result)
                self._draw()
            await asyncio.sleep(REST_S)  # where Pause takes hold

    def _before_static(self) -> None:
        if self.static_steps:
            self.advance(self.static_steps)
