"""The server of gRPC, in the event loop of the HTTP server."""

from __future__ import annotations

from time import monotonic

import grpc

from ...core.diagnostics import UsageError
from ..options import ServerOptions
from ..service import InferenceService
from .answered_call import AnsweredCall, Gate, Monitors
from .inference_calls import InferenceCalls


class GrpcServer:
    """Answers the protocol's calls on a port of their own. It is made in a running event loop."""

    def __init__(self, service: InferenceService, options: ServerOptions, monitors: Monitors) -> None:
        """Raises UsageError if the port cannot be had."""
        self._gate = Gate()
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", options.max_body_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),  # a second server on the port is an error
            ],
            maximum_concurrent_rpcs=options.max_connections,
        )
        for name, calls in InferenceCalls(service).services().items():
            answered = {
                method: AnsweredCall(f"/{name}/{method}", call, options, monitors, self._gate)
                for method, call in calls.items()
            }
            handlers = {method: grpc.unary_unary_rpc_method_handler(call.answer) for method, call in answered.items()}
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
        host = f"[{options.host}]" if ":" in options.host else options.host
        self.port = self._listen(f"{host}:{options.grpc_port}", options)
        """The port on which it listens; another than the wanted one if that was 0."""

    def _listen(self, address: str, options: ServerOptions) -> int:
        try:
            if options.tls_certificate is None:  # the HTTP server has checked the files
                return self._server.add_insecure_port(address)
            key_file = options.tls_key or options.tls_certificate
            pair = key_file.read_bytes(), options.tls_certificate.read_bytes()
            return self._server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
        except RuntimeError as error:
            message = f"cannot listen for gRPC on {address}: {error}"
            raise UsageError("address-unavailable", message, "--grpc-port 0 takes a free port") from error

    async def start(self) -> None:
        """Begins to answer."""
        await self._server.start()

    async def stop(self, grace_s: float) -> None:
        """Refuses new calls, waits at most `grace_s` for the answers of others, and ends."""
        start_s = monotonic()
        await self._gate.close(grace_s)
        await self._server.stop(max(0.0, start_s + grace_s - monotonic()))
