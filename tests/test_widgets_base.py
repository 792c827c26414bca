"""Explorers without a browser: clamping, errors that are shown, pictures without widgets, a task that yields."""

import asyncio
import base64
import io
import subprocess
import sys
import time

import pytest
from matplotlib.text import Text
from PIL import Image

from pfa_edu import errors
from pfa_edu.lessons import explorers as widgets
from pfa_edu.lessons.explorers import closed_form, dimensions, feedback_alignment, live, page, race, transport

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class Dot(widgets.Picture):
    """A point at x = result."""

    def __init__(self):
        super().__init__(3, 2)
        ax = self.figure.subplots()
        widgets.tidy(ax, "A dot")
        ax.set(xlim=(0, 100), ylim=(-1, 1))
        (self.dot,) = self.live(*ax.plot([0], [0], "o"))

    def show(self, result):
        self.dot.set_data([result["x"]], [0])


CONTROLS = (
    widgets.Number("x", "Place", "where the dot is", 1, 100, 10, step=0.05, log=True),
    widgets.Number("n", "Count", "a whole number", 1, 5, 2, whole=True),
    widgets.Choice("kind", "Kind", "one of two", {"the first": "a", "the second": "b"}, "a"),
    widgets.Switch("on", "Switch", "on or off"),
)


def compute(x, n, kind, on):
    if n == 5:
        raise ValueError("no <b>five</b>")
    return {"x": x, "n": n, "kind": kind, "on": on}


def explorer(**options):
    return widgets.Explorer(CONTROLS, compute, Dot(), lambda r: f"x {r['x']:g}", **options)


def size(png):
    return Image.open(io.BytesIO(png)).size


# ---------------------------------------------------------------------------------------------- controls


@pytest.mark.parametrize(
    ("name", "value", "taken", "told"),
    [
        ("x", 10, 10.0, ""),
        ("x", 0.5, 1.0, "Place 0.5 is below 1: set to 1."),
        ("x", 500, 100.0, "Place 500 is above 100: set to 100."),
        ("x", float("inf"), 100.0, "Place inf is above 100: set to 100."),
        ("n", 2.4, 2, "Count 2.4 is not a whole number: set to 2."),
        ("n", -1, 1, "Count -1 is below 1: set to 1."),
        ("kind", "b", "b", ""),
        ("on", True, True, ""),
    ],
)
def test_values_out_of_range_are_clamped_with_a_message(name, value, taken, told):
    e = explorer()
    e.set(**{name: value})
    assert e.state[name] == taken
    assert type(e.state[name]) is type(taken)
    assert e.status == told


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"x": "many"}, "Place 'many': it must be a number from 1 to 100"),
        ({"x": float("nan")}, "Place nan"),
        ({"kind": "c"}, "unknown kind 'c'"),
        ({"rotio": 3}, "unknown control 'rotio'"),
    ],
)
def test_values_that_cannot_be_are_an_error(values, words):
    e = explorer()
    with pytest.raises(errors.ConfigError, match=words):
        e.set(**values)
    assert e.state["x"] == 10


def test_every_control_has_a_label_and_a_tooltip_and_moves_the_picture():
    e = explorer()
    e.widget  # noqa: B018  built here
    (slider, text), (count, _) = (e._built[name].children for name in ("x", "n"))
    kind, on = e._built["kind"], e._built["on"]
    for widget in (slider, count, kind, on):
        assert widget.description
        assert widget.tooltip
    slider.value = 10**1.3  # as a browser would
    assert e.state["x"] == text.value == 20  # three digits
    text.value = 1000
    assert (e.state["x"], slider.value, text.value) == (100, 100, 100)
    assert "Place 1000 is above 100" in e._status.value
    kind.value, on.value = "b", True
    assert (e.result["kind"], e.result["on"]) == ("b", True)
    assert e._status.value == ""


@pytest.mark.parametrize("module", [closed_form, dimensions, feedback_alignment, transport])
def test_the_explorers_labels_are_short_enough_to_be_read_whole(module):
    for control in module.CONTROLS:
        assert 0 < len(control.label) <= 18  # a browser cuts longer ones
        assert len(control.tooltip) > 10


@pytest.mark.parametrize("live", [True, False])
def test_sliders_redraw_while_moving_only_where_that_is_fast(live):
    e = explorer(live=live)
    e.widget  # noqa: B018
    slider = e._built["x"].children[0]
    assert slider.continuous_update is live


