"""Valid requests with known answers, and what is left of them after random changes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
from jsonnx.conformance import protobuf
from jsonnx.conformance.grpc_client import raw_input
from jsonnx.conformance.tensors import DATATYPES, Tensor
from support.served_models import COLOURS

MAX_ROWS = 8
DATATYPE_OF = {"string": "BYTES", "float32": "FP32", "int64": "INT64", "bool": "BOOL"}
WORDS = ("red", "green", "cat", "blue", "")


@dataclass(frozen=True)
class Request:
    """A valid request by each of the protocol's encodings, and the outputs by name that onnxruntime computes."""

    model: str
    inputs: tuple[Tensor, ...]
    expected: dict[str, np.ndarray]

    @property
    def path(self) -> str:
        return f"/v2/models/{self.model}/infer"

    def body(self, **fields: Any) -> bytes:
        return json.dumps({"inputs": [tensor.document() for tensor in self.inputs], **fields}).encode()

    def binary(self) -> tuple[bytes, int]:
        """A body with the inputs and outputs in binary form, and the length of its JSON object."""
        entries, contents = [], b""
        for tensor in self.inputs:
            content = tensor.content()
            entry = {key: value for key, value in tensor.document().items() if key != "data"}
            entries.append({**entry, "parameters": {"binary_data_size": len(content)}})
            contents += content
        head = json.dumps({"inputs": entries, "parameters": {"binary_data_output": True}}).encode()
        return head + contents, len(head)

    def message(self) -> dict[str, Any]:
        """The request by gRPC."""
        return {
            "model_name": self.model,
            "inputs": [raw_input(tensor) for tensor in self.inputs],
            "raw_input_contents": [tensor.content() for tensor in self.inputs],
        }

    def is_answered_by(self, outputs: list[Tensor]) -> bool:
        return {output.name for output in outputs} == {*self.expected} and all(
            output.shape == self.expected[output.name].shape
            and np.allclose(
                np.array(output.elements, self.expected[output.name].dtype).reshape(output.shape),
                self.expected[output.name],
                rtol=1e-4,
                atol=1e-5,
            )
            for output in outputs
        )


def draw_requests(models: dict[str, Path], count: int, seed: int) -> list[Request]:
    """Random requests to each of the models."""
    rng = np.random.default_rng(seed)
    requests = []
    for name, file in models.items():
        session = jsonnx.Session(file)
        for _ in range(count):
            rows = int(rng.integers(1, MAX_ROWS + 1))
            feeds = {key: _values(type.dtype, (rows, *type.shape[1:]), rng) for key, type in session.inputs.items()}
            inputs = tuple(
                Tensor(key, DATATYPE_OF[session.inputs[key].dtype], feed.shape, tuple(feed.reshape(-1).tolist()))
                for key, feed in feeds.items()
            )
            assert all(tensor.datatype in DATATYPES for tensor in inputs)
            requests.append(Request(name, inputs, dict(session.run(feeds))))
    return requests


