"""Everything that a report shows of one run, as JSON values."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...core.diagnostics import CompileError, UsageError
from ...core.files.run_layout import RunPaths
from ...core.files.spec_folders import LOCK_FILE
from ...core.files.user_files import UserFiles, files_text, with_paths
from ...core.metric_values import numbers_only
from ...core.reserved_names import LOSS
from ...data.samples.data_errors import FeedError
from ...data.samples.dataset import Dataset
from ...gradient import MissingRule
from ...html_report.curves import shortened
from ...html_report.json_values import rounded
from ...html_report.outputs import output_metrics
from ...lowering.cost import cost_table
from ...render.networks.tables import summary_json
from ...runtime.fit.trainer import PlanTrainer
from ...runtime.session.weight_files import read_weight_file
from ...runtime.training_plan import TrainingPlan
from ..baselines.compare_baselines import compare
from ..check.check import CheckedSpec
from ..compile.graphs import costed_graph
from ..run.lock_file import locked_values
from ..run.trained_model import TrainedModel
from ..run_folder.run import Run
from ..run_folder.run_folder import RunFolder
from ..train.plan_training import plan_training
from .report_data import ReportData, read_report_data, target_balance
from .report_examples import column_names, examples
from .report_importance import permutation_importance
from .report_layers import layer_norms, unit_values
from .report_predictions import OutputResults, output_results
from .report_saliency import Saliency, saliency

MAX_STEPS = 500
"""Steps whose loss the page shows."""
MAX_SHOWN_CHARACTERS = 200_000
"""Characters of a file that the page shows."""

RunValues = dict[str, Any]


@dataclass(frozen=True)
class ReportOptions:
    """The sources of a report. `data` is a file that replaces the data of the runs."""

    data: UserFiles | None = None
    data_roots: tuple[str, ...] = ()
    provider: str = "cpu"
    verify: bool = True
    """Whether files must match the digests that they record."""
    baseline: bool = False
    """Whether the outputs are compared with baselines."""


DEFAULT_OPTIONS = ReportOptions()


def run_values(folder: Path, options: ReportOptions) -> RunValues:
    """The values of a RUN folder. Raises UsageError, CompileError.

    Whatever of it cannot be read or computed is missing, and `notes` say why.
    """
    run = Run(folder)
    values = described_run(run)
    if not run.model_file.exists():
        values["notes"].append("The run has no model yet, so metrics of predictions and of layers are missing.")
        return values
    model = TrainedModel.open(folder, options.provider, options.verify, options.data_roots)
    plan = plan_training(model.checked, run.seed)
    data = read_report_data(run, model, plan, options.data)
    values["notes"] += data.notes
    values["evaluated"] = _part_title(data.evaluated_part, options.data)
    values["balance"] = target_balance(data, model)
    if data.evaluated is not None:
        trainer = _trainer(model, plan, options)
        values["outputs"] = _outputs(model, trainer, data.evaluated, values["notes"])
        names = column_names(data.evaluated, plan.training.data)
        values["importance"] = permutation_importance(model.checked, trainer, data.evaluated, names, values["notes"])
        values["baselines"] = _baselines(model, data.evaluated, values["notes"]) if options.baseline else []
        values["notes"] += _unshown_outputs(model, values["outputs"])
    values["layers"] = _layers(run, model.checked, plan, data, values["notes"])
    return values


def described_run(run: Run) -> RunValues:
    """The contents of a run's files, without its model and its data."""
    notes: list[str] = []
    return {
        **followed_values(run),
        "name": str(run.folder),
        "network": _network(run, notes),
        "files": _files(run),
        "notes": notes,
    }


def followed_values(run: Run) -> RunValues:
    """The values that change while a run goes on."""
    return {
        "state": run.state,
        "facts": _facts(run),
        "history": _history(run),
        "steps": _steps(run),
        "best": rounded(run.best),
        "test": rounded(numbers_only(run.test)),
        "resources": _resources(run),
    }


def _part_title(part: str | None, files: UserFiles | None) -> str | None:
    """The name of the evaluated samples."""
    if part is None:
        return None
    return f"the {part} data" if files is None else files_text(with_paths(files, os.path.basename))


def _facts(run: Run) -> list[list[Any]]:
    """Titles and values about a run that a reader compares with other runs."""
    facts = {
        "state": run.state,
        "network": run.name,
        "spec": run.spec_file,
        "overrides": ", ".join(run.changes),
        "scale": run.scale,
        "epochs": run.epochs,
        "seed": run.seed,
        **{f"{part} samples": entry.get("samples") for part, entry in run.data.items() if isinstance(entry, dict)},
        "provider": run.provider,
        "started": (run.started or "").replace("T", " ").removesuffix("+00:00"),
    }
    return [[title, value] for title, value in facts.items() if value not in (None, "")]


def _history(run: Run) -> dict[str, Any]:
    """The metrics of each epoch that are numbers."""
    return {
        name: rounded(values)
        for name, values in run.history.items()
        if not any(isinstance(value, list) for value in values)
    }


def _steps(run: Run) -> dict[str, Any] | None:
    """The loss by step, at no more than `MAX_STEPS` steps."""
    steps, losses = run.steps.get("step"), run.steps.get(LOSS)
    if not steps or not losses:
        return None
    kept = shortened(np.arange(len(steps)), np.zeros(len(steps)), MAX_STEPS)
    return {"step": [steps[index] for index in kept], "loss": rounded([losses[index] for index in kept])}


