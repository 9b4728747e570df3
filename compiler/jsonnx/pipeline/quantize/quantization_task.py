"""A model to quantize, with its spec and the data for calibration and comparison."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...backend import thresholds_from
from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...core.files.spec_folders import existing_folders
from ...core.files.spec_source import SpecSource
from ...core.files.user_files import UserFiles, file_names
from ...core.providers.known_providers import PLAIN_TARGET
from ...core.reserved_names import loss_metric
from ...data.files.data_locations import items_of_user
from ...data.files.dataset_files import inputs_from
from ...data.samples.data_spec import DataSpec
from ...data.samples.dataset import Dataset
from ...frontend.network import Network
from ...runtime.fit.early_stopping import is_maximized
from ...runtime.quantization.calibration import Range
from ...runtime.quantization.onnxruntime_tools import CalibrationCaches
from ...runtime.session.session import Session
from ...runtime.training_plan import TrainingPlan
from ...sections.quantization_section import STATIC_PRECISION, QuantizationVariant
from ..check.data_spec import input_spec
from ..compile.compile import compile_checked
from ..compile.labels_file import labels_json
from ..compile.model import Model
from ..compile.quantized_network import quantized_network
from ..run.run_warnings import Warn
from ..run.trained_model import BATCH_SIZE, TrainedModel, evaluation_batch_size, tell_left_out
from ..train.evaluated_part import EvaluatedPart
from ..train.model_spec import checked_spec_of
from ..train.plan_training import in_normalization
from .calibration_samples import CALIBRATION_BATCH, CalibrationSamples, drawn_samples
from .comparison import ModelComparer, Scoring
from .file_quantizer import FileQuantizer, read_proto
from .network_quantizer import NetworkQuantizer, TrainedVariant
from .quantize_options import QuantizeOptions, variant_of
from .quantizer import Quantizer
from .tolerance import Tolerance

NO_TARGETS_NOTE = "the data have no targets: only outputs are compared, without metrics"
TRAINING_DATA_NOTE = "there are neither test nor validation data: the models are compared on the training data"


@dataclass
class QuantizationTask:
    """A model to quantize. `comparer` is None if there are no data to compare models on."""

    quantizer: Quantizer
    variant: QuantizationVariant
    calibration: CalibrationSamples | None = None
    comparer: ModelComparer | None = None
    compared: EvaluatedPart | None = None
    fixed_batch: int | None = None
    """The number of samples that the model takes at a time; None for any."""
    notes: list[str] = field(default_factory=list)

    @property
    def compared_on(self) -> dict[str, Any] | None:
        """The data that the models are compared on, as JSON."""
        return None if self.compared is None else self.compared.to_json()

    @property
    def compared_text(self) -> str:
        """The data that the models are compared on, as a phrase."""
        return "" if self.compared is None else self.compared.text()

    @property
    def has_metrics(self) -> bool:
        """Whether the models can be evaluated."""
        return self.comparer is not None and self.comparer.scoring is not None

    def maximized(self, metric: str) -> bool:
        """Whether higher values of a metric are better."""
        scoring = self.comparer.scoring if self.comparer is not None else None
        return scoring is not None and is_maximized(scoring.plan, metric, "auto")

    def tolerance(self, options: QuantizeOptions) -> Tolerance | None:
        """The limits that the user or the variant sets; None without limits. Raises UsageError `unknown-figure`."""
        limits = {**self.variant.tolerance, **options.tolerance}
        if not limits:
            return None
        scoring = self.comparer.scoring if self.comparer is not None else None
        metrics = [name for name, metric in scoring.plan.metrics.items() if metric.is_scalar] if scoring else []
        losses = [loss_metric(name) for name in scoring.plan.loss_names] if scoring else []
        tolerance = Tolerance(limits, self.maximized)
        tolerance.require_known([*losses, *metrics])
        return tolerance


def open_task(path: Path, options: QuantizeOptions, resources: ExitStack, warn: Warn) -> QuantizationTask:
    """Opens a RUN folder, or an ONNX file. `resources` closes what it opens. Raises CompileError,
    UsageError."""
    if os.path.isdir(path):
        return _run_task(TrainedModel.open(path, verify=options.verify, data_roots=options.data_roots), options, warn)
    if options.target != PLAIN_TARGET:
        help = "quantize the RUN folder, which contains the weights"
        raise UsageError("bad-option", "--for compiles the model again, for which a model file is not enough", help)
    session = Session(path, verify=options.verify)
    checked = checked_spec_of(session, str(path), Path(path).parent)
    caches = resources.enter_context(CalibrationCaches())
    if checked is None:
        return _foreign_task(path, session, options, caches)
    roots = existing_folders(options.data_roots)
    trained = TrainedModel(session, checked, verify=options.verify, data_roots=roots, path=path)
    return _file_task(trained, options, caches, warn)


def _run_task(trained: TrainedModel, options: QuantizeOptions, warn: Warn) -> QuantizationTask:
    assert trained.folder is not None
    typed = trained.checked.require()
    variant = variant_of(typed.network, options)
    model = compile_checked(
        trained.checked_without_thresholds,
        str(trained.folder),
        verify=options.verify,
        target=options.target,
        thresholds=thresholds_from(trained.session.metadata),
    )
    calibration = _calibration(trained, variant, options)
    ranges = _trained_ranges(model)
    learned = None
    if ranges is not None:
        if _asks_for_training(typed.network, options):
            learned = TrainedVariant(variant, model, ranges)
        model = model.in_floating_point()
    quantizer = NetworkQuantizer(model, in_normalization(typed.network), calibration, learned)
    task = QuantizationTask(quantizer, variant, calibration)
    _add_comparer(task, trained, Session(model.to_loadable()), options, warn)
    return task


def _trained_ranges(model: Model) -> Mapping[str, Range] | None:
    """The ranges by key that a model was trained with; None if it computes in floating point."""
    quantized = quantized_network(model.checked)
    return quantized.ranges(model.weights) if quantized is not None and quantized.has_ranges(model.weights) else None


def _asks_for_training(network: Network, options: QuantizeOptions) -> bool:
    """Whether the user asks for the variant that the network was trained with."""
    trained = None if network.training is None else network.training.quantize
    return options.variant == trained or (options.variant is None and options.precision in (None, STATIC_PRECISION))


def _file_task(
    trained: TrainedModel, options: QuantizeOptions, caches: CalibrationCaches, warn: Warn
) -> QuantizationTask:
    variant = variant_of(trained.checked.network, options)
    calibration = _calibration(trained, variant, options)
    labels = labels_json(trained.checked, thresholds_from(trained.session.metadata))
    quantizer = FileQuantizer(read_proto(str(trained.path)), calibration, caches, True, labels)
    task = QuantizationTask(quantizer, variant, calibration)
    _add_comparer(task, trained, trained.session, options, warn)
    return task


def _calibration(
    trained: TrainedModel, variant: QuantizationVariant, options: QuantizeOptions
) -> CalibrationSamples | None:
    """The samples that ranges are measured on, if the variant needs any and there are any."""
    if variant.precision != STATIC_PRECISION:
        return None
    if options.data is not None:
        part = EvaluatedPart(_inputs(trained, options.data), None, tuple(file_names(options.data)))
    else:
        found = _part_of_spec(trained, "train")
        if found is None:
            return None
        part = found
    return _drawn(part, variant, tuple(trained.session.inputs))


def _drawn(part: EvaluatedPart, variant: QuantizationVariant, inputs: tuple[str, ...]) -> CalibrationSamples:
    samples = drawn_samples(part.samples, variant.calibration.samples)
    origin = part.to_json() | {"samples": len(samples)}
    return CalibrationSamples(samples, inputs, CALIBRATION_BATCH, origin)


def _inputs(trained: TrainedModel, data: UserFiles) -> Dataset:
    """The samples of a file, without targets."""
    typed = trained.checked.require()
    training = typed.network.training
    items = items_of_user(data, SpecSource(data_roots=trained.data_roots))
    return inputs_from(items, training.data if training is not None else None, input_spec(typed))[0]


def _part_of_spec(trained: TrainedModel, part: str | None) -> EvaluatedPart | None:
    """A part of the data of the spec of a RUN; None if it has none."""
    if trained.folder is None:
        return None
    try:
        return trained.evaluated_part(trained.plan_for(None), None, part)
    except UsageError as error:
        if error.diagnostic.code != "no-data":
            raise
        return None


def _add_comparer(
    task: QuantizationTask, trained: TrainedModel, float_session: Session, options: QuantizeOptions, warn: Warn
) -> None:
    part = _compared_part(task, trained, options)
    if part is None:
        return
    tell_left_out(part.samples, warn)
    scoring, batch_size = None, BATCH_SIZE
    if trained.checked.objective is not None and part.samples.targets:
        plan = trained.plan_for(options.validation_data)
        scoring, batch_size = _scoring(task, trained, plan), evaluation_batch_size(plan)
    task.compared = part
    task.comparer = ModelComparer(float_session, part.samples, batch_size, scoring)


def _compared_part(task: QuantizationTask, trained: TrainedModel, options: QuantizeOptions) -> EvaluatedPart | None:
    """The samples that models are compared on: those of the option, test data, validation data, training data, or else
    those for calibration."""
    if options.validation_data is not None:
        return _named_part(task, trained, options.validation_data)
    part = _part_of_spec(trained, None)
    if part is None and (part := _part_of_spec(trained, "train")) is not None:
        task.notes.append(TRAINING_DATA_NOTE)
    if part is None and options.data is not None:
        part = _named_part(task, trained, options.data)
    return part


def _named_part(task: QuantizationTask, trained: TrainedModel, data: UserFiles) -> EvaluatedPart:
    """The samples of a file, with targets if it has them."""
    names = tuple(file_names(data))
    if trained.checked.objective is None:
        return EvaluatedPart(_inputs(trained, data), None, names)
    try:
        return trained.evaluated_part(trained.plan_for(data), data, None)
    except CompileError as error:
        try:
            samples = _inputs(trained, data)
        except CompileError:
            raise error from None
        task.notes.append(NO_TARGETS_NOTE)
        return EvaluatedPart(samples, None, names)


def _scoring(task: QuantizationTask, trained: TrainedModel, plan: TrainingPlan) -> Scoring | None:
    """What computes metrics from outputs; None, with a note, if they need more than the outputs."""
    objective = trained.checked.objective
    assert objective is not None
    try:
        scorer = trained.output_scorer()
    except CompileError as error:
        if error.diagnostics[0].code != "needs-weights":
            raise
        task.notes.append(f"no metrics are compared: {error.diagnostics[0].message}")
        return None
    return Scoring(scorer, plan, frozenset(objective.missing_functions()))


def _foreign_task(
    path: Path, session: Session, options: QuantizeOptions, caches: CalibrationCaches
) -> QuantizationTask:
    """A model without a spec."""
    variant = variant_of(None, options)
    proto = read_proto(str(path))
    batches = [type.shape[0] for type in session.inputs.values() if type.rank]
    fixed_batch = next((size for size in batches if isinstance(size, int)), None)
    parts = {
        data: _foreign_part(session, data, options, fixed_batch)
        for data in (options.data, options.validation_data)
        if data is not None
    }
    calibration = None
    if options.data is not None and variant.precision == STATIC_PRECISION:
        calibration = _drawn(parts[options.data], variant, tuple(session.inputs))
        if fixed_batch is not None:
            rows = slice(len(calibration.samples) // fixed_batch * fixed_batch)
            calibration = replace(calibration, samples=calibration.samples.subset(rows), batch_size=fixed_batch)
    task = QuantizationTask(
        FileQuantizer(proto, calibration, caches, False), variant, calibration, fixed_batch=fixed_batch
    )
    compared = options.validation_data if options.validation_data is not None else options.data
    if compared is not None:
        task.compared = parts[compared]
        task.comparer = ModelComparer(session, parts[compared].samples, fixed_batch or BATCH_SIZE)
    return task


def _foreign_part(
    session: Session, data: UserFiles, options: QuantizeOptions, fixed_batch: int | None
) -> EvaluatedPart:
    """The samples of a file by the names of the model's inputs, as many as full batches have."""
    items = items_of_user(data, SpecSource(data_roots=existing_folders(options.data_roots)))
    samples = inputs_from(items, None, DataSpec(session.inputs, {}))[0]
    if fixed_batch is not None:
        if len(samples) < fixed_batch:
            message = f"the model takes {fixed_batch} samples at a time, the data have {len(samples)}"
            raise CompileError([Diagnostic("data-shape", message, help="give more samples")])
        samples = samples.subset(slice(len(samples) // fixed_batch * fixed_batch))
    return EvaluatedPart(samples, None, tuple(file_names(data)))
