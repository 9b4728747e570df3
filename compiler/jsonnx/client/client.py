"""The public client of inference servers."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..core.diagnostics import UsageError, quoted_or_list
from .endpoint import Endpoint
from .row_bodies import row_body
from .server_error import ServerError, other_answer
from .transport import Answer, Transport

if TYPE_CHECKING:
    import numpy as np

BINARY_EXTENSION = "binary_tensor_data"
"""The name by which a server announces binary tensors."""
DEFAULT_TIMEOUT_S = 60.0
DEFAULT_RETRIES = 4
READY_TIMEOUT_S = 60.0
FIRST_POLL_S, MAX_POLL_S = 0.05, 1.0
"""Between two questions whether a server is ready."""


class Client:
    """A client of `jsonnx serve`, or of another server that speaks the Open Inference Protocol v2.

    `token` is sent as a bearer token, `model` names the model, which may be left out if the server has one. A call ends
    after `timeout` seconds; while the server is busy (429, 503), it is repeated up to `retries` times, after what the
    server suggests. `ca_file` has the certificates to trust in place of the system's. All methods raise `ServerError`,
    and may be called by several threads.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
        model: str | None = None,
        *,
        retries: int = DEFAULT_RETRIES,
        ca_file: str | os.PathLike[str] | None = None,
    ) -> None:
        if not timeout > 0 or retries < 0:
            raise UsageError("bad-option", "a `timeout` is above 0 seconds, and `retries` are not negative")
        self.model = model
        self._transport = Transport(Endpoint.of(url, ca_file), token, timeout, retries)
        self._extensions: Sequence[str] | None = None
        self._datatypes: dict[str, dict[str, str]] = {}
        """The datatypes of the inputs of the models that were called."""

    def predict(self, rows: Any, model: str | None = None) -> Any:
        """The prediction for a row, or a list of those for several; only `jsonnx serve` gives them.

        A row is a dict by the names of the spec's columns. Several are a list of dicts, a table of pandas, polars or
        pyarrow, csv as text, or the path of a file .csv, .json or .jsonl. A picture is a path or bytes.
        """
        content, media_type = row_body(rows)
        name = model or self.model
        path = "/predict" if name is None else f"/predict/{quote(name, safe='')}"
        answer = _document(self._transport.request("POST", path, content, {"Content-Type": media_type}))
        return answer["prediction"] if "prediction" in answer else _item(answer, "predictions")

    def infer(
        self,
        inputs: Mapping[str, Any],
        outputs: Sequence[str] | None = None,
        model: str | None = None,
        *,
        version: str | None = None,
        parameters: Mapping[str, Any] = {},
        id: str | None = None,
    ) -> dict[str, np.ndarray]:
        """The outputs for a batch of arrays, by name: all of them, or the named ones.

        The first axis of an input counts the samples. Arrays are sent as bytes if the server announces binary tensors.
        """
        from .tensors import array_of, decode_answer, encode_request

        path = self._model_path(model, version)
        datatypes = self._input_datatypes(path)
        arrays = {name: array_of(name, value, datatypes.get(name)) for name, value in inputs.items()}
        body, headers = encode_request(arrays, outputs, parameters, id, self._takes_binary())
        try:
            answer = self._transport.request("POST", f"{path}/infer", body, headers)
        except ServerError:
            self._datatypes.pop(path, None)  # the model may be another one since then
            raise
        return decode_answer(answer.body, answer.headers)

    def metadata(self, model: str | None = None, version: str | None = None) -> dict[str, Any]:
        """The signature of a model: `name`, `versions`, `platform`, and `inputs` and `outputs` with their types."""
        return _document(self._transport.request("GET", self._model_path(model, version)))

    def server_metadata(self) -> dict[str, Any]:
        """The `name`, the `version` and the `extensions` of the server."""
        return _document(self._transport.request("GET", "/v2"))

    def models(self) -> list[dict[str, Any]]:
        """The models of the server: `name`, `version`, `state` and `reason` of each, as the server has them."""
        index = json.loads(self._transport.request("POST", "/v2/repository/index", b"{}", _JSON_HEADERS).body)
        models = index.get("models") if isinstance(index, dict) else index
        if not isinstance(models, list):
            raise other_answer("a list of models")
        return models

    def is_ready(self, model: str | None = None) -> bool:
        """Whether the server, or the model if one is named, is ready to answer; False if it cannot be reached."""
        return self._not_ready(model) is None

    def wait_until_ready(self, timeout: float = READY_TIMEOUT_S, model: str | None = None) -> None:
        """Waits until the server, or a model, is ready. Raises ServerError after `timeout` seconds."""
        deadline, poll_s = time.monotonic() + timeout, FIRST_POLL_S
        while (error := self._not_ready(model)) is not None:
            if time.monotonic() + poll_s > deadline:
                raise error
            time.sleep(poll_s)
            poll_s = min(MAX_POLL_S, 2 * poll_s)

    def close(self) -> None:
        """Closes the idle connections."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({str(self._transport.endpoint)!r}" + (f", model={self.model!r})" if self.model else ")")

    def _not_ready(self, model: str | None) -> ServerError | None:
        """Why a server or a model is not ready; None if it is."""
        name = model or self.model
        path = "/v2/health/ready" if name is None else f"/v2/models/{quote(name, safe='')}/ready"
        try:
            self._transport.request("GET", path, retries=0)
        except ServerError as error:
            return error
        return None

    def _model_path(self, model: str | None, version: str | None) -> str:
        name = model or self.model or self._only_model()
        path = f"/v2/models/{quote(name, safe='')}"
        return path if version is None else f"{path}/versions/{quote(version, safe='')}"

    def _only_model(self) -> str:
        """The name of the server's only model. Raises UsageError if it has several."""
        names = list(dict.fromkeys(str(model.get("name")) for model in self.models()))
        if len(names) != 1:
            message = f"the server has {len(names)} models"
            raise UsageError("unknown-name", message, f"name one: model={quoted_or_list(names)}" if names else None)
        self.model = names[0]
        return names[0]

    def _input_datatypes(self, path: str) -> dict[str, str]:
        if path not in self._datatypes:
            inputs = _document(self._transport.request("GET", path)).get("inputs") or []
            self._datatypes[path] = {entry.get("name"): entry.get("datatype") for entry in inputs}
        return self._datatypes[path]

    def _takes_binary(self) -> bool:
        if self._extensions is None:
            self._extensions = self.server_metadata().get("extensions") or ()
        return BINARY_EXTENSION in self._extensions


_JSON_HEADERS = {"Content-Type": "application/json"}


def _document(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer. Raises ServerError if it is none."""
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise other_answer("a JSON object")
    return document


def _item(document: Mapping[str, Any], key: str) -> Any:
    if key not in document:
        raise other_answer(f"an object with {key!r}")
    return document[key]
