"""For the lecturer: the quiz's numbers, the handout, the slides, the versions for a class."""

import base64
import io
import math
import operator
import re
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from nbformat import v4

import pfa_edu as pe
from pfa_edu.cli import main
from pfa_edu.lessons import handout, notebooks, transformer_tables, versions
from pfa_edu.lessons.explorers import attention, closed_form, dimensions
from pfa_edu.lessons.results import committed
from pfa_edu.lessons.slides import deck, notes, splitting
from pfa_edu.lessons.slides import text as cutting
from pfa_edu.plots import published

TEACHING = Path(__file__).parent.parent / "teaching"
LESSONS = [path.stem for path in notebooks.all_lessons() if path.parent == Path()]


# ------------------------------------------------------------------------------------------------------------ the quiz


def ends(rule: str, metric: str, layer: str) -> float:
    frame = committed("mnist")
    rows = frame[(frame.rule == rule) & (frame.metric == metric) & (frame.layer == layer)]
    return rows[rows.epoch == rows.epoch.max()].value.mean()


def start() -> float:
    """FA's path angle before training, over all layers."""
    frame = committed("mnist")
    return frame[(frame.rule == "fa") & (frame.metric == "path_alignment") & (frame.epoch == 0)].value.mean()


def accuracy(rule: str) -> float:
    return ends(rule, "test_accuracy", "network")


def weights() -> list[int]:
    return [layer.weight.numel() for layer in pe.layers(pe.convert(pe.mlp((784, 512, 512, 10)), "pfa")).values()]


DECAY = {"lr": 0.01, "momentum": 0.9}
# Every angle, share and count of the quiz, by question, and where it comes from.
NUMBERS = {
    1: {
        "1,034": lambda: f"{512 + 512 + 10:,}",
        "262,144": lambda: f"{weights()[1]:,}",
        "267,264": lambda: f"{weights()[1] + weights()[2]:,}",
        "668,672": lambda: f"{sum(weights()):,}",
    },
    2: {
        "90°": lambda: f"{start():.0f}°",
        "59°": lambda: f"{ends('fa', 'path_alignment', 'fc3'):.0f}°",
        "5,120": lambda: f"{weights()[2]:,}",
    },
    3: {
        "45°": lambda: f"{pe.alignment_limit(1):.0f}°",
        "11°": lambda: f"{pe.alignment_limit(1) / 4:.0f}°",
        "22.5°": lambda: f"{pe.alignment_limit(1) / 2:.1f}°",
        "26.6°": lambda: f"{pe.alignment_limit(4):.1f}°",
    },
    4: {
        "17.5°": lambda: f"{pe.alignment_limit(10):.1f}°",
        "24.1°": lambda: f"{pe.alignment_limit(10, density=0.5):.1f}°",
        "32.3°": lambda: f"{pe.alignment_limit(10, density=0.25):.1f}°",
        "45°": lambda: f"{math.degrees(math.acos(math.sqrt(0.5))):.0f}°",
    },
    5: {
        "75 %": lambda: f"{100 * (1 - 0.01 * 0.03) ** 937:.0f} %",
        "6 %": lambda: f"{100 * pe.mismatch(937, weight_decay=0.03, **DECAY):.0f} %",
        "99 %": lambda: f"{100 * pe.mismatch(937, weight_decay=0.0001, **DECAY):.0f} %",
    },
    6: {"0°": lambda: f"{0:.0f}°"},  # G = I: test_kp_and_pfao_end_alike
}
RIGHT = {1: "267,264", 2: "W turns towards F", 3: "26.6°", 4: "24.1°", 5: "6 %", 6: "KP ends with pairs"}


