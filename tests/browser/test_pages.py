"""The explorers on every screen and in either theme, the day after, and in Notebook 7."""

from __future__ import annotations

import numpy as np
import pytest

from pfa_edu.lessons.explorers.page import MAKE_LIVE

EXPLORERS = {"01_weight_transport": 2, "02_feedback_dimensions": 2, "04_race": 1}
SMALLEST = 9 / 72 * 100  # pixels of the picture: 9 points, its smallest letters, at 100 to the inch


def theme(reader, name: str) -> None:
    reader.page.evaluate(f"window.jupyterapp.commands.execute('apputils:change-theme', {{theme: '{name}'}})")
    light = str(name == "JupyterLab Light").lower()
    reader.page.wait_for_selector(f"body[data-jp-theme-light='{light}']")
    reader.page.wait_for_timeout(1000)


@pytest.mark.parametrize("name", EXPLORERS)
def test_on_every_screen_in_either_theme_and_the_day_after(lab, reader, name):
    page = reader.page
    reader.open_lesson(lab, f"{name}.ipynb")
    reader.run_all()
    reader.run_all()  # again, as a student does
    assert page.locator(".pfa-explorer").count() == EXPLORERS[name]
    assert page.get_by_text(MAKE_LIVE).filter(visible=True).count() == 0, "what lives needs no saved picture"
    for width, height, side in ((1280, 720, True), (1280, 720, False), (1024, 720, False), (400, 720, False)):
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate(
            f"""() => {{
                const shell = window.jupyterapp.shell;
                {"shell.expandLeft()" if side else "shell.collapseLeft()"};
            }}"""
        )
        page.wait_for_timeout(800)
        for nth in range(EXPLORERS[name]):
            page.locator(".pfa-explorer").nth(nth).scroll_into_view_if_needed()
            stands = reader.layout(nth)
            where = f"{name} {nth} at {width}, sidebar {side}: {stands}"
            assert stands["width"] <= stands["cell"] + 1, where
            assert stands["width"] > 0.97 * min(stands["cell"], 860), where
            if width == 1280:
                assert stands["grown"] * SMALLEST >= 9, where
                assert stands["together"] <= stands["screen"], where
            if width >= 1024:
                assert stands["track"] >= 100, where
                assert stands["cut"] == 0, where
        reader.keep(f"{name}_{width}{'_side' * side}", nth=0)
    page.set_viewport_size({"width": 1280, "height": 720})

    image = page.locator("img.widget-image").first
    image.scroll_into_view_if_needed()
    light = reader.looks(image)
    theme(reader, "JupyterLab Dark")
    dark = reader.looks(image)
    reader.keep(f"{name}_dark", nth=0)
    theme(reader, "JupyterLab Light")
    assert np.median(light) > 245
    assert np.median(dark) < 30, "a white slab"
    assert np.percentile(dark, 99.5) > 150, "letters that cannot be read"

    reader.command("docmanager:save")
    page.wait_for_timeout(2000)
    reader.leave()
    page.goto(f"{lab}/lab/tree/{name}.ipynb?reset")
    page.get_by_text(MAKE_LIVE).first.wait_for()
    page.wait_for_timeout(3000)
    assert page.get_by_text("Error displaying widget").filter(visible=True).count() == 0
    saved = page.locator("img.pfa-picture")
    assert saved.count() == EXPLORERS[name]
    saved.first.scroll_into_view_if_needed()
    assert reader.looks(saved.first).std() > 5
    reader.keep(f"{name}_day_after")
    reader.complaints = [told for told in reader.complaints if "widget model" not in told and "not found" not in told]
