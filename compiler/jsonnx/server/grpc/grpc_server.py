"""The server of gRPC, in the event loop of the HTTP server."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from ...core.diagnostics import UsageError
from ..options import ServerOptions
from ..protocol.errors import RequestError, bad_request
from ..service import InferenceService
from .inference_calls import Call, InferenceCalls
from .messages import MESSAGES
from .status import details_of, status_of, trailing_metadata_of

Context = Any
"""grpc.aio.ServicerContext."""

Answer = Callable[[bytes, Context], Awaitable[bytes]]


class GrpcServer:
    """Answers the protocol's calls on a port of their own."""

    def __init__(self, service: InferenceService, options: ServerOptions) -> None:
        """Raises UsageError if the port cannot be had."""
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", options.max_body_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),  # a second server on the port is an error
            ]
        )
        for name, calls in InferenceCalls(service).services().items():
            handlers = {
                method: grpc.unary_unary_rpc_method_handler(_answer_to(call, options)) for method, call in calls.items()
            }
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
        self.port = self._listen(f"{options.host}:{options.grpc_port}", options)
        """The port on which it listens; another than the wanted one if that was 0."""

    def _listen(self, address: str, options: ServerOptions) -> int:
        try:
            if options.tls_certificate is None:
                return self._server.add_insecure_port(address)
            key_file = options.tls_key or options.tls_certificate
            pair = key_file.read_bytes(), options.tls_certificate.read_bytes()
            return self._server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
        except RuntimeError as error:
            message = f"cannot listen for gRPC on {address}: {error}"
            raise UsageError("bad-option", message, "choose another port with --grpc-port") from error

    async def start(self) -> None:
        """Begins to answer."""
        await self._server.start()

    async def stop(self, grace_s: float) -> None:
        """Refuses new calls, waits at most `grace_s` for the answers of others, and ends."""
        await self._server.stop(grace_s)


def _answer_to(call: Call, options: ServerOptions) -> Answer:
    request_class = MESSAGES[call.request]

    async def answer(data: bytes, context: Context) -> bytes:
        try:
            if call.needs_token:
                _require_token(context, options.token)
            message = await call.answer(_parsed(request_class, data), _remaining_s(context, options.timeout_s))
            return message.SerializeToString()
        except RequestError as error:
            return await _abort(context, error)
        except Exception as error:
            logging.getLogger(__name__).exception("a call of gRPC failed")
            text = f"the server has an error of its own: {type(error).__name__}"
            return await _abort(context, RequestError(500, "internal-error", text))

    return answer


def _parsed(request_class: Any, data: bytes) -> Any:
    try:
        return request_class.FromString(data)
    except DecodeError as error:
        raise bad_request(f"the request is no {request_class.DESCRIPTOR.name}: {error}") from error


def _remaining_s(context: Context, timeout_s: float) -> float:
    """The time until the earlier deadline: the client's, or the server's."""
    remaining = context.time_remaining()
    return timeout_s if remaining is None else min(remaining, timeout_s)


def _require_token(context: Context, token: str | None) -> None:
    if token is None:
        return
    given = dict(context.invocation_metadata() or ()).get("authorization", "")
    scheme, _, value = str(given).partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(value.strip().encode(), token.encode()):
        raise RequestError(401, "wrong-token", "the call has no valid token", "send authorization: Bearer TOKEN")


async def _abort(context: Context, error: RequestError) -> bytes:
    await context.abort(status_of(error), details_of(error), trailing_metadata_of(error))
    raise AssertionError("abort raises")
