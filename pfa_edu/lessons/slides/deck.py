"""Lessons, executed and written as reveal.js slides that ask nothing of a network."""

from __future__ import annotations

import html
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from ..._files import move_aside, writable, write_text
from ...errors import ConfigError
from .. import notebooks
from . import notes
from .splitting import split

HERE = Path(__file__).parent
ASSETS = "assets"  # folder beside the decks that holds reveal.js and MathJax
# Installed Python packages whose files are copied there: (distribution, its folder, what of it the decks use).
_PARTS = (
    ("sphinx-revealjs", "sphinx_revealjs/_static/revealjs", (
        "LICENSE", "dist/reveal.css", "dist/reveal.js", "dist/theme/white.css", "dist/theme/fonts/source-sans-pro",
        "plugin/notes",
    )),
    ("sphinx-mathjax-offline", "sphinx-mathjax-offline/static", ("mathjax/tex-svg-full.js",)),
)  # fmt: skip


def write_decks(out: Path, names: list[str], force: bool = False) -> list[Path]:
    """Executes the lessons whose file names contain one of ``names`` (all without one) and writes their slides to
    ``out``, with an index and everything that a browser needs. Returns the decks."""
    chosen = lessons(names)
    targets = {path.stem: out / f"{path.stem}.html" for path in chosen}
    if not force:
        notebooks.refuse_to_overwrite([p for p in targets.values() if p.exists()])
    said = {stem: notes.read(stem) for stem in targets}
    copy_assets(out)
    for stem, target in targets.items():
        executed, exported = notebooks.execute(stem, out / "executed", {})
        exported.unlink()
        if target.exists():
            move_aside(target)
        write_text(target, page(_read(executed), stem, said[stem]))
        print(f"slides  {target}", flush=True)
    write_text(out / "index.html", _index(sorted(p for p in out.glob("[0-9]*.html") if ".before-" not in p.name)))
    return list(targets.values())


def lessons(names: list[str]) -> list[Path]:
    """The chosen lessons' notebooks, solutions left out."""
    every = [p for p in notebooks.all_lessons() if p.parent == Path()]
    if not names:
        return every
    return list(dict.fromkeys(notebooks.find(name).relative_to(notebooks.folder()) for name in names))


def page(executed: Any, name: str, said: dict[str, str]) -> str:
    """The page of slides of an executed notebook; ``said`` are its speaker notes by heading."""
    exporter = _exporter()
    slides = split(executed)
    notes.add(slides, name, said)
    resources = {"deck": {part: (HERE / f"deck.{part}").read_text(encoding="utf-8") for part in ("css", "js")}}
    slides.metadata["title"] = name
    return str(exporter.from_notebook_node(slides, resources)[0])


def copy_assets(out: Path) -> None:
    """reveal.js and MathJax, from the Python packages that carry them, to ``out/assets``."""
    found = []
    for distribution, folder, wanted in _PARTS:
        try:
            place = Path(str(metadata.distribution(distribution).locate_file(folder)))
        except metadata.PackageNotFoundError as error:
            raise ConfigError(f'slides need {distribution}: pip install "pfa-edu[slides]"') from error
        found += [(place / part, part) for part in wanted]
    for source, _ in found:
        if not source.exists():
            raise ConfigError(f'{source} is missing: pip install --force-reinstall "pfa-edu[slides]"')
    writable(out)
    for source, part in found:
        target = out / ASSETS / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, target)


def _exporter() -> Any:
    from nbconvert.exporters import SlidesExporter

    exporter = SlidesExporter(
        extra_template_basedirs=[str(HERE)], template_file=str(HERE / "deck.html.j2"), reveal_url_prefix=ASSETS,
        reveal_theme="white", exclude_input_prompt=True, exclude_output_prompt=True,
    )  # fmt: skip
    exporter.exclude_anchor_links = True
    return exporter


def _read(path: Path) -> Any:
    import nbformat

    return nbformat.read(path, as_version=4)


def _index(decks: list[Path]) -> str:
    links = "\n".join(f'<li><a href="{html.escape(p.name)}">{html.escape(p.stem)}</a></li>' for p in decks)
    return (
        '<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>Slides</title>\n'
        '<body style="font: 20px sans-serif; margin: 3em">\n<h1>Slides</h1>\n<ul>\n' + links + "\n</ul>\n"
        "<p>Space: next. Arrows: down within an idea, right to the next. S: speaker notes. O: overview. "
        "F: full screen.</p>\n</body></html>\n"
    )
