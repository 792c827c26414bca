"""What happens around every optimiser's step: the checks that the feedback will move, and the fading of ``a``.

A layer cannot see its optimiser, but torch calls a hook before and after every step of each one. Before an optimiser's
first step, and whenever its parameters or the layers' rules have changed, all of its layers are checked.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from ..errors import ConfigError
from ..rules.feedback import Fading
from .decay import Law, decay_law, decoupled, shrink
from .marks import LOOK, Mark, alike, follow, recording
from .sharded import is_sharded, own_part

if TYPE_CHECKING:
    from .layer import RuleLayer


_watched: weakref.WeakSet[RuleLayer] = weakref.WeakSet()
_plans: weakref.WeakKeyDictionary[torch.optim.Optimizer, _Plan] = weakref.WeakKeyDictionary()
_generation = [0]


class _Fade:
    """One layer whose feedback follows its weight, under one optimiser."""

    def __init__(self, layer: RuleLayer, feedback: Fading, group: dict[str, Any], law: Law):
        self.name, self.form = _name(layer), getattr(layer.rule, "form", "closed")
        self.feedback, self.group, self.law = feedback, group, law
        self.W, self.mark = layer.parameter, layer.mark
        self.first = self.moving = False
        self.steps = 0
        self.version: int | None = None
        self.copy: Tensor | None = None


class _Plan(NamedTuple):
    generation: int
    groups: tuple[tuple[int, int], ...]
    fades: list[_Fade]
    frozen: list[Tensor]

    def holds(self, optimizer: torch.optim.Optimizer) -> bool:
        """Whether it still says what the optimiser does: new groups (a state that was loaded), a layer unfrozen."""
        return (
            self.generation == _generation[0]
            and self.groups == _shape(optimizer)
            and not any(p.requires_grad for p in self.frozen)
        )


def _shape(optimizer: torch.optim.Optimizer) -> tuple[tuple[int, int], ...]:
    return tuple((id(group), len(group["params"])) for group in optimizer.param_groups)


def watch(layer: RuleLayer) -> None:
    """From now on every optimiser that holds ``layer``'s weight is checked, and its feedback fades with the weight."""
    layer.mark = Mark()
    if layer.feedback is None:
        return
    if not _generation[0]:
        register_optimizer_step_pre_hook(_before)
        register_optimizer_step_post_hook(_after)
    _watched.add(layer)
    _generation[0] += 1
    if isinstance(layer.feedback, Fading):
        follow(layer)


def forget(layer: RuleLayer) -> None:
    """The layer has become a plain one."""
    _watched.discard(layer)
    _generation[0] += 1


def check_optimizer(*optimizers: torch.optim.Optimizer) -> None:
    """ConfigError if one of ``optimizers`` would train a layer in a way that its rule does not allow.

    Every optimiser is checked before its first step; call this to find out earlier. Give all of them together where
    weights and their feedback are in different ones.
    """
    for optimizer in optimizers:
        _plans[optimizer] = _plan(optimizer, optimizers)


def _held(optimizer: torch.optim.Optimizer) -> dict[int, dict[str, Any]]:
    return {id(p): group for group in optimizer.param_groups for p in group["params"]}


def missing(layer: RuleLayer, optimizers: tuple[torch.optim.Optimizer, ...]) -> list[str]:
    """Names of what should learn in the layer's feedback and is in none of ``optimizers``."""
    held = {key for optimizer in optimizers for key in _held(optimizer)}
    named = [] if layer.feedback is None else layer.feedback.named_parameters()
    return [f"feedback.{name}" for name, p in named if p.requires_grad and id(p) not in held]


def _plan(optimizer: torch.optim.Optimizer, all_of_them: tuple[torch.optim.Optimizer, ...] = ()) -> _Plan:
    group_of = _held(optimizer)
    others = (optimizer, *all_of_them, *_plans)
    fades: list[_Fade] = []
    frozen: list[Tensor] = []
    for layer in _watched:
        feedback = layer.feedback
        group = group_of.get(id(layer.parameter))
        if feedback is None or group is None:
            continue
        if not layer.parameter.requires_grad:
            frozen.append(layer.parameter)
            continue
        lost = missing(layer, others)
        if lost:
            raise ConfigError(
                f"{_name(layer)}: {', '.join(lost)} learns, and is not in the optimiser that moves the layer's weight: "
                f"make the optimiser after convert(), set_rule() or reset_feedback(), or add it, "
                f'optimizer.add_param_group({{"params": layer.feedback_parameters()}}). If another optimiser has it, '
                f"say so once with pe.check_optimizer(first, second); if it is to stay fixed, requires_grad_(False)"
            )
        if isinstance(feedback, Fading):
            if not is_sharded(layer.weight) and not feedback.drawn_beside(layer.oriented(layer.weight)):
                raise ConfigError(
                    f"the weight of {_name(layer)} was changed after its feedback was drawn (initialised again?), so "
                    f"the feedback, which is worked out from the weight, would begin partly aligned: call "
                    f"layer.reset_feedback() after such a change, or make it within pe.anchored(net)"
                )
            fades.append(_Fade(layer, feedback, group, law_of(layer, feedback, optimizer, group)))
    return _Plan(_generation[0], _shape(optimizer), fades, frozen)


