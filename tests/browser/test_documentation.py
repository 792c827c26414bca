"""The documentation opened from the disk: search, mathematics and pictures, with no server and no network."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from pages import built

pytestmark = pytest.mark.timeout(2400)


@pytest.fixture
def tab(chromium):
    """A page whose complaints, and requests to anywhere but the disk, fail the test."""
    site, wrong = built(), []
    page = chromium.new_page()
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else wrong.append(r.url))
    page.where = lambda name: page.goto((site / name).as_uri())
    yield page
    page.close()
    assert wrong == []


def test_search_finds_a_page_and_leads_to_it(tab):
    tab.where("index.html")
    tab.fill("input[name=q]", "mismatch")
    tab.press("input[name=q]", "Enter")
    tab.wait_for_selector("#search-results li a")
    assert "search.html?q=mismatch" in tab.url
    tab.get_by_role("link", name="Rules", exact=True).click()
    tab.wait_for_selector("dt[id='pfa_edu.mismatch']")
    assert tab.url.partition("?")[0].endswith("reference/rules.html")


def test_mathematics_is_set(tab):
    tab.where("theory/closed_form.html")
    tab.wait_for_function("document.querySelectorAll('mjx-container').length > 30")
    assert tab.locator("mjx-merror").count() == 0
    assert "\\(" not in tab.inner_text("article")


@pytest.mark.parametrize("name", ["lessons/01_weight_transport", "lessons/03_mnist", "figures/mnist/index", "index"])
def test_pictures_are_there(tab, name):
    tab.where(f"{name}.html")
    sizes = tab.eval_on_selector_all("article img", "images => images.map(image => image.naturalWidth)")
    assert sizes
    assert min(sizes) > 100


def test_a_lesson_s_mathematics_and_tables_are_set(tab):
    tab.where("lessons/00_the_brains_problem.html")
    assert tab.locator("article table").count() >= 1
    assert "$" not in tab.inner_text("article h1, article p")


def test_a_phone_sees_all_of_a_page(tab):
    tab.set_viewport_size({"width": 400, "height": 800})
    for name in ("index.html", "theory/closed_form.html", "comparison.html"):
        tab.where(name)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 400, name
