"""LiveExplorer: an explorer whose result changes by itself, step by step, while every button and slider still answers.

The work runs as an asyncio task in the kernel's own loop: a slice of steps, a picture, then a moment for the kernel to
hear what the reader pressed. No thread touches a network while a slider changes it.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from .base import Explorer
from .controls import Button, Control, require_ipywidgets
from .picture import Picture

# Seconds of steps between two pictures: so many times what drawing one took, within these bounds. Drawing then takes
# less than a fifth of the steps' time, and a press waits less than 0.2 s.
SLICE_S, STEPS_PER_DRAWING = (0.06, 0.1), 5
REST_S = 0.003  # in which the kernel reads its messages
BEAT_S = 5.0  # between two signs of life that a page sends while something plays
# So long without one, and the page is closed. Browsers let a page in the background speak once a minute.
ALONE_S = 150.0


class LiveExplorer(Explorer):
    """An :class:`Explorer` with Play, Pause, Step and Reset.

    ``compute(**state)`` makes a fresh run, quickly; ``step(run)`` does a little of it (at most some 50 ms) and returns
    whether there is more to do. A changed setting makes a fresh run, and goes on playing if it was.
    ``static_steps``: how far to go before the picture for a notebook without a reader is taken.
    """

    _all: ClassVar[weakref.WeakSet[LiveExplorer]] = weakref.WeakSet()

    def __init__(
        self, controls: Sequence[Control], compute: Callable[..., Any], picture: Picture,
        summary: Callable[[Any], str], live: bool = True, *, step: Callable[[Any], bool], static_steps: int = 0,
    ):  # fmt: skip
        self.step_run, self.static_steps = step, static_steps
        self._task: asyncio.Task | None = None
        self._interrupted = False
        self._pulse: Any = None  # the widget whose page sends signs of life
        self._heard: float | None = None  # when the last one came since Play was pressed
        buttons = (
            Button("Play", "Train until it is done or paused", "play", self.play),
            Button("Pause", "Stop after the present step; Play goes on from there", "pause", self.pause),
            Button("Step", "One step", "step-forward", self.step),
            Button("Reset", "Begin again with the present settings", "refresh", self.reset),
        )
        super().__init__(controls, compute, picture, summary, live, buttons)
        self._alone()  # a cell that is run again leaves nobody training unseen
        self._all.add(self)

    @property
    def playing(self) -> bool:
        return self._task is not None and not self._task.done()

    def play(self) -> None:
        """Starts the task; does nothing if it runs. Needs a running event loop, as every notebook has."""
        if not self.playing:
            self._alone()
            self._interrupted, self._heard = False, None
            self._beat(True)
            self._task = asyncio.get_running_loop().create_task(self._play())

    def pause(self) -> None:
        """Stops the task where it is; what was computed stays."""
        was_playing = self.playing
        self._beat(False)
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if was_playing:
            self._measure()
            self.redraw()  # the last picture of a moving explorer is a JPEG

    def step(self) -> None:
        """One step, whether or not it plays."""
        with self._shown():
            self.step_run(self.result)
            self._measure()
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
        self._measure()
        self.redraw()

    def _measure(self, moving: bool = False) -> None:
        """Finds what the picture is to show; nothing here. ``moving``: the next picture follows at once."""

    def _alone(self) -> None:
        """Two at once would only slow each other down."""
        for other in list(self._all):
            if other is not self:
                other.pause()

    async def _play(self) -> None:
        more, slice_s = True, SLICE_S[0]
        try:
            while more and not self._interrupted and not self._deserted():
                self._hear_interrupt()
                try:
                    more, drawing = self._frame(slice_s)
                    slice_s = min(max(STEPS_PER_DRAWING * drawing, SLICE_S[0]), SLICE_S[1])
                except KeyboardInterrupt:  # meant for a cell that runs meanwhile; it must not reach the kernel's loop
                    self._interrupted = True
                await asyncio.sleep(REST_S)  # where Pause takes hold
        finally:
            if signal.getsignal(signal.SIGINT) == self._on_interrupt:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._task = None
        self._beat(False)
        if self._interrupted:
            self.status = "Interrupted: Play goes on from here."
        elif self._deserted():
            self.status = "Paused, since its page was closed: Play goes on from here."
        self._measure()
        self.redraw()

    def _rows(self, first: Any, buttons: list[Any], more: Any) -> list[Any]:
        """With the pulse, which nobody sees: ipywidgets' own player, whose page counts while it is open."""
        w = require_ipywidgets()
        self._pulse = w.Play(interval=round(1000 * BEAT_S), max=10**9, layout=w.Layout(display="none"))
        self._pulse.observe(self._on_beat, "value")
        return [*super()._rows(first, buttons, more), self._pulse]

    def _beat(self, on: bool) -> None:
        if self._pulse is not None:
            self._pulse.playing = on

    def _on_beat(self, _: Any) -> None:
        self._heard = time.monotonic()

    def _deserted(self) -> bool:
        """Whether the page that sent signs of life has ceased to. Where none ever came, nothing is known."""
        return self._heard is not None and time.monotonic() - self._heard > ALONE_S

    def _frame(self, slice_s: float) -> tuple[bool, float]:
        """Steps for ``slice_s`` seconds, then a picture: whether there is more to do, and the seconds of drawing."""
        more, until = True, time.perf_counter() + slice_s
        with self._shown():
            while more and time.perf_counter() < until:
                more = self.step_run(self.result)
            self._measure(moving=True)
            start = time.perf_counter()
            self._draw(moving=True)
        return more, time.perf_counter() - start

    def _hear_interrupt(self) -> None:
        """Lets "Interrupt kernel" stop the task: between cells a kernel ignores the signal. A cell's own is left."""
        on_main = threading.current_thread() is threading.main_thread()
        if on_main and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._on_interrupt)

    def _on_interrupt(self, *_: Any) -> None:
        self._interrupted = True

    def _before_static(self) -> None:
        if self.static_steps:
            self.advance(self.static_steps)
