"""Every lesson, opened and run in JupyterLab; then used as a student would."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pfa_edu.lessons.explorers import dimensions
from pfa_edu.rules import alignment_limit

from .conftest import ROOT

LESSONS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
PLAYED = ("02_feedback_dimensions.ipynb", "04_race.ipynb")  # opened by the tests below


@pytest.mark.parametrize("name", [name for name in LESSONS if name not in PLAYED])
def test_lesson_runs(lab, reader, name):
    reader.open_lesson(lab, name)
    reader.run_all()
    for nth in range(reader.page.locator("img.widget-image").count()):
        assert reader.error(nth) == ""
        assert reader.picture(nth).std() > 5
    assert reader.cut_off() == []
    reader.keep(name.removesuffix(".ipynb"))


def test_dragging_the_ratio_moves_angle_and_picture(lab, reader):
    reader.open_lesson(lab, "02_feedback_dimensions.ipynb")
    reader.run_all()
    assert reader.cut_off() == []
    reader.drag("Ratio mid / out", 0)
    reader.wait_for(r"^Ratio 1:")
    at_1 = reader.picture()
    reader.keep("02_ratio_1", nth=0)
    reader.drag("Ratio mid / out", 1)
    told = reader.wait_for(r"^Ratio 100:")
    at_100 = reader.picture()
    reader.keep("02_ratio_100", nth=0)

    shown = float(re.search(r"is ([\d.]+)°", told)[1])
    assert shown == pytest.approx(alignment_limit(100), abs=0.3)
    explorer = dimensions.explorer()
    explorer.answer()
    for ratio, seen in ((1, at_1), (100, at_100)):
        explorer.set(ratio=ratio)
        assert f"Ratio {ratio}: " in explorer.text
        ours = _pixels(explorer.png)
        assert ours.shape == seen.shape
        assert np.abs(ours.astype(int) - seen).mean() < 0.5, f"the picture at ratio {ratio} is another one"
    assert np.abs(at_1.astype(int) - at_100).mean() > 2

    handle = reader.slider("Ratio mid / out")  # and by the keyboard
    handle.focus()
    for _ in range(4):
        handle.press("ArrowLeft")
    reader.wait_for(r"^Ratio (?!100)\d")


def _pixels(png: bytes) -> np.ndarray:
    import io

    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))
