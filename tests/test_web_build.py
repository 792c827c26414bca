"""The playground as it is shipped: built from what is committed, complete in itself, small, and in the wheel."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
import webbrowser
import zipfile
from pathlib import Path

import pytest
from node import WEB, require_node

from pfa_edu import cli, web
from pfa_edu.errors import PfaEduError

ROOT = WEB.parent
BUILT = ROOT / "pfa_edu" / "web"
FILES = sorted(path for path in BUILT.iterdir() if path.suffix in (".html", ".js"))
MOST_BYTES = 500_000


def test_what_is_committed_is_what_the_sources_give(tmp_path: Path) -> None:
    """Byte for byte: nobody has to trust a build that was made elsewhere. `make web` builds it."""
    require_node()
    subprocess.run(["node", "build.mjs", str(tmp_path)], cwd=WEB, check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [path.name for path in FILES]
    for path in FILES:
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), f"{path.name}: run make web"


def test_the_sources_have_sound_types() -> None:
    require_node()
    done = subprocess.run(
        ["node", "node_modules/typescript/bin/tsc", "--noEmit"], cwd=WEB, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_it_is_small() -> None:
    assert web.page_path() in FILES
    assert sum(path.stat().st_size for path in FILES) < MOST_BYTES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_asks_nothing_of_any_host(path: Path) -> None:
    """No address but the target of a plain link or a namespace, and no means of fetching one."""
    text = path.read_text(encoding="utf-8")
    for match in re.finditer(r"https?://[^\s\"'`<>)]*", text):
        before = text[: match.start()][-12:]
        namespace = match.group().startswith("http://www.w3.org/")
        assert namespace or re.search(r"href[=:]\s*[\"'`]$", before), f"{path.name} names {match.group()}"
    for means in (
        "XMLHttpRequest", "fetch(", "WebSocket", "EventSource", "sendBeacon", "importScripts", "import(", "@import",
        "<script src", "<img src", "serviceWorker",
    ):  # fmt: skip
        assert means not in text, f"{path.name} contains {means}"
    assert not re.search(r"url\((?![\"']?(data:|#))", text)
    assert not re.search(r"<link(?![^>]*href=\"data:)", text)


def test_its_packages_are_pinned_and_no_registry_is_named() -> None:
    package = json.loads((WEB / "package.json").read_text())
    assert "dependencies" not in package  # nothing but ours runs in the page
    for name, version in package["devDependencies"].items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), f"{name} {version}"
    lock = (WEB / "package-lock.json").read_text()
    assert "resolved" not in lock
    assert "://" not in lock


def test_the_wheel_has_it(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        for path in FILES:
            assert packed.read(f"pfa_edu/web/{path.name}") == path.read_bytes()
        assert not [name for name in packed.namelist() if name.startswith("web/")]  # the sources stay at home


def test_app_opens_the_page(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    assert cli.main(["app"]) == 0
    assert opened == [(BUILT / "index.html").as_uri()]
    assert "index.html" in capsys.readouterr().out


def test_app_prints_the_page_without_opening_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda address: pytest.fail("it was opened"))
    assert cli.main(["app", "--print"]) == 0
    assert Path(capsys.readouterr().out.strip()) == BUILT / "index.html"


def test_app_says_what_to_do_without_a_browser(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    assert cli.main(["app"]) == 1
    assert f"open this file in one, {BUILT / 'index.html'}" in capsys.readouterr().err


def test_a_page_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(web, "_HERE", tmp_path)
    with pytest.raises(PfaEduError, match="run make web"):
        web.page_path()


def test_a_notebook_shows_the_page_itself() -> None:
    """The whole page inside the cell's output, unchanged but for what it is to show."""
    (iframe,) = re.findall(r'<iframe [^>]*srcdoc="([^"]*)"', web.Playground("#rules=bp,pfa:10&at=0")._repr_html_())
    shown, committed = html.unescape(iframe), web.page_path().read_text(encoding="utf-8")
    assert '<div id="page" data-link="rules=bp,pfa:10&amp;at=0"' in shown
    assert shown.replace(' data-link="rules=bp,pfa:10&amp;at=0"', "") == committed


def test_a_link_cannot_leave_its_place() -> None:
    shown = html.unescape(web.Playground('at=0"><script>')._repr_html_())
    assert 'data-link="at=0&quot;&gt;&lt;script&gt;"' in shown