def test_a_value_between_two_steps_of_the_slider_survives_a_browsers_rounding():
    e = explorer()
    e.set(x=7)
    e.widget  # noqa: B018
    slider, text = e._built["x"].children
    slider.value = 10**0.85000000001  # the browser's echo of the nearest step
    assert (e.state["x"], text.value) == (7, 7)
    slider.value = 10**0.9  # the next step: the reader
    assert e.state["x"] == text.value == 7.94
    slider.value = 10**0.85  # and back
    assert e.state["x"] == 7.08


def test_every_step_of_a_slider_has_its_value():
    x, n = CONTROLS[:2]
    assert [x.at(i) for i in (0, 1, 20, 40)] == [1, 1.12, 10, 100]
    assert all(x.place(x.at(i)) == i for i in range(41))
    short = widgets.Number("s", "Short", "the last step is a short one", 0.001, 0.03, 0.005, step=0.1, log=True)
    assert (short.place(0.03), short.at(15), short.at(14)) == (15, 0.03, 0.0251)
    tenths = widgets.Number("t", "Tenths", "no 0.30000000000000004", 0.1, 1, 1, step=0.1)
    assert [tenths.at(i) for i in (2, 9)] == [0.3, 1.0]
    assert [type(n.at(i)) for i in range(2)] == [int, int]


# ------------------------------------------------------------------------------------------------ errors


def test_an_exception_is_shown_and_raised_and_the_next_good_value_clears_it():
    e = explorer()
    e.widget  # noqa: B018
    count = e._built["n"].children[0]
    before = e.png
    with pytest.raises(ValueError, match="five"):
        count.value = 5
    assert isinstance(e.error, ValueError)
    assert "<b>ValueError</b>: no &lt;b&gt;five" in e._error.value  # escaped
    assert e.png == before
    count.value = 4
    assert e.error is None
    assert e._error.value == ""


def test_without_ipywidgets_the_package_imports_and_showing_says_what_is_missing(monkeypatch):
    code = "import sys, pfa_edu, pfa_edu.lessons.explorers; assert 'ipywidgets' not in sys.modules, 'imported'"
    subprocess.run([sys.executable, "-c", code], check=True)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    e = explorer()
    e.set(x=50)  # needs none
    with pytest.raises(errors.ConfigError, match=r"pfa-edu\[notebooks\]"):
        e.widget  # noqa: B018


# ------------------------------------------------------------------------------------------------ pictures


def test_the_picture_is_updated_in_place_at_a_fixed_size():
    e = explorer()
    e.widget  # noqa: B018
    image = e._image
    first, box = e.png, size(e.png)
    e.set(x=90)
    assert image in e.widget.children
    assert image.value == e.png != first
    assert size(e.png) == box
    e.set(x=10)
    assert e.png == first  # nothing of the other picture is left


def test_only_live_artists_change_until_reframe():
    dot = Dot()
    dot.show({"x": 5})
    before = dot.png()
    dot.figure.axes[0].set_title("another")
    assert dot.png() == before
    dot.reframe()
    assert dot.png() != before


def outputs(explorer, monkeypatch):
    """What a cell that ends with ``explorer`` keeps: a list of data, and of metadata."""
    kept = []
    monkeypatch.setattr("IPython.display.display", lambda data, metadata=None, raw=False: kept.append((data, metadata)))
    explorer._ipython_display_()
    return [data for data, _ in kept], [metadata for _, metadata in kept]


def test_a_reader_gets_widgets_and_the_file_gets_a_picture_too(monkeypatch):
    monkeypatch.setenv("PFA_EDU_STATIC", "0")
    e = explorer()
    (live, saved), (_, metadata) = outputs(e, monkeypatch)
    assert set(live) == {WIDGET_VIEW, "text/plain"}
    assert live[WIDGET_VIEW]["model_id"] == e.widget.model_id
    assert set(saved) == {"image/png", "text/html", "text/plain"}
    assert live["text/plain"] == saved["text/plain"] == "x 10"
    assert (metadata["image/png"]["width"], metadata["image/png"]["height"]) == e.picture.size
    # the living widgets hide this very picture, and it hides what a front end says of widgets that are gone
    assert f".pfa-saved-{e.widget.model_id} {{ display: none; }}" in e._style.value
    assert f'<div class="pfa-saved-{e.widget.model_id}">' in saved["text/html"]
    assert page.MAKE_LIVE in saved["text/html"]
    assert base64.b64encode(e.png).decode() in saved["text/html"]


