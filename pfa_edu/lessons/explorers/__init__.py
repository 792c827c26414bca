"""The interactive explorers: plain functions from settings to numbers to a picture, and sliders over them.

Importing this package needs no ipywidgets, which come with the extra ``notebooks``; showing an explorer does.

>>> from pfa_edu.lessons import explorers
>>> explorer = explorers.Explorer(...)   # doctest: +SKIP
>>> explorer.set(ratio=100)            # doctest: +SKIP
"""

from .base import Explorer
from .controls import Button, Choice, Number, Switch
from .live import LiveExplorer
from .page import static_only
from .picture import Picture, tidy

__all__ = ["Button", "Choice", "Explorer", "LiveExplorer", "Number", "Picture", "Switch", "static_only", "tidy"]
