"""Quantizes a trained model, and compares it with the float model before it is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from ...core.diagnostics import CompileError, UsageError
from ...core.files.user_files import UserFiles
from ...core.providers.known_providers import PLAIN_TARGET, target_names
from ...runtime.quantization.latency import interleaved_latencies
from ...runtime.session.session import Session
from ...sections.quantization_section import PRECISIONS, Precision, QuantizationVariant
from ..check.check import Spec
from ..run.run_warnings import Warn, no_warning
from .comparison import ModelComparer
from .failure import nothing_to_quantize, quantization_loss
from .layer_noise import LayerNoise, layer_noise, sensitive_layers
from .network_quantizer import NetworkQuantizer
from .quantization import LatencyPair, QuantizedModel
from .quantization_task import QuantizationTask, open_task
from .quantize_options import DEFAULT_OPTIONS, QuantizeOptions
from .quantizer import QuantizedFile, has_integer_weights
from .tolerance import Tolerance, default_tolerance
from .variant_search import Attempt, VariantSearch

LATENCY_BATCHES = (1, 32)
"""Samples in a batch whose latency is measured."""
NOISE_SAMPLES = 128
"""Samples on which the noise of layers is measured."""

LARGER_NOTE = (
    "the file is not smaller than the float model: scales and added operators take more bytes than its weights save"
)

OnAttempt = Callable[[Attempt], None]


def quantize(
    run: str | os.PathLike[str],
    *,
    precision: Precision | None = None,
    variant: str | None = None,
    tolerance: Mapping[str, float] = {},
    data: UserFiles | None = None,
    validation_data: UserFiles | None = None,
    target: str = PLAIN_TARGET,
    verify: bool = True,
    spec: Spec | None = None,
) -> QuantizedModel:
    """Quantizes the model of a RUN folder, or an ONNX file, and compares it with the float model.

    `precision` is `int8` (by default), `int8-dynamic`, `float16`, `int8-weights` or `int4-weights`; `variant` names a
    variant of the section `quantization` instead: in `spec` or, without it, in the spec of the model. Ranges of
    activations are measured on samples of the spec's training data, or of the file `data`; both models are evaluated on
    its test data, or else its validation data, or on the file `validation_data`. `tolerance` says how much worse the
    quantized model may be, by metric, or by `max_difference` and `mean_difference` of the outputs. If it is exceeded,
    other settings are tried. Raises CompileError `quantization-loss` if none is within the tolerance, UsageError for
    files that cannot be read, ValueError for an unknown precision or target.
    """
    if precision is not None and precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if target not in target_names():
        raise ValueError(f"target must be one of {target_names()}, got {target!r}")
    options = QuantizeOptions(precision, variant, spec, tolerance, data, validation_data, target, verify=verify)
    return quantize_model(Path(run), options)


def quantize_model(
    path: Path,
    options: QuantizeOptions = DEFAULT_OPTIONS,
    on_attempt: OnAttempt = lambda attempt: None,
    warn: Warn = no_warning,
) -> QuantizedModel:
    """`quantize` with its arguments as a value. `on_attempt` is called with each variant that was compared, `warn` with
    notes about samples that are left out."""
    with ExitStack() as resources:
        task = open_task(path, options, resources, warn)
        if not task.quantizer.layers(task.variant):
            raise CompileError([nothing_to_quantize(str(path), task.variant)])
        comparer = task.comparer
        if comparer is None:
            return _unchecked(path, task, options)
        tolerance = task.tolerance(options)
        first = _quantized(path, task)
        comparison = comparer.compare(Session(first.to_loadable()))
        if tolerance is None and task.has_metrics:
            tolerance = default_tolerance(comparison, task.maximized)
        limits = tolerance or Tolerance({}, task.maximized)
        search = VariantSearch(
            task.quantizer,
            lambda model: comparer.compare(Session(model.to_loadable())),
            limits,
            partial(_sensitive_layers, task, comparer),
            on_attempt if limits.limits else lambda attempt: None,
        )
        best = search.run(search.judged(task.variant, first, comparison))
        if not best.passes:
            raise CompileError([quantization_loss(str(path), search.attempts, best, limits)])
        return _measured(task, comparer, search, best)


def _quantized(path: Path, task: QuantizationTask) -> QuantizedFile:
    """The variant that is asked for. Raises CompileError `not-quantizable` if it changes nothing."""
    model = task.quantizer.quantized(task.variant)
    if task.variant.precision != "float16" and not has_integer_weights(model):
        raise CompileError([nothing_to_quantize(str(path), task.variant)])
    return model


def _unchecked(path: Path, task: QuantizationTask, options: QuantizeOptions) -> QuantizedModel:
    """The quantized model without data to compare it on. Raises UsageError for a tolerance that is asked for."""
    if options.tolerance or task.variant.tolerance:
        help = "name samples with --validation-data FILE"
        raise UsageError("no-data", "there are no data to check the tolerance on", help)
    model = _quantized(path, task)
    float_bytes = task.quantizer.float_model.size_bytes
    calibrated_on = _calibrated_on(task, task.variant)
    return QuantizedModel(model, task.variant, float_bytes, calibrated_on=calibrated_on, notes=task.notes)


def _calibrated_on(task: QuantizationTask, variant: QuantizationVariant) -> Mapping[str, Any] | None:
    """The samples on which ranges were measured; None if they were trained, or there are none."""
    quantizer = task.quantizer
    was_trained = isinstance(quantizer, NetworkQuantizer) and quantizer.was_trained(variant)
    return None if was_trained or task.calibration is None else task.calibration.origin


def _sensitive_layers(
    task: QuantizationTask, comparer: ModelComparer, variant: QuantizationVariant
) -> list[LayerNoise]:
    feeds = comparer.first_feeds(task.fixed_batch or NOISE_SAMPLES)
    return sensitive_layers(task.quantizer, variant, comparer.float_session, feeds)


def _measured(task: QuantizationTask, comparer: ModelComparer, search: VariantSearch, best: Attempt) -> QuantizedModel:
    """The result, with the latencies and the noise of the layers of the variant that was chosen."""
    model, quantizer = best.model, task.quantizer
    assert model is not None
    sessions = [comparer.float_session, Session(model.to_loadable())]
    latencies = {}
    for batch in LATENCY_BATCHES if task.fixed_batch is None else (task.fixed_batch,):
        latencies[batch] = LatencyPair(*interleaved_latencies(sessions, comparer.first_feeds(batch)))
    noise = []
    if isinstance(quantizer, NetworkQuantizer):
        noise = layer_noise(quantizer, best.variant, comparer.first_feeds(NOISE_SAMPLES))
    return QuantizedModel(
        model,
        best.variant,
        quantizer.float_model.size_bytes,
        task.compared_on,
        task.compared_text,
        _calibrated_on(task, best.variant),
        best.comparison,
        search.tolerance if search.tolerance.limits else None,
        search.attempts,
        latencies,
        noise,
        [*task.notes, *_size_notes(quantizer.float_model, model)],
    )


def _size_notes(float_model: QuantizedFile, model: QuantizedFile) -> list[str]:
    """A note if a quantized model is as large as the float model."""
    return [LARGER_NOTE] if model.size_bytes >= float_model.size_bytes else []
