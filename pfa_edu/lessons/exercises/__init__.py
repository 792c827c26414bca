"""Checks for the exercises of lesson 6: what is right, and where it is wrong, what to look at; never the solution.

>>> from pfa_edu.lessons import exercises
>>> def fa_backward(delta, h, W, F):
...     return delta @ W
>>> print(exercises.check_fa_backward(fa_backward))
FA's backward pass: not right yet
  ✗ dL/dh: this sends δ back through W, as backprop does, and so needs W's values at the feedback synapses. Which weight has feedback alignment there instead?
"""  # noqa: E501 - what it prints is one line

from .alignment import Alignment, align, check_aligning_decay, check_fading_decay, check_limit_angle
from .backward import check_fa_backward, check_kp_backward, check_pfa_backward
from .verdict import Verdict

__all__ = [
    "Alignment",
    "Verdict",
    "align",
    "check_aligning_decay",
    "check_fa_backward",
    "check_fading_decay",
    "check_kp_backward",
    "check_limit_angle",
    "check_pfa_backward",
]
