"""The playground for everyone: keyboard, screen reader, phone, projector, dark, colour-blind, no motion."""

from __future__ import annotations

import re

import pytest
from node import WEB, require_node

from .playground import RACE, colours, resting, state, step, wait

AXE = WEB / "node_modules" / "axe-core" / "axe.min.js"
# Where each canvas writes what since it was cleared last: [text, left, top, right, bottom], a pixel inside its ink.
RECORD = """() => {
    const { fillText, clearRect } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.clearRect = function (...box) {
        this.canvas.words = [];
        return clearRect.apply(this, box);
    };
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        const m = this.measureText(text);
        const box = [x - m.actualBoundingBoxLeft, y - m.actualBoundingBoxAscent,
            x + m.actualBoundingBoxRight, y + m.actualBoundingBoxDescent];
        this.canvas.words.push([text, box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1]);
        return fillText.call(this, text, x, y);
    };
}"""
VIEWS = {
    "light": ("at=30", {}),
    "dark": ("at=30&theme=dark&" + RACE, {}),
    "story": ("story=2", {}),
    "lecture": ("lecture=yes&at=30", {}),
    "toy": ("data=spirals&hidden=16,16&at=30", {}),
    "phone": ("at=30", {"width": 400, "height": 860}),
}


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious(visit, view):
    require_node()  # axe-core is one of the packages that it asks for
    link, size = VIEWS[view]
    page = visit(link, **size)
    resting(page)
    if "story" not in link:  # the story has no settings in sight
        page.locator(".more summary").click()
    page.evaluate(AXE.read_text(encoding="utf-8"))
    result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    assert len(result["passes"]) > 15
    hard = [one for one in result["violations"] if one["impact"] in ("serious", "critical")]
    assert [f"{one['id']}: {[node['html'] for node in one['nodes']]}" for one in hard] == []


def test_everything_by_keyboard(visit):
    page = visit("at=0&hidden=16,16")
    resting(page)
    seen = []
    for _ in range(17):  # from the first thing on the page to the last
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("(e => e.getAttribute('aria-label') ?? e.id ?? e.textContent)(document.activeElement)")
        )
        ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        label = page.evaluate("document.activeElement.closest('label.rule') !== null")
        assert ring != "none" or label, seen
    assert {"Play", "One step", "Back to the start", "pfa-speed", "pfa-ratio"} <= set(seen)

    page.locator("label.rule input:checked").focus()
    page.keyboard.press("ArrowRight")  # among radio buttons an arrow chooses the next one
    wait(page, "ready.config.runners[0].rule === 'pfa-o'")
    page.keyboard.press("Space")
    wait(page, "frame.playing && frame.step > 3")
    page.locator("#pfa-speed").focus()
    page.keyboard.press("ArrowLeft")
    wait(page, "state.speed === 20 && frame.playing")
    page.keyboard.press("Space")  # a slider has no use for it
    resting(page)

    page.get_by_role("button", name="The story, in five steps").focus()
    page.keyboard.press("Enter")
    wait(page, "state.story === 1 && frame.step === 0 && ready.config.runners[0].rule === 'bp'")
    assert page.evaluate("document.activeElement.textContent") == "0°, at every step"
    page.keyboard.press("Enter")
    wait(page, "frame.playing && frame.step > 2")


def test_a_screen_reader_hears_accuracy_now_and_then(visit):
    page = visit(RACE + "&hidden=16,16", until=5)
    page.evaluate(
        """() => {
            window.told = [];
            new MutationObserver(() => told.push(document.querySelector('.live').textContent))
                .observe(document.querySelector('.live'), { childList: true, characterData: true, subtree: true });
        }"""
    )
    frames = page.evaluate("window.playground.loop.count")
    page.wait_for_timeout(3000)
    page.keyboard.press("Space")
    resting(page)
    page.wait_for_function("window.told.length > 0")
    assert page.evaluate("window.playground.loop.count") - frames > 6
    told = page.evaluate("window.told")
    assert len(told) <= 2  # not at every picture
    accuracy = page.evaluate("window.playground.frame.runs.map(run => run.accuracy)")
    heard = re.findall(r"(\w+): (\d+) percent right", told[-1])
    assert [name for name, _ in heard] == ["PFA", "FA", "BP"]
    assert [float(percent) for _, percent in heard] == pytest.approx(accuracy, abs=0.51)


def test_one_synapse_up_close(visit):
    page = visit("at=20")
    resting(page)
    drawing = page.locator(".drawing").bounding_box()
    for x in range(40, 70):  # somewhere on the way through the second layer a line runs
        page.mouse.click(drawing["x"] + drawing["width"] * x / 100, drawing["y"] + drawing["height"] * 0.25)
        if page.locator(".synapse").is_visible():
            break
    page.select_option(".synapse .layer", "1")
    page.locator(".synapse .pre").fill("14")
    page.locator(".synapse .post").fill("21")
    page.locator(".synapse .post").press("Tab")
    w, f = page.evaluate("(({ W, F }) => [W[21 * 64 + 14], F[21 * 64 + 14]])(playground.frame.runs[0].weights[1])")
    minus = "\N{MINUS SIGN}"
    assert page.locator(".w-is").inner_text().startswith(f"{w:.3f},".replace("-", minus))
    assert page.locator(".f-is").inner_text().startswith(f"{f:.3f},".replace("-", minus))
    alike = min(abs(w), abs(f)) / max(abs(w), abs(f))
    size = "nearly the same size" if alike >= 0.8 else "another size"
    assert page.locator(".so").inner_text() == (f"the same sign, {size}" if w * f > 0 else "opposite signs")
    assert colours(page, ".cloud canvas") > 5
    page.select_option(".synapse .layer", "0")
    assert page.locator(".f-is").inner_text().startswith("unused")
    assert page.locator(".cloud canvas").bounding_box()["height"] == 0  # no cloud of what carries nothing
    page.get_by_role("button", name="Close").click()
    assert not page.locator(".synapse").is_visible()


