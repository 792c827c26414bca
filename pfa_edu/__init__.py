"""See, teach and test how a brain could learn without copying its forward weights into its feedback path.

>>> import pfa_edu as pe
>>> net = pe.convert(pe.mlp((784, 512, 10)), pe.PFA(ratio=10), verbose=False)
>>> sorted(pe.path_alignment(net))
['fc1', 'fc2']
"""

import importlib
from types import ModuleType

from . import data
from ._files import write_csv
from .errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DivergenceError,
    GridError,
    LessonError,
    MemoryLimitError,
    OutputError,
    ParallelError,
    PfaEduError,
)
from .measure import (
    RoundingWarning,
    Tracker,
    activation_scale,
    angle,
    gradient_angle,
    norm_ratio,
    path_alignment,
    reference_error,
    sign_agreement,
)
from .nn.attention import MultiheadAttention
from .nn.auditing import audit
from .nn.conversion import ConversionWarning, convert, strip
from .nn.decay import decay_law
from .nn.direct import connect_dfa
from .nn.layer import anchored, backprop, layers
from .nn.models import mlp, resnet20, resnet32, resnet44, resnet56
from .nn.modules import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, Linear
from .nn.steps import check_optimizer
from .rules import (
    BP,
    DFA,
    FA,
    KP,
    PFA,
    SF,
    Feedback,
    Look,
    Path,
    PFAo,
    Rule,
    alignment_limit,
    known_rules,
    mismatch,
    rule,
    steps_to_fade,
)
from .runs.experiments import Experiment
from .runs.grid import run_grid
from .runs.presets import experiment, preset
from .runs.seeds import run_seeds
from .runs.sweeps import results as sweep_results
from .runs.sweeps import sweep
from .train.callbacks import Callback, TrackSteps
from .train.execution import Execution
from .train.optimizer import Optimizer
from .train.recipe import Recipe
from .train.step import train_step
from .train.trainer import Trainer

__version__ = "0.1.0"
__all__ = [
    "BP",
    "DFA",
    "FA",
    "KP",
    "PFA",
    "SF",
    "Callback",
    "CheckpointError",
    "ConfigError",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "ConversionWarning",
    "DataError",
    "DivergenceError",
    "Execution",
    "Experiment",
    "Feedback",
    "GridError",
    "LessonError",
    "Linear",
    "Look",
    "MemoryLimitError",
    "MultiheadAttention",
    "Optimizer",
    "OutputError",
    "PFAo",
    "ParallelError",
    "Path",
    "PfaEduError",
    "Recipe",
    "RoundingWarning",
    "Rule",
    "TrackSteps",
    "Tracker",
    "Trainer",
    "activation_scale",
    "alignment_limit",
    "anchored",
    "angle",
    "audit",
    "backprop",
    "check_optimizer",
    "connect_dfa",
    "convert",
    "data",
    "decay_law",
    "experiment",
    "gradient_angle",
    "known_rules",
    "layers",
    "mismatch",
    "mlp",
    "norm_ratio",
    "path_alignment",
    "preset",
    "reference_error",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "rule",
    "run_grid",
    "run_seeds",
    "sign_agreement",
    "steps_to_fade",
    "strip",
    "sweep",
    "sweep_results",
    "train_step",
    "write_csv",
]


def __getattr__(name: str) -> ModuleType:
    """``pe.plots`` is imported when it is first asked for: drawing takes a second to import."""
    if name == "plots":
        return importlib.import_module(".plots", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
