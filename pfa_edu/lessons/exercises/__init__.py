"""The checks of all lessons' exercises: what is right, and where it is wrong, what to look at; never the solution.

>>> from pfa_edu.lessons import exercises
>>> def fa_backward(delta, h, W, F):
...     return delta @ W
>>> print(exercises.check_fa_backward(fa_backward))
FA's backward pass: not right yet
  ✗ dL/dh: this sends δ back through W, as backprop does, and so needs W's values at the feedback synapses. Which weight stands there under feedback alignment?
"""  # noqa: E501 - what it prints is one line

from .alignment import Alignment, align, check_aligning_decay, check_fading_decay, check_limit_angle
from .attention import (
    check_beats_control,
    check_decoupled_steps,
    check_gap_in_bits,
    check_path_at_ratio_3,
    check_query_error,
)
from .backward import check_fa_backward, check_kp_backward, check_pfa_backward
from .evidence import check_difference, check_first_epoch_on_cifar, check_left_after_first_epoch, check_overtaking
from .geometry import (
    check_eigenvalue_variance,
    check_path_length,
    check_ratio_for_density,
    check_ratio_for_floor,
    check_same_angle,
    check_sf_angle,
    check_weakest_decay,
    check_zero_floor,
)
from .networks import (
    check_mirror_on_data,
    check_mirror_rate,
    check_mismatch_without_strong_decay,
    check_reached,
    check_strong_steps,
)
from .settling import check_exact_error, check_feedback_update, check_nudged_error, check_pull
from .verdict import Verdict
from .wiring import check_feedback_synapses, check_hidden_error, check_pairs, check_second_update
from .without_alignment import check_soft_start, check_tries

__all__ = [
    "Alignment",
    "Verdict",
    "align",
    "check_aligning_decay",
    "check_beats_control",
    "check_decoupled_steps",
    "check_difference",
    "check_eigenvalue_variance",
    "check_exact_error",
    "check_fa_backward",
    "check_fading_decay",
    "check_feedback_synapses",
    "check_feedback_update",
    "check_first_epoch_on_cifar",
    "check_gap_in_bits",
    "check_hidden_error",
    "check_kp_backward",
    "check_left_after_first_epoch",
    "check_limit_angle",
    "check_mirror_on_data",
    "check_mirror_rate",
    "check_mismatch_without_strong_decay",
    "check_nudged_error",
    "check_overtaking",
    "check_pairs",
    "check_path_at_ratio_3",
    "check_path_length",
    "check_pfa_backward",
    "check_pull",
    "check_query_error",
    "check_ratio_for_density",
    "check_ratio_for_floor",
    "check_reached",
    "check_same_angle",
    "check_second_update",
    "check_sf_angle",
    "check_soft_start",
    "check_strong_steps",
    "check_tries",
    "check_weakest_decay",
    "check_zero_floor",
]
