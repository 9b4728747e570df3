"""Calls of the protocol's gRPC service, whose messages this package encodes itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from . import protobuf
from .protobuf import Message
from .tensors import BYTES, Tensor, parse_binary, parse_shape
from .verdicts import require, violate

SERVICE = "/inference.GRPCInferenceService/"
CALLS: dict[str, tuple[Message, Message]] = {
    "ServerLive": (protobuf.NOTHING, protobuf.LIVE),
    "ServerReady": (protobuf.NOTHING, protobuf.READY),
    "ModelReady": (protobuf.MODEL_REQUEST, protobuf.READY),
    "ServerMetadata": (protobuf.NOTHING, protobuf.SERVER_METADATA),
    "ModelMetadata": (protobuf.MODEL_REQUEST, protobuf.MODEL_METADATA),
    "ModelInfer": (protobuf.INFER_REQUEST, protobuf.INFER_RESPONSE),
    "RepositoryIndex": (protobuf.INDEX_REQUEST, protobuf.INDEX),
    "RepositoryModelLoad": (protobuf.LOAD_REQUEST, protobuf.NOTHING),
    "RepositoryModelUnload": (protobuf.LOAD_REQUEST, protobuf.NOTHING),
}
"""The calls, and the messages of their request and response."""
CONTENT_FIELDS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}
"""The field of InferTensorContents that holds the elements of a datatype."""


class Failure(NamedTuple):
    """A call that the server did not answer by OK."""

    code: str
    details: str


class GrpcClient:
    """Calls one server; with TLS if there are certificates to trust, as PEM."""

    def __init__(self, address: str, token: str | None, timeout_s: float, certificates: bytes | None = None) -> None:
        import grpc

        if certificates is None:
            self._channel = grpc.insecure_channel(address)
        else:
            self._channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(certificates))
        self._metadata = [("authorization", f"Bearer {token}")] if token else []
        self._timeout_s = timeout_s
        self._error = grpc.RpcError
        self.last_sent = ""

    def send(self, call: str, data: bytes, timeout_s: float | None = None) -> bytes | Failure:
        """Sends bytes as the request of a call."""
        self.last_sent = f"{call} {data[:300]!r}"
        try:
            method = self._channel.unary_unary(SERVICE + call)
            return bytes(method(data, timeout=timeout_s or self._timeout_s, metadata=self._metadata))
        except self._error as failure:
            return Failure(failure.code().name, failure.details() or "")

    def try_call(self, call: str, request: Mapping[str, Any]) -> dict[str, Any] | Failure:
        sent, received = CALLS[call]
        answer = self.send(call, protobuf.encode(sent, request))
        self.last_sent = f"{call} {str(request)[:500]}"
        return answer if isinstance(answer, Failure) else protobuf.decode(received, answer)

    def call(self, call: str, **request: Any) -> dict[str, Any]:
        """A call that must be answered by OK."""
        answer = self.try_call(call, request)
        if isinstance(answer, Failure):
            violate("OK", f"{answer.code}: {answer.details}")
        return answer

    def failure(self, call: str, request: Mapping[str, Any] | bytes, *codes: str) -> Failure:
        """A call that must fail, with one of the codes if any are given."""
        answer = self.send(call, request) if isinstance(request, bytes) else self.try_call(call, request)
        if not isinstance(answer, Failure):
            violate(f"{' or '.join(codes) or 'an error'}", f"OK: {answer!r}")
        require(not codes or answer.code in codes, " or ".join(codes), f"{answer.code}: {answer.details}")
        return answer

    def close(self) -> None:
        self._channel.close()


def typed_input(tensor: Tensor) -> dict[str, Any]:
    """An input with contents of its datatype."""
    if tensor.datatype not in CONTENT_FIELDS:
        return {**raw_input(tensor), "contents": {}}
    return {**raw_input(tensor), "contents": {CONTENT_FIELDS[tensor.datatype]: list(tensor.elements)}}


def raw_input(tensor: Tensor) -> dict[str, Any]:
    """An input whose contents are raw."""
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def parse_response(response: Mapping[str, Any]) -> list[Tensor]:
    """The outputs of an inference, raw or with typed contents."""
    outputs, raw = response["outputs"], response["raw_output_contents"]
    require(not raw or len(raw) == len(outputs), f"{len(outputs)} raw contents", len(raw))
    tensors = []
    for index, output in enumerate(outputs):
        name, datatype, shape = output["name"], output["datatype"], parse_shape(output["shape"])
        if raw:
            typed = [values for values in (output["contents"] or {}).values() if values]
            require(not typed, "raw contents or typed ones", output)
            elements = parse_binary(datatype, raw[index])
        else:
            elements = tuple((output["contents"] or {}).get(CONTENT_FIELDS.get(datatype, ""), ()))
        tensor = Tensor(name, datatype, shape, elements)
        size = 1
        for dim in shape:
            size *= dim
        require(len(elements) == size, f"{size} elements of {name}", len(elements))
        tensors.append(tensor)
    return tensors
