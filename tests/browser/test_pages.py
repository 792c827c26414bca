"""The explorers of all lessons in one notebook: on every screen, in either theme, run twice, and the day after."""

from __future__ import annotations

import numpy as np

from pfa_edu.lessons.explorers.page import MAKE_LIVE

from .conftest import EXPLORERS

SMALLEST = 9 / 72 * 100  # pixels of the picture: 9 points, its smallest letters, at 100 to the inch
SCREENS = [(1280, True), (1280, False), (1024, False), (400, False)]  # pixels wide, and whether the sidebar is open


def theme(reader, name: str) -> None:
    change = f"window.jupyterapp.commands.execute('apputils:change-theme', {{theme: '{name}'}})"
    reader.page.evaluate(f"() => {{ {change}; }}")  # not awaited: its promise may stay open
    light = str(name == "JupyterLab Light").lower()
    reader.page.wait_for_function(f"document.body.dataset.jpThemeLight === '{light}'")
    reader.page.wait_for_timeout(2000)


def at_width(reader, width: int, sidebar: bool) -> list[str]:
    """What is wrong with the explorers on a screen of that width."""
    page, wrong = reader.page, []
    page.set_viewport_size({"width": width, "height": 720})
    page.evaluate(f"window.jupyterapp.shell.{'expandLeft' if sidebar else 'collapseLeft'}()")
    page.wait_for_timeout(800)
    for nth, name in enumerate(EXPLORERS):
        stands = reader.layout(nth)
        fine = {
            "no wider than its cell": stands["width"] <= stands["cell"] + 1,
            "uses the room": stands["width"] > 0.97 * min(stands["cell"], 860),
            "letters of 9 pixels": width < 1280 or stands["grown"] * SMALLEST >= 9,
            "controls and picture together": width < 1280 or stands["together"] <= stands["screen"],
            "tracks of 100 pixels": width < 1024 or stands["track"] >= 100,
            "whole choices": width < 1024 or stands["cut"] == 0,
        }
        wrong += [
            f"{name} at {width}, sidebar {sidebar}: not {what}: {stands}" for what, is_so in fine.items() if not is_so
        ]
    for nth in (0, 2, 4):
        page.locator(".pfa-explorer").nth(nth).evaluate("box => box.scrollIntoView()")
        reader.keep(f"explorer_{EXPLORERS[nth]}_{width}{'_sidebar' * sidebar}")
    return wrong


def test_on_every_screen_in_either_theme_and_the_day_after(lab, reader):
    page = reader.page
    reader.open_lesson(lab, "explorers.ipynb")
    reader.run_all()
    reader.run_all()  # again, as a student does
    assert page.locator(".pfa-explorer").count() == len(EXPLORERS)
    assert page.get_by_text(MAKE_LIVE).filter(visible=True).count() == 0, "what lives needs no saved picture"
    assert [told for screen in SCREENS for told in at_width(reader, *screen)] == []

    page.set_viewport_size({"width": 1280, "height": 720})
    image = page.locator("img.widget-image").nth(2)
    light = reader.looks(image)
    theme(reader, "JupyterLab Dark")
    dark = reader.looks(image)
    reader.keep("explorer_dark", nth=2)
    theme(reader, "JupyterLab Light")
    assert np.median(light) > 245
    assert np.median(dark) < 30, "a white slab"
    assert np.percentile(dark, 99.5) > 150, "letters that cannot be read"

    page.evaluate("() => { window.jupyterapp.commands.execute('docmanager:save'); }")
    page.wait_for_timeout(2000)
    reader.leave()
    page.goto(f"{lab}/lab/tree/explorers.ipynb?reset")
    page.get_by_text(MAKE_LIVE).first.wait_for()
    page.wait_for_timeout(3000)
    assert page.get_by_text("Error displaying widget").filter(visible=True).count() == 0
    saved = page.locator("img.pfa-picture")
    assert saved.count() == len(EXPLORERS)
    assert reader.looks(saved.first).std() > 5
    reader.keep("explorer_day_after")
    lost = ("widget model", "model not found")  # what the front end itself says of widgets that are gone
    reader.complaints = [told for told in reader.complaints if not any(part in told for part in lost)]
