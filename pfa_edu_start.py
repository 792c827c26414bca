"""Where the command ``pfa-edu`` starts: importing torch takes seconds, and Ctrl-C in them is no error either."""

from __future__ import annotations

import sys


def main() -> int:
    try:
        from pfa_edu.cli import main as command

        return command()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
