"""The race's picture and controls without a browser: what is drawn, Play, Pause, Step, Reset, and what goes wrong."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import time

import numpy as np
import pytest
from PIL import Image

from pfa_edu.errors import ConfigError
from pfa_edu.lessons.explorers import race
from pfa_edu.lessons.explorers.network_drawing import angle_colour
from pfa_edu.lessons.explorers.race_engine import Entry, Race, Settings
from pfa_edu.lessons.explorers.race_picture import RacePicture

SMALL = {"dataset": "spirals", "width": 16}


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.fixture(scope="module")
def module_explorer():
    explorer = race.explorer()
    explorer.set(**SMALL)
    return explorer


@pytest.fixture
def explorer(module_explorer):
    module_explorer.set(rule1="bp", rule2="fa", rule3="pfa", ratio3=10, density3=1, lr=0.02, weight_decay=0.01, seed=0)
    module_explorer.reset()
    return module_explorer


async def moving(explorer):
    """A process's first Play waits for torch's imports."""
    start, until = explorer.result.steps, time.monotonic() + 60
    while explorer.result.steps == start and time.monotonic() < until:
        await asyncio.sleep(0.05)


def played(explorer, seconds: float, then=None):
    async def go():
        explorer.play()
        await moving(explorer)
        await asyncio.sleep(seconds)
        if then:
            then()
        explorer.pause()

    asyncio.run(go())


# ------------------------------------------------------------------------------------------------ the picture


def test_a_picture_grown_step_by_step_is_the_picture_drawn_at_once():
    race_ = Race(Settings(**SMALL))
    grown, whole = RacePicture(), RacePicture()
    grown.show(race_)
    grown.png()
    for _ in range(40):
        for _ in range(5):
            race_.step()
        race_.measure()
        grown.show(race_)
        grown.paint()
    whole.show(race_)
    a, b = pixels(grown.png()), pixels(whole.png())
    assert a.std() > 20, "blank"
    assert np.abs(a - b).mean() < 0.3  # the joints of a line's pieces are a little softer


def test_the_jpeg_of_a_moving_picture_is_the_same_picture():
    picture = RacePicture()
    picture.show(Race(Settings(**SMALL)))
    assert np.abs(pixels(picture.png()) - pixels(picture.jpeg())).mean() < 3


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("names", [("dfa",), ("sf", "pfa-o"), ("kp", "pfa", "bp")])
def test_every_rule_and_depth_can_be_drawn(names, depth):
    picture = RacePicture()
    picture.show(Race(Settings(tuple(Entry(name, density=0.5) for name in names), depth=depth, **SMALL)))
    drawn = pixels(picture.png())
    height, width, _ = drawn.shape
    for i in range(3):
        network = drawn[int(0.37 * height) : int(0.63 * height), i * width // 3 : (i + 1) * width // 3]
        assert (network.std() > 15) == (i < len(names))


def test_aligned_paths_are_drawn_darker():
    light = [sum(angle_colour(degrees)[:3]) for degrees in (0, 30, 60, 90)]
    assert light == sorted(light)
    assert angle_colour(120) == angle_colour(90)


# ----------------------------------------------------------------------------------------------- the controls


def test_play_trains_and_pause_stops(explorer):
    start = pixels(explorer.png)
    played(explorer, 1.5)
    steps = explorer.result.steps
    assert steps > 5
    assert not explorer.playing
    assert explorer.text.startswith(f"Step {steps}: BP ")
    assert all(lane.angles[-1].step == steps for lane in explorer.result.lanes)
    assert np.abs(pixels(explorer.png) - start).mean() > 0.3
    time.sleep(0.2)
    assert explorer.result.steps == steps
    explorer.step()
    assert explorer.result.steps == steps + 1


def test_a_change_waits_for_reset_once_a_step_was_made(explorer):
    explorer.set(rule2="dfa")
    assert [lane.entry.name for lane in explorer.result.lanes] == ["bp", "dfa", "pfa"]
    explorer.step()
    ran = explorer.result
    explorer.set(rule2="kp")
    assert explorer.result is ran
    assert "Press Reset" in explorer.status
    explorer.reset()
    assert [lane.entry.name for lane in explorer.result.lanes] == ["bp", "kp", "pfa"]
    assert explorer.result.steps == 0
    assert explorer.status == ""


def test_knobs_that_a_rule_does_not_have_are_out_of_use(explorer):
    def disabled():
        explorer.widget  # noqa: B018
        return {name for name, box in explorer._built.items() if getattr(box, "children", (box,))[-1].disabled}

    assert disabled() == {"ratio1", "density1", "ratio2"}  # BP, FA, PFA
    explorer.set(rule1="pfa", rule2="kp", rule3="")
    assert disabled() == {"ratio2", "density2", "ratio3", "density3"}  # KP, nobody


def test_learning_rate_and_decay_act_on_the_running_race(explorer):
    explorer.step()
    ran = explorer.result
    explorer.set(lr=0.1, weight_decay=0.05)
    explorer.step()
    assert explorer.result is ran
    assert ran.lanes[0].optimizer.param_groups[0]["lr"] == pytest.approx(0.1)
    assert ran.lanes[2].optimizer.param_groups[0]["weight_decay"] == pytest.approx(0.05)
    assert explorer.status == ""


def test_out_of_range_is_clamped_with_a_message(explorer):
    explorer.set(width=4000)
    assert explorer.state["width"] == 512
    assert "Width 4000 is above 512: set to 512." in explorer.status
    explorer.set(width=16)
    with pytest.raises(ConfigError, match="unknown control"):
        explorer.set(breadth=3)


def test_a_lane_may_be_empty(explorer):
    explorer.set(rule2="", rule3="")
    assert [lane.entry.name for lane in explorer.result.lanes] == ["bp"]


def test_an_exception_is_shown_and_stops_the_race(explorer, monkeypatch):
    def broken():
        raise RuntimeError("the floor is wet")

    monkeypatch.setattr(explorer.result, "step", broken)

    async def go():
        explorer.play()
        with pytest.raises(RuntimeError, match="wet"):
            await explorer._task

    asyncio.run(go())
    assert "wet" in str(explorer.error)
    explorer.widget  # noqa: B018
    assert "wet" in explorer._error.value, "the reader sees it"
    assert explorer._error.layout.display is None
    assert not explorer.playing
    explorer.reset()
    assert explorer.error is None


def test_an_interrupt_pauses_the_race_and_the_kernel_lives_on(explorer):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a kernel has it between cells
    try:

        async def go():
            explorer.play()
            task = explorer._task
            await moving(explorer)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.wait_for(task, 10)

        asyncio.run(go())
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert "Interrupted" in explorer.status
    assert not explorer.playing
    steps = explorer.result.steps
    played(explorer, 0.5)
    assert explorer.result.steps > steps


def test_a_new_race_stops_the_old_one(explorer):
    played(explorer, 0.3, then=lambda: (race.explorer(), _not(explorer.playing)))


def _not(value: bool) -> None:
    assert not value


def test_buttons_sliders_and_tasks_take_turns(explorer):
    """While it plays, a press never waits long: the longest gap between two turns of the loop."""

    async def go():
        explorer.play()
        gaps, last = [], time.process_time()
        for _ in range(40):
            await asyncio.sleep(0)
            now = time.process_time()
            gaps.append(now - last)
            last = now
            await asyncio.sleep(0.01)
        explorer.pause()
        return gaps

    gaps = asyncio.run(go())
    assert max(gaps[1:]) < 0.4  # seconds of this process' own work; 0.2 where nothing else runs


def test_the_static_picture_is_of_a_real_short_race(monkeypatch):
    monkeypatch.setenv("PFA_EDU_STATIC", "1")
    explorer = race.explorer(static_steps=12)
    explorer.set(**SMALL)
    kept = []
    monkeypatch.setattr("IPython.display.display", lambda data, metadata=None, raw=False: kept.append(data))
    explorer._ipython_display_()
    (data,) = kept
    assert set(data) == {"text/plain", "image/png", "text/html"}
    assert data["text/plain"].startswith("Step 12: ")
    assert len(explorer.result.lanes[0].scores) == 4  # at steps 0, 4, 8 and 12
    assert pixels(data["image/png"]).std() > 20
