"""What a server answers, independent of the transport."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

import numpy as np

from ..backend import package_version
from ..core.diagnostics import suggestion
from ..core.types import TensorType
from ..data.samples.data_errors import FeedError
from .batching.request_queue import row_count
from .models.model_config import model_config
from .models.repository import LoadedModel, ModelRepository
from .models.served_model import ServedModel
from .monitoring.model_metrics import ModelMetrics
from .monitoring.model_statistics import model_statistics
from .monitoring.request_record import current_request
from .options import ServerOptions
from .protocol.classification import PARAMETER as CLASSIFICATION
from .protocol.classification import classified
from .protocol.datatypes import datatype_of, require_datatype
from .protocol.errors import RequestError, bad_request
from .protocol.requests import InferOutput, InferRequest, InferResponse, RequestedOutput
from .rows.predict_rows import rows_of

SERVER_NAME = "jsonnx"
EXTENSIONS = ("binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics")
"""The extensions of the protocol that the server has, by Triton's names."""
PLATFORM = "onnxruntime_onnx"


class InferenceService:
    """Answers the requests of the protocol with the models of a repository."""

    def __init__(self, repository: ModelRepository, options: ServerOptions) -> None:
        self.repository, self.options = repository, options
        self.is_draining = False
        """Whether the server ends: it is not ready, and answers the requests that it has."""

    # -- metadata ------------------------------------------------------------------------------------------------------

    def server_metadata(self) -> dict[str, Any]:
        """The answer to `GET v2`."""
        return {"name": SERVER_NAME, "version": package_version(), "extensions": list(EXTENSIONS)}

    def model_metadata(self, name: str, version: str | None = None) -> dict[str, Any]:
        """The answer to `GET v2/models/NAME`. Raises RequestError."""
        served = self.repository.model(name, version).served
        inputs = {**served.inputs, **served.session.random_inputs}
        return {
            "name": name,
            "versions": self.repository.ready_versions(name),
            "platform": PLATFORM,
            "inputs": [_tensor_metadata(input, type) for input, type in inputs.items()],
            "outputs": [_tensor_metadata(output, type) for output, type in served.outputs.items()],
            "properties": {"batching": f"{'on' if served.batching.is_allowed else 'off'}: {served.batching.reason}"},
        }

    def model_config(self, name: str, version: str | None = None) -> dict[str, Any]:
        """The answer to `GET v2/models/NAME/config`. Raises RequestError."""
        served = self.repository.model(name, version).served
        return model_config(served, PLATFORM, self.options.models.max_batch_rows)

    def model_statistics(self, name: str | None = None, version: str | None = None) -> dict[str, Any]:
        """The answer to `GET v2/models/NAME/stats`; without a name, of all models. Raises RequestError."""
        if name is None:
            loaded = list(self.repository.loaded())
        else:
            versions = self.repository.ready_versions(name) if version is None else [version]
            loaded = [self.repository.model(name, item) for item in versions]
        counted = [(item.served, item.observer) for item in loaded if isinstance(item.observer, ModelMetrics)]
        return {"model_stats": [model_statistics(served.name, served.version, item) for served, item in counted]}

    def is_ready(self) -> bool:
        """Whether all models are ready, and the server does not end."""
        return not self.is_draining and self.repository.is_ready()

    def model_is_ready(self, name: str, version: str | None = None) -> bool:
        """Whether a model answers requests. Raises RequestError 404 for an unknown one."""
        try:
            self.repository.model(name, version)
        except RequestError as error:
            if error.status == 404:
                raise
            return False
        return not self.is_draining

    # -- inference -----------------------------------------------------------------------------------------------------

    async def infer(self, request: InferRequest, deadline_s: float | None = None) -> InferResponse:
        """The answer to an inference request. Raises RequestError.

        `deadline_s` is the time by `time.monotonic` after which the answer is of no use.
        """
        loaded = self.repository.model(request.model_name, request.model_version)
        try:
            with loaded.held():
                feeds = self._feeds(request, loaded.served)
                requested = _requested_outputs(request, loaded.served)
                outputs = await self.run(loaded, feeds, deadline_s)
            return InferResponse(
                request.model_name,
                loaded.served.version,
                [_output(item, outputs[item.name], loaded.served) for item in requested],
                request.id,
            )
        except RequestError as error:
            loaded.observer.failed(error.code)
            raise

    async def predict_rows(
        self, name: str, version: str | None, body: bytes, media_type: str, deadline_s: float | None = None
    ) -> dict[str, Any]:
        """The predictions for the rows in a body, by the columns of the model's spec. Raises RequestError."""
        loaded = self.repository.model(name, version)
        try:
            with loaded.held():
                rows = await asyncio.to_thread(rows_of, loaded.served, body, media_type, self.options.max_rows)
                outputs = await self.run(loaded, rows.feeds, deadline_s)
            return {"model": name, "version": loaded.served.version, **rows.answer(outputs)}
        except RequestError as error:
            loaded.observer.failed(error.code)
            raise

    async def run(
        self, loaded: LoadedModel, feeds: Mapping[str, np.ndarray], deadline_s: float | None = None
    ) -> Mapping[str, np.ndarray]:
        """The outputs for checked arrays. Raises RequestError."""
        rows, record = row_count(feeds), current_request.get()
        if record is not None:
            record.model, record.version, record.rows = loaded.served.name, loaded.served.version, rows
            deadline_s = deadline_s or record.deadline_s
        if rows > self.options.max_rows:
            message = f"the request has {rows:,} rows, the limit is {self.options.max_rows:,}"
            raise RequestError(413, "too-large", message, "send fewer rows in a request")
        try:
            prepared = loaded.served.session.prepare(feeds)
            outputs = await loaded.batcher.infer(prepared, deadline_s or monotonic() + self.options.timeout_s)
        except FeedError as error:
            raise RequestError.of(error) from error
        except RequestError:
            raise
        except Exception as error:
            if not row_count(feeds):  # some operators refuse empty tensors
                raise bad_request(f"the model {loaded.served.name!r} needs at least one row") from error
            raise RequestError(500, "internal-error", f"the model {loaded.served.name!r} failed: {error}") from error
        loaded.observer.predicted(prepared, outputs)
        return outputs

    @staticmethod
    def _feeds(request: InferRequest, served: ServedModel) -> dict[str, np.ndarray]:
        """The arrays of a request, by the names of the model's inputs. Raises RequestError."""
        expected = {**served.inputs, **served.session.random_inputs}
        feeds: dict[str, np.ndarray] = {}
        for item in request.inputs:
            if item.name not in expected:
                help = suggestion(item.name, expected) or f"inputs are {', '.join(expected)}"
                raise RequestError(400, "bad-feed", f"the model {served.name!r} has no input {item.name!r}", help)
            if item.name in feeds:
                raise RequestError(400, "bad-feed", f"the input {item.name!r} is given twice")
            _check_input(item.name, item.datatype, item.array.shape, expected[item.name])
            feeds[item.name] = item.array
        if missing := [name for name in served.inputs if name not in feeds]:
            names = ", ".join(f"{name!r} ({expected[name]})" for name in missing)
            raise RequestError(400, "bad-feed", f"the request lacks the input{'s' * (len(missing) > 1)} {names}")
        return feeds


