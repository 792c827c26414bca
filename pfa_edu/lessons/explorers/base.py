"""Explorer: controls → ``compute`` → a result → a picture and a line of numbers, in a notebook or without one.

The science of an explorer is two plain functions and a picture; this file only carries values between them and the
widgets. Everything works without ipywidgets (and is tested so) until an explorer is shown to a reader who can move it.
"""

from __future__ import annotations

import contextlib
import html
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from ...errors import unknown
from .controls import Button, Control, require_ipywidgets
from .picture import CSS_DPI, DPI, Picture


def static_only() -> bool:
    """Whether nobody is there to move a slider: a notebook that papermill, nbconvert or ``lesson.execute`` runs.

    Such a notebook keeps a picture and no widgets, whose state would be dead when it is opened. PFA_EDU_STATIC=1 or 0
    decides; without it, lesson.execute's PFA_EDU_PROGRESS=line, or a cell that runs without a reader's keyboard
    (nbclient executes so) in a kernel that no Voilà page stands behind.
    """
    decided = os.environ.get("PFA_EDU_STATIC")
    if decided:
        return decided != "0"
    if os.environ.get("PFA_EDU_PROGRESS") == "line":
        return True
    if os.environ.get("SERVER_SOFTWARE", "").startswith("voila") or "google.colab" in sys.modules:
        return False
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return getattr(getattr(shell, "kernel", None), "_allow_stdin", True) is False


