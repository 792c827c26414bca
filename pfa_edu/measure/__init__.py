"""What is measured: angles between paths, angles between gradients, norms, signs, and whether to trust them."""

from .gradients import Loss, activation_scale, gradient_angle, reference_error, scale_ratios
from .paths import angle, norm_ratio, path_alignment, sign_agreement
from .rounding import RoundingWarning
from .tracker import Tracker

__all__ = [
    "Loss",
    "RoundingWarning",
    "Tracker",
    "activation_scale",
    "angle",
    "gradient_angle",
    "norm_ratio",
    "path_alignment",
    "reference_error",
    "scale_ratios",
    "sign_agreement",
]
