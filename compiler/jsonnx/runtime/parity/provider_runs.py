"""Runs of a model on one provider, to compare them with another provider's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...core.diagnostics import CompileError, UsageError
from ...core.files.loadable_model import LoadableModel
from ..providers.provider_errors import runtime_failure
from ..providers.providers import Provider, create_session, resolve_provider
from .float64_model import float64_model

UNOPTIMIZED = "ORT_DISABLE_ALL"
WARM_UP_RUNS, MAX_TIMED_RUNS, MAX_TIMED_SECONDS = 2, 20, 2.0

Arrays = dict[str, np.ndarray]


class ProviderSession:
    """A model on a provider, unoptimized as a reference. Raises CompileError or UsageError if it does not load."""

    def __init__(self, model: LoadableModel, provider: Provider, *, unoptimized: bool = False) -> None:
        optimization = UNOPTIMIZED if unoptimized else "ORT_ENABLE_ALL"
        self._session = create_session(model, provider, optimization=optimization, quiet=True)
        self.outputs = [value.name for value in self._session.get_outputs()]

    def run(self, feeds: Mapping[str, np.ndarray]) -> Arrays:
        """The outputs by name. Raises CompileError `runtime-failure`."""
        return dict(zip(self.outputs, self._run(feeds), strict=True))

    def _run(self, feeds: Mapping[str, np.ndarray]) -> list[Any]:
        try:
            results: list[Any] = self._session.run(self.outputs, dict(feeds))
        except Exception as error:  # onnxruntime's exceptions have no base class of their own
            raise runtime_failure(error) from error
        return results

    def latency_ms(self, feeds: Mapping[str, np.ndarray]) -> float:
        """The median time of a run in milliseconds, without the first ones."""
        for _ in range(WARM_UP_RUNS):
            self._run(feeds)
        times: list[float] = []
        end = time.perf_counter() + MAX_TIMED_SECONDS
        while len(times) < MAX_TIMED_RUNS and (not times or time.perf_counter() < end):
            start = time.perf_counter()
            self._run(feeds)
            times.append((time.perf_counter() - start) * 1e3)
        return statistics.median(times)


def cpu_outputs(model: LoadableModel, feeds: Mapping[str, np.ndarray]) -> Arrays:
    """The outputs on the CPU without optimizations. Raises CompileError."""
    return ProviderSession(model, resolve_provider("cpu"), unoptimized=True).run(feeds)


def float64_outputs(model: LoadableModel, feeds: Mapping[str, np.ndarray]) -> Arrays | None:
    """The outputs of the model in float64; None if the CPU has no kernel for one of its operators, or if its weights
    are in other files, which are large."""
    if model.weights is not None:
        return None
    wide = {name: array.astype(np.float64) if array.dtype == np.float32 else array for name, array in feeds.items()}
    try:
        return cpu_outputs(LoadableModel(float64_model(model.data)), wide)
    except (CompileError, UsageError):
        return None