def _values(dtype: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if dtype == "string":
        return rng.choice(np.array(WORDS, object), shape)
    if dtype == "float32":
        return rng.normal(size=shape).astype(np.float32)
    return rng.integers(0, 2, shape).astype(dtype)


def rows_of(rng: random.Random) -> list[dict[str, Any]]:
    """Rows for `/predict` of the model `COLOURS`."""
    assert set(COLOURS["inputs"]) == {"colour", "size"}
    count = rng.randrange(1, MAX_ROWS + 1)
    return [{"colour": rng.choice(WORDS), "size": [rng.random(), rng.random()]} for _ in range(count)]


# -- malformed requests ------------------------------------------------------------------------------------------------

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**31, 2**63, 2**64, -(2**70), 1e308, 0.1, "", "x", "\0", "\ud800", [], [[]], {}, [None]),
    *("FP32", "BYTES", "9" * 400, [[[]], []], {"a": {"b": []}}, [1] * 1000, ["x" * 5000]),
)
ODD_HEADERS = (
    *("Content-Length: -1", "Content-Length: 5", "Content-Length: 99999999999999999999", "Content-Length: x"),
    *("Transfer-Encoding: chunked", "Transfer-Encoding: gzip", "Content-Encoding: gzip", "Content-Encoding: br"),
    *("Expect: 100-continue", "Expect: nothing", "Upgrade: websocket", "Connection: upgrade", "Host: \x01"),
    *("Inference-Header-Content-Length: 0", "Inference-Header-Content-Length: -3", "X: " + "y" * 70_000, "no colon"),
    *("Inference-Header-Content-Length: 20", "Content-Type: text/csv", "Content-Type: image/png", ": x", "X\0: y"),
    *("Content-Type: application/x-ndjson", "Content-Type: multipart/form-data; boundary=x", "Accept: image/png"),
)
GARBAGE = (
    *(
        b"",
        b"\r\n" * 50,
        b"\0" * 100,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\x16\x03\x01" + b"\1" * 200,
    ),
    *(b"GET / HTTP/9.9\r\n\r\n", b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", b"CONNECT x:1 HTTP/1.1\r\n\r\n"),
)
PATHS = (
    *("/v2/models/colours", "/v2/models/none/infer", "/v2/repository/index", "/v2/models/several/versions/9/infer"),
    *("/predict", "/predict/colours", "/v2/models/%00/infer", "/v2/models/../x", "/", "*", "/v2/models/colours/stats"),
    *("/metrics", "/openapi.json", "/v2/repository/models/none/load", "/v2//health//live", "/%ff", "/?x=%zz"),
)
METHODS = ("GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "BREW", "get", "")


def change_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flips, inserts, deletes, repeats or cuts off bytes."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice((1, 1, 4, 50)))
        kind = rng.randrange(5)
        if kind == 0:
            data = data[:at] + bytes(byte ^ 1 << rng.randrange(8) for byte in data[at:to]) + data[to:]
        elif kind == 1:
            data = data[:at] + rng.randbytes(rng.choice((1, 4, 200))) + data[at:]
        elif kind == 2:
            data = data[:at] + data[to:]
        elif kind == 3:
            data = data[:to] + data[at:to] * rng.choice((1, 3)) + data[to:]
        else:
            data = data[:at]
    return data


def change_json(document: Any, rng: random.Random) -> Any:
    """Replaces, deletes, renames or repeats a random part of a JSON document."""
    holders: list[Any] = []

    def visit(value: Any) -> None:
        if isinstance(value, dict | list) and value:
            holders.append(value)
            for part in value.values() if isinstance(value, dict) else value[:20]:
                visit(part)

    visit(document)
    if not holders:
        return rng.choice(ODD_VALUES)
    holder = rng.choice(holders)
    key = rng.choice([*holder] if isinstance(holder, dict) else range(len(holder)))
    kind = rng.randrange(4)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[rng.choice(("name", "shape", "data", "datatype", "parameters", "zebra"))] = holder.pop(key)
    elif kind == 2 and isinstance(holder, list):
        holder.append(holder[key])
    else:
        holder[key] = rng.choice(ODD_VALUES)
    return document


def malformed_http(request: Request, rng: random.Random) -> bytes:
    """The bytes of a request over HTTP that is probably wrong."""
    if rng.random() < 0.03:
        return rng.choice(GARBAGE)
    path, method, headers = request.path, "POST", ["Content-Type: application/json"]
    if rng.random() < 0.4:
        body, length = request.binary()
        headers.append(f"Inference-Header-Content-Length: {length}")
    elif rng.random() < 0.2:
        path, body = "/predict/colours", json.dumps(rows_of(rng)).encode()
    else:
        body = request.body(id="x", outputs=[{"name": name} for name in request.expected])
    if rng.random() < 0.5 and "Length" not in headers[-1]:
        body = json.dumps(change_json(json.loads(body), rng)).encode()
    elif rng.random() < 0.7:
        body = change_bytes(body, rng)
    if rng.random() < 0.2:
        path = rng.choice(PATHS)
    if rng.random() < 0.1:
        method = rng.choice(METHODS)
    headers += [f"Content-Length: {len(body)}", "Host: localhost", "Connection: close"]
    if rng.random() < 0.2:
        headers[rng.randrange(len(headers))] = rng.choice(ODD_HEADERS)
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *headers, "", ""]).encode("latin-1")
    return change_bytes(head + body, rng) if rng.random() < 0.1 else head + body


def malformed_message(request: Request, rng: random.Random) -> bytes:
    """The bytes of a request over gRPC that is probably wrong."""
    message = request.message()
    changes: tuple[Callable[[], Any], ...] = (
        lambda: message.update(model_name=rng.choice(("", "none", "\0"))),
        lambda: message.update(raw_input_contents=message["raw_input_contents"][:-1]),
        lambda: message["inputs"][0].update(shape=rng.choice(([], [-1], [2**32, 2**32], [0, 2**62, 2**62], [1] * 40))),
        lambda: message["inputs"][0].update(datatype=rng.choice(("", "FP16", "BYTES", "BOOL", "x"))),
        lambda: message["inputs"][0].update(name=rng.choice(("", "x", "colour"))),
        lambda: message["inputs"][0].update(contents={"fp32_contents": [1.0], "bytes_contents": [b"\xff"]}),
        lambda: message.update(outputs=[{"name": rng.choice(("", "none", "same"))}]),
        lambda: message.update(inputs=message["inputs"] * rng.choice((0, 2))),
    )
    if rng.random() < 0.7:
        rng.choice(changes)()
    data = protobuf.encode(protobuf.INFER_REQUEST, message)
    return change_bytes(data, rng) if rng.random() < 0.5 else data
