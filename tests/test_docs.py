"""The documentation: its Python runs, its numbers are the package's and the committed results', its links lead on."""

import contextlib
import inspect
import json
import re
import runpy
import subprocess
import sys
import types
from pathlib import Path

import nbformat
import pytest
import torch
import torchvision

import pfa_edu as pe
from pfa_edu.lessons import notebooks as lesson
from pfa_edu.lessons.results import committed

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
GUIDES = sorted(path.relative_to(DOCS).as_posix() for path in [*DOCS.glob("guides/*.md"), *DOCS.glob("theory/*.md")])


@pytest.fixture(autouse=True)
def modules_of_docs(monkeypatch):
    """docs/ holds modules of its own, which Sphinx imports."""
    monkeypatch.syspath_prepend(str(DOCS))


def page(name):
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(text):
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in GUIDES if blocks(page(name))])
def test_python_of_a_guide_runs(name, tmp_path, monkeypatch):
    """All of a page's blocks, one after the other, as a reader would run them."""
    monkeypatch.chdir(tmp_path)
    before = dict(pe.known_rules())
    names = {"__name__": "__main__"}
    try:
        for block in blocks(page(name)):
            exec(block, names)
        check = CHECKS.get(name)
        if check is not None:
            check(names, tmp_path)
    finally:
        for rule in [rule for key, rule in pe.known_rules().items() if key not in before]:
            pe.rules.forget(rule)


def network_guide(names, folder):
    assert set(names["angles"]) == {"0", "3", "7"}
    assert names["long"] == 120
    assert round(names["limit"], 3) == 17.548
    assert max(names["angles"].values()) < 60  # the strong decay has turned every path towards its weight
    assert names["report"].ok, names["report"].problems


def rule_guide(names, folder):
    """The rule written out in the guide is the package's own."""
    gradients = []
    for rule in (names["Twin"](), pe.KP()):
        torch.manual_seed(0)
        net = pe.convert(pe.mlp((5, 4, 3)), rule, init="xavier", verbose=False)
        sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
        for _ in range(5):
            sgd.zero_grad()
            net(torch.ones(2, 5)).square().sum().backward()
            sgd.step()
        gradients.append(net.fc1.weight.grad)
    torch.testing.assert_close(*gradients)
    assert pe.rule("soft-sign", sharpness=20).label == "soft-sign sharpness=20"


def experiment_guide(names, folder):
    assert (folder / "runs" / "curve" / "kp-seed0" / "metrics.csv").exists()
    assert set(names["frame"].rule) == {"bp", "fa", "pfa", "pfa ratio=1"}
    last = names["last"]
    angles = last[last.metric == "path_alignment"].value
    assert len(angles) == 2
    assert angles.max() < 60
    assert names["run"].folder.name == "pfa-seed0"


CHECKS = {
    "guides/network.md": network_guide, "guides/rule.md": rule_guide, "guides/experiment.md": experiment_guide,
}  # fmt: skip


def test_every_guide_has_python():
    assert all(blocks(page(name)) for name in GUIDES if name.startswith("guides/"))
    assert set(CHECKS) == {name for name in GUIDES if name.startswith("guides/")}


@pytest.mark.slow
def test_python_of_the_page_on_sweeps_runs(tmp_path, monkeypatch):
    """At the smallest scale and with one seed; the cluster is one that only notes what it is asked to do."""
    grid, cluster = (
        block.replace('"classroom"', '"smoke"').replace("seeds=2", "seeds=1").replace("jobs=2", "jobs=1")
        for block in blocks(page("sweeps.md"))
    )
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    exec(grid, names)
    assert set(names["frame"].rule) == {"bp", "kp", "pfa", "pfa ratio=1"}
    assert set(names["frame"].lr) == {0.01, 0.02}
    asked = []

    class Executor:
        def __init__(self, folder):
            pass

        def update_parameters(self, **settings):
            pass

        def batch(self):
            return contextlib.nullcontext()

        def submit(self, function, *arguments, **settings):
            asked.append((function, inspect.signature(function).bind(*arguments, **settings)))
            return types.SimpleNamespace(wait=lambda: None)

    monkeypatch.setitem(sys.modules, "submitit", types.SimpleNamespace(AutoExecutor=Executor))
    exec(cluster, names)
    assert len(asked) == 24
    assert all(function is pe.sweep for function, _ in asked)
    assert not names["frame"].empty


