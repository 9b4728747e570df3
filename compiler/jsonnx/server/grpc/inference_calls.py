"""The calls of the protocol's service and of gRPC's health service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from ..protocol.errors import RequestError, bad_request
from ..service import InferenceService
from .infer_messages import decode_request, encode_response
from .messages import DATA_TYPES, HEALTH_SERVICE, MESSAGES, SERVICE, Message


class Call(NamedTuple):
    """A call: the name of its request's class, what answers it, and whether probes send it.

    A probe needs no token, and is answered until the end of the server.
    """

    request: str
    answer: Callable[[Message], Awaitable[Message]]
    is_probe: bool = False


class InferenceCalls:
    """Answers the calls of clients. Each method raises RequestError."""

    def __init__(self, service: InferenceService) -> None:
        self._service = service

    def services(self) -> dict[str, dict[str, Call]]:
        """All calls by the names of services and calls."""
        probes = ("ServerLive", "ServerReady")
        answers: dict[str, Any] = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._model_statistics,
            "ModelInfer": self._model_infer,
            "RepositoryIndex": self._repository_index,
            "RepositoryModelLoad": self._repository_model_load,
            "RepositoryModelUnload": self._repository_model_unload,
        }
        calls = {name: Call(f"{name}Request", answer, name in probes) for name, answer in answers.items()}
        return {SERVICE: calls, HEALTH_SERVICE: {"Check": Call("HealthCheckRequest", self._health_check, True)}}

    async def _server_live(self, request: Message) -> Message:
        return MESSAGES["ServerLiveResponse"](live=True)

    async def _server_ready(self, request: Message) -> Message:
        return MESSAGES["ServerReadyResponse"](ready=self._service.is_ready())

    async def _model_ready(self, request: Message) -> Message:
        is_ready = self._service.model_is_ready(request.name, request.version or None)
        return MESSAGES["ModelReadyResponse"](ready=is_ready)

    async def _server_metadata(self, request: Message) -> Message:
        return MESSAGES["ServerMetadataResponse"](**self._service.server_metadata())

    async def _model_metadata(self, request: Message) -> Message:
        document = self._service.model_metadata(request.name, request.version or None)
        document.pop("properties")  # not among the fields of the message
        return MESSAGES["ModelMetadataResponse"](**document)

    async def _model_config(self, request: Message) -> Message:
        config = self._service.model_config(request.name, request.version or None)
        for tensor in (*config["input"], *config["output"]):
            tensor["data_type"] = DATA_TYPES.index(tensor["data_type"]) if tensor["data_type"] in DATA_TYPES else 0
        return MESSAGES["ModelConfigResponse"](config=config)

    async def _model_statistics(self, request: Message) -> Message:
        statistics = self._service.model_statistics(request.name or None, request.version or None)
        return MESSAGES["ModelStatisticsResponse"](**statistics)

    async def _model_infer(self, request: Message) -> Message:
        response = await self._service.infer(decode_request(request))
        return encode_response(response, is_raw=len(request.raw_input_contents) > 0)

    async def _repository_index(self, request: Message) -> Message:
        _require_no_repository(request)
        return MESSAGES["RepositoryIndexResponse"](models=self._service.repository.index(request.ready))

    async def _repository_model_load(self, request: Message) -> Message:
        _require_no_repository(request)
        if request.parameters:
            help = "the server loads the file that it was started with"
            raise bad_request(f"a model cannot be loaded with the parameters {', '.join(request.parameters)}", help)
        await self._service.repository.load(request.model_name)
        return MESSAGES["RepositoryModelLoadResponse"]()

    async def _repository_model_unload(self, request: Message) -> Message:
        _require_no_repository(request)
        await self._service.repository.unload(request.model_name)
        return MESSAGES["RepositoryModelUnloadResponse"]()

    async def _health_check(self, request: Message) -> Message:
        """The health of the server, or of a model as the service."""
        if request.service in ("", SERVICE):
            is_ready = self._service.is_ready()
        else:
            is_ready = self._service.model_is_ready(request.service)
        return MESSAGES["HealthCheckResponse"](status=_SERVING if is_ready else _NOT_SERVING)


_SERVING, _NOT_SERVING = 1, 2
"""Values of the enumeration ServingStatus."""


def _require_no_repository(request: Message) -> None:
    if request.repository_name:
        message = f"there is no repository {request.repository_name!r}"
        raise RequestError(404, "unknown-model", message, "leave out repository_name: the server has one repository")