@pytest.mark.parametrize("kind", ["html", "slides"])
def test_a_live_notebook_that_was_saved_is_exported_with_its_picture(kind, monkeypatch):
    nbconvert, nbformat = pytest.importorskip("nbconvert"), pytest.importorskip("nbformat")
    monkeypatch.setenv("PFA_EDU_STATIC", "0")
    e = explorer()
    kept = []
    for data in outputs(e, monkeypatch)[0]:
        text = {mime: base64.b64encode(d).decode() if mime == "image/png" else d for mime, d in data.items()}
        kept.append(nbformat.v4.new_output("display_data", data=text))
    cell = nbformat.v4.new_code_cell("explorer", outputs=kept, execution_count=1)
    notebook = nbformat.v4.new_notebook(cells=[cell])
    exporter = nbconvert.get_exporter(kind)()
    exported, _ = exporter.from_notebook_node(notebook)
    assert 'class="pfa-picture"' in exported
    assert base64.b64encode(e.png).decode() in exported
    assert page.MAKE_LIVE in exported
    assert e.widget.model_id not in exported.replace(f"pfa-saved-{e.widget.model_id}", "")


def test_a_voila_page_has_nothing_to_save(monkeypatch):
    monkeypatch.setenv("PFA_EDU_STATIC", "0")
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5.8")
    assert [set(data) for data in outputs(explorer(), monkeypatch)[0]] == [{WIDGET_VIEW, "text/plain"}]


@pytest.mark.parametrize(("variable", "value"), [("PFA_EDU_STATIC", "1"), ("PFA_EDU_PROGRESS", "line")])
def test_an_executed_notebook_gets_only_the_picture(monkeypatch, variable, value):
    monkeypatch.delenv("PFA_EDU_STATIC", raising=False)
    monkeypatch.setenv(variable, value)
    e = explorer()
    assert [set(data) for data in outputs(e, monkeypatch)[0]] == [{"image/png", "text/html", "text/plain"}]
    assert e._widget is None  # no widget, no state of one


# ----------------------------------------------------------------------------- at first the question, then the answer


def test_the_answer_comes_with_the_readers_first_move():
    e = explorer(question="Where is the dot?")
    e.picture.answers(e.picture.dot)
    e.set(x=50)  # a lesson's own cell
    assert (e.asking, e.text) == (True, "Where is the dot?")
    asked = e.png
    e.widget  # noqa: B018
    e._built["x"].children[1].value = 50.5
    assert (e.asking, e.text) == (False, "x 50.5")
    assert e.picture.dot.get_visible()
    assert e.png != asked
    e.set(x=50)
    assert e.text == "x 50"


@pytest.mark.parametrize("module", [closed_form, dimensions])
def test_lesson_2_does_not_answer_its_own_questions(module):
    e = module.explorer()
    shown = [e.text, *(t.get_text() for ax in e.picture.figure.axes for t in ax.texts if t.get_visible())]
    assert not any("17.5" in text or "18.0" in text for text in shown)
    hidden = [*e.picture.right.lines, e.picture.right.get_legend()]
    assert sum(not artist.get_visible() for artist in hidden) >= 3
    e.answer()
    assert all(artist.get_visible() for artist in hidden)


def test_lesson_1_opens_with_the_input_alone_and_its_static_picture_shows_the_whole_way(monkeypatch):
    monkeypatch.setenv("PFA_EDU_STATIC", "1")
    e = transport.explorer()
    assert e.text == "Stage 0: the input is there."
    assert outputs(e, monkeypatch)[0][0]["text/plain"].startswith("Stage 6: ")
    chosen = transport.explorer()
    chosen.set(stage=3)
    assert outputs(chosen, monkeypatch)[0][0]["text/plain"].startswith("Stage 3: "), "a lesson's own setting is kept"


# ------------------------------------------------------------------------------------------- few controls at first


def test_three_controls_are_seen_at_first_and_more_unfolds_the_rest():
    e = explorer()
    fold = next(w for box in e.widget.children for w in getattr(box, "children", ()) if "pfa-more" in w._dom_classes)
    (more,) = (box for box in e.widget.children if e._built["on"] in getattr(box, "children", ()))
    assert list(more.children) == [e._built["on"]]
    assert more.layout.display == "none"
    fold.value = True
    assert more.layout.display is None