# Numbers


def rows(text, after):
    """The table after those words: one list of cells a line, without the head."""
    table = text.split(after, 1)[1].split("\n\n", 2)[1]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return lines[0], lines[2:]


def test_limits_are_what_the_package_computes():
    text = page("theory/limits.md")
    head, (angles, norms) = rows(text, "\\lVert W\\rVert} = \\sqrt{1 + \\frac{1}{\\text{ratio}}} .\n$$")
    for ratio, angle, norm in zip(head[1:], angles[1:], norms[1:], strict=True):
        assert float(angle) == pytest.approx(pe.alignment_limit(float(ratio)), abs=0.05)
        assert float(norm) == pytest.approx((1 + 1 / float(ratio)) ** 0.5, abs=0.005)
    assert "45° for wide layers, 47.2° for 100 output neurons" in text
    assert pe.alignment_limit(10, 0.1) == pytest.approx(45)
    assert pe.alignment_limit(10, 0.1, out=100) == pytest.approx(47.2, abs=0.05)


@pytest.mark.parametrize("density", [1.0, 0.3])
def test_the_limit_s_derivation_holds_by_simulation(density):
    """The mean of ⟨F, W⟩ and of ‖F‖², over many draws of B and the masks, for a layer small enough to see 1/out."""
    torch.manual_seed(0)
    out, mid, fan_in, draws = 6, 12, 5, 20_000
    W = torch.randn(out, fan_in, dtype=torch.float64)
    bound = (3 / (mid * density)) ** 0.5
    B = torch.empty(draws, out, mid, dtype=torch.float64).uniform_(-bound, bound)
    B *= torch.rand_like(B) < density
    R = B.mT @ W
    F = B @ (R * (torch.rand_like(R) < density))
    along, length = (F * W).sum((1, 2)).mean() / W.square().sum(), F.square().sum((1, 2)).mean() / W.square().sum()
    tan = ((length - along**2) ** 0.5 / along).item()
    told = ((out - 1 + 1.8 / density) / (mid * density) - 1 / mid) ** 0.5
    assert along.item() == pytest.approx(density, rel=0.01)
    assert tan == pytest.approx(told, rel=0.02)
    assert pe.alignment_limit(mid / out, density, out) == pytest.approx(torch.atan(torch.tensor(told)).rad2deg().item())


def test_the_start_fades_as_told():
    text = page("theory/limits.md")
    assert "937 steps, with $\\eta = 0.01$ and $\\mu = 0.9$,\nwhich leaves $a = 0.057$" in text
    assert pe.mismatch(937, 0.01, 0.9, 0.03) == pytest.approx(0.057, abs=0.0005)
    gentle = pe.steps_to_fade(0.057, lr=0.01, momentum=0.9, weight_decay=9e-5)
    assert f"{gentle:,} steps" in text
    assert pe.mismatch(200, lr=0.05, momentum=0.9, weight_decay=0.02) == pytest.approx(0.1204, abs=0.0001)
    approximately = torch.exp(torch.tensor(-0.01 * 0.03 * 937 / 0.1)).item()
    assert approximately == pytest.approx(0.057, abs=0.004)


def test_the_angles_of_mnist_are_those_of_the_runs():
    assert "PFA's paths end at 17 to 20° and its hidden layers' gradients at 14°; FA's at 59 to 90° and 64°" in page(
        "theory/limits.md"
    )
    frame = committed("mnist")
    last = frame[frame.epoch == frame.epoch.max()]

    def of(rule, metric):
        found = last[(last.rule == rule) & (last.metric == metric)]
        return found.groupby("layer").value.mean()

    for rule, low, high, gradient in (("pfa", 17, 20, 14), ("fa", 59, 90, 64)):
        paths = of(rule, "path_alignment")
        assert (paths.min(), paths.max()) == (pytest.approx(low, abs=0.6), pytest.approx(high, abs=0.6))
        assert of(rule, "gradient_angle")[["fc1", "fc2"]].mean() == pytest.approx(gradient, abs=0.5)


