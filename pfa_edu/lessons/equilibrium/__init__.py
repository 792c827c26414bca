"""Lesson 10: equilibrium propagation, which needs symmetric weights too, and three answers to that.

>>> from pfa_edu.lessons import equilibrium as ep
>>> net = ep.Settling((6, 5, 3))
>>> net.F[0].equal(net.W[1])  # symmetric at the start
True
"""

from ...rules.soft import turned
from . import looking, pictures
from .estimate import error_angles, exact_error, nudged_error, updates
from .homeostasis import asymmetry, noise, pull, response
from .looking import by_beta, dial, residuals, some_digits
from .network import Settling, rate, slope
from .training import EPOCHS, WAYS, Learner, study, train_way

__all__ = [
    "EPOCHS",
    "WAYS",
    "Learner",
    "Settling",
    "asymmetry",
    "by_beta",
    "dial",
    "error_angles",
    "exact_error",
    "looking",
    "noise",
    "nudged_error",
    "pictures",
    "pull",
    "rate",
    "residuals",
    "response",
    "slope",
    "some_digits",
    "study",
    "train_way",
    "turned",
    "updates",
]
