"""Links that depend on where the project is kept: they follow ``[project.urls]`` of pyproject.toml, if it is there.

    python docs/links.py    # writes the README's badges again

Without a ``Repository`` at GitHub there are none.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
BADGES = re.compile(r"(<!-- badges -->\n).*?(<!-- end of badges -->\n)", re.DOTALL)


def urls(root: Path = ROOT) -> dict[str, str]:
    """``[project.urls]``; empty if pyproject.toml has none."""
    with open(root / "pyproject.toml", "rb") as file:
        return tomllib.load(file)["project"].get("urls", {})


def on_github(given: dict[str, str]) -> str:
    """'OWNER/NAME' of the Repository; '' without one, or with one at another host, which Colab cannot open."""
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", given.get("Repository", ""))
    return found.group(1) if found else ""


def colab_url(notebook: str, given: dict[str, str]) -> str:
    """Where Colab opens ``notebook`` (a path in the repository); '' if the project has no place that it could read."""
    name = on_github(given)
    return f"https://colab.research.google.com/github/{name}/blob/main/{notebook}" if name else ""


def colab(notebook: str, given: dict[str, str] | None = None) -> str:
    """A line for the top of a lesson's page; '' without a repository. It loads no picture from anywhere."""
    url = colab_url(notebook, urls() if given is None else given)
    return url and f"[Open in Colab]({url}) and begin there with `%pip install pfa-edu`."


def badges(given: dict[str, str]) -> str:
    """The README's line of badges: tests, documentation, the first lesson in Colab; as much of it as has a URL."""
    name, line = on_github(given), []
    if name:
        checks = f"https://github.com/{name}/actions/workflows/checks.yml"
        line.append(f"[![checks]({checks}/badge.svg)]({checks})")
    if "Documentation" in given:
        line.append(f"[Documentation]({given['Documentation']})")
    if name:
        line.append(f"[Lesson 1 in Colab]({colab_url('notebooks/01_weight_transport.ipynb', given)})")
    return " · ".join(line) + "\n" if line else ""


def with_badges(text: str, given: dict[str, str]) -> str:
    """``text`` with the badges between its two marks."""
    if not BADGES.search(text):
        raise ValueError("README.md has no place for badges: <!-- badges --> and <!-- end of badges -->")
    return BADGES.sub(lambda found: found.group(1) + badges(given) + found.group(2), text)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(with_badges(readme.read_text(encoding="utf-8"), urls()), encoding="utf-8")