def test_the_synapse_comes_into_sight(visit):
    page = visit("at=100")
    resting(page)
    page.get_by_role("button", name="Look at one synapse").click()
    assert page.locator(".so").inner_text() == "the same sign, nearly the same size"  # PFA's strongest one
    for part in (".cloud", ".synapse .pre", ".synapse .post", ".synapse .close"):
        box, time = page.locator(part).bounding_box(), page.locator(".time").bounding_box()
        assert box["y"] >= 0, part
        assert box["y"] + box["height"] <= time["y"], part


@pytest.mark.parametrize(
    "link", ["at=20", "lecture=yes&at=20", *(f"story={n}" for n in range(1, 6)), "story=4&lecture=yes"]
)
def test_a_lecturers_screen_shows_it_all(visit, link):
    """1280 by 800, as many projectors have it: the drawing and both charts, without scrolling."""
    page = visit(link)
    resting(page)
    if "story" in link:
        page.locator(".choices button").first.click()
        page.evaluate("window.playground.change(s => (s.speed = Infinity), 'speed')")
        page.wait_for_selector(".verdict:visible", timeout=240_000)
        resting(page)
    time = page.locator(".time").bounding_box()
    for part, least in ((".drawing", 300), (".upper canvas", 95), (".lower canvas", 95), (".about", 0)):
        if part == ".about" and "lecture" in link:
            continue  # large letters in its place
        box = page.locator(part).bounding_box()
        assert box["height"] >= least, part
        assert box["y"] + box["height"] <= time["y"], part
    assert page.locator(".telling .bar").count() == ("story" in link)


@pytest.mark.parametrize(("width", "height"), [(400, 860), (1024, 768), (1280, 800), (1920, 1080)])
@pytest.mark.parametrize("link", ["at=20&" + RACE, "story=4", "data=spirals&hidden=32,32&at=20&" + RACE])
def test_nothing_reaches_beyond_the_edge(visit, width, height, link):
    page = visit(link, width, height)
    resting(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    beyond = page.evaluate(
        """() => [...document.querySelectorAll('.pfa button, .pfa input, .pfa select, .pfa p, .pfa canvas')]
            .filter(e => e.checkVisibility() && !e.closest('.away') && !e.matches('label.rule input'))
            .filter(e => e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1)
            .map(e => e.outerHTML)"""
    )
    assert beyond == []
    if width == 400:  # a finger's width
        sizes = page.evaluate(
            "[...document.querySelectorAll('.transport button')].map(b => b.getBoundingClientRect().width)"
        )
        assert min(sizes) >= 36


def test_dark_by_the_systems_wish_and_by_the_switch(visit):
    page = visit("at=10", color_scheme="dark")
    resting(page)
    ground = "getComputedStyle(document.querySelector('.pfa')).backgroundColor"
    assert page.evaluate(ground) == "rgb(17, 18, 20)"
    assert colours(page, ".drawing canvas.base") > 50
    page.get_by_role("button", name="Light").click()
    assert page.evaluate(ground) == "rgb(248, 246, 242)"
    assert state(page)["theme"] == "light"


def test_a_lecture_has_large_letters(visit):
    page = visit("at=10", 1920, 1080)
    resting(page)
    size = "parseFloat(getComputedStyle(document.querySelector('.pfa')).fontSize)"
    before = page.evaluate(size)
    page.get_by_role("button", name="Lecture").click()
    assert page.evaluate(size) > 1.2 * before
    page.get_by_role("button", name="End lecture").click()
    assert page.evaluate(size) == before


@pytest.mark.parametrize(
    ("width", "height", "link"),
    [
        (400, 860, "at=20"), (400, 860, "lecture=yes&at=20"), (400, 860, "rules=pfa:40,pfa:10,pfa:1&at=310&chart=path"),
        (400, 860, "hidden=48,48,48,48&lr=0.05&at=420&" + RACE), (1280, 800, "lecture=yes&at=310"),
        (1280, 800, "lecture=yes&hidden=48,48,48,48&at=20&" + RACE),
    ],
)  # fmt: skip
def test_no_word_lies_on_another(visit, width, height, link):
    """Every text drawn on the network and the charts has a place of its own."""
    page = visit(link, width, height)
    resting(page)
    page.evaluate(RECORD)
    page.get_by_role("button", name="Dark").click()  # everything is drawn again
    page.wait_for_function("[...document.querySelectorAll('.pfa canvas')].filter(c => c.words?.length).length >= 3")
    page.wait_for_timeout(300)
    words = page.evaluate("[...document.querySelectorAll('.pfa canvas')].map(canvas => canvas.words ?? [])")
    assert sum(map(len, words)) > 20
    for canvas in words:
        for k, (a, *one) in enumerate(canvas):
            for b, *other in canvas[:k]:
                apart = one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]
                assert apart, f"{a!r} lies on {b!r}"


@pytest.mark.parametrize("wish", ["no-preference", "reduce"])
def test_motion_only_where_it_is_wanted(visit, wish):
    """The dots that run along the synapses are for those who want motion; the numbers come to everyone."""
    page = visit("hidden=16,16", until=10, reduced_motion=wish)
    moving = []
    for _ in range(12):
        moving.append(colours(page, ".drawing canvas.over"))
        page.wait_for_timeout(60)
    assert (max(moving) > 1) == (wish == "no-preference")
    assert step(page) > 10