def _tensor_metadata(name: str, type: TensorType) -> dict[str, Any]:
    return {"name": name, "datatype": datatype_of(type.dtype), "shape": metadata_shape(type)}


def metadata_shape(type: TensorType) -> list[int]:
    """The shape of an input or output, where -1 stands for a variable size."""
    return [size if isinstance(size, int) else -1 for size in type.shape]


def _check_input(name: str, datatype: str, shape: Sequence[int], type: TensorType) -> None:
    """Raises RequestError unless datatype and shape are those of the model."""
    expected = require_datatype(type.dtype, f"the input {name!r}")
    if datatype != expected:
        message = f"the input {name!r} is {datatype}, the model takes {expected} ({type})"
        raise RequestError(400, "bad-feed", message)
    sizes = metadata_shape(type)
    if len(shape) != len(sizes) or any(size not in (-1, own) for size, own in zip(sizes, shape, strict=False)):
        message = f"the input {name!r} has the shape {list(shape)}, the model takes {type}"
        help = "the first axis counts the rows" if len(shape) == len(sizes) - 1 else None
        raise RequestError(400, "bad-feed", message, help)


def _requested_outputs(request: InferRequest, served: ServedModel) -> Sequence[RequestedOutput]:
    """The outputs to answer, in the order of the request. Raises RequestError."""
    if request.outputs is None:
        return [RequestedOutput(name) for name in served.outputs]
    names = [item.name for item in request.outputs]
    for item in request.outputs:
        if item.name not in served.outputs:
            help = suggestion(item.name, served.outputs) or f"outputs are {', '.join(served.outputs)}"
            raise RequestError(400, "bad-feed", f"the model {served.name!r} has no output {item.name!r}", help)
        if names.count(item.name) > 1:
            raise bad_request(f"the output {item.name!r} is requested twice")
    return request.outputs


def _output(item: RequestedOutput, array: np.ndarray, served: ServedModel) -> InferOutput:
    if CLASSIFICATION in item.parameters:
        classes = served.classes.get(item.name)
        labels = classes.labels if classes and len(classes.labels) == array.shape[-1] else ()
        return classified(item.name, array, item.parameters[CLASSIFICATION], labels)
    return InferOutput(item.name, require_datatype(served.outputs[item.name].dtype, f"the output {item.name!r}"), array)
