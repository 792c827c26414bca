"""The playground's story: every claim is true of what the page itself shows."""

from __future__ import annotations

import re

import pytest

from .playground import resting, step, wait

PRESET_THERE = "JSON.stringify(ready.config) === JSON.stringify(state.config)"
EXPECTED = {1: 0, 2: 1, 3: 2, 4: 2, 5: 1}  # the choice that comes true
AVERAGED = {2: 200, 3: 200, 4: 200}  # steps whose mean is told


@pytest.mark.parametrize("number", EXPECTED)
def test_each_step_of_the_story_keeps_its_word(visit, number):
    """A prediction, the run, and words that are true of what the page then shows."""
    page = visit(f"story={number}&speed=max")
    resting(page)
    assert step(page) == 0
    assert not page.locator(".verdict").is_visible()
    choices = page.locator(".choices button")
    assert choices.count() == 3
    choices.nth(EXPECTED[number]).click()
    page.wait_for_selector(".verdict:visible", timeout=240_000)
    resting(page)
    told = page.locator(".verdict").inner_text()
    assert told.startswith("Yes."), told
    seen = page.evaluate(
        """average => {
            const { frame, ready } = window.playground;
            const { steps } = frame.curves;
            const shown = steps.findLastIndex(step => step <= frame.step);
            const inside = [...steps.keys()].filter(k => steps[k] > frame.step - average && k <= shown);
            const mean = (of, values, stride) =>
                (of ? inside : [shown]).reduce((sum, k) => sum + values[k * stride], 0) / (of ? inside.length : 1);
            return {
                rules: ready.config.runners.map(one => one.rule),
                accuracy: frame.curves.runs.map(run => mean(average, run.accuracy, 1)),
                gradient: mean(average, frame.curves.runs[0].gradientAngle, ready.sizes.length - 1),
                angles: frame.runs.map(run => run.pathAngle.slice(1)),
                start: frame.curves.runs[0].pathAngle[1],
            };
        }""",
        AVERAGED.get(number, 0),
    )
    bars = page.locator(".mean").inner_text()  # the charts show the mean that the words name
    assert bars == ("bars: mean of 200 steps" if number in AVERAGED else "")
    assert ("Over the last 200 steps" in told) == (number in AVERAGED)
    if number < 5:
        assert [float(one) for one in re.findall(r"(\d+)\s%", told)] == pytest.approx(seen["accuracy"], abs=0.51)
    accuracy = dict(zip(seen["rules"], seen["accuracy"], strict=True))
    mean = [sum(a) / len(a) for a in seen["angles"]]
    if number == 1:
        assert max(seen["angles"][0]) < 1e-3
    if number == 2:
        assert accuracy["bp"] - accuracy["fa"] < 15
        assert accuracy["fa"] > 80
        assert f"from {seen['start']:.1f}° to {mean[0]:.1f}°" in told
    if number == 3:
        assert accuracy["bp"] - accuracy["fa"] > 15
        assert f"FA's change was {seen['gradient']:.1f}° away" in told
        assert 50 < seen["gradient"] < 80
    if number == 4:
        assert abs(accuracy["pfa"] - accuracy["bp"]) < 5
        assert accuracy["pfa"] - accuracy["fa"] > 10
        assert mean[0] < 19
        assert page.evaluate("window.playground.ready.config.strongSteps") == 1000  # "For these 1,000 steps"
    if number == 5:
        assert mean == pytest.approx([9.0, 17.5, 45], abs=2.5)
    if number in (2, 4, 5):
        assert any(f"{angle:.1f}°" in told for angle in mean), (told, mean)


def test_the_story_from_its_first_to_its_last_button(visit):
    page = visit("speed=max", until=1)
    page.get_by_role("button", name="The story, in five steps").click()
    for number in range(1, 6):
        wait(page, f"state.story === {number} && frame.step === 0 && {PRESET_THERE}")
        assert page.locator(".steps button[aria-current=step]").inner_text() == str(number)
        page.locator(".choices button").last.click()
        # the answer waits for the run; a reader need not
        page.wait_for_function("window.playground.frame.step > 5")
        if number < 5:
            page.locator(".steps button", has_text=str(number + 1)).click()
    page.get_by_role("button", name="Leave the story").click()
    assert page.get_by_role("button", name="The story, in five steps").is_visible()


def test_a_wrong_prediction_is_told_kindly(visit):
    page = visit("story=1&speed=max")
    page.locator(".choices button").nth(2).click()
    page.wait_for_selector(".verdict:visible", timeout=120_000)
    assert page.locator(".verdict").inner_text().startswith("Not quite. 0°, at every step.")


def test_a_choice_becomes_a_sentence(visit):
    page = visit("story=2&speed=max")
    page.locator(".choices button").nth(0).click()
    page.wait_for_selector(".verdict:visible", timeout=120_000)
    assert page.locator(".verdict").inner_text().startswith("Not quite. It comes close to backprop. Over the last")


def test_a_link_does_not_give_the_answer_away(visit):
    """Copied after an answer, it opens at the question."""
    page = visit("story=1&speed=max")
    page.locator(".choices button").first.click()
    page.wait_for_selector(".verdict:visible", timeout=120_000)
    resting(page)
    page.wait_for_function("location.hash === '#speed=max&story=1'")
    again = visit("speed=max&story=1")
    resting(again)
    assert step(again) == 0
    assert not again.locator(".verdict").is_visible()
    old = visit("story=1&answer=1")
    assert old.locator(".notice").inner_text() == 'The link\'s "answer" is not a setting; it is ignored.'
