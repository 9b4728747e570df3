"""Predictions for the rows of a request, exactly those of `jsonnx predict`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...data.rows.row_samples import Kept
from ...data.samples.data_errors import FeedError
from ...pipeline.predict.prediction_files import Predictions
from ...pipeline.predict.predictor import Predictor
from ...pipeline.train.left_out_notes import left_out_notes
from ..models.served_model import ServedModel
from ..monitoring.observer import Feeds
from ..protocol.errors import RequestError, bad_request
from .row_answers import row_answers
from .row_requests import read_rows


@dataclass(frozen=True)
class Rows:
    """The rows of a request, ready to run."""

    feeds: dict[str, np.ndarray]
    is_single: bool
    kept: Kept
    """Columns beside the answers, such as the last row of each window, by name."""
    notes: Sequence[Diagnostic]
    """What was left out of the rows, such as series that are too short."""
    predictor: Predictor

    def answer(self, outputs: Feeds) -> dict[str, Any]:
        """`{"prediction": ...}` for a row by itself, `{"predictions": [...]}` for a list of rows."""
        answers = list(row_answers(Predictions(outputs, self.predictor.classes)))
        document: dict[str, Any] = {"predictions": answers}
        if self.is_single and len(answers) == 1:
            document = {"prediction": answers[0]}
        if self.kept:
            document["columns"] = {name: list(values) for name, values in self.kept.items()}
        if self.notes:
            document["notes"] = [note.message for note in self.notes]
        return document


def rows_of(served: ServedModel, body: bytes, media_type: str, max_rows: int) -> Rows:
    """The rows in the body of a request, by the columns of the model's spec. Raises RequestError."""
    if served.predictor is None:
        message = f"the model {served.name!r} has no spec, which would say what columns a row has"
        help = f"send its inputs as tensors to /v2/models/{served.name}/infer"
        raise RequestError(400, "no-spec", message, help)
    request = read_rows(body, media_type)
    data = served.predictor.stream.data
    data = data.with_damaged_errors() if data is not None else None  # each row of a request has an answer
    stream = replace(served.predictor.stream, items=[request.item], format=request.format, data=data)
    predictor = replace(served.predictor, stream=stream)
    try:
        parts = list(predictor.parts())
    except UsageError as error:
        if request.format is None and error.diagnostic.code == "unreadable-file":  # of files of another kind
            kind = ", ".join(Path(name).suffix for name in request.item.files or ())
            message = f"the model {served.name!r} has no input that takes a {kind} file"
            raise RequestError(415, "unsupported-media-type", message, "send its columns as JSON or csv") from error
        raise RequestError.of(error) from error
    except (CompileError, FeedError) as error:
        raise RequestError.of(error) from error
    count = sum(len(part.samples) for part in parts)
    if count > max_rows:
        message = f"the request has {count:,} rows, the limit is {max_rows:,}"
        raise RequestError(413, "too-large", message, "send fewer rows in a request")
    if len(parts) != 1 or not count:
        raise bad_request("the request has no rows")
    samples = parts[0].samples
    notes = [note.diagnostic for note in left_out_notes([(None, samples)])]
    try:
        feeds = samples.take(slice(None))
    except UsageError as error:  # of a tokenizer
        raise RequestError.of(error) from error
    return Rows(feeds, request.is_single, parts[0].kept, notes, predictor)
