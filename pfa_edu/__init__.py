"""See, teach and test how a brain could learn without copying its forward weights into its feedback path.

>>> import pfa_edu as pe
>>> net = pe.convert(pe.mlp((784, 512, 10)), pe.PFA(ratio=10), verbose=False)
>>> sorted(pe.path_alignment(net))
['fc1', 'fc2']
"""

from . import data
from .analysis import (
    Tracker,
    alignment_limit,
    angle,
    gradient_angle,
    mismatch,
    norm_ratio,
    path_alignment,
    steps_to_fade,
)
from .convert import ConversionWarning, convert
from .errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DivergenceError,
    GridError,
    LessonError,
    MemoryLimitError,
    OutputError,
    PfaEduError,
)
from .experiments import Experiment, experiment
from .grid import run_grid
from .layers import Conv2d, Linear, backprop, check_optimizer, connect_dfa, layers
from .models import mlp, resnet20, resnet32, resnet44, resnet56
from .rules import BP, DFA, FA, KP, PFA, RULES, SF, PFAo, Rule, rule
from .stepping import Execution
from .sweep import results as sweep_results
from .sweep import sweep
from .training import Recipe, Trainer

__version__ = "0.1.0"
__all__ = [
    "BP",
    "DFA",
    "FA",
    "KP",
    "PFA",
    "RULES",
    "SF",
    "CheckpointError",
    "ConfigError",
    "Conv2d",
    "ConversionWarning",
    "DataError",
    "DivergenceError",
    "Execution",
    "Experiment",
    "GridError",
    "LessonError",
    "Linear",
    "MemoryLimitError",
    "OutputError",
    "PFAo",
    "PfaEduError",
    "Recipe",
    "Rule",
    "Tracker",
    "Trainer",
    "alignment_limit",
    "angle",
    "backprop",
    "check_optimizer",
    "connect_dfa",
    "convert",
    "data",
    "experiment",
    "gradient_angle",
    "layers",
    "mismatch",
    "mlp",
    "norm_ratio",
    "path_alignment",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "rule",
    "run_grid",
    "steps_to_fade",
    "sweep",
    "sweep_results",
]
