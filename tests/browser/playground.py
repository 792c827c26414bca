"""What a visitor does with the playground, and what every test of it asks for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "pfa_edu" / "web" / "index.html"
RACE = "rules=pfa,fa,bp"
BITS = """() => {
    const { step, runs } = window.playground.frame;
    const bits = array => Array.from(new Uint32Array(array.buffer, array.byteOffset, array.length));
    const runBits = run => run.weights.map(({ W, F }) => [bits(W), bits(F)]);
    return JSON.stringify([step, runs.map(run => [run.accuracy, run.pathAngle, runBits(run)])]);
}"""  # every weight of the shown step, bit for bit

Open = Callable[..., Any]


@contextlib.contextmanager
def visiting(chromium: Any) -> Iterator[Open]:
    """Opens pages until the with-block ends: then no error may have been heard, and no request but for the file."""
    opened: list[Any] = []
    wrong: list[str] = []

    def open_page(link: str = "", width: int = 1280, height: int = 800, until: int | None = None, **media: str) -> Any:
        page = chromium.new_page()
        opened.append(page)
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(**{"color_scheme": "light", "reduced_motion": "no-preference", **media})
        page.on("console", lambda told: wrong.append(told.text) if told.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(f"page error: {error}"))
        page.on("request", lambda asked: wrong.append(asked.url) if not _local(asked.url) else None)
        page.goto(f"{PAGE.as_uri()}#{link}")
        page.wait_for_function("window.playground && window.playground.frame")
        if until is not None:
            wait(page, f"frame.step >= {until}")
        return page

    yield open_page
    for page in opened:
        page.close()
    assert wrong == [], wrong


def _local(url: str) -> bool:
    return url.startswith(("blob:", "data:")) or url.partition("#")[0] == PAGE.as_uri()


def wait(page: Any, what: str) -> None:
    """Until ``what`` holds of the page's own state: a condition on frame, state or ready."""
    page.wait_for_function(
        "what => { const { frame, state, ready } = window.playground; return frame && eval(what); }", arg=what
    )


def resting(page: Any) -> None:
    """Until training is at rest and the picture of its last step is there."""
    wait(page, "!frame.playing && state.at === frame.step")


def state(page: Any) -> dict:
    return page.evaluate("window.playground.state")


def step(page: Any) -> int:
    return page.evaluate("window.playground.frame.step")


def colours(page: Any, canvas: str) -> int:
    """How many different colours a canvas shows."""
    return page.locator(canvas).first.evaluate(
        """canvas => {
            const copy = document.createElement('canvas'); // reading from the page's own would make it slower
            [copy.width, copy.height] = [canvas.width, canvas.height];
            const pen = copy.getContext('2d', { willReadFrequently: true });
            pen.drawImage(canvas, 0, 0);
            const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
            const seen = new Set(new Uint32Array(data.buffer));
            return seen.size;
        }"""
    )
