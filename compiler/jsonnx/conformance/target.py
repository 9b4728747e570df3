"""The server under test: its model's signature, and valid requests to vary."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote

from ..core.diagnostics import UsageError
from .http_client import Answer, HttpClient, TlsError
from .tensors import Tensor, TensorSpec, parse_output, synthesize
from .verdicts import NotApplicable, Violation, require

if TYPE_CHECKING:
    from .grpc_client import GrpcClient

Document = dict[str, Any]

SIZES = (2, 1, 3, 8, 32, 64)
"""Sizes that are tried for variable axes beside the batch axis."""
UNKNOWN = "no-such-name-7f3a"


@dataclass(frozen=True)
class Signature:
    """What the metadata of a model say."""

    name: str
    versions: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def is_batched(self) -> bool:
        """Whether all inputs and outputs have a first axis of variable size."""
        return all(tensor.shape[:1] == (-1,) for tensor in (*self.inputs, *self.outputs))


@dataclass
class Target:
    """A server, one of its models, and how to ask it."""

    http: HttpClient
    signature: Signature
    extensions: frozenset[str] = frozenset()
    grpc: GrpcClient | None = None
    reloads: bool = False
    given: Document | None = None
    """The body of a valid request, in the place of a synthesized one."""
    size: int = SIZES[0]
    rejection: str | None = None
    """Why the server refused all synthesized requests."""
    _known: dict[int, list[Tensor]] = field(default_factory=dict)

    def path(self, tail: str = "", version: str | None = None, name: str | None = None) -> str:
        part = f"/versions/{quote(version, safe='')}" if version is not None else ""
        return f"v2/models/{quote(name or self.signature.name, safe='')}{part}{tail}"

    @property
    def version(self) -> str:
        if not self.signature.versions:
            raise NotApplicable("the model has no versions")
        return self.signature.versions[0]

    def inputs(self, rows: int = 2, seed: int = 0) -> list[Tensor]:
        """Valid inputs; those of the given request if there is one."""
        if self.rejection is not None:
            raise NotApplicable("the server rejects synthesized requests; give a valid one with --request")
        if self.given is not None:
            return [_given_tensor(document) for document in self.given["inputs"]]
        return self.synthesized(rows, seed)

    def synthesized(self, rows: int = 2, seed: int = 0) -> list[Tensor]:
        rng = random.Random(seed)
        count = rows if self.signature.is_batched else self.size
        return [synthesize(spec, count, self.size, rng) for spec in self.signature.inputs]

    def batch(self, rows: int, seed: int = 0) -> list[Tensor]:
        """Inputs of a batch with so many rows."""
        if not self.signature.is_batched or self.given is not None:
            raise NotApplicable("the model has no batch axis, or a request was given")
        return self.inputs(rows, seed)

    def first_input(self, *datatypes: str) -> Tensor:
        """The first input of one of the datatypes, of any if none is named."""
        for tensor in self.inputs():
            if tensor.elements and (not datatypes or tensor.datatype in datatypes):
                return tensor
        raise NotApplicable(f"the model has no input of {' or '.join(datatypes)}")

    def request(self, inputs: Sequence[Tensor] | None = None, **fields: Any) -> Document:
        """The body of a valid request."""
        tensors = self.inputs() if inputs is None else inputs
        body: Document = {"inputs": [tensor.document() for tensor in tensors]}
        if self.given is not None and inputs is None:
            body = copy.deepcopy(self.given)
        return {**body, **fields}

    def with_input(self, name: str, **changes: Any) -> Document:
        """A valid request in which fields of one input are replaced, or deleted by None."""
        request = self.request()
        for entry in request["inputs"]:
            if entry["name"] == name:
                entry.update(changes)
                for key in [key for key, value in changes.items() if value is None]:
                    del entry[key]
        return request

    def infer(self, request: Any, version: str | None = None, headers: Mapping[str, str] = {}) -> Answer:
        return self.http.post(self.path("/infer", version), request, headers)

    def outputs(self, request: Any, **options: Any) -> list[Tensor]:
        """The outputs of an inference that must succeed."""
        return parse_outputs(self.infer(request, **options))

    def is_deterministic(self) -> bool:
        request = self.request()
        return all(a.equals(b) for a, b in zip(self.outputs(request), self.outputs(request), strict=True))


def _given_tensor(document: Document) -> Tensor:
    from .tensors import flatten

    elements = tuple(flatten(document["data"]))
    return Tensor(document["name"], document["datatype"], tuple(document["shape"]), elements)


def parse_outputs(answer: Answer) -> list[Tensor]:
    """The outputs of a successful answer in JSON."""
    document = success(answer)
    require(isinstance(document.get("outputs"), list), "an answer with the list 'outputs'", document)
    return [parse_output(output) for output in document["outputs"]]


def success(answer: Answer) -> Any:
    """The document of an answer with status 200."""
    require(answer.status == 200, "status 200", str(answer))
    return answer.json()


def error(answer: Answer, *statuses: int) -> str:
    """The message of an error object. The status must be one of those given, or any status of an error."""
    if statuses:
        require(answer.status in statuses, f"status {' or '.join(map(str, statuses))}", str(answer))
    require(answer.status >= 400, "a status of an error, typically 400", str(answer))
    document = answer.json()
    message = document.get("error") if isinstance(document, dict) else None
    require(isinstance(message, str) and message, 'a body {"error": $string}', str(answer))
    return str(message)


def rejected(answer: Answer) -> None:
    """A request that must not succeed."""
    require(answer.status >= 400, "a status of an error, typically 400", str(answer))


def refused(answer: Answer) -> None:
    """A request that the server must see as a mistake of the client."""
    require(400 <= answer.status < 500, "status 4xx", str(answer))


def tolerated(answer: Answer) -> None:
    """A request that a server may answer or refuse."""
    if answer.status == 200:
        require("outputs" in success(answer), "outputs", str(answer))  # NaN, which JSON lacks, may be null in them
    else:
        require(400 <= answer.status < 500, "status 200 or 4xx", str(answer))


def discover(http: HttpClient, model: str | None, given: Document | None = None) -> Target:
    """Finds a model, its signature, and inputs that it takes. Raises UsageError if there is none."""
    if (failure := http.connection_error()) is not None:
        help = "start the server, or give its address as http://HOST:PORT"
        if isinstance(failure, TlsError):
            help = "give the certificate of its authority as PEM: --ca-file FILE"
        raise UsageError("server-unreachable", f"cannot connect to {http.url}: {failure}", help)
    target = Target(http, _signature(http, model or _first_model(http)), _extensions(http), given=given)
    sizes = SIZES if given is None else SIZES[:1]
    for target.size in sizes:
        inputs = None if given is not None else target.synthesized()
        answer = target.infer(target.request(inputs))
        if answer.status == 200:
            return target
    target.rejection = str(answer)
    return target


def _extensions(http: HttpClient) -> frozenset[str]:
    try:
        return frozenset(success(http.get("v2"))["extensions"])
    except (Violation, KeyError, TypeError):
        return frozenset()


def _first_model(http: HttpClient) -> str:
    try:
        answer = http.post("v2/repository/index", {})
        if answer.status in (401, 403):
            _no_model("the server demands a token", "give a file that has it: --token-file FILE")
        names = [entry["name"] for entry in success(answer) if entry.get("state", "READY") == "READY"]
        return str(names[0])
    except (Violation, KeyError, TypeError, IndexError, AttributeError):
        _no_model("the server lists no model that is ready", "name a model with --model NAME")


def _signature(http: HttpClient, name: str) -> Signature:
    try:
        answer = http.get(f"v2/models/{quote(name, safe='')}")
        document = success(answer)
        inputs, outputs = (tuple(map(_tensor_spec, document.get(key) or ())) for key in ("inputs", "outputs"))
        versions = tuple(str(version) for version in document.get("versions") or ())
    except (Violation, KeyError, TypeError, AttributeError) as error:
        _no_model(f"the metadata of model {name!r} cannot be used: {error}", "check the name and the address")
    return Signature(name, versions, inputs, outputs)


def _tensor_spec(document: Document) -> TensorSpec:
    return TensorSpec(document["name"], document["datatype"], tuple(document["shape"]))


def _no_model(message: str, help: str) -> NoReturn:
    raise UsageError("no-model-to-test", message, help)
