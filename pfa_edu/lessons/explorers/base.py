"""Explorer: controls → ``compute`` → a result → a picture and a line of numbers, in a notebook or without one.

The science of an explorer is two plain functions and a picture; this file only carries values between them and the
widgets. Everything works without ipywidgets (and is tested so) until an explorer is shown to a reader who can move it.
"""

from __future__ import annotations

import contextlib
import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from ...errors import unknown
from . import page
from .controls import Button, Control, require_ipywidgets
from .picture import Picture

FIRST = 3  # controls that are seen at first; the rest is folded


class Explorer:
    """Controls over ``compute``, with one picture of its result.

    ``compute(**state)`` takes every control's value by name and returns a result; ``picture.show(result)`` draws it;
    ``summary(result)`` says it in one line of text, for those who cannot see the picture and for tests.
    ``live``: redraw while a slider moves (only where that takes under 100 ms), else when it is released.
    ``question``: what the reader is to predict. It stands in place of the answer until the reader moves a control.
    ``static``: settings for a picture that nobody can move, of controls that are still at their defaults.

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
        question: str = "",
        static: Mapping[str, Any] | None = None,
    ):
        self.controls = {control.name: control for control in controls}
        self.compute, self.picture, self.summary, self.live = compute, picture, summary, live
        self.buttons = tuple(buttons)
        self.question, self.static = question, dict(static or {})
        self.asking = bool(question)
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

    def answer(self) -> None:
        """Shows the answer to the explorer's question, as a reader's first move does."""
        self.asking = False
        self.redraw()

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
        self.picture.ask(self.asking)
        self.picture.show(self.result)
        self._shot = ("jpeg", self.picture.jpeg()) if moving else ("png", self.picture.png())
        self.text = self.question if self.asking else self.summary(self.result)

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
            self._image = w.Image(format="png", layout=w.Layout(**page.image_layout(self.picture.size[0])))
            self._text, self._status, self._error = (w.HTML(layout=w.Layout(margin="0 2px")) for _ in range(3))
            parts = (
                (self._text, "readout"),
                (self._status, "status"),
                (self._error, "error"),
                (self._image, "picture"),
            )
            for part, css in parts:
                part.add_class(f"pfa-{css}")
            self._built = built
            first, more = self._arrange(built)
            buttons = [button.build(self.guard) for button in self.buttons]
            self._style = w.HTML(layout=w.Layout(height="0", min_height="0", margin="0"))
            self._widget = w.VBox(
                [self._style, *self._rows(first, buttons, more), self._status, self._error, self._image, self._text]
            )
            self._widget.add_class(page.LIVE)
            self._style.value = page.live_style(self._widget.model_id)
            self._push()
        return self._widget

    def _arrange(self, built: dict[str, Any]) -> tuple[Any, Any]:
        """The controls' widgets, by name, in two boxes: what is seen at first, and what is folded (None: nothing)."""
        boxes = list(built.values())
        return row(boxes[:FIRST]), row(boxes[FIRST:]) if boxes[FIRST:] else None

    def _rows(self, first: Any, buttons: list[Any], more: Any) -> list[Any]:
        """The rows above the picture: few, so that both are on the screen together."""
        w = require_ipywidgets()
        if more is not None:
            fold = w.ToggleButton(
                False, description="More", tooltip="Further settings", icon="sliders", layout=w.Layout(width="90px")
            )
            fold.add_class("pfa-more")
            fold.observe(lambda change: setattr(more.layout, "display", None if change["new"] else "none"), "value")
            more.layout.display = "none"
            buttons = [*buttons, fold]
        if not self.buttons:  # one row for all
            return [row([*first.children, *buttons]), *([] if more is None else [more])]
        return [first, row(buttons), *([] if more is None else [more])]

    def _idle(self) -> AbstractSet[str]:
        """Names of the controls that do nothing at the present settings: shown, but out of use. Here none."""
        return set()

    def _told(self, name: str, value: Any) -> None:
        """A control speaks: the reader moved it."""
        if not self._quiet:
            self.asking = False
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
        self._status.layout.display = None if self.status else "none"  # an empty line would take room from the picture
        self._error.layout.display = "none" if self.error is None else None
        self._error.value = "" if self.error is None else (
            f'<div role="alert" style="border-left:4px solid #D55E00;padding:2px 8px">'
            f"<b>{type(self.error).__name__}</b>: {html.escape(str(self.error))}</div>"
        )  # fmt: skip
        kind, data = self._shot
        if self._image.value != data:
            with self._image.hold_sync():  # both at once
                self._image.format, self._image.value = kind, data

    def _before_static(self) -> None:
        """What to do before a picture that nobody can move is taken: the answer is shown."""
        self.asking = False
        self.set(**{name: value for name, value in self.static.items() if self._untouched(name)})

    def _untouched(self, name: str) -> bool:
        return bool(self.state[name] == self.controls[name].default)

    def _ipython_display_(self) -> None:
        """What a notebook shows for this object: see :mod:`.page`."""
        from IPython.display import display

        static = page.static_only()
        if static:
            self._before_static()
        png, width = self.png, self.picture.size[0]
        size = {"image/png": {"width": width, "height": self.picture.size[1]}}
        picture = {"text/plain": self.text, "image/png": png}
        if static:
            display(picture | {"text/html": page.picture_html(png, width, self.text)}, metadata=size, raw=True)
            return
        view = self.widget._repr_mimebundle_()[page.VIEW]
        display({"text/plain": self.text, page.VIEW: view}, raw=True)
        if not page.in_voila():
            saved = page.saved_html(png, width, self.text, self.widget.model_id)
            display(picture | {"text/html": saved}, metadata=size, raw=True)


def row(boxes: Sequence[Any]) -> Any:
    """The boxes side by side, in as many lines as the page's width asks for."""
    w = require_ipywidgets()
    return w.Box(list(boxes), layout=w.Layout(flex_flow="row wrap", width="100%", max_width="1200px"))
