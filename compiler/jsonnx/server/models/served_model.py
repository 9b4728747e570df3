"""A version of a model, loaded and ready to run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...backend import precision_from, thresholds_from
from ...core.files.run_layout import RunPaths
from ...core.types import TensorType
from ...pipeline.compile.output_classes import OutputClasses, output_classes
from ...pipeline.predict.predictor import PredictOptions, Predictor
from ...pipeline.run.trained_model import TrainedModel
from ...pipeline.run_folder.run_info import read_run_info
from ...pipeline.train.model_spec import checked_spec_of
from ...runtime.session.session import Session
from ..batching.batching import Batching
from ..batching.proof import batching_of
from ..monitoring.observer import Feeds
from .model_options import ModelOptions


@dataclass(frozen=True, eq=False)
class ServedModel:
    """One version of a model. Several threads may run it at once."""

    name: str
    version: str
    path: Path
    """The RUN folder or the ONNX file."""
    session: Session
    trained: TrainedModel | None
    """The model with its spec; None for a file that contains none."""
    classes: Mapping[str, OutputClasses]
    """By output, for outputs with classes."""
    batching: Batching

    @staticmethod
    def open(name: str, version: str, path: Path, options: ModelOptions) -> ServedModel:
        """Opens a RUN folder or an ONNX file. Raises UsageError, CompileError."""
        run_info = read_run_info(path) if os.path.isdir(path) else None
        file = path if run_info is None else RunPaths(path).model
        session = Session(
            file, options.provider, options.threads, options.verify, options.provider_options, options.seed
        )
        checked = checked_spec_of(session, str(file), file.parent)
        batching = batching_of(
            checked,
            session.inputs,
            session.outputs,
            session.random_inputs,
            is_cpu=session.provider.is_cpu,
            threads=options.threads,
            is_asked_for=name in options.batch_unproven,
            precision=precision_from(session.metadata),
        )
        if checked is None:
            return ServedModel(name, version, path, session, None, {}, batching)
        folder = None if run_info is None else path
        trained = TrainedModel(session, checked, folder, run_info, options.verify, path=path)
        classes = output_classes(checked, model_thresholds=thresholds_from(session.metadata))
        return ServedModel(name, version, path, session, trained, classes, batching)

    @cached_property
    def predictor(self) -> Predictor | None:
        """What reads rows by the columns of the spec, without rows; None for a file without a spec."""
        return None if self.trained is None else Predictor.of_items(self.trained, [], PredictOptions())

    @property
    def inputs(self) -> Mapping[str, TensorType]:
        """The inputs that a request must give."""
        return self.session.inputs

    @property
    def text_inputs(self) -> Mapping[str, TensorType]:
        """The texts that rows have in place of inputs of the model."""
        return {} if self.trained is None else self.trained.checked.network.text_inputs

    @property
    def outputs(self) -> Mapping[str, TensorType]:
        """The outputs of each request."""
        return self.session.outputs

    def run(self, feeds: Feeds) -> Feeds:
        """The outputs for arrays that `session.prepare` has checked."""
        return self.session.run_prepared(feeds)
