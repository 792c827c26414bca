"""``python -m pfa_edu``: the same as the command ``pfa-edu``."""

import sys

from .cli import main

if __name__ == "__main__":  # a spawned worker imports this module again and must not start over
    sys.exit(main())
