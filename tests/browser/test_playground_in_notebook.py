"""The playground as a notebook's cell shows it: the whole page inside the output, without an address of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pfa_edu import web


def test_a_saved_output_trains_without_a_kernel(chromium: Any, tmp_path: Path) -> None:
    """It opens at rest with what the link says, plays, goes back, and neither asks for a file nor complains."""
    saved, wrong = tmp_path / "saved.html", []
    cell = web.Playground("rules=bp,pfa:4&data=xor&hidden=8&seed=7&at=0")._repr_html_()
    saved.write_text(f"<!doctype html><meta charset='utf-8'><body>{cell}</body>", encoding="utf-8")
    page = chromium.new_page()
    page.on("console", lambda told: wrong.append(told.text) if told.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith(("blob:", "data:")) else None)
    page.goto(saved.as_uri())
    inside = page.frame_locator("iframe")
    frame = page.frames[1]
    frame.wait_for_function("window.playground && window.playground.frame")
    assert frame.evaluate("const { config } = playground.state; [config.seed, config.dataset, ...config.hidden]") == [
        7, "xor", 8,
    ]  # fmt: skip
    assert frame.evaluate("[playground.frame.step, playground.frame.playing, playground.frame.runs.length]") == [
        0, False, 2,
    ]  # fmt: skip
    assert not inside.locator(".link").is_visible()  # there is no address that could be copied
    frame.evaluate("playground.play()")
    frame.wait_for_function("playground.frame.step > 40")  # beyond the moment at which a page would write its address
    frame.evaluate("playground.seek(7)")
    frame.wait_for_function("playground.frame.step === 7 && !playground.frame.playing")
    page.close()
    asked = [url for url in wrong if url not in (saved.as_uri(), "about:srcdoc")]
    assert asked == []
