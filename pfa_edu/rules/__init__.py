"""The rules: one file each, with its knobs, its feedback module and everything else that depends on the rule."""
# ruff: noqa: I001 - the order of import is the order of every legend and table

from .base import Look, Rule, forget, known_rules, rule, rules_in
from .feedback import Feedback, Path
from .bp import BP
from .fa import FA
from .dfa import DFA
from .sf import SF
from .kp import KP
from .pfa import PFA, PFAo
from .soft import Soft
from .theory import alignment_limit, decay_to_fade, mismatch, steps_to_fade

__all__ = [
    "BP",
    "DFA",
    "FA",
    "KP",
    "PFA",
    "SF",
    "Feedback",
    "Look",
    "PFAo",
    "Path",
    "Rule",
    "Soft",
    "alignment_limit",
    "decay_to_fade",
    "forget",
    "known_rules",
    "mismatch",
    "rule",
    "rules_in",
    "steps_to_fade",
]