def theorem(net, start):
    """The largest distance between F of a network in the explicit form and what the closed form would make of it."""
    a = pe.mismatch(30, lr=0.05, momentum=0.9, weight_decay=0.1)
    far = []
    for name, layer in pe.layers(net).items():
        W0, R0 = start[name]
        B = layer.feedback.B
        G, E = B @ B.T, B @ R0 - B @ B.T @ W0
        far.append((layer.feedback_weight() - G @ layer.weight - a * E).abs().max().item())
    return max(far)


@pytest.mark.parametrize(("how", "holds"), [("all by norm", True), ("by value", False), ("tensor by tensor", False)])
def test_what_clipping_does_to_the_theorem(how, holds):
    """One factor for W and R leaves the law alone, but it is not the factor that there would be without R."""
    assert "$R$'s gradient counts in the norm" in page("theory/closed_form.md")
    assert "clipping by value or tensor by tensor breaks the law itself" in page("theory/closed_form.md")
    torch.manual_seed(0)
    x, y = torch.randn(64, 6, dtype=torch.float64), torch.randint(3, (64,))
    net = pe.convert(pe.mlp((6, 8, 3)).double(), pe.PFA(ratio=4), verbose=False)
    start = {
        name: (one.weight.detach().clone(), one.feedback.R.detach().clone()) for name, one in pe.layers(net).items()
    }
    sgd = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=0.1)
    for _ in range(30):
        sgd.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        if how == "all by norm":
            without = torch.nn.utils.get_total_norm([p.grad for n, p in net.named_parameters() if "feedback" not in n])
            counted = torch.nn.utils.clip_grad_norm_(net.parameters(), 0.01)
            assert counted > 0.01  # it was clipped, ...
            assert counted > 1.02 * without  # ... by another factor than without R
        elif how == "by value":
            torch.nn.utils.clip_grad_value_(net.parameters(), 0.001)
        else:
            for parameter in net.parameters():
                torch.nn.utils.clip_grad_norm_(parameter, 0.01)
        sgd.step()
    assert (theorem(net, start) < 1e-12) == holds


def test_what_decay_under_sgd_leaves_is_not_the_product():
    """The page's own example with the coupled form: its a is the theorem's, which decays through the velocity."""
    text = page("theory/closed_form.md")
    assert "In the example below that $a$ is 0.120, while the product would be 0.819" in text
    assert (
        "sgd = torch.optim.SGD(explicit.parameters(), lr=0.05, momentum=0.9, weight_decay=0.02)\nfor _ in range(200)"
        in text
    )
    torch.manual_seed(0)
    net = pe.convert(pe.mlp((6, 8, 3)).double(), pe.PFA(ratio=4, form="coupled"), verbose=False)
    sgd = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=0.02)
    for _ in range(200):
        pe.train_step(net, sgd, torch.nn.functional.cross_entropy, torch.randn(8, 6).double(), torch.randint(3, (8,)))
    for layer in pe.layers(net).values():
        assert layer.feedback.a.item() == pytest.approx(0.120, abs=0.0005)
    assert pytest.approx(0.819, abs=0.0005) == (1 - 0.05 * 0.02) ** 200


@pytest.mark.slow
def test_where_the_angle_ends_under_adamw():
    for name in ("theory/closed_form.md", "guides/network.md"):
        assert "explicit ended at 23.1° and coupled at 16.4° (limit for wide layers: 17.5°)" in " ".join(
            page(name).split()
        )
    train = runpy.run_path(str(ROOT / "examples" / "any_optimizer.py"))["train"]
    assert train("AdamW", "explicit")[0][-1] == pytest.approx(23.1, abs=0.5)
    assert train("AdamW", "coupled")[0][-1] == pytest.approx(16.4, abs=0.5)


