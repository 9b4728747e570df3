"""The callbacks of a fit, checked: a method that would never be called is an error before the first step."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...core.callback import HOOKS, Callback, overrides
from ...core.diagnostics import suggestion
from ...core.reserved_names import loss_metric, validation_name

if TYPE_CHECKING:
    from ...data.samples.batch_stream import BatchStream
    from ...data.samples.dataset import Dataset
    from ..fit_arguments import FitSettings
    from ..training_plan import TrainingPlan

OTHER_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("on_step", "on_step_end"), "on_train_batch_end"),
    **dict.fromkeys(("on_end", "on_fit_end"), "on_train_end"),
    **dict.fromkeys(("on_train_epoch_start", "on_epoch_start"), "on_epoch_begin"),
    "on_train_epoch_end": "on_epoch_end",
    "on_validation_end": "on_test_end",
}
"""Keras' hooks, by other names of them."""

_FRAMEWORKS = {
    **dict.fromkeys(("keras", "tf_keras", "tensorflow"), "Keras"),
    **dict.fromkeys(("lightning", "pytorch_lightning"), "Lightning"),
}
_KNOWN_HOOKS = f"the methods are {', '.join(HOOKS)}"


def checked_callbacks(callbacks: Iterable[object] | None) -> tuple[Callback, ...]:
    """The callbacks; none for None. Raises TypeError for an object of another class, and for an unknown hook."""
    if callbacks is None:
        return ()
    if isinstance(callbacks, (str, bytes, Mapping)) or not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks is a list of callbacks, got {_type_name(callbacks)}: write callbacks=[...]")
    return tuple(map(_checked, callbacks))


def fit_params(
    plan: TrainingPlan, settings: FitSettings, samples: Dataset | BatchStream, validation: Dataset | BatchStream | None
) -> dict[str, Any]:
    """The `params` of callbacks: the numbers of epochs and of steps in each, and the names of losses and metrics."""
    metrics = [*map(loss_metric, plan.loss_names), *plan.metrics]
    return {
        "epochs": settings.epochs,
        "steps": settings.steps_per_epoch or samples.batch_count(settings.batch_size),
        "metrics": [*metrics, *(map(validation_name, metrics) if validation is not None else ())],
    }


def _checked(callback: object) -> Callback:
    name = _type_name(callback)
    if isinstance(callback, type):
        raise TypeError(f"the callback {name} is a class: pass an instance, {name}(...)")
    for base in type(callback).__mro__:
        framework = _FRAMEWORKS.get(base.__module__.partition(".")[0])
        if framework:
            help = "jsonnx.callbacks has those of Keras, and jsonnx.Callback is the base class of your own"
            raise TypeError(f"the callback {name} is one of {framework}, which jsonnx cannot call: {help}")
    if inspect.isroutine(callback):
        help = "derive a class from jsonnx.Callback, or write jsonnx.callbacks.LambdaCallback(on_epoch_end=...)"
        raise TypeError(f"the function {name!r} is no callback: {help}")
    for attribute in dir(callback):
        if attribute.startswith("on_") and attribute not in HOOKS and _is_method(callback, attribute):
            keras = OTHER_NAMES.get(attribute)
            hint = f"; in Keras and here it is {keras!r}" if keras else _with_semicolon(suggestion(attribute, HOOKS))
            raise TypeError(f"the callback {name} has the unknown hook {attribute!r}{hint}; {_KNOWN_HOOKS}")
    if not isinstance(callback, Callback):
        raise TypeError(f"the callback {name} does not derive from jsonnx.Callback; {_KNOWN_HOOKS}")
    for hook, arguments in HOOKS.items():
        _check_arguments(name, hook, getattr(callback, hook), arguments)
    saves, loads = (overrides(callback, method) for method in ("state_dict", "load_state_dict"))
    if saves != loads:
        present, missing = ("state_dict", "load_state_dict")[:: 1 if saves else -1]
        raise TypeError(f"the callback {name} has {present}, but not {missing}: a checkpoint needs both")
    return callback


def _check_arguments(callback: str, hook: str, method: Any, arguments: tuple[str, ...]) -> None:
    """Raises TypeError if a hook cannot be called with its arguments."""
    if not callable(method):
        raise TypeError(f"{callback}.{hook} is a hook and must be a method, got {_type_name(method)}")
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):  # a function of C without a signature
        return
    try:
        signature.bind(*arguments)
    except TypeError:
        wanted = ", ".join(arguments)
        raise TypeError(f"{callback}.{hook} takes {signature}, but is called with ({wanted})") from None


def _is_method(value: object, name: str) -> bool:
    """Whether an attribute can be called; a property is not evaluated."""
    attribute = inspect.getattr_static(value, name, None)
    return callable(attribute) or isinstance(attribute, classmethod)


def _type_name(value: object) -> str:
    return str(getattr(value, "__name__", None) or type(value).__name__)


def _with_semicolon(text: str | None) -> str:
    return f"; {text.rstrip('?')}?" if text else ""
