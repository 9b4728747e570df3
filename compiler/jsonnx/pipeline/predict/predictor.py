"""Computes the predictions of a model for the rows of files, part by part."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

from ...backend import thresholds_from
from ...core.diagnostics import UsageError
from ...core.files.spec_source import SpecSource
from ...core.files.user_files import UserFiles
from ...core.limits import MAX_DATA_FILE_BYTES
from ...core.types import Size, TensorType
from ...data.files.data_locations import DataItem, item_of_bytes, items_of_user
from ...data.files.input_stream import STREAM_START, InputPart, InputStream, StreamPlace
from ...frontend.json.json_reader import STDIN_NAME
from ...runtime.session.session import concatenate_batches
from ..check.data_spec import input_spec
from ..compile.output_classes import OutputClasses, output_classes
from ..run.trained_model import BATCH_SIZE, TrainedModel, batch_slices
from .forecast_rows import forecast_choice, rows_of_steps
from .prediction_files import Predictions

MAX_PART_ROWS = 1 << 16
"""Rows of a part, a multiple of BATCH_SIZE: batches are those of data that are read as a whole."""
MAX_PART_VALUES = 1 << 24
"""Values of the inputs and outputs of a part of more than one batch."""

INPUT_FORMATS = ("csv", "tsv", "json", "jsonl")
"""The formats of data on standard input."""

OnSamples = Callable[[int], None]
"""Called with the number of samples of each batch that is done."""


@dataclass(frozen=True)
class PredictOptions:
    """The choice of predictions, and their data."""

    threshold: float | None = None
    """A sigmoid output predicts a class if its probability exceeds this; 0.5 if None."""
    keep: tuple[str, ...] | None = ()
    """The columns of the data to write beside the results; None: all."""
    input_format: str | None = None
    """One of `INPUT_FORMATS`; None: the suffix of the file, csv on standard input."""
    output_format: str | None = None
    """The format of the parts in a folder; None: Parquet."""
    force: bool = False
    """Whether the parts of an interrupted prediction are removed, not continued."""
    forecast: Literal["last", "long"] | None = None
    """Of time series: `last` for the window at the end of each series, `long` for all windows, with a row for each step
    in both cases; None for all windows, with a row for each."""


@dataclass(frozen=True)
class Predictor:
    """A model, and the rows that it predicts."""

    model: TrainedModel
    stream: InputStream
    classes: Mapping[str, OutputClasses]
    part_rows: int

    @staticmethod
    def of(model: TrainedModel, data: UserFiles, options: PredictOptions) -> Predictor:
        """The predictor for a file, a folder or a pattern; `-` is standard input. Raises UsageError, CompileError."""
        if data == "-":
            items = [item_of_bytes(_read_standard_input(options.input_format), STDIN_NAME)]
        else:
            items = items_of_user(data, SpecSource(data_roots=model.data_roots))
        return Predictor.of_items(model, items, options, options.input_format or ("csv" if data == "-" else None))

    @staticmethod
    def of_items(
        model: TrainedModel, items: Sequence[DataItem], options: PredictOptions, format: str | None = None
    ) -> Predictor:
        """The predictor for files and folders; `format` replaces the suffixes of files. Raises UsageError."""
        typed = model.checked.require()
        classes = output_classes(model.checked, options.threshold, thresholds_from(model.session.metadata))
        training, data_spec = typed.network.training, input_spec(typed)
        section = training.data if training else None
        outputs = typed.inference_outputs
        # Outputs of all batches need the same number of steps, which that of the longest sequence is.
        is_whole = any(isinstance(size, Size) for type in outputs.values() for size in type.shape[1:])
        is_whole = is_whole or (section is not None and section.windows is not None)
        part_rows = _part_rows([*data_spec.inputs.values(), *outputs.values()])
        forecast = forecast_choice(model.checked, options.forecast)
        stream = InputStream(items, section, data_spec, format, options.keep, is_whole, part_rows, forecast)
        return Predictor(model, stream, classes, part_rows)

    def parts(self, start: StreamPlace = STREAM_START) -> Iterator[InputPart]:
        """The inputs of all rows from a place on."""
        for part in self.stream.parts(start):
            yield part._replace(samples=part.samples.with_common_width()) if self.stream.is_whole else part

    def predict(self, part: InputPart, on_samples: OnSamples = lambda count: None) -> Predictions:
        """The predictions for some rows. Raises FeedError."""
        batches = []
        for rows in batch_slices(len(part.samples)):
            batches.append(self.model.session.run(part.samples.take(rows)))
            on_samples(rows.stop - rows.start)
        quantiles = self.model.checked.network.quantiles
        predictions = Predictions(concatenate_batches(batches), self.classes, part.kept, quantiles)
        forecast = self.stream.forecast
        return predictions if forecast is None else rows_of_steps(predictions, forecast)


def _part_rows(types: list[TensorType]) -> int:
    """The rows of a part, by the values that inputs and outputs have for a row."""
    values = sum(prod(size for size in type.shape[1:] if isinstance(size, int)) for type in types)
    return max(BATCH_SIZE, min(MAX_PART_ROWS, MAX_PART_VALUES // max(1, values)) // BATCH_SIZE * BATCH_SIZE)


def _read_standard_input(format: str | None) -> bytes:
    """The content of standard input. Raises UsageError if it cannot be read, or if it is JSON without a format."""
    try:
        content = sys.stdin.buffer.read(MAX_DATA_FILE_BYTES + 1)
    except (OSError, AttributeError) as error:
        raise UsageError("unreadable-file", f"cannot read standard input: {error}") from error
    if format is None and content.lstrip()[:2] in (b'{"', b"[{"):
        help = "add --input-format jsonl for one object a line, else --input-format json"
        raise UsageError("bad-option", "standard input is JSON, not csv", help)
    return content