def test_the_demo_without_make_is_the_demo():
    (command,) = re.findall(r"^\t\$\(BIN\)/(pfa-edu reproduce .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    command = command.replace("$(OUT)", "out/demo")
    assert command in page("index.md")
    assert command.replace(" --scale classroom", "") in (ROOT / "README.md").read_text(encoding="utf-8")
    for text in (page("index.md"), (ROOT / "README.md").read_text(encoding="utf-8")):
        assert 'pip install -e ".[notebooks]"' in text


def test_the_front_page_says_what_the_playground_does():
    """It begins with one network that is running, and a story of five steps beside it."""
    assert "A network trains in your browser. Start the story, in five steps." in page("index.md")
    state, story = ((ROOT / "web" / "src" / name).read_text() for name in ("view/state.ts", "story/panel.ts"))
    assert 'runners: [runner("pfa")],' in state
    assert re.search(r"function startState\(.*?at: null,\n", state, re.DOTALL)
    assert ">The story, in five steps</button>" in story


BENCH = {
    "BP": "BP", "FA": "FA", "SF": "SF", "KP": "KP", "PFA, closed, ratio 10": "PFA closed, ratio 10",
    "PFA, closed, ratio 1000": "PFA closed, ratio 1000", "PFA, explicit, ratio 10": "PFA explicit, ratio 10",
}  # fmt: skip


def test_costs_are_those_of_the_bench():
    head, table = rows(page("comparison.md"), "The other packages were not timed.")
    assert head[1:] == ["784-512-512-10, batch 64", "ResNet-20, batch 128"]
    measured = [
        json.loads((ROOT / "figures" / "bench" / name).read_text())["networks"]
        for name in ("mnist.json", "cifar10.json")
    ]
    mlp = measured[0]["784-512-512-10, batch 64"]
    (resnet,) = [cases for name, cases in measured[1].items() if name.startswith("ResNet-20")]
    assert {row[0] for row in table} == set(BENCH)
    for name, small, deep in table:
        assert float(small) == pytest.approx(mlp[BENCH[name]]["ratio"], abs=0.006), name
        assert float(deep) == pytest.approx(resnet[BENCH[name]]["ratio"], abs=0.006), name


def test_what_is_said_to_somebody_who_comes_from_biotorch_runs():
    _, table = rows(page("comparison.md"), "## Coming from BioTorch")
    names = {"pe": pe, "torchvision": torchvision, "net": pe.mlp((6, 5, 10))}
    for there, here in table[:3]:
        made = eval(re.match(r"`(.+?)`", here).group(1), names)
        assert any(layer.rule is not None for layer in pe.layers(made).values()), there
    for kind in ("uniform", "fixed", "batch"):
        assert f'kind="{kind}"' in table[3][1]
        pe.SF(kind=kind)
    assert pe.layers(pe.convert(names["net"], pe.DFA(), verbose=False))["fc1"].rule.outputs == 10


# Pages that are made


def test_the_reference_has_every_public_name_once():
    from rooms import ROOMS, public, reference_pages

    pages = reference_pages()
    text = "\n".join(pages[f"reference/{room}.rst"] for room in ROOMS)
    told = re.findall(r"^\.\. (?:autoclass|autofunction|py:data):: (\S+)$", text, re.MULTILINE)
    assert sorted(told) == sorted(set(told))
    functions = {f"pfa_edu.{name}" for name in pe.__all__ if name != "data"}
    assert functions <= set(told)
    assert {f"pfa_edu.plots.{name}" for name in pe.plots.__all__} <= set(told)
    assert {f"pfa_edu.data.{name}" for name in pe.data.__all__} <= set(told)
    assert all(thing.__doc__ for names in public().values() for thing in names.values() if inspect.isroutine(thing))


def test_every_figure_has_a_page_with_its_pictures():
    from generated import figure_pages

    pages = figure_pages()
    for folder in sorted(path.parent for path in ROOT.glob("figures/*/README.md")):
        text = pages[f"figures/{folder.name}/index.md"]
        assert text.startswith((folder / "README.md").read_text(encoding="utf-8"))
        for picture in folder.glob("*.png"):
            assert text.count(f"({picture.name})") == 1
        assert f"{folder.name}/index" in pages["figures/index.md"]


def executed_notebook(tmp_path, stem):
    notebook = nbformat.read(lesson.find(stem), as_version=4)
    parameters = nbformat.v4.new_code_cell('# Parameters\nout = "somewhere"', id="injected")
    parameters.metadata["tags"] = ["injected-parameters"]
    notebook.cells.insert(2, parameters)
    notebook.metadata["papermill"] = {"input_path": "somewhere"}
    path = tmp_path / f"{stem}.ipynb"
    nbformat.write(notebook, path)
    return path


def test_a_lesson_s_page_is_the_lesson(tmp_path, monkeypatch):
    import generated
    from generated import page_of_lesson

    path = executed_notebook(tmp_path, "03_mnist")
    made = page_of_lesson(path)
    assert "somewhere" not in made
    original = nbformat.read(lesson.find("03_mnist"), as_version=4)
    assert [c.source for c in nbformat.reads(made, 4).cells] == [c.source for c in original.cells]
    url = "https://colab.example/03"
    monkeypatch.setattr(generated, "colab", lambda notebook: f"[Open in Colab]({url})")
    assert nbformat.reads(page_of_lesson(path), 4).cells[1].source == f"[Open in Colab]({url})"


def test_a_lesson_is_executed_again_when_anything_it_shows_may_have_changed(tmp_path, monkeypatch):
    import generated

    runs = []

    def execute(stem, out, values):
        runs.append((stem, values))
        (out / f"{stem}.ipynb").write_text("{}")

    monkeypatch.setattr(generated, "EXECUTED", tmp_path)
    monkeypatch.setattr(generated.lesson, "execute", execute)
    monkeypatch.delenv("PFA_EDU_DOCS", raising=False)
    for stem in ("03_mnist", "03_mnist", "00_the_brains_problem"):
        generated.executed(stem)
    assert runs == [("03_mnist", {"out": "out"}), ("00_the_brains_problem", {})]
    for name in (
        "pfa_edu/rules/pfa.py",
        "pfa_edu/web/index.html",
        "figures/mnist/results.csv",
        "notebooks/03_mnist.ipynb",
    ):
        before, changed = generated.fingerprint("03_mnist"), (ROOT / name).resolve()
        read = Path.read_bytes
        with monkeypatch.context() as context:
            context.setattr(Path, "read_bytes", lambda p, c=changed: read(p) + b" " * (p.resolve() == c))  # noqa: B023
            assert generated.fingerprint("03_mnist") != before, name
        assert generated.fingerprint("03_mnist") == before


def test_a_draft_says_that_it_is_one(tmp_path, monkeypatch, capsys):
    import generated

    monkeypatch.setattr(generated, "EXECUTED", tmp_path)
    monkeypatch.setenv("PFA_EDU_DOCS", "draft")
    (tmp_path / "03_mnist.ipynb").write_text("{}")
    assert generated.executed("03_mnist") == tmp_path / "03_mnist.ipynb"
    assert "draft: 03_mnist as it was executed last" in capsys.readouterr().out


# The built pages


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_the_pages_are_whole_and_need_no_network():
    from pages import Page, broken, built

    site = built()
    assert broken(site) == []
    for name in ("lessons/01_weight_transport", "lessons/10_equilibrium", "theory/closed_form", "figures/mnist/index"):
        assert (site / f"{name}.html").is_file()
    assert not list(site.rglob("*solutions*"))
    for path in site.rglob("*.html"):
        if "playground" not in path.parts:
            loads = Page(path).loads
            assert not [one for one in loads if re.match(r"(https?:)?//", one)], path
    for sheet in site.rglob("*.css"):
        if "playground" not in sheet.parts:
            assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet
    outputs = (site / "lessons" / "03_mnist.html").read_text(encoding="utf-8")
    assert outputs.count("<img") >= 4
    assert "Traceback" not in outputs
    assert (site / "index.html").read_text(encoding="utf-8").count("<iframe") == (site / "playground").is_dir()
    assert (site / "playground").is_dir() == (ROOT / "pfa_edu" / "web" / "index.html").is_file()


def test_broken_links_are_seen(tmp_path):
    from pages import broken

    (tmp_path / "a.html").write_text(
        '<a href="b.html#here">b</a><a href="b.html#gone">b</a><img src="c.png"><a href="https://x.y">'
    )
    (tmp_path / "b.html").write_text('<p id="here">')
    assert broken(tmp_path) == ["a.html: b.html#gone (no such place in it)", "a.html: c.png"]


@pytest.mark.slow
def test_warnings_are_errors_and_are_not_forgotten(tmp_path):
    def build():
        command = [sys.executable, str(DOCS / "build.py"), str(tmp_path), str(tmp_path / "out")]
        return subprocess.run(command, capture_output=True, text=True)

    (tmp_path / "conf.py").write_text("extensions = ['myst_parser']\n")
    (tmp_path / "index.md").write_text("# Title\n\n[nowhere](missing.md)\n")
    for _ in range(2):
        done = build()
        assert (done.returncode, "missing.md" in done.stderr) == (1, True)
    (tmp_path / "index.md").write_text("# Title\n")
    assert build().returncode == 0
    assert "docs/build.py" in (ROOT / "Makefile").read_text()
