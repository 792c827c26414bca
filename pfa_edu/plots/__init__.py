"""Pictures and tables of results, with the paper's own curves drawn behind."""

from .blocks import projections
from .cost import relatives, relatives_table
from .credit import checks, depth_utility
from .curves import accuracy, gradient_angle, norm_ratio, path_alignment
from .density import sparse, sparse_table
from .depth import by_depth
from .looks import in_order, rule_look
from .losses import loss
from .numbers import format_table, table
from .style import Figure, save

__all__ = [
    "Figure",
    "accuracy",
    "by_depth",
    "checks",
    "depth_utility",
    "format_table",
    "gradient_angle",
    "in_order",
    "loss",
    "norm_ratio",
    "path_alignment",
    "projections",
    "relatives",
    "relatives_table",
    "rule_look",
    "save",
    "sparse",
    "sparse_table",
    "table",
]