def _network(run: Run, notes: list[str]) -> dict[str, Any] | None:
    try:
        checked = run.checked_spec
        typed = checked.require()
        return summary_json(typed.network, cost_table(typed, costed_graph(checked)))
    except (CompileError, UsageError) as error:
        diagnostic = error.diagnostic if isinstance(error, UsageError) else error.diagnostics[0]
        notes.append(f"The network is not drawn: {diagnostic.message}.")
        return None


def _resources(run: Run) -> list[list[Any]]:
    """Time and memory of a run: titles, numbers and units."""
    seconds, epochs = run.seconds, run.epochs
    train = run.data.get("train")
    samples = train.get("samples") if isinstance(train, dict) else None
    resources: list[list[Any]] = []
    if seconds is not None:
        resources.append(["duration", seconds, "s"])
        if epochs:
            resources.append(["duration of an epoch", seconds / epochs, "s"])
            if isinstance(samples, int) and seconds > 0:
                resources.append(["training samples a second", samples * epochs / seconds, ""])
    peak_memory = run.info.get("peak_memory_bytes")
    if isinstance(peak_memory, int):
        resources.append(["peak memory", peak_memory / 1e6, "MB"])
    for title, path in (("model file", run.model_file), ("newest checkpoint", _newest_checkpoint(run))):
        with suppress(OSError):
            resources += [[title, path.stat().st_size / 1e6, "MB"]] if path is not None else []
    return rounded(resources)


def _newest_checkpoint(run: Run) -> Path | None:
    return next(iter(RunFolder(run.folder).checkpoints()), None)


def _files(run: Run) -> list[dict[str, str]]:
    """The spec as it was trained, the run's entry in a lock file, if it can be locked, and its description."""
    texts = {}
    for path in (run.paths.spec, run.paths.run_info, run.paths.execution):
        with suppress(OSError):
            texts[path.name] = path.read_text("utf-8", "replace")
    with suppress(UsageError, OSError):
        texts[LOCK_FILE] = json.dumps({run.spec_file: locked_values(run)}, indent=2)
    return [
        {"name": name, "text": text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}\n…"}
        for name, text in texts.items()
    ]


def _baselines(model: TrainedModel, samples: Dataset, notes: list[str]) -> list[dict[str, Any]]:
    """The comparison of each output with baselines."""
    try:
        return [rounded(comparison) for comparison in compare(model, samples).values()]
    except (CompileError, UsageError, FeedError) as error:
        diagnostic = error.diagnostic if isinstance(error, UsageError) else error.diagnostics[0]
        notes.append(f"There are no baselines: {diagnostic.message}.")
        return []


def _trainer(model: TrainedModel, plan: TrainingPlan, options: ReportOptions) -> PlanTrainer:
    """A trainer with the weights of the run's model."""
    trainer = PlanTrainer(plan)
    assert model.folder is not None, "a report is of a RUN folder"
    trainer.set_weights(read_weight_file(RunPaths(model.folder).weights, options.verify))
    return trainer


def _outputs(model: TrainedModel, trainer: PlanTrainer, samples: Dataset, notes: list[str]) -> list[dict[str, Any]]:
    def saliency_of(results: OutputResults, indices: list[int]) -> Saliency:
        try:
            return saliency(model.checked, trainer, results, samples, indices)
        except MissingRule as error:
            notes.append(f"The gradients of {results.name} by pictures are missing: {error}.")
            return {}

    return [
        {
            "name": results.name,
            **output_metrics(results.predicted),
            "examples": examples(results, samples, trainer.plan.training.data, saliency_of),
        }
        for results in output_results(model, samples)
    ]


def _unshown_outputs(model: TrainedModel, shown: Sequence[Mapping[str, Any]]) -> list[str]:
    """A note on each output whose target a prediction cannot be compared with."""
    names = {output["name"] for output in shown}
    outputs = model.checked.network.inference_outputs
    return [
        f"The output {name} has no target with classes or with numbers of its shape, so its predictions are not shown."
        for name in outputs
        if name not in names
    ]


def _layers(run: Run, checked: CheckedSpec, plan: TrainingPlan, data: ReportData, notes: list[str]) -> dict[str, Any]:
    """Norms and units of the layers, at the newest checkpoint."""
    samples = data.parts.get("train", data.evaluated)
    if samples is None:
        return {}
    shown: dict[str, Any] = {}
    try:
        trainer = PlanTrainer(plan)
        initial = trainer.weights() if run.info.get("initial_weights", "") is None else None
        checkpoint, _ = RunFolder(run.folder).load_newest_checkpoint(trainer)
        if checkpoint is None:
            return {}
        shown["step"] = trainer.steps
        shown["units"] = unit_values(checked, trainer, data.evaluated or samples)
        shown["norms"] = layer_norms(checked, trainer, samples.subset(slice(plan.training.batch_size)), initial)
    except (CompileError, UsageError, FeedError, MissingRule) as error:
        diagnostic = getattr(error, "diagnostic", None) or next(iter(getattr(error, "diagnostics", ())), None)
        notes.append(f"Some metrics of the layers are missing: {diagnostic.message if diagnostic else error}.")
    return shown
