"""What a reader does with a lesson: open it, run it, move a slider, press a button, look."""

from __future__ import annotations

import base64
import io
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pfa_edu.lessons.explorers.page import LIVE

# Messages of JupyterLab and the browser themselves, about nothing that is ours.
_NOT_OURS = (
    "favicon", "ResizeObserver", "/lsp", "/api/workspaces", "/api/translations", "/static/lab", "jlab_core",
    "cdn.jsdelivr",  # Voilà's icons
)  # fmt: skip


class Reader:
    """A person at one page of the browser."""

    def __init__(self, page: Any, artifacts: Path):
        self.page, self.artifacts = page, artifacts
        self.complaints: list[str] = []
        self._kernel = False
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))

    def _heard(self, message: Any) -> None:
        told = f"{message.text} ({message.location.get('url', '')})"
        if message.type == "error" and not any(part in told for part in _NOT_OURS):
            self.complaints.append(told)

    # ------------------------------------------------------------------------------------------------ opening

    def open_lesson(self, lab: str, name: str) -> None:
        """Opens a notebook in JupyterLab and waits for its kernel."""
        self.page.goto(f"{lab}/lab/tree/{name}?reset")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        self.page.wait_for_function(f"{_SESSION}?.session?.kernel?.status === 'idle'", timeout=120_000)
        self._kernel = True

    def run_all(self, timeout_s: float = 180) -> None:
        """Run All Cells; fails on an error output, on anything in stderr, and if the kernel does not come to rest."""
        counts = f"{_NOTEBOOK}.model.toJSON().cells.map(c => c.execution_count ?? 0)"
        before = max(self.page.evaluate(counts))
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
        self.page.wait_for_function(
            f"""() => {{
                const code = {_NOTEBOOK}.model.toJSON().cells.filter(c => c.cell_type === 'code');
                const failed = code.some(c => c.outputs.some(o => o.output_type === 'error'));
                const ran = code.every(c => c.execution_count > {before});
                return {_SESSION}.session.kernel.status === 'idle' && (failed || ran);
            }}""",
            timeout=timeout_s * 1000,
        )
        for cell in self.page.evaluate(f"{_NOTEBOOK}.model.toJSON().cells"):
            for output in cell.get("outputs", []):
                assert output["output_type"] != "error", "\n".join(output["traceback"])
                assert output.get("name") != "stderr", output["text"]

    def command(self, name: str) -> None:
        """A command of JupyterLab's menus."""
        self.page.evaluate(f"window.jupyterapp.commands.execute('{name}')")

    def run_code(self, source: str) -> str:
        """What the kernel prints for ``source``, asked for behind the reader's back."""
        return self.page.evaluate(
            f"""async source => {{
                let told = '';
                const future = {_SESSION}.session.kernel.requestExecute({{code: source}});
                future.onIOPub = m => {{
                    told += m.content.text ?? (m.content.traceback ?? []).join('\\n');
                }};
                await future.done;
                return told;
            }}""",
            source,
        )

    def leave(self) -> None:
        """Shuts the kernel down: each holds several hundred megabytes."""
        if self._kernel:
            self.page.evaluate(f"{_SESSION}.shutdown()")

    # -------------------------------------------------------------------------------------------- one explorer

    def readout(self, nth: int = 0) -> str:
        """The line of text of the page's ``nth`` explorer."""
        return self.page.locator(".pfa-readout").nth(nth).inner_text()

    def error(self, nth: int = 0) -> str:
        return self.page.locator(".pfa-error").nth(nth).inner_text()

    def status(self, nth: int = 0) -> str:
        return self.page.locator(".pfa-status").nth(nth).inner_text()

    def wait_for(self, pattern: str, timeout_s: float = 60, nth: int = 0) -> str:
        """Waits until the readout has ``pattern``; returns the readout."""
        until = time.monotonic() + timeout_s
        while not re.search(pattern, told := self.readout(nth)):
            assert time.monotonic() < until, f"never {pattern!r}, but {told!r}; error {self.error(nth)!r}"
            self.page.wait_for_timeout(50)
        return told

    def slider(self, label: str) -> Any:
        """The handle of the slider with that label."""
        row = self.page.locator(".widget-slider", has=self.page.get_by_text(label, exact=True)).first
        return row.locator(".noUi-handle")

    def drag(self, label: str, to: float) -> None:
        """Drags a slider's handle with the mouse to a fraction of its track: 0 the left end, 1 the right."""
        handle = self.slider(label)
        handle.scroll_into_view_if_needed()
        track = handle.locator("xpath=ancestor::*[contains(@class,'noUi-base')]").bounding_box()
        box = handle.bounding_box()
        y = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + box["width"] / 2, y)
        self.page.mouse.down()
        self.page.mouse.move(track["x"] + track["width"] * to, y, steps=8)
        self.page.mouse.up()

    def press(self, button: str) -> None:
        self.page.locator("button.jupyter-button", has_text=button).first.click()

    def choose(self, label: str, option: str) -> None:
        row = self.page.locator(".widget-dropdown", has=self.page.get_by_text(label, exact=True)).first
        row.locator("select").select_option(label=option)

    def picture(self, nth: int = 0) -> np.ndarray:
        """The pixels of the ``nth`` explorer's picture as the browser has it: (height, width, 3) uint8."""
        data = self.page.locator("img.widget-image").nth(nth).evaluate(
            """async image => {
                const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
                return btoa(Array.from(bytes, b => String.fromCharCode(b)).join(''));
            }"""
        )  # fmt: skip
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            return np.asarray(image.convert("RGB"))

    def layout(self, nth: int = 0) -> dict[str, float]:
        """How the ``nth`` explorer stands on the page, in its pixels.

        ``cell``, ``width``, ``height``: of the room it has and of its picture; ``grown``: page pixels per pixel of the
        picture; ``together``: from the first control to the picture's lower edge; ``screen``: what a reader sees at
        once; ``track``: the shortest visible slider's track; ``cut``: drop-downs that do not show their whole choice.
        """
        return self.page.locator(f".{LIVE}").nth(nth).evaluate(
            """box => {
                const image = box.querySelector('img'), seen = image.getBoundingClientRect();
                const grown = Math.min(seen.width / image.naturalWidth, seen.height / image.naturalHeight);
                const scroller = box.closest('.jp-WindowedPanel-outer') ?? document.documentElement;
                const tracks = [...box.querySelectorAll('.noUi-base')].map(t => t.getBoundingClientRect().width);
                const pen = document.createElement('canvas').getContext('2d');
                const cut = [...box.querySelectorAll('select')].filter(choice => {
                    pen.font = getComputedStyle(choice).font;
                    const text = choice.selectedOptions[0].text;
                    return choice.clientWidth > 0 && choice.clientWidth < pen.measureText(text).width + 20;
                });
                return {
                    cell: box.parentElement.clientWidth, grown,
                    width: grown * image.naturalWidth, height: grown * image.naturalHeight,
                    together: seen.bottom - box.getBoundingClientRect().top,
                    screen: scroller.clientHeight, track: Math.min(...tracks.filter(t => t > 0)), cut: cut.length,
                };
            }"""
        )  # fmt: skip

    def looks(self, image: Any) -> np.ndarray:
        """The pixels of an element as the reader sees them, (height, width, 3) uint8: in the theme's colours."""
        with Image.open(io.BytesIO(image.screenshot())) as shot:
            return np.asarray(shot.convert("RGB"))

    def cut_off(self) -> list[str]:
        """The controls that reach beyond their cell's right edge, where nobody can see or use them."""
        return self.page.evaluate(
            """() => [...document.querySelectorAll('.jp-OutputArea-output')].flatMap(area => {
                const edge = area.getBoundingClientRect().right + 1;
                const controls = [...area.querySelectorAll('input, select, button')];
                return controls.filter(c => c.getBoundingClientRect().right > edge).map(c => c.outerHTML);
            })"""
        )

    def keep(self, name: str, nth: int | None = None) -> None:
        """A screenshot in artifacts/, with the ``nth`` picture in view."""
        if nth is not None:
            self.page.locator("img.widget-image").nth(nth).scroll_into_view_if_needed()
        self.page.screenshot(path=self.artifacts / f"{name}.png")


_NOTEBOOK = "window.jupyterapp.shell.currentWidget.content"
_SESSION = "window.jupyterapp?.shell?.currentWidget?.sessionContext"
