"""How Sphinx builds these pages: ``make docs`` writes out/docs, which works from a file and without a network."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generated  # noqa: E402 - beside this file

import pfa_edu  # noqa: E402

project = "pfa_edu"
author = "The pfa_edu authors"
version = release = pfa_edu.__version__
copyright = ""
html_show_copyright = html_show_sphinx = False

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # MathJax from this machine, not from a CDN
    "sphinx_copybutton",
]
exclude_patterns = ["_static", "**.ipynb_checkpoints"]

html_theme = "furo"
html_title = f"pfa_edu {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_js_files = ["from_file.js"]
html_theme_options = {"navigation_with_keys": True}
html_copy_source = False
html_show_sourcelink = False

# The lessons come here executed (see generated.py). Their widgets have left still pictures, so that no page needs the
# script that would draw widgets, which comes from a CDN.
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
nb_mime_priority_overrides: list[tuple[str, str, int]] = []
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # a default as the source has it, not with an address in memory
autodoc_typehints = "signature"
maximum_signature_line_length = 100
add_module_names = False

if generated.PLAYGROUND.is_file():
    tags.add("playground")  # type: ignore[name-defined]  # noqa: F821 - Sphinx gives conf.py this name


def as_sphinx_knows_it(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    r"""Docstrings say ``pe.audit``, as users write it, and \|a\|, a size: both are made what reStructuredText means."""
    for i, line in enumerate(lines):
        line = re.sub(r"(:(?:func|class|meth):`)~?pe\.", r"\1~pfa_edu.", line)
        pieces = re.split(r"(``.*?``|>>> .*)", line)  # code keeps its bars
        lines[i] = "".join(piece if k % 2 else piece.replace("|", r"\|") for k, piece in enumerate(pieces))


def only_ours(app: Any, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """A member that a class has from torch or matplotlib is told in their documentation."""
    return True if not (getattr(thing, "__module__", None) or "pfa_edu").startswith("pfa_edu") else None


def setup(app: Any) -> None:
    generated.write_pages(HERE)
    app.add_config_value("made_by", generated.made_by(HERE), "env", str)  # when it changes, every page is read again
    app.connect("autodoc-process-docstring", as_sphinx_knows_it)
    app.connect("autodoc-skip-member", only_ours)
    app.connect("build-finished", generated.copy_playground)