class Explorer:
    """Controls over ``compute``, with one picture of its result.

    ``compute(**state)`` takes every control's value by name and returns a result; ``picture.show(result)`` draws it;
    ``summary(result)`` says it in one line of text, for those who cannot see the picture and for tests.
    ``live``: redraw while a slider moves (only where that takes under 100 ms), else when it is released.

    Attributes: ``state`` the settings; ``result``; ``status`` what was done to a value out of range; ``error`` the
    last exception of ``compute`` or ``show``, None if the last update went well: the reader sees it too.
    """

    def __init__(
        self,
        controls: Sequence[Control],
        compute: Callable[..., Any],
        picture: Picture,
        summary: Callable[[Any], str],
        live: bool = True,
        buttons: Sequence[Button] = (),
    ):
        self.controls = {control.name: control for control in controls}
        self.compute, self.picture, self.summary, self.live = compute, picture, summary, live
        self.buttons = tuple(buttons)
        self.state: dict[str, Any] = {name: control.default for name, control in self.controls.items()}
        self.result: Any = None
        self.status, self.text = "", ""
        self.error: BaseException | None = None
        self._widget: Any = None
        self._shows: dict[str, Callable[[Any], None]] = {}
        self._quiet = False  # while this object itself moves the controls
        self.update()

    def set(self, **values: Any) -> None:
        """Sets controls by name and updates; a number out of range is clamped, ``status`` says so.

        Raises ConfigError for a control that is not there or a value that is no number, and whatever ``compute``
        raises.
        """
        for name in values:
            if name not in self.controls:
                raise unknown("control", name, self.controls)
        with self._shown():
            cleaned = {name: self.controls[name].clean(value) for name, value in values.items()}
            self.state = self.state | {name: value for name, (value, _) in cleaned.items()}
            self.status = " ".join(message for _, message in cleaned.values() if message)
            self._compute()

    def update(self) -> None:
        """Computes and draws again for the present settings."""
        with self._shown():
            self._compute()

    def redraw(self) -> None:
        """Draws the present result again: for a result that changes by itself."""
        with self._shown():
            self._draw()

    def guard(self, action: Callable[[], None]) -> None:
        """Runs ``action``; what it raises is shown to the reader, kept in ``error``, and raised again."""
        with self._shown():
            action()

    @contextlib.contextmanager
    def _shown(self) -> Iterator[None]:
        """Keeps an exception in ``error`` and brings the widgets up to date, whatever happens; hides nothing."""
        try:
            yield
        except BaseException as error:  # an interrupted kernel too: the reader must see why the picture stands still
            self.error = error
            raise
        else:
            self.error = None
        finally:
            self._push()

    def _compute(self) -> None:
        self.result = self.compute(**self.state)
        self._draw()

    def _draw(self, moving: bool = False) -> None:
        """``moving``: the next picture follows at once, so this one may be a JPEG, which is made much faster."""
        self.picture.show(self.result)
        self._shot = ("jpeg", self.picture.jpeg()) if moving else ("png", self.picture.png())
        self.text = self.summary(self.result)

    @property
    def png(self) -> bytes:
        """The present picture."""
        kind, data = self._shot
        return data if kind == "png" else self.picture.png()

    # ------------------------------------------------------------------------------------------ the widgets

    @property
    def widget(self) -> Any:
        """The ipywidgets box; made at the first call."""
        if self._widget is None:
            w = require_ipywidgets()
            built = {}
            for name, control in self.controls.items():
                built[name], self._shows[name] = control.build(self._told, self.live)
            width, height = self.picture.size
            self._image = w.Image(format="png", layout=w.Layout(width=f"{width}px", height=f"{height}px"))
            self._text, self._status, self._error = (w.HTML(layout=w.Layout(margin="0 2px")) for _ in range(3))
            for part, css in ((self._text, "readout"), (self._status, "status"), (self._error, "error")):
                part.add_class(f"pfa-{css}")
            self._built = built
            settings = self._arrange(built)
            buttons = [w.HBox([button.build(self.guard) for button in self.buttons])] if self.buttons else []
            self._widget = w.VBox([settings, *buttons, self._status, self._error, self._text, self._image])
            self._push()
        return self._widget

    def _arrange(self, built: dict[str, Any]) -> Any:
        """The controls' widgets, by name, in one box."""
        w = require_ipywidgets()
        layout = w.Layout(flex_flow="row wrap", width=f"{self.picture.size[0]}px", max_width="100%")
        return w.Box(list(built.values()), layout=layout)

    def _idle(self) -> AbstractSet[str]:
        """Names of the controls that do nothing at the present settings: shown, but out of use. Here none."""
        return set()

    def _told(self, name: str, value: Any) -> None:
        """A control speaks: the reader moved it."""
        if not self._quiet:
            self.set(**{name: value})

    def _push(self) -> None:
        """Makes the widgets show what this object holds."""
        if self._widget is None:
            return
        self._quiet = True
        try:
            for name, show in self._shows.items():
                show(self.state[name])
        finally:
            self._quiet = False
        idle = self._idle()
        for name, box in self._built.items():
            for part in getattr(box, "children", (box,)):
                part.disabled = name in idle
        self._text.value = f'<div role="status" aria-live="polite">{html.escape(self.text)}</div>'
        self._status.value = f"<i>{html.escape(self.status)}</i>" if self.status else ""
        self._error.value = "" if self.error is None else (
            f'<div role="alert" style="border-left:4px solid #D55E00;padding:2px 8px">'
            f"<b>{type(self.error).__name__}</b>: {html.escape(str(self.error))}</div>"
        )  # fmt: skip
        kind, data = self._shot
        if self._image.value != data:
            with self._image.hold_sync():  # both at once
                self._image.format, self._image.value = kind, data

    def _before_static(self) -> None:
        """What to do before a picture that nobody can move is taken; nothing here."""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> tuple[dict, dict]:
        static = static_only()
        if static:
            self._before_static()
        width, height = (round(n * CSS_DPI / DPI) for n in self.picture.canvas.get_width_height())
        data = {"text/plain": self.text, "image/png": self.png}
        if not static:
            view = "application/vnd.jupyter.widget-view+json"
            data[view] = self.widget._repr_mimebundle_()[view]
        return data, {"image/png": {"width": width, "height": height}}
