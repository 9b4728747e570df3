"""Calls of KServe's clients. KServe's and Triton's messages have the same names, and cannot be in the same process: a
process without the latter runs these functions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import numpy as np


class Request(NamedTuple):
    """An inference request of `infer_over_http` and `infer_over_grpc`."""

    model: str
    feeds: Mapping[str, np.ndarray]
    is_binary: bool = True
    outputs: tuple[str, ...] = ()
    id: str | None = None
    version: str | None = None


class Answer(NamedTuple):
    """The parts of an answer; `outputs` by name."""

    model: str
    id: str | None
    outputs: dict[str, np.ndarray]


class Failure(NamedTuple):
    """The parts of a client's exception."""

    status: Any
    text: str


def infer_over_http(url: str, requests: list[Request]) -> list[Answer | Failure]:
    """The answers to requests that are sent at the same time."""
    import httpx

    async def infer(client: Any, request: Request) -> Answer | Failure:
        try:
            return _answer(await client.infer(url, _infer_request(request), model_name=request.model))
        except httpx.HTTPStatusError as error:
            return Failure(error.response.status_code, str(error))

    return asyncio.run(_with_rest_client(lambda client: _gather(infer(client, request) for request in requests)))


def health_over_http(url: str, models: list[str]) -> list[bool]:
    """Whether the server is live and ready, and each model ready."""

    async def ask(client: Any) -> list[bool]:
        server = [await client.is_server_live(url), await client.is_server_ready(url)]
        return server + [await client.is_model_ready(url, model) for model in models]

    return asyncio.run(_with_rest_client(ask))


def infer_over_grpc(address: str, requests: list[Request]) -> list[Answer | Failure]:
    """The answers to requests that are sent at the same time."""
    import grpc

    async def infer(client: Any, request: Request) -> Answer | Failure:
        try:
            return _answer(await client.infer(_infer_request(request)))
        except grpc.RpcError as error:
            return Failure(error.code().name, error.details())

    return asyncio.run(_with_grpc_client(address, lambda client: _gather(infer(client, item) for item in requests)))


def health_over_grpc(address: str, models: list[str]) -> list[bool]:
    """Whether the server is live and ready, and each model ready."""

    async def ask(client: Any) -> list[bool]:
        server = [await client.is_server_live(), await client.is_server_ready()]
        return server + [await client.is_model_ready(model) for model in models]

    return asyncio.run(_with_grpc_client(address, ask))


async def _gather(calls: Any) -> list[Any]:
    return await asyncio.gather(*calls)


async def _with_rest_client(use: Callable[[Any], Awaitable[Any]]) -> Any:
    from kserve import InferenceRESTClient, RESTConfig

    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        return await use(client)


async def _with_grpc_client(address: str, use: Callable[[Any], Awaitable[Any]]) -> Any:
    from kserve import InferenceGRPCClient

    async with InferenceGRPCClient(address) as client:
        return await use(client)


def _infer_request(request: Request) -> Any:
    from kserve import InferInput, InferRequest
    from kserve.protocol.infer_type import RequestedOutput
    from kserve.utils.numpy_codec import from_np_dtype

    inputs = []
    for name, array in request.feeds.items():
        item = InferInput(name, list(array.shape), from_np_dtype(array.dtype))
        item.set_data_from_numpy(array, binary_data=request.is_binary)
        inputs.append(item)
    outputs = [RequestedOutput(name) for name in request.outputs]
    return InferRequest(
        request.model, inputs, request.id, request_outputs=outputs or None, model_version=request.version
    )


def _answer(response: Any) -> Answer:
    return Answer(response.model_name, response.id, {item.name: item.as_numpy() for item in response.outputs})
