"""The race as a reader plays it, in JupyterLab and as a Voilà page."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request

import numpy as np


def _step(told: str) -> int:
    return int(re.match(r"Step (\d+):", told)[1])


def _accuracies(told: str) -> dict[str, float]:
    return {rule: float(value) for rule, value in re.findall(r"([A-Z-]+o?) ([\d.]+) %", told)}


def _play(reader) -> None:
    """Play; several updates, each a new picture; accuracy rises; Pause; nothing moves any more."""
    first = _accuracies(reader.wait_for(r"^Step 0:"))
    still = reader.picture()
    reader.press("Play")
    seen = {}
    until = time.monotonic() + 90
    while (len(seen) < 6 or _step(list(seen)[-1]) < 80) and time.monotonic() < until:
        seen[reader.readout()] = True
        reader.page.wait_for_timeout(60)
    steps = [_step(told) for told in seen]
    assert len(steps) >= 6
    assert steps == sorted(steps)
    now = _accuracies(list(seen)[-1])
    assert now["BP"] > first["BP"] + 30, f"{first} to {now}"
    assert now["PFA"] > first["PFA"] + 20, f"{first} to {now}"
    reader.press("Pause")
    paused, until = None, time.monotonic() + 20  # the browser shows what is still on its way before it stands
    while paused != reader.readout() and time.monotonic() < until:
        paused = reader.readout()
        reader.page.wait_for_timeout(1000)
    picture = reader.picture()
    assert _step(paused) >= steps[-1]
    assert np.abs(picture.astype(int) - still).mean() > 0.3
    reader.page.wait_for_timeout(1000)
    assert reader.readout() == paused
    assert np.array_equal(reader.picture(), picture)
    assert reader.error() == ""


def test_race_in_jupyterlab(lab, reader):
    reader.open_lesson(lab, "04_race.ipynb")
    reader.run_all()
    assert reader.cut_off() == []
    reader.keep("04_race_start", nth=0)
    _play(reader)
    reader.keep("04_race_paused", nth=0)

    reader.choose("Rule 2", "DFA")
    reader.page.wait_for_timeout(500)
    assert "Reset" in reader.status(), "a running race is not thrown away without a word"
    assert "FA " in reader.readout()
    reader.press("Reset")
    reader.wait_for(r"^Step 0: BP .*; DFA [\d.]+ %; PFA")
    assert reader.status() == ""
    reader.press("Step")
    reader.wait_for(r"^Step 1:")

    reader.press("More")
    reader.choose("Data", "spirals")
    reader.press("Reset")
    reader.wait_for(r"^Step 0:")
    reader.press("Play")
    reader.page.wait_for_timeout(1500)
    reader.command("notebook:interrupt-kernel")
    until = time.monotonic() + 20
    while "Interrupted" not in reader.status():
        assert time.monotonic() < until, reader.readout()
        reader.page.wait_for_timeout(100)
    reader.keep("04_race_spirals", nth=0)
    stood = _step(reader.readout())
    assert reader.run_code("print(6 * 7)").strip() == "42", "the notebook is still of use"
    assert _step(reader.readout()) == stood
    reader.press("Play")
    reader.wait_for(rf"^Step (?!{stood}:)\d+:")
    reader.press("Pause")
    assert reader.error() == ""

    (shown,) = (f for f in reader.page.frames if f.url == "about:srcdoc")  # the playground, in its cell
    shown.wait_for_function("window.playground && window.playground.frame")
    assert shown.evaluate("playground.frame.step") == 0, "it waits until Play is pressed"
    shown.evaluate("playground.play()")
    shown.wait_for_function("playground.frame.step > 5")
    shown.evaluate("playground.pause()")


def test_race_as_a_voila_page(voila, reader):
    page = reader.page
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(voila, wait_until="commit")
    page.wait_for_selector(
        "img.widget-image, .jp-RenderedText[data-mime-type*=error]", timeout=400_000
    )  # it shows nothing before the last cell has run
    assert page.locator("[data-mime-type*=error]").all_inner_texts() == []
    assert page.get_by_text("import race").count() == 0, "a page shows no code"
    page.wait_for_timeout(1000)
    seen = page.locator("img.widget-image").bounding_box()
    assert seen["y"] + seen["height"] <= 720, "the page opens on the picture"
    reader.keep("voila_race_start")
    _play(reader)
    reader.keep("voila_race")

    kernel = page.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")
    reader.press("Play")
    reader.page.wait_for_timeout(4000)
    assert _alive(voila, kernel)
    page.goto("about:blank")  # closed, while the race goes on
    until = time.monotonic() + 150
    while _alive(voila, kernel):
        assert time.monotonic() < until, "its kernel runs for ever"
        page.wait_for_timeout(500)


def _alive(voila: str, kernel: str) -> bool:
    try:
        with urllib.request.urlopen(f"{voila}/api/kernels/{kernel}", timeout=30) as answer:
            return answer.status == 200
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return False