@pytest.mark.parametrize("module", [closed_form, dimensions, feedback_alignment, transport, race])
def test_letters_are_large_enough_and_the_picture_low_enough_for_a_small_screen(module):
    """At 80 pixels an inch, 8.1 points are 9 pixels; under 480 pixels the controls fit above it at 1280 by 720."""
    e = module.explorer()
    e.asking = False
    e.redraw()
    texts = [t for t in e.picture.figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    assert len(texts) > 10
    assert min(t.get_fontsize() for t in texts) >= 9
    assert e.picture.size[1] <= 480


@pytest.mark.slow
def test_papermill_and_nbconvert_get_only_the_picture_without_being_told(monkeypatch):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    for variable in ("PFA_EDU_STATIC", "PFA_EDU_PROGRESS", "SERVER_SOFTWARE"):
        monkeypatch.delenv(variable, raising=False)
    cell = "from pfa_edu.lessons.explorers import closed_form\nclosed_form.explorer()"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    nbclient.NotebookClient(notebook, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs
    assert set(output["data"]) == {"image/png", "text/html", "text/plain"}
    assert "widgets" not in notebook.metadata


def test_voila_serves_a_reader_though_it_executes_like_papermill(monkeypatch):
    class Shell:
        class kernel:
            _allow_stdin = False

    monkeypatch.delenv("PFA_EDU_STATIC", raising=False)
    monkeypatch.delenv("PFA_EDU_PROGRESS", raising=False)
    monkeypatch.delenv("SERVER_SOFTWARE", raising=False)
    monkeypatch.setattr("IPython.get_ipython", Shell)
    assert page.static_only()
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5.8")
    assert not page.static_only()


# ---------------------------------------------------------------------------------------------- live ones


def going(**options):
    def step(run):
        time.sleep(0.005)
        run["x"] += 1
        if run["x"] == 99:
            raise ArithmeticError("ninety-nine")
        return run["x"] < 90

    return widgets.LiveExplorer(CONTROLS, compute, Dot(), lambda r: f"x {r['x']:g}", step=step, **options)


def test_play_yields_pause_stops_and_play_goes_on():
    e = going()
    e.widget  # noqa: B018

    async def reader():
        e.play()
        waits = []
        for _ in range(3):  # another task of the same loop, as a press on a button is
            begun = time.perf_counter()
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)
            waits.append(time.perf_counter() - begun)
        e.pause()
        paused = e.result["x"]
        await asyncio.sleep(0.1)
        assert e.result["x"] == paused > 10
        assert e.text == f"x {paused:g}"  # what is shown is where it stands
        e.play()
        while e.playing:
            await asyncio.sleep(0.02)
        assert e.result["x"] == 90
        assert max(waits) < 1.0  # 0.2 on a quiet machine

    asyncio.run(reader())


def test_step_reset_and_a_changed_setting():
    e = going()
    e.step()
    assert e.result["x"] == 11
    e.set(x=40)
    assert e.result["x"] == 40
    e.step()
    e.reset()
    assert e.result["x"] == 40
    e.advance(3)
    assert (e.result["x"], e.text) == (43, "x 43")


def test_a_changed_setting_goes_on_playing():
    e = going()

    async def reader():
        e.play()
        await asyncio.sleep(0.02)
        e.set(x=50)
        while e.playing:
            await asyncio.sleep(0.02)

    asyncio.run(reader())
    assert e.result["x"] == 90


def test_an_exception_while_playing_is_shown_and_stops_it():
    e = going()
    e.set(x=98)
    e.widget  # noqa: B018

    async def reader():
        e.play()
        with pytest.raises(ArithmeticError):
            await e._task

    asyncio.run(reader())
    assert isinstance(e.error, ArithmeticError)
    assert "ninety-nine" in e._error.value
    assert not e.playing


def test_the_static_picture_of_a_live_explorer_shows_it_at_work(monkeypatch):
    monkeypatch.setenv("PFA_EDU_STATIC", "1")
    assert outputs(going(static_steps=5), monkeypatch)[0][0]["text/plain"] == "x 15"


def test_what_plays_pauses_when_its_page_is_closed(monkeypatch):
    monkeypatch.setattr(live, "ALONE_S", 0.2)
    e = going()
    e.widget  # noqa: B018

    async def reader():
        e.play()
        assert e._pulse.playing, "the page is asked for signs of life"
        e._pulse.value += 1  # as an open page does
        await asyncio.wait_for(e._task, 5)

    asyncio.run(reader())
    assert 10 < e.result["x"] < 90
    assert "page was closed" in e.status
    assert not e.playing
    assert not e._pulse.playing


def test_what_plays_where_no_page_speaks_goes_on(monkeypatch):
    monkeypatch.setattr(live, "ALONE_S", 0.0)
    e = going()

    async def reader():
        e.play()
        await asyncio.wait_for(e._task, 20)

    asyncio.run(reader())
    assert e.result["x"] == 90