def law_of(layer: RuleLayer, feedback: Fading, optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> Law:
    if not feedback.strict:
        law = decay_law(type(optimizer))
        with torch.no_grad():
            a, v = feedback.a.clone(), feedback.v.clone()
            law(group, feedback, True)  # its error, if it has one, before anything has moved
            feedback.a.copy_(a)
            feedback.v.copy_(v)
        return law
    form = getattr(layer.rule, "form", "closed")
    way_out = "use form='coupled', in which R follows whatever update W gets, or form='explicit'"
    if type(optimizer) is not torch.optim.SGD:
        raise ConfigError(
            f"PFA's {form} form holds under torch's own SGD only, but {_name(layer)} is trained by "
            f"{type(optimizer).__name__}: {way_out}"
        )
    if layer.parameter._backward_hooks:
        raise ConfigError(
            f"{_name(layer)}: its weight has a gradient hook, and PFA's {form} form needs the gradient as backward "
            f"leaves it: {way_out}"
        )
    return decay_law(torch.optim.SGD)


def _name(layer: RuleLayer) -> str:
    return f"the {type(layer).__name__} layer of shape {tuple(layer.weight.shape)}"


def _before(optimizer: torch.optim.Optimizer, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
    plan = _plans.get(optimizer)
    if plan is None or not plan.holds(optimizer):
        plan = _plans[optimizer] = _plan(optimizer)
    for fade in plan.fades:
        fade.first = optimizer.state.get(fade.W, {}).get("momentum_buffer") is None
    closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
    if closure is None or not plan.fades:
        _check_gradients(plan)
        return None

    def checked() -> Any:  # it makes the gradients during the step, and may change them, as Lightning's clipping does
        loss = closure()
        _check_gradients(plan)
        return loss

    return (args, {**kwargs, "closure": checked}) if "closure" in kwargs else ((args[0], checked, *args[2:]), kwargs)


def _check_gradients(plan: _Plan) -> None:
    for fade in plan.fades:
        fade.moving = fade.W.grad is not None
        if fade.moving:
            _check_by_rule(fade)
            if fade.feedback.strict:
                _check_untouched(fade)


def _check_by_rule(fade: _Fade) -> None:
    mark = fade.mark
    if not (mark.fed if mark.by_rule is None else mark.by_rule):
        raise ConfigError(
            f"{fade.name} is about to be moved by a gradient that did not come through its rule (a backward pass "
            f"within pe.backprop, or its weight used outside its own forward), and its feedback, which is worked out "
            f"from the weight, would move along: use form='explicit', or see with pe.audit(net, example) how the "
            f"weight is used"
        )


def _check_untouched(fade: _Fade) -> None:
    W = fade.W
    moved = fade.version is not None and W._version != fade.version
    if fade.copy is not None and not recording():
        moved = moved or not alike(fade.copy, own_part(W.detach()))
        fade.copy = None
    if moved:
        raise ConfigError(
            f"the weight of {fade.name} was changed between two steps of its optimiser (a projection, a "
            f"sharpness-aware step, a copy), and PFA's {fade.form} form holds only if nothing else moves it: change it "
            f"within pe.anchored(net), which keeps the feedback as it is, or use form='coupled' or form='explicit'"
        )
    if W._backward_hooks:
        raise ConfigError(
            f"{fade.name}: its weight has a gradient hook, and PFA's {fade.form} form needs the gradient as backward "
            f"leaves it: use form='coupled' or form='explicit'"
        )
    if not fade.mark.used and fade.mark.touched(W):  # one that was used already may have been set to zero in place
        raise ConfigError(
            f"the gradient of {fade.name} was changed between backward and step (clipping, a gradient scaler), and "
            f"PFA's {fade.form} form is the explicit one only if it is not: use form='coupled', in which R follows the "
            f"update that W gets, or form='explicit'"
        )


@torch.no_grad()
def _after(optimizer: torch.optim.Optimizer, args: tuple, kwargs: dict) -> None:
    plan = _plans.get(optimizer)
    found_inf = getattr(optimizer, "found_inf", None)  # a fused optimiser under a gradient scaler skips such steps
    if plan is None or (found_inf is not None and float(found_inf) > 0):
        return
    shrinking: dict[int, tuple[dict[str, Any], list[Tensor]]] = {}  # by parameter group
    for fade in plan.fades:
        if not fade.moving or fade.W.grad is None:
            continue
        if not fade.steps:
            fade.feedback.forget_beside()
        fade.steps += 1
        if fade.law is decoupled:
            shrinking.setdefault(id(fade.group), (fade.group, []))[1].append(fade.feedback.a)
        else:
            fade.law(fade.group, fade.feedback, fade.first)
        fade.mark.used = True
        if fade.feedback.strict:
            fade.version = fade.W._version
            if (fade.steps <= 2 or fade.steps % LOOK == 0) and not recording():
                fade.copy = own_part(fade.W.detach()).clone()
    for group, remainders in shrinking.values():
        shrink(group, remainders)
