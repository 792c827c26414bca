"""Pictures and tables of results, with the paper's own curves drawn behind."""

from .cost import relatives, relatives_table
from .curves import accuracy, by_depth, gradient_angle, norm_ratio, path_alignment
from .density import sparse, sparse_table
from .numbers import format_table, table
from .style import Figure, in_order, rule_look, save

__all__ = [
    "Figure",
    "accuracy",
    "by_depth",
    "format_table",
    "gradient_angle",
    "in_order",
    "norm_ratio",
    "path_alignment",
    "relatives",
    "relatives_table",
    "rule_look",
    "save",
    "sparse",
    "sparse_table",
    "table",
]
