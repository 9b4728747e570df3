"""KServe's clients for HTTP and gRPC, unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from environments.serving import kserve_calls
from environments.serving.kserve_calls import Answer, Failure, Request
from support.served_process import ServedProcess

PENGUINS = {
    "island": np.array(["Torgersen", "Biscoe"], object),
    "sex": np.array(["male", "ü"], object),
    "measurements": np.array([[39, 18, 181, 3750], [46, 14, 211, 4500]], "float32"),
}
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 1)).astype("float32")
TRANSPORTS = ["http", "grpc"]


@pytest.fixture(scope="module")
def kserve() -> Iterator[ProcessPoolExecutor]:
    """A process that has imported nothing of Triton."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        yield process


@pytest.fixture(scope="module", params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def infer(kserve: ProcessPoolExecutor, server: ServedProcess, transport: str) -> Callable[..., list[Any]]:
    def send(*requests: Request) -> list[Any]:
        if transport == "http":
            return kserve.submit(kserve_calls.infer_over_http, server.url, list(requests)).result(60)
        return kserve.submit(kserve_calls.infer_over_grpc, server.grpc_address, list(requests)).result(60)

    return send


def test_health(kserve: ProcessPoolExecutor, server: ServedProcess) -> None:
    models = ["penguins", "versioned"]
    assert kserve.submit(kserve_calls.health_over_http, server.url, models).result(60) == [True] * 4
    assert kserve.submit(kserve_calls.health_over_grpc, server.grpc_address, models).result(60) == [True] * 4


@pytest.mark.parametrize("is_binary", [True, False])
def test_strings_and_numbers(infer: Callable[..., list[Any]], runs: Path, is_binary: bool) -> None:
    request = Request("penguins", PENGUINS, is_binary, ("species",), "seven")
    (answer,) = infer(request)
    assert isinstance(answer, Answer), answer
    assert (answer.model, answer.id, list(answer.outputs)) == ("penguins", "seven", ["species"])
    expected = jsonnx.Session(runs / "penguins").run(PENGUINS)["species"]
    assert np.array_equal(answer.outputs["species"], expected)


@pytest.mark.parametrize("is_binary", [True, False])
def test_images_and_many_requests_at_once(infer: Callable[..., list[Any]], runs: Path, is_binary: bool) -> None:
    answers = infer(*[Request("mnist_cnn", {"image": IMAGES}, is_binary) for _ in range(20)])
    expected = jsonnx.Session(runs / "mnist_cnn").run(IMAGES)["digit"]
    assert all(np.array_equal(answer.outputs["digit"], expected) for answer in answers)


def test_texts(infer: Callable[..., list[Any]], runs: Path) -> None:
    texts = np.array(["a wonderful film", "dull"], object)
    (answer,) = infer(Request("reviews", {"review": texts}))
    assert np.array_equal(answer.outputs["sentiment"], jsonnx.Session(runs / "reviews").run(texts)["sentiment"])


def test_versions_over_grpc(kserve: ProcessPoolExecutor, server: ServedProcess) -> None:
    """The client for HTTP has no version."""
    requests = [Request("versioned", PENGUINS, version=version) for version in ("1", "3", "2")]
    answers = kserve.submit(kserve_calls.infer_over_grpc, server.grpc_address, requests).result(60)
    assert not np.array_equal(answers[0].outputs["species"], answers[1].outputs["species"])
    assert answers[2].status == "NOT_FOUND"


def test_errors(infer: Callable[..., list[Any]], transport: str) -> None:
    unknown, missing = infer(Request("penguin", PENGUINS), Request("penguins", {"sex": PENGUINS["sex"]}))
    assert isinstance(unknown, Failure)
    assert unknown.status == (404 if transport == "http" else "NOT_FOUND")
    assert "there is no model 'penguin'; did you mean 'penguins'?" in unknown.text
    assert missing.status == (400 if transport == "http" else "INVALID_ARGUMENT")
    assert "the request lacks the inputs 'island'" in missing.text
