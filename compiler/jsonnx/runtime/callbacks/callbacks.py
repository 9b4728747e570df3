"""The callbacks of a fit: their hooks, and the check that each hook of a callback is one of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...core.diagnostics import suggestion
from ...core.reserved_names import loss_figure, validation_name
from .callback_class import KERAS_HOOKS, Callback, CallbackListener

if TYPE_CHECKING:
    from ...data.samples.batch_stream import BatchStream
    from ...data.samples.dataset import Dataset
    from ..fit_arguments import FitSettings
    from ..training_plan import TrainingPlan

HOOKS: Mapping[str, tuple[str, ...]] = {
    "on_epoch_begin": ("epoch", "epochs", "steps"),
    "on_step": ("step", "figures"),
    "on_epoch_end": ("epoch", "figures"),
    "on_end": ("history",),
}
"""The arguments of each hook."""

OTHER_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("on_batch_end", "on_train_batch_end", "on_step_end"), "on_step"),
    **dict.fromkeys(("on_train_end", "on_fit_end"), "on_end"),
    **dict.fromkeys(("on_train_epoch_end", "on_validation_end", "on_test_end"), "on_epoch_end"),
    "on_train_epoch_start": "on_epoch_begin",
    "on_epoch_start": "on_epoch_begin",
}
"""Our hooks, by the names of hooks of other frameworks."""

_FRAMEWORKS = {
    **dict.fromkeys(("keras", "tf_keras", "tensorflow"), "Keras"),
    **dict.fromkeys(("lightning", "pytorch_lightning"), "Lightning"),
}
_KNOWN_HOOKS = "the hooks are " + ", ".join(f"{name}({', '.join(names)})" for name, names in HOOKS.items())


def checked_callbacks(callbacks: Iterable[object] | None) -> tuple[object, ...]:
    """The callbacks; none for None. Raises TypeError for anything else than objects with hooks, and for an unknown
    hook."""
    if callbacks is None:
        return ()
    if isinstance(callbacks, (str, bytes, Mapping)) or not isinstance(callbacks, Iterable):
        actual = _type_name(callbacks)
        raise TypeError(f"callbacks is a list of objects with hooks, got {actual}: write callbacks=[...]")
    checked = tuple(callbacks)
    for callback in checked:
        _check_callback(callback)
    return checked


def fit_listeners(
    callbacks: Iterable[object],
    trainer: Any,
    settings: FitSettings,
    samples: Dataset | BatchStream,
    validation: Dataset | BatchStream | None,
) -> tuple[object, ...]:
    """The listeners of a fit: a listener for each Callback, all other callbacks themselves."""
    plan: TrainingPlan = trainer.plan
    figures = [*map(loss_figure, plan.loss_names), *plan.metrics]
    params = {
        "epochs": settings.epochs,
        "steps": settings.steps_per_epoch or samples.batch_count(settings.batch_size),
        "metrics": [*figures, *(map(validation_name, figures) if validation is not None else ())],
    }
    return tuple(
        CallbackListener(callback, trainer, dict(params)) if isinstance(callback, Callback) else callback
        for callback in callbacks
    )


def _check_callback(callback: object) -> None:
    name = callback.__name__ if isinstance(callback, type) else _type_name(callback)
    if isinstance(callback, type):
        raise TypeError(f"the callback {name} is a class: pass an instance, {name}(...)")
    for base in type(callback).__mro__:
        framework = _FRAMEWORKS.get(base.__module__.partition(".")[0])
        if framework:
            help = "jsonnx.callbacks has those of Keras, and jsonnx.Callback is the base class of your own"
            raise TypeError(f"the callback {name} is one of {framework}, which jsonnx cannot call: {help}")
    _check_state_methods(callback, name)
    if isinstance(callback, Callback):
        _check_hooks(callback, name, KERAS_HOOKS, "the methods are " + ", ".join(KERAS_HOOKS))
        return
    present = _check_hooks(callback, name, HOOKS, _KNOWN_HOOKS)
    if not present:
        subject = f"the function {name!r}" if inspect.isroutine(callback) else f"the callback {name}"
        raise TypeError(f"{subject} has no hook: a callback is an object with at least one; {_KNOWN_HOOKS}")


def _check_state_methods(callback: object, name: str) -> None:
    """Raises TypeError if a callback has only one of the two methods for a state in checkpoints."""
    names = ("state_dict", "load_state_dict")
    base = Callback if isinstance(callback, Callback) else object
    present = [method for method in names if getattr(type(callback), method, None) is not getattr(base, method, None)]
    if len(present) == 1:
        (missing,) = {*names} - {*present}
        raise TypeError(f"the callback {name} has {present[0]}, but not {missing}: a checkpoint needs both")


def _check_hooks(callback: object, name: str, hooks: Mapping[str, tuple[str, ...]], known: str) -> list[str]:
    """The hooks that a callback has. Raises TypeError for an unknown one, or one that takes other arguments."""
    for attribute in dir(callback):
        if attribute.startswith("on_") and attribute not in hooks and _is_method(callback, attribute):
            ours = OTHER_NAMES.get(attribute) if hooks is HOOKS else None
            hint = f"; here it is {ours!r}" if ours else _with_semicolon(suggestion(attribute, hooks))
            if ours and attribute in KERAS_HOOKS:
                hint += ", or derive the class from jsonnx.Callback, which has Keras' names"
            raise TypeError(f"the callback {name} has the unknown hook {attribute!r}{hint}; {known}")
    present = [hook for hook in hooks if hasattr(callback, hook)]
    for hook in present:
        _check_arguments(name, hook, getattr(callback, hook), hooks[hook])
    return present


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
