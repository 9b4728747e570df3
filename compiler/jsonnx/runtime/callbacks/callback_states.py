"""The states of a fit's callbacks: saved with a checkpoint, and restored when the fit is resumed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np

from ...core.callback import HOOKS, Callback, overrides
from ...core.reserved_names import callback_array_name
from .state_values import decode, encode

_WRITERS = ("ModelCheckpoint", "CSVLogger")
"""Ready callbacks that change nothing in a training: it may be resumed without them."""
SAVING_EVENTS = ("on_train_batch_end", "on_epoch_end")
"""The events in which a callback may save a checkpoint before the callbacks behind it have been called."""


class SavedStates(NamedTuple):
    """The contents of a checkpoint about the callbacks of its fit."""

    states: Mapping[str, dict[str, Any]] = {}
    """The states that are not empty, by the callback's key."""
    event: str = ""
    """The event in which it was saved, if there are callbacks that had not been called yet."""
    arguments: tuple[Any, ...] = ()
    """The arguments of this event."""
    uncalled: tuple[str, ...] = ()
    """The keys of these callbacks."""

    def encoded(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The entry `callbacks` of a checkpoint's JSON, if there is anything to save, and its arrays by name.

        Raises TypeError for a state that cannot be saved.
        """
        arrays: list[np.ndarray] = []
        states: dict[str, Any] = {}
        for key, state in self.states.items():
            try:
                states[key] = encode(state, arrays, "state_dict()")
            except TypeError as error:
                raise TypeError(f"the state of the callback {key} cannot be saved: {error}") from None
        event = None
        if self.uncalled:
            arguments = encode(self.arguments, arrays, self.event)
            event = {"name": self.event, "arguments": arguments, "uncalled": list(self.uncalled)}
        entry = {"callbacks": {"states": states, "event": event}} if states or event else {}
        return entry, {callback_array_name(number): array for number, array in enumerate(arrays)}

    @staticmethod
    def decoded(saved: Mapping[str, Any] | None, arrays: Mapping[int, np.ndarray]) -> SavedStates:
        """The states of a file. Raises ValueError if they are malformed."""
        if saved is None:
            return SavedStates()
        states, event = {key: decode(state, arrays) for key, state in saved["states"].items()}, saved["event"]
        if not all(isinstance(state, dict) for state in states.values()):
            raise ValueError("a state is malformed")
        if event is None:
            return SavedStates(states)
        arguments = decode(event["arguments"], arrays)
        if event["name"] not in SAVING_EVENTS or not isinstance(arguments, tuple) or len(arguments) != 2:
            raise ValueError("an event is malformed")
        return SavedStates(states, event["name"], arguments, tuple(event["uncalled"]))


class CallbackStates:
    """The states of a fit's callbacks.

    `saved` are the states of the checkpoint that the fit resumes; until `restore` is called, a checkpoint gets them.
    """

    def __init__(self, callbacks: Sequence[Callback] = (), saved: SavedStates | None = None) -> None:
        self._callbacks = callbacks
        self._keys = dict(_keys(callbacks))
        self.has_callbacks = bool(self._keys)
        """Whether there is a callback with a state."""
        self._saved = SavedStates() if saved is None else saved
        self._is_restored = False
        self._running: tuple[str, tuple[Any, ...], int] | None = None
        self._tested = [number for number in self._keys if _listens_to_tests(callbacks[number])]
        self._before_test: dict[str, dict[str, Any]] = {}
        self._is_test_undone = False

    def current(self) -> SavedStates:
        """The states as they are now. Raises TypeError if one is not a dict."""
        if not self._is_restored:
            return self._saved
        states = {key: self._state_of(key, number) for number, key in self._keys.items()}
        if self._is_test_undone:
            states |= self._before_test
        states = {key: state for key, state in states.items() if state}
        event, arguments, called = self._running or ("", (), 0)
        uncalled = [self._keys[number] for number in self._listeners(event)[called:] if number in self._keys]
        return SavedStates(states, event, arguments, tuple(uncalled)) if uncalled else SavedStates(states)

    def _listeners(self, event: str) -> list[int]:
        """The positions of the callbacks that an event calls."""
        return [number for number, callback in enumerate(self._callbacks) if event and overrides(callback, event)]

    def _state_of(self, key: str, number: int) -> dict[str, Any]:
        state: object = self._callbacks[number].state_dict()
        if not isinstance(state, dict):
            raise TypeError(f"state_dict() of the callback {key} must return a dict, got {state!r:.100}")
        return state

    def restore(self) -> None:
        """Gives callbacks the states of the checkpoint, and calls the callbacks that its event had not reached.

        Does nothing if it is called again. Warns of states without a callback. Raises TypeError if the state of a
        callback cannot be saved, so that this is known before the first step.
        """
        if self._is_restored:
            return
        callbacks = {key: self._callbacks[number] for number, key in self._keys.items()}
        for key, state in self._saved.states.items():
            if key in callbacks:
                _load(callbacks[key], key, state)
            elif not key.startswith(_WRITERS):
                message = f"the checkpoint has the state of a callback {key}, which this fit does not have"
                warnings.warn(message, stacklevel=6)
        self._is_restored = True
        self._finish_event(self._saved)
        self.current().encoded()

    def _finish_event(self, saved: SavedStates) -> None:
        """Calls the callbacks that the event in which the checkpoint was saved had not reached."""
        for called, number in enumerate(self._listeners(saved.event), 1):
            if self._keys.get(number) in saved.uncalled:
                self.calling(saved.event, saved.arguments, called)
                getattr(self._callbacks[number], saved.event)(*saved.arguments)
        self.calling(saved.event, saved.arguments, 0)

    def detached(self) -> CallbackStates:
        """The present states without the callbacks, which refer to the trainer: it is freed with its last user."""
        return CallbackStates(saved=self.current())

    def begin_test(self) -> None:
        """Notes the states of callbacks that listen to a validation, for `undo_test`."""
        keys = {number: self._keys[number] for number in self._tested}
        self._before_test = {key: deepcopy(self._state_of(key, number)) for number, key in keys.items()}

    def undo_test(self) -> None:
        """The validation was interrupted: a checkpoint has the states before it, since a resumed fit repeats it."""
        self._is_test_undone = True

    def calling(self, event: str, arguments: tuple[Any, ...], called: int) -> None:
        """Records how many callbacks of the current event have run; all of them if `called` is 0."""
        self._running = (event, arguments, called) if called else None


def _keys(callbacks: Sequence[Callback]) -> Iterator[tuple[int, str]]:
    """The positions and the keys of the callbacks with a state: the name of the class, with a number from the second of
    a class on."""
    counts: dict[str, int] = {}
    for position, callback in enumerate(callbacks):
        if overrides(callback, "state_dict"):
            name = type(callback).__name__
            counts[name] = counts.get(name, 0) + 1
            yield position, name if counts[name] == 1 else f"{name} {counts[name]}"


def _listens_to_tests(callback: Callback) -> bool:
    return any(overrides(callback, hook) for hook in HOOKS if hook.startswith("on_test_"))


def _load(callback: Callback, key: str, state: dict[str, Any]) -> None:
    try:
        callback.load_state_dict(state)
    except Exception as error:
        error.add_note(f"while the state of the callback {key} was restored from a checkpoint")
        raise
