"""Explorers without a browser: clamping, errors that are shown, pictures without widgets, a task that yields."""

import asyncio
import io
import subprocess
import sys
import time

import pytest
from PIL import Image

from pfa_edu import errors
from pfa_edu.lessons import explorers as widgets
from pfa_edu.lessons.explorers import base, closed_form, dimensions, feedback_alignment, transport

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
        ("n", 2.4, 2, "Count 2.4 is no whole number: set to 2."),
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
    settings = e.widget.children[0].children
    ((slider, text), (count, _)), kind, on = [box.children for box in settings[:2]], *settings[2:]
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
    slider = explorer(live=live).widget.children[0].children[0].children[0]
    assert slider.continuous_update is live


def test_a_value_between_two_steps_of_the_slider_survives_a_browsers_rounding():
    e = explorer()
    e.set(x=7)
    slider, text = e.widget.children[0].children[0].children
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
    count = e.widget.children[0].children[1].children[0]
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
    image = e.widget.children[-1]
    first, box = e.png, size(e.png)
    e.set(x=90)
    assert e.widget.children[-1] is image
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


def test_a_reader_gets_widgets_and_the_file_gets_a_picture_too(monkeypatch):
    monkeypatch.setenv("PFA_EDU_STATIC", "0")
    e = explorer()
    data, metadata = e._repr_mimebundle_()
    assert set(data) == {WIDGET_VIEW, "image/png", "text/plain"}
    assert data[WIDGET_VIEW]["model_id"] == e.widget.model_id
    assert data["text/plain"] == "x 10"
    assert (metadata["image/png"]["width"], metadata["image/png"]["height"]) == e.picture.size


@pytest.mark.parametrize(("variable", "value"), [("PFA_EDU_STATIC", "1"), ("PFA_EDU_PROGRESS", "line")])
def test_an_executed_notebook_gets_only_the_picture(monkeypatch, variable, value):
    monkeypatch.delenv("PFA_EDU_STATIC", raising=False)
    monkeypatch.setenv(variable, value)
    e = explorer()
    assert set(e._repr_mimebundle_()[0]) == {"image/png", "text/plain"}
    assert e._widget is None  # no widget, no state of one


@pytest.mark.slow
def test_papermill_and_nbconvert_get_only_the_picture_without_being_told(monkeypatch):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    for variable in ("PFA_EDU_STATIC", "PFA_EDU_PROGRESS", "SERVER_SOFTWARE"):
        monkeypatch.delenv(variable, raising=False)
    cell = "from pfa_edu.lessons.explorers import closed_form\nclosed_form.explorer()"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    nbclient.NotebookClient(notebook, kernel_name="python3").execute()
    assert set(notebook.cells[0].outputs[0]["data"]) == {"image/png", "text/plain"}
    assert "widgets" not in notebook.metadata


def test_voila_serves_a_reader_though_it_executes_like_papermill(monkeypatch):
    class Shell:
        class kernel:
            _allow_stdin = False

    monkeypatch.delenv("PFA_EDU_STATIC", raising=False)
    monkeypatch.delenv("PFA_EDU_PROGRESS", raising=False)
    monkeypatch.delenv("SERVER_SOFTWARE", raising=False)
    monkeypatch.setattr("IPython.get_ipython", Shell)
    assert base.static_only()
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5.8")
    assert not base.static_only()


# ---------------------------------------------------------------------------------------------- live ones


def live(**options):
    def step(run):
        time.sleep(0.005)
        run["x"] += 1
        if run["x"] == 99:
            raise ArithmeticError("ninety-nine")
        return run["x"] < 90

    return widgets.LiveExplorer(CONTROLS, compute, Dot(), lambda r: f"x {r['x']:g}", step=step, **options)


def test_play_yields_pause_stops_and_play_goes_on():
    e = live()
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
    e = live()
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
    e = live()

    async def reader():
        e.play()
        await asyncio.sleep(0.02)
        e.set(x=50)
        while e.playing:
            await asyncio.sleep(0.02)

    asyncio.run(reader())
    assert e.result["x"] == 90


def test_an_exception_while_playing_is_shown_and_stops_it():
    e = live()
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
    assert live(static_steps=5)._repr_mimebundle_()[0]["text/plain"] == "x 15"
