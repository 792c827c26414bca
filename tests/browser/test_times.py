"""How long a reader waits, in the browser: written to artifacts/times.json; the bounds are loose, for any machine."""

from __future__ import annotations

import json
import time

import pytest

from .conftest import ROOT

_PICTURE = "img.widget-image, .jp-OutputArea-output img"
_COUNT = """() => {
    window.pfaUpdates = 0;
    const image = document.querySelector('img.widget-image');
    new MutationObserver(() => window.pfaUpdates++).observe(image, {attributeFilter: ['src']});
}"""


def _note(**measured: float) -> None:
    path = ROOT / "artifacts" / "times.json"
    told = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(told | measured, indent=1))


@pytest.mark.parametrize("name", ["01_weight_transport", "02_feedback_dimensions", "04_race"])
def test_a_lesson_opens_to_its_first_picture(lab, reader, name):
    start = time.perf_counter()
    reader.open_lesson(lab, f"{name}.ipynb")
    ready = time.perf_counter()
    reader.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    reader.page.wait_for_selector(_PICTURE)
    seen = time.perf_counter()
    _note(**{f"{name}: page and kernel, s": ready - start, f"{name}: run to first picture, s": seen - ready})
    assert seen - ready < 30


def test_the_race_moves(lab, reader):
    reader.open_lesson(lab, "04_race.ipynb")
    reader.run_all()
    reader.wait_for(r"^Step 0:")
    reader.page.evaluate(_COUNT)
    reader.press("Play")
    reader.wait_for(r"^Step (?!0:)\d+:")
    before, start = reader.page.evaluate("window.pfaUpdates"), time.perf_counter()
    reader.page.wait_for_timeout(6000)
    rate = (reader.page.evaluate("window.pfaUpdates") - before) / (time.perf_counter() - start)
    reader.press("Pause")
    _note(**{"race with three rules: pictures a second in the browser": rate})
    assert rate > 1
