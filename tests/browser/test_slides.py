"""Slides in a real browser, from a file: nothing is fetched, formulas are set, every page fits, notes can be read."""

import base64
import io
import re

import nbformat
import pytest
from matplotlib.figure import Figure
from nbformat import v4

from pfa_edu.lessons import notebooks
from pfa_edu.lessons.slides import deck, notes

SMALLEST = 0.6  # of its size: what a full page may shrink to before it can no longer be read from the last row


def picture():
    page, figure = io.BytesIO(), Figure(figsize=(12, 7))
    figure.subplots().plot([0, 1])
    figure.savefig(page, format="png")
    return v4.new_output("display_data", {"image/png": base64.b64encode(page.getvalue()).decode()})


@pytest.fixture(params=["01_weight_transport", "02_feedback_dimensions"])
def opened(request, chromium, tmp_path):
    """A lesson's slides, with a picture where its explorers stand, as a file in the browser; and what it asked for."""
    name = request.param
    lesson = nbformat.read(notebooks.find(name), as_version=4)
    for cell in lesson.cells:
        if cell.cell_type == "code" and "explorer()" in cell.source:
            cell.outputs = [picture()]
    deck.copy_assets(tmp_path)
    (tmp_path / f"{name}.html").write_text(deck.page(lesson, name, notes.read(name)), encoding="utf-8")
    page, asked, complaints = chromium.new_page(), [], []
    page.set_viewport_size({"width": 1280, "height": 720})
    page.on("request", lambda r: asked.append(r.url))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: complaints.append(str(e)))
    page.goto((tmp_path / f"{name}.html").as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    yield page
    page.close()
    assert not [url for url in asked if not re.match("file:|data:|blob:|about:", url)]
    assert not complaints


def test_slides(opened):
    page = opened
    zooms = page.evaluate("[...document.querySelectorAll('.slides > section > section')].map(s => +s.dataset.zoom)")
    assert len(zooms) == page.evaluate("Reveal.getTotalSlides()") > 15
    assert min(zooms) >= SMALLEST
    assert page.evaluate("document.querySelectorAll('mjx-container').length") > 0
    assert page.evaluate("document.querySelectorAll('mjx-merror').length") == 0
    shown = "[...Reveal.getCurrentSlide().children].filter(e => e.tagName != 'ASIDE')"
    visible = f"{shown}.map(e => e.getBoundingClientRect())"
    pictures = 0
    for _ in zooms:
        assert page.evaluate(f"{visible}.every(b => b.bottom <= 721 && b.right <= 1281)")
        for wide, high, shape in page.evaluate(
            "[...Reveal.getCurrentSlide().querySelectorAll('img')].map(i => [i.clientWidth, i.clientHeight, "
            "i.naturalWidth / i.naturalHeight])"
        ):
            pictures += 1
            assert min(wide, high * shape) > 550  # object-fit keeps the shape; this is how wide it is seen
        page.evaluate("Reveal.next()")
    assert pictures == 2

    page.evaluate("Reveal.slide(0, 0)")
    with page.expect_popup() as speaker:
        page.keyboard.press("s")
    note = next(iter(notes.read(page.title().removesuffix(" slides")).values())).split(".")[0]
    speaker.value.get_by_text(note).first.wait_for()
    speaker.value.close()
