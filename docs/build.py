"""Builds these pages into out/docs; a warning is an error, and the next build then begins from nothing.

python docs/build.py
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from filelock import FileLock
from sphinx.cmd.build import main as sphinx

DOCS = Path(__file__).parent
OUT = DOCS.parent / "out"


def build(docs: Path = DOCS, out: Path = OUT) -> int:
    """Sphinx's exit code. Only one process builds at a time; the others wait, and then have little to do."""
    out.mkdir(exist_ok=True)
    with FileLock(out / "docs.lock"):
        read = out / "docs-doctrees"
        code = sphinx(["-W", "--keep-going", "-q", "-b", "html", "-d", str(read), str(docs), str(out / "docs")])
        if code:  # what was read with a warning would not be read again, and the warning would be gone
            shutil.rmtree(read, ignore_errors=True)
    return code


if __name__ == "__main__":
    code = build(*map(Path, sys.argv[1:]))
    if not code and not sys.argv[1:]:
        print(f"open {OUT / 'docs' / 'index.html'}")
    sys.exit(code)