def questions() -> dict[int, str]:
    parts = re.split(r"^## (\d)\. ", (TEACHING / "quiz.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {int(number): part for number, part in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.mark.parametrize("number", NUMBERS)
def test_every_number_of_the_quiz(number):
    question = questions()[number]
    said = set(re.findall(r"\d[\d.]*°|\d[\d.]* %|\d{1,3},\d{3}", question))
    assert said == set(NUMBERS[number])
    for written, computed in NUMBERS[number].items():
        assert computed() == written


@pytest.mark.parametrize("number", RIGHT)
def test_the_answer_is_the_right_choice_and_every_wrong_one_is_explained(number):
    question = questions()[number]
    choices = dict(re.findall(r"^- ([A-D])\. (.*)", question, flags=re.MULTILINE))
    (answer,) = re.findall(r"\*\*Answer: ([A-D])", question)
    assert [letter for letter, choice in choices.items() if RIGHT[number] in choice] == [answer]
    explained = re.findall(r"^- ([A-D]) ", question, flags=re.MULTILINE)
    assert explained == [letter for letter in choices if letter != answer]


def test_two_random_matrices_of_that_size_are_within_a_degree_of_90():
    assert math.degrees(1 / math.sqrt(5120)) < 1  # one standard deviation


def test_kp_and_pfao_end_alike():
    for layer in ("fc1", "fc2", "fc3"):
        assert abs(ends("kp", "path_alignment", layer) - ends("pfa-o", "path_alignment", layer)) < 0.1


def test_the_plan_agrees_with_the_results():
    plan = " ".join((TEACHING / "README.md").read_text(encoding="utf-8").split())
    bp, fa = accuracy("bp"), accuracy("fa")
    assert f"FA ends {bp - fa:.1f} points below backprop ({fa:.1f} % against {bp:.1f} %, five seeds)" in plan
    paper = published.final("cifar10")
    assert f"the paper has {paper['fa'][0]:.1f} % against {paper['bp'][0]:.1f} %" in plan
    pictures = transformer_tables.ends(committed("vit"), "test_accuracy").mean(axis=1)
    assert f"FA's accuracy in the vision transformer, {pictures['fa']:.1f} %" in plan
    assert f"frozen at random: {pictures['frozen']:.1f} %" in plan
    labels = {control.name: control.label for control in attention.CONTROLS}
    assert f"set **{labels['angle']}** to 17.5 and **{labels['depth']}** to 4" in plan


def test_the_plan_and_the_notes_name_controls_that_there_are():
    """What is in bold is a control of an explorer, or stands in bold in a lesson."""
    lessons = "\n".join(_lesson(name).cells[i].source for name in LESSONS for i in range(len(_lesson(name).cells)))
    bold = set(re.findall(r"\*\*([^*]+)\*\*", lessons))
    plan = (TEACHING / "README.md").read_text(encoding="utf-8").split("## 90 minutes")[1].split("## Three times")[0]
    texts = [plan, *(p.read_text(encoding="utf-8") for p in (TEACHING / "notes").glob("*.md"))]
    for control in {name for text in texts for name in re.findall(r"\*\*([^*]+)\*\*", text)}:
        assert control in bold


def test_the_settings_that_the_plan_and_the_notes_name_can_be_set():
    """The smallest weight decay, and the angle at half of the synapses, the lessons to open."""
    plan = " ".join((TEACHING / "README.md").read_text(encoding="utf-8").split())
    note = (TEACHING / "notes" / "02_feedback_dimensions.md").read_text(encoding="utf-8")
    (decay,) = [control for control in closed_form.CONTROLS if control.name == "weight_decay"]
    smallest = f"**Weight decay** to its smallest value, {decay.low:.4f}"
    assert smallest in plan
    assert smallest in note
    dense, half = (dimensions.compute(10, p, 100, 256, orthogonal=False, seed=0).angle for p in (1.0, 0.5))
    assert "**Density** to 0.5 (the angle goes from 17.5° to about 24°)" in plan
    assert (dense, half) == (pytest.approx(17.5, abs=0.3), pytest.approx(24, abs=0.6))
    for shown in (r'LESSONS="([^"]+)"', r"--slides ([^`]+)`"):
        (words,) = re.findall(shown, plan)
        numbers = [int(notebooks.find(word).stem[:2]) for word in words.split()]
        assert numbers == [0, 1, 2, 4]
    assert "open lessons 0, 1, 2 and 4" in plan


def test_the_minutes_add_up():
    plan = (TEACHING / "README.md").read_text(encoding="utf-8")
    spans = [(int(a), int(b)) for a, b in re.findall(r"^\| (\d+)–(\d+) \|", plan, flags=re.MULTILINE)]
    assert spans[0][0] == 0
    assert spans[-1][1] == 90
    assert all(end == begin for (_, end), (begin, _) in pairwise(spans))


# --------------------------------------------------------------------------------------------------------- the handout


def test_the_handout_is_one_page_of_a4_and_up_to_date():
    page = (TEACHING / "handout.pdf").read_bytes()
    assert len(page) < 200_000
    assert page.count(b"/Type /Page\n") + page.count(b"/Type /Page ") == 1
    (box,) = re.findall(rb"/MediaBox \[ ([\d. ]+) \]", page)
    assert [float(x) for x in box.split()] == pytest.approx([0, 0, 595.276, 841.89], abs=0.01)
    assert handout.source().encode() in page, "make handout"


def test_nothing_on_the_handout_overlaps_or_leaves_the_page():
    page = handout.figure()
    renderer = FigureCanvasAgg(page).get_renderer()
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in page.axes[0].texts if t.get_text()]
    margin = 0.5 * page.dpi
    for number, (words, box) in enumerate(boxes):
        assert margin < box.x0, words
        assert box.x1 < page.bbox.x1 - margin, words
        assert box.y0 > 0.3 * page.dpi, words
        assert not [other for other, b in boxes[number + 1 :] if box.overlaps(b)], words


def test_the_handout_has_the_symbols_and_the_library_s_angles():
    words = [t.get_text() for t in handout.figure().axes[0].texts]
    for symbol in ("$W$", "$F$", "$B$", "$R$", "$G$", "$E$", "$a$", r"$\delta$", "ratio", "density $p$"):
        assert symbol in words
    for ratio, density in handout.ANGLES:
        assert f"{pe.alignment_limit(ratio, density):.1f}°" in words
    assert [name for name, *_ in handout.RULES] == ["BP", "FA", "SF", "KP", "PFA", "PFA-o", "DFA"]
    full, closed = pe.Linear(4, 3, rule=pe.PFA(form="explicit")), pe.Linear(4, 3, rule=pe.PFA(form="closed"))
    for code in (row[-1] for row in handout.SYMBOLS if row[-1].startswith("layer.")):
        place = code.removeprefix("layer.").removesuffix("()")
        assert any(has(layer, place) for layer in (full, closed)), code


def has(layer, place):
    try:
        return operator.attrgetter(place)(layer) is not None
    except AttributeError:
        return False


def test_the_handout_by_command(tmp_path, capsys):
    assert main(["lessons", str(tmp_path), "--handout"]) == 0
    assert f"written   {tmp_path / 'handout.pdf'}" in capsys.readouterr().out
    assert main(["lessons", str(tmp_path), "--handout"]) == 0  # the same source is the same file
    assert "same      " in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------------------ versions


def _lesson(name):
    return nbformat.read(notebooks.find(name), as_version=4)


@pytest.mark.parametrize("name", LESSONS)
def test_each_exercise_has_its_solution_in_the_instructors_version(name):
    lesson = _lesson(name)
    asked = [n for numbers in versions.exercises(lesson.cells).values() for n in numbers]
    assert asked == sorted(set(asked))
    version = versions.instructors(name)
    nbformat.validate(version)
    marked = [versions.SOLUTION in cell.metadata.get("tags", []) for cell in version.cells]
    assert [c.source for c, mark in zip(version.cells, marked, strict=True) if not mark] == [
        c.source for c in lesson.cells
    ]
    found = versions.solutions(name, lesson)
    assert set(asked) <= set(found)
    for cells in found.values():  # every solution is there, word for word, behind its exercise
        for cell in cells:
            assert any(cell.source in c.source for c, mark in zip(version.cells, marked, strict=True) if mark)


@pytest.mark.parametrize("name", LESSONS)
def test_no_solution_leaks_into_the_students_version(name):
    student = versions.students(name)
    nbformat.validate(student)
    seen = "\n".join(cell.source for cell in student.cells)
    assert "solutions/" not in seen  # a folder that students do not get
    worked = versions.solutions(name, _lesson(name))
    worked.pop(0, None)  # imports and data, as in the lesson
    for line in (line.strip() for cells in worked.values() for cell in cells for line in cell.source.splitlines()):
        usual = line.startswith(("def ", '"""', "import ", "from ", "exercises.", "checks", "torch.manual_seed"))
        assert usual or len(line) < 20 or line not in seen


@pytest.fixture
def one_lesson(tmp_path, monkeypatch):
    """A folder of notebooks with one lesson, its solutions, and a cell that only instructors should see."""
    folder = tmp_path / "notebooks"
    (folder / "solutions").mkdir(parents=True)
    secret = v4.new_markdown_cell("Between us.", metadata={"slideshow": {"slide_type": "notes"}})
    inline = v4.new_markdown_cell("The answer is 4.", metadata={"tags": ["solution"]})
    lesson = [
        v4.new_markdown_cell("# Sums\n\nAdd."),
        v4.new_code_cell("answer = ...\nprint('begun')"),
        secret,
        v4.new_markdown_cell("## Exercises\n\n1. How much is 2 + 2?\n2. How much is 2 + 3?"),
        inline,
        v4.new_markdown_cell("## You can now\n\nadd."),
    ]
    worked = [v4.new_markdown_cell("## 1. First\n\nFour."), v4.new_markdown_cell("## Exercise 2\n\nFive, since 2 + 3.")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(v4.new_notebook(cells=lesson, metadata=kernel), folder / "01_sums.ipynb")
    nbformat.write(v4.new_notebook(cells=worked), folder / "solutions" / "01_sums_solutions.ipynb")
    monkeypatch.setattr(notebooks, "folder", lambda: folder)
    return folder


def test_both_versions_of_a_lesson(one_lesson):
    student = [cell.source for cell in versions.students("01_sums").cells]
    assert len(student) == 4
    assert not {"Between us.", "The answer is 4."} & set(student)
    instructor = [cell.source for cell in versions.instructors("01_sums").cells]
    assert "Between us." in instructor
    assert instructor[-6:] == [
        "The answer is 4.", "### Solution 1", "## 1. First\n\nFour.", "### Solution 2",
        "## Exercise 2\n\nFive, since 2 + 3.", "## You can now\n\nadd.",
    ]  # fmt: skip


def test_an_exercise_without_a_solution_is_an_error(one_lesson):
    worked = v4.new_notebook(cells=[v4.new_markdown_cell("## 1. First\n\nFour.")])
    nbformat.write(worked, one_lesson / "solutions" / "01_sums_solutions.ipynb")
    with pytest.raises(pe.LessonError, match=r"01_sums\.ipynb: no solution of exercise 2\. .*01_sums_solutions"):
        versions.instructors("01_sums")


def test_versions_by_command(one_lesson, tmp_path, capsys):
    student, instructor = tmp_path / "student", tmp_path / "instructor"
    assert main(["lessons", str(student), "--student"]) == 0
    assert main(["lessons", str(instructor), "--instructor"]) == 0
    written = sorted(str(p.relative_to(student)) for p in student.rglob("*") if p.is_file())
    assert written == ["01_sums.ipynb", "teaching/handout.pdf"]
    assert "Four." not in (student / "01_sums.ipynb").read_text()
    assert "Four." in (instructor / "01_sums.ipynb").read_text()
    assert (instructor / "teaching" / "quiz.md").read_bytes() == (TEACHING / "quiz.md").read_bytes()
    for link in re.findall(r"\]\(([^)]+)\)", (instructor / "teaching" / "README.md").read_text()):
        assert (instructor / "teaching" / link).exists(), link
    (student / "01_sums.ipynb").write_text("hours of work")
    assert main(["lessons", str(student), "--student"]) == 1
    assert "already there and not overwritten" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["lessons", str(student), "--student", "--instructor"])


# -------------------------------------------------------------------------------------------------------------- slides


def types(cells):
    return [(splitting.slide_type(cell), cell.source.split("\n", 1)[0]) for cell in splitting.split(cells).cells]


def book(*cells):
    return v4.new_notebook(cells=list(cells))


PICTURE = v4.new_output("display_data", {"image/png": base64.b64encode(b"picture").decode(), "text/plain": "<Figure>"})


def test_headings_begin_slides_and_code_stands_with_its_picture():
    first, second = (v4.new_code_cell("draw()", outputs=[PICTURE]) for _ in range(2))
    start = v4.new_markdown_cell("# A\n\nShort.\n\n## B\n\n### C")
    end = v4.new_markdown_cell("## D\n\n" + "word " * 80)
    cells = book(start, first, end, second)
    assert types(cells) == [
        ("slide", "# A"), ("slide", "## B"), ("subslide", "### C"), ("-", "draw()"),
        ("slide", "## D"), ("subslide", "### D"), ("-", "draw()"),  # no room below so much text
    ]  # fmt: skip


def test_long_text_goes_on_below_and_nothing_is_lost():
    items = [f"{n}. " + f"point {n} " * 30 for n in range(1, 8)]
    slides = splitting.split(
        book(v4.new_markdown_cell("## Points\n\nHere they are, all of them,\n\n" + "\n".join(items)))
    )
    assert [splitting.slide_type(c) for c in slides.cells][:2] == ["slide", "subslide"]
    words = " ".join(cell.source for cell in slides.cells)
    assert all(words.count(item.strip()) == 1 for item in items)
    for cell in slides.cells:
        assert sum(map(cutting.height, cutting.blocks(cell.source)[1:])) <= cutting.PAGE
    assert "all of them,\n\n1. " in slides.cells[0].source  # what introduces stays with what follows


def test_long_code_has_a_page_of_its_own_before_its_picture():
    code = v4.new_code_cell("\n".join(f"line_{n} = {n}" for n in range(20)), outputs=[PICTURE])
    slides = splitting.split(book(v4.new_markdown_cell("## Code"), code)).cells
    assert [splitting.slide_type(c) for c in slides] == ["slide", "-", "subslide", "-"]
    assert slides[1].outputs == []
    assert slides[3].metadata.transient.remove_source
    assert slides[3].outputs


def test_an_exercise_is_shown_without_its_empty_check():
    code = v4.new_code_cell("answer = ...\ncheck(answer)", outputs=[v4.new_output("stream", text="not answered yet")])
    asked, shown = splitting.split(book(v4.new_markdown_cell("### Exercise 1\n\nHow many?"), code)).cells
    assert "How many?" in asked.source
    assert splitting.slide_type(shown) == "-"  # on the same slide
    assert shown.outputs == []


def test_the_author_s_slide_types_are_kept_and_housekeeping_is_left_out():
    def cell(kind, source, make=v4.new_markdown_cell):
        return make(source, metadata={"slideshow": {"slide_type": kind}})

    cells = book(
        cell("subslide", "## Here"), cell("fragment", "More."), cell("notes", "Say it."), cell("skip", "Not here."),
        v4.new_code_cell("import os\nfrom sys import path"), v4.new_code_cell("lesson.check_parameters(globals())"),
        v4.new_code_cell("seed = 0", metadata={"tags": ["parameters"]}),
    )  # fmt: skip
    assert types(cells) == [("subslide", "## Here"), ("fragment", "More."), ("notes", "Say it."), ("skip", "Not here.")]


@pytest.mark.parametrize("name", LESSONS)
def test_nbconvert_s_own_slides_are_not_one_single_slide(name):
    from nbconvert.exporters import SlidesExporter

    lesson = _lesson(name)
    headings = sum(bool(re.match(r"##? ", cell.source)) for cell in lesson.cells)
    page = SlidesExporter().from_notebook_node(lesson)[0]
    assert page.count("<section") >= headings


@pytest.mark.parametrize("name", LESSONS)
def test_slides_of_every_lesson_with_notes_that_find_their_slides(name):
    said = notes.read(name)
    page = deck.page(_lesson(name), name, said)
    headings = len(re.findall(r"^#{1,2} ", "\n".join(c.source for c in _lesson(name).cells), flags=re.MULTILINE))
    assert page.count("<section") >= headings
    assert page.count('<aside class="notes">') >= len(said)
    for address in re.findall(r'(?:src|href)="([^"#]+)"', re.sub(r'<a [^>]*href="[^"]*"', "", page)):
        assert address.startswith((f"{deck.ASSETS}/", "data:")), address  # links to click on apart


@pytest.mark.parametrize("file", sorted((TEACHING / "notes").glob("*.md")), ids=lambda p: p.stem)
def test_notes_belong_to_a_lesson(file):
    assert file.stem in LESSONS
    assert notes.read(file.stem)


def test_a_note_without_its_slide_is_an_error():
    slides = splitting.split(book(v4.new_markdown_cell("## Predict\n\nA."), v4.new_markdown_cell("## Predict\n\nB.")))
    notes.add(slides, "x", {"Predict (2)": "Wait."})
    assert [c.source for c in slides.cells][-1] == "Wait."
    with pytest.raises(pe.LessonError, match=r"notes/x\.md: unknown heading 'Predikt': did you mean 'Predict'"):
        notes.add(slides, "x", {"Predikt": "Wait."})


@pytest.mark.slow
def test_slides_by_command(one_lesson, tmp_path, capsys):
    out = tmp_path / "slides"
    assert main(["lessons", str(out), "--slides"]) == 0
    assert f"slides  {out / '01_sums.html'}" in capsys.readouterr().out
    page = (out / "01_sums.html").read_text()
    assert "begun" in page  # it was executed
    assert "Between us." in page
    for asset in re.findall(rf'(?:src|href)="({deck.ASSETS}/[^"]+)"', page):
        assert (out / asset).is_file(), asset
    assert '<a href="01_sums.html">' in (out / "index.html").read_text()
    (out / "01_sums.html").write_text("mine")
    assert main(["lessons", str(out), "--slides"]) == 1
    assert main(["lessons", str(out), "--slides", "--force"]) == 0
    assert (out / "01_sums.before-1.html").read_text() == "mine"


def test_slides_without_their_package_name_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(deck, "_PARTS", (("no-such-package", "x", ("y",)),))
    with pytest.raises(pe.ConfigError, match=r'slides need no-such-package: pip install "pfa-edu\[slides\]"'):
        deck.copy_assets(tmp_path)


def test_the_page_is_the_same_whoever_draws_it():
    pages = []
    for _ in range(2):
        page = io.BytesIO()
        handout.figure().savefig(page, format="png", dpi=40)
        pages.append(page.getvalue())
    assert pages[0] == pages[1]
