"""The built documentation, for the tests that read it and for those that open it in a browser."""

from __future__ import annotations

import functools
import html.parser
import subprocess
import sys
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).parent.parent


@functools.cache
def built() -> Path:
    """out/docs, up to date: built as ``make docs`` builds it."""
    done = subprocess.run([sys.executable, "docs/build.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "out" / "docs"


class Page(html.parser.HTMLParser):
    """What a page links to (``links``), what it loads by itself (``loads``), and the places in it (``anchors``)."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("index", "search", "next", "prev", "canonical"):
            self.loads.append(given["href"])
        self.loads += [given[name] for name in ("src", "poster") if name in given]


def broken(site: Path) -> list[str]:
    """Every link within ``site`` that leads to no file, or to no place in it."""
    site = site.resolve()
    pages = {path: Page(path) for path in sorted(site.rglob("*.html")) if "playground" not in path.parts}
    found = []
    for path, page in pages.items():
        for link in page.links + page.loads:
            to, _, anchor = link.partition("#")
            if urllib.parse.urlsplit(to).scheme:
                continue
            target = (path.parent / urllib.parse.unquote(to.partition("?")[0])).resolve() if to else path
            if not target.is_file():
                found.append(f"{path.relative_to(site)}: {link}")
            elif anchor and target in pages and urllib.parse.unquote(anchor) not in pages[target].anchors:
                found.append(f"{path.relative_to(site)}: {link} (no such place in it)")
    return found
