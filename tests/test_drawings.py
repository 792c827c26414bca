"""The drawings of the lessons: well-formed SVG in colours that read on a light page and on a dark one."""

import re
import xml.etree.ElementTree as ET

import pytest

from pfa_edu.lessons import drawings


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("page", ["#FFFFFF", "#111111"])  # JupyterLab's light and dark
@pytest.mark.parametrize("colour", [drawings.FORWARD, drawings.FEEDBACK])
def test_colours_read_on_light_and_dark(colour, page):
    high, low = sorted((luminance(colour), luminance(page)), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= 3


def test_two_paths():
    drawing = drawings.two_paths()
    root = ET.fromstring(drawing.svg)
    assert root.attrib["role"] == "img"
    words = " ".join(e.text for e in root.iter() if e.text)
    for word in ("Backprop", "PFA", "must equal W", "B, fixed", "R, learns", "mid neuron"):
        assert word in words
    assert "background:none" in drawing.svg
    assert not re.search(r"(fill|stroke):(white|black|#)", drawing.svg)  # letters take the page's colour
    width, height = (float(n) for n in root.attrib["viewBox"].split()[2:])
    for e in root.iter():
        assert 0 <= float(e.attrib.get("x", 0)) <= width
        assert 0 <= float(e.attrib.get("y", 0)) <= height
    assert repr(drawing).startswith("Left, backprop")
