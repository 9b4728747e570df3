"""Shows in the process that has started a training what its workers tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from ..core.callback import Callback
from ..core.diagnostics import Diagnostic
from .monitor import Event
from .node_checks import WorkerPlace


@dataclass(eq=False)
class Progress:
    """Passes events on to callbacks that only show something, and to functions."""

    callbacks: Iterable[Callback]
    warn: Callable[[list[Diagnostic]], None]
    on_weights: Callable[[Any], None]
    on_resumed: Callable[[list[str]], None]
    on_placement: Callable[[Any], None]
    on_status: Callable[[str], None]
    threads: int
    is_training: bool = False
    """Whether workers train: a request to stop reaches them, and the run is saved then."""
    _shown: set[str] = field(default_factory=set)

    def show(self, event: Event) -> None:
        kind, content = event
        if kind == "warning":
            self._warn(content)
        elif kind in ("attempt", "lost"):
            self._show_workers(kind, content)
        elif kind == "weights":
            self.on_weights(content)
        elif kind == "resumed":
            self.on_resumed(content)
        elif kind == "placement":
            self.on_placement(content)
        else:
            self._show_fit(kind, content)

    def _warn(self, diagnostics: list[Diagnostic]) -> None:
        """Shows warnings, but those that an earlier group of workers has had."""
        fresh = [diagnostic for diagnostic in diagnostics if str(diagnostic) not in self._shown]
        self._shown.update(map(str, fresh))
        if fresh:
            self.warn(fresh)

    def _show_workers(self, kind: str, content: Any) -> None:
        self.is_training = False
        for callback in self.callbacks:
            if hasattr(callback, "close"):
                callback.close()
        if kind == "lost":
            names = ", ".join(str(rank) for rank in sorted(content))
            message = f"lost worker {names}: {content[min(content)]}; training starts again from the newest checkpoint"
            self.warn([Diagnostic("worker-lost", message, severity="warning")])
            return
        number, places = content
        self.on_status(("training goes on with " if number > 1 else "") + workers_text(places, self.threads))

    def _show_fit(self, kind: str, content: Any) -> None:
        for callback in self.callbacks:
            if kind == "begin":
                params, labels = content
                callback.set_params(params)
                callback.set_model(SimpleNamespace(plan=SimpleNamespace(labels=labels)))
                callback.on_train_begin({})
            elif kind == "epoch":
                callback.on_epoch_begin(content, {})
            elif kind == "step":
                callback.on_train_batch_end(*content)
            elif kind == "epoch end":
                callback.on_epoch_end(*content)
            elif kind == "end":
                callback.on_train_end({})
        self.is_training = True


def workers_text(places: list[WorkerPlace], threads: int) -> str:
    """`2 workers on 1 node, 1 thread each`."""
    nodes = {place.node for place in places}
    return f"{_count(len(places), 'worker')} on {_count(len(nodes), 'node')}, {_count(threads, 'thread')} each"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
