"""Pictures and tables of results, with the paper's own curves drawn behind."""

from .curves import accuracy, by_depth, gradient_angle, norm_ratio, path_alignment
from .numbers import format_table, table
from .relatives import relatives, relatives_table
from .sparse import sparse, sparse_table
from .style import RULE_STYLE, Figure, RuleStyle, save

__all__ = [
    "RULE_STYLE",
    "Figure",
    "RuleStyle",
    "accuracy",
    "by_depth",
    "format_table",
    "gradient_angle",
    "norm_ratio",
    "path_alignment",
    "relatives",
    "relatives_table",
    "save",
    "sparse",
    "sparse_table",
    "table",
]
