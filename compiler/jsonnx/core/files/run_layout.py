"""The layout of a RUN folder: the files that it has, their contents and their paths.

Imports nothing of the package, so that runs are listed at once.
"""

from __future__ import annotations

from pathlib import Path

MODEL_FILE = "model.onnx"
LABELS_SUFFIX = ".labels.json"
LABELS_FILE = "model.labels.json"
SPEC_FILE = "spec.json"
WEIGHTS_FILE = "weights.safetensors"
ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json")
"""The files of an adapter in PEFT's layout."""
FOLDS_FILE = "folds.json"
"""The file with the metrics of all folds, in the folder that has a RUN folder for each."""
OUT_OF_FOLD_FILE = "out_of_fold.csv"
"""The file beside it with the predictions for the validation data of all folds."""
CHECKPOINT_PATTERN = "step-*.safetensors"
"""The pattern of the names of checkpoints, which sort by their steps."""


def labels_path(model: Path) -> Path:
    """The file with labels and thresholds beside a model: `model.labels.json` beside `model.onnx`."""
    return model.parent / (model.stem + LABELS_SUFFIX)


class RunPaths:
    """The paths of the files of a RUN folder, which need not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run_info = folder / "run.json"
        """The inputs of the run, and its results. A folder without it has no run."""
        self.execution = folder / "execution.json"
        """When, where and with what it ran."""
        self.source_spec = folder / "spec.source.json"
        """The text of the spec's file; missing for a spec that is a Python value."""
        self.expanded_spec = folder / "spec.expanded.json"
        """The spec as it is trained, without blocks and expressions."""
        self.spec = folder / SPEC_FILE
        """The spec as it is trained: with overrides and learned labels."""
        self.metrics = folder / "metrics.jsonl"
        """A line of losses and metrics for each epoch."""
        self.steps = folder / "steps.jsonl"
        """A line of losses and metrics for some steps."""
        self.csv_log = folder / "metrics.csv"
        """The table of `metrics`, if the spec asks for it."""
        self.report = folder / "report.html"
        """A page that shows the run, if it was asked for."""
        self.weights = folder / WEIGHTS_FILE
        """The trained weights, written at the end."""
        self.adapter = folder / "adapter"
        """The trained adapters in PEFT's layout, written at the end; missing if the spec has none."""
        self.model = folder / MODEL_FILE
        """The inference model, written at the end."""
        self.labels = labels_path(self.model)
        """The labels and thresholds of the model's outputs, if it has any."""
        self.data_statistics = folder / "data_statistics.json"
        """Statistics of the training data and the predictions, written at the end; missing if the spec wants none."""
        self.checkpoint_folder = folder / "checkpoints"
        self.best_checkpoint = self.checkpoint_folder / "best.safetensors"
        """The state after the best epoch, if checkpoints have a monitor."""
        self.checkpoint_manifest = self.checkpoint_folder / "SHA256SUMS"
        """The hashes of the checkpoints."""
        self.lock = folder / ".lock"
        """The file that the process of the run has locked."""
        self.lock_owner = folder / ".lock-owner"
        """The process that holds the lock."""

    def tokenizer(self, name: str) -> Path:
        """The copy of a tokenizer that the spec names."""
        return self.folder / name

    def checkpoint(self, steps: int) -> Path:
        """The checkpoint after a number of steps."""
        return self.checkpoint_folder / f"step-{steps:012d}.safetensors"

    @property
    def description(self) -> tuple[Path, ...]:
        """The files that describe a run, written before `run.json` when it starts."""
        return (self.source_spec, self.expanded_spec, self.spec, self.execution)

    @property
    def written(self) -> tuple[Path, ...]:
        """All files and folders that a run writes, except checkpoints of steps and files of trackers."""
        in_checkpoints = (self.checkpoint_folder, self.best_checkpoint, self.checkpoint_manifest)
        return (*self.results, self.adapter, *in_checkpoints, self.lock, self.lock_owner)

    @property
    def results(self) -> tuple[Path, ...]:
        """All files of a run but its checkpoints and their manifest."""
        return (
            self.run_info,
            *self.description,
            self.weights,
            *(self.adapter / name for name in ADAPTER_FILES),
            self.model,
            self.labels,
            self.data_statistics,
            self.metrics,
            self.steps,
            self.csv_log,
            self.report,
        )
