"""Triton's clients for HTTP and gRPC, unchanged."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from types import ModuleType
from typing import Any

import jsonnx
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from support.served_process import ServedProcess
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

PENGUINS = {
    "island": np.array(["Torgersen", "Biscoe", "Atlantis"], object),
    "sex": np.array(["male", "female", ""], object),
    "measurements": np.array([[39, 18, 181, 3750], [46, 14, 211, 4500], [np.nan, 0, 0, 0]], "float32"),
}
LABELS = ("Adelie", "Chinstrap", "Gentoo")
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 1)).astype("float32")
REVIEWS = np.array(["a wonderful film", "dull, and far too long", "", "Grüße\n"], object)


class Client:
    """One of Triton's clients. `inputs` and `outputs` are of the client's own types."""

    def __init__(self, module: ModuleType, address: str) -> None:
        self.module, self.is_http = module, module is tritonclient.http
        self.own = module.InferenceServerClient(address, **({"concurrency": 16} if self.is_http else {}))

    def inputs(self, feeds: dict[str, np.ndarray], is_binary: bool = True) -> list[Any]:
        return [self.input(name, array, is_binary) for name, array in feeds.items()]

    def input(self, name: str, array: np.ndarray, is_binary: bool = True) -> Any:
        item = self.module.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        item.set_data_from_numpy(array, **({"binary_data": is_binary} if self.is_http else {}))
        return item

    def output(self, name: str, class_count: int = 0, is_binary: bool = True) -> Any:
        options = {"binary_data": is_binary} if self.is_http else {}
        return self.module.InferRequestedOutput(name, class_count=class_count, **options)

    def as_json(self, name: str, *arguments: Any) -> Any:
        """The answer to a method that gives JSON or a message."""
        return getattr(self.own, name)(*arguments, **({} if self.is_http else {"as_json": True}))


@pytest.fixture(scope="module", params=["http", "grpc"])
def client(request: pytest.FixtureRequest, server: ServedProcess) -> Iterator[Client]:
    yield from _client(request.param, server)


def _client(transport: str, server: ServedProcess) -> Iterator[Client]:
    is_http = transport == "http"
    module = tritonclient.http if is_http else tritonclient.grpc
    client = Client(module, server.address if is_http else server.grpc_address)
    yield client
    client.own.close()


def expected(runs: Path, name: str, feeds: dict[str, np.ndarray]) -> np.ndarray:
    (output,) = jsonnx.Session(runs / name).run(feeds).values()
    return output


def test_health_and_metadata(client: Client) -> None:
    assert client.own.is_server_live()
    assert client.own.is_server_ready()
    assert client.own.is_model_ready("penguins")
    assert client.own.is_model_ready("versioned", "3")
    server = client.as_json("get_server_metadata")
    assert server["name"] == "jsonnx"
    assert {"classification", "model_repository"} <= set(server["extensions"])
    model = client.as_json("get_model_metadata", "penguins")
    assert (model["name"], model["platform"], model["versions"]) == ("penguins", "onnxruntime_onnx", ["1"])
    shapes = {item["name"]: (item["datatype"], [int(size) for size in item["shape"]]) for item in model["inputs"]}
    assert shapes == {"island": ("BYTES", [-1]), "sex": ("BYTES", [-1]), "measurements": ("FP32", [-1, 4])}
    assert [item["name"] for item in model["outputs"]] == ["species"]


def test_configuration(client: Client) -> None:
    config = client.as_json("get_model_config", "penguins")
    config = config if client.is_http else config["config"]
    types = {item["name"]: item["data_type"] for item in [*config["input"], *config["output"]]}
    assert (config["name"], config["platform"]) == ("penguins", "onnxruntime_onnx")
    expected = {"island": "TYPE_STRING", "sex": "TYPE_STRING", "measurements": "TYPE_FP32", "species": "TYPE_FP32"}
    assert types == expected


def test_statistics(client: Client) -> None:
    before, after = (_review_statistics(client, requests) for requests in (0, 2))
    assert int(after["inference_count"]) - int(before["inference_count"]) == 3 * len(REVIEWS)
    assert int(after["execution_count"]) - int(before["execution_count"]) == 3
    success = after["inference_stats"]["success"]
    assert int(success["count"]) - int(before["inference_stats"]["success"]["count"]) == 3
    assert int(success["ns"]) >= int(after["inference_stats"]["compute_infer"]["ns"]) > 0
    assert int(after["last_inference"]) == pytest.approx(time.time() * 1000, abs=60_000)
    every = client.as_json("get_inference_statistics")["model_stats"]
    assert [item["version"] for item in every if item["name"] == "versioned"] == ["1", "3"]


def _review_statistics(client: Client, requests: int) -> dict[str, Any]:
    """The statistics of a model after some requests."""
    for _ in range(requests + 1):
        client.own.infer("reviews", client.inputs({"review": REVIEWS}))
    (statistics,) = client.as_json("get_inference_statistics", "reviews")["model_stats"]
    return statistics


@pytest.mark.parametrize("is_binary_in", [True, False])
@pytest.mark.parametrize("is_binary_out", [True, False])
def test_strings_and_numbers(client: Client, runs: Path, is_binary_in: bool, is_binary_out: bool) -> None:
    feeds = PENGUINS
    if not is_binary_in:  # JSON has no NaN
        feeds = PENGUINS | {"measurements": np.nan_to_num(PENGUINS["measurements"])}
    outputs = [client.output("species", is_binary=is_binary_out)]
    result = client.own.infer("penguins", client.inputs(feeds, is_binary_in), outputs=outputs, request_id="seven")
    species = result.as_numpy("species")
    assert species.dtype == np.float32
    assert np.array_equal(species, expected(runs, "penguins", feeds), equal_nan=True)
    assert result.as_numpy("unknown") is None
    answer = result.get_response() if client.is_http else result.get_response(as_json=True)
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("seven", "penguins", "1")


def test_images(client: Client, runs: Path) -> None:
    result = client.own.infer("mnist_cnn", client.inputs({"image": IMAGES}))
    assert np.array_equal(result.as_numpy("digit"), expected(runs, "mnist_cnn", {"image": IMAGES}))


def test_texts(client: Client, runs: Path) -> None:
    result = client.own.infer("reviews", client.inputs({"review": REVIEWS}))
    assert np.array_equal(result.as_numpy("sentiment"), expected(runs, "reviews", {"review": REVIEWS}))


def test_classification(client: Client, runs: Path) -> None:
    outputs = [client.output("species", class_count=2)]
    feeds = {name: array[:2] for name, array in PENGUINS.items()}
    found = client.own.infer("penguins", client.inputs(feeds), outputs=outputs).as_numpy("species")
    assert found.shape == (2, 2)
    for row, probabilities in zip(found, expected(runs, "penguins", feeds), strict=True):
        value, index, label = row[0].decode().split(":")
        assert int(index) == probabilities.argmax()
        assert float(value) == pytest.approx(probabilities.max(), abs=1e-5)
        assert label == LABELS[int(index)]
        assert float(row[0].split(b":")[0]) >= float(row[1].split(b":")[0])


def test_versions(client: Client, versions: Path) -> None:
    metadata = client.as_json("get_model_metadata", "versioned")
    assert metadata["versions"] == ["1", "3"]
    results = {}
    for version in ("1", "3", ""):
        result = client.own.infer("versioned", client.inputs(PENGUINS), model_version=version)
        results[version] = result.as_numpy("species")
    assert np.array_equal(results[""], results["3"], equal_nan=True)
    assert not np.array_equal(results["1"], results["3"], equal_nan=True)
    for version in ("1", "3"):
        own = jsonnx.Session(versions / version / "model.onnx").run(PENGUINS)["species"]
        assert np.array_equal(results[version], own, equal_nan=True)


def test_no_rows(client: Client) -> None:
    feeds = {name: array[:0] for name, array in PENGUINS.items()}
    result = client.own.infer("penguins", client.inputs(feeds))
    assert result.as_numpy("species").shape == (0, 3)


def test_the_repository(client: Client) -> None:
    index = client.as_json("get_model_repository_index")
    rows = index if client.is_http else index["models"]
    assert {(row["name"], row["version"]) for row in rows} == {
        ("penguins", "1"),
        ("reviews", "1"),
        ("mnist_cnn", "1"),
        ("versioned", "1"),
        ("versioned", "3"),
    }
    assert {row["state"] for row in rows} == {"READY"}


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_models_are_unloaded_and_loaded(runs: Path, transport: str) -> None:
    with ServedProcess([str(runs / "penguins"), str(runs / "reviews")], grpc=True) as server:
        for client in _client(transport, server):
            client.own.unload_model("reviews")
            assert not client.own.is_model_ready("reviews")
            assert client.own.is_model_ready("penguins")
            with pytest.raises(InferenceServerException, match="the model 'reviews' is not ready"):
                client.own.infer("reviews", client.inputs({"review": REVIEWS}))
            client.own.load_model("reviews")
            assert client.own.is_model_ready("reviews")
            assert len(client.own.infer("reviews", client.inputs({"review": REVIEWS})).as_numpy("sentiment")) == 4
            with pytest.raises(InferenceServerException, match="no model 'rewiews'; did you mean 'reviews'"):
                client.own.load_model("rewiews")
            with pytest.raises(InferenceServerException, match="cannot be loaded with"):
                client.own.load_model("reviews", config="{}")


ERRORS = {
    "model": ("penguin", {}, "404", "NOT_FOUND", "there is no model 'penguin'; did you mean 'penguins'?"),
    "version": ("penguins", {"model_version": "2"}, "404", "NOT_FOUND", "no version '2'"),
    "name": (
        "penguins",
        {"sexx": PENGUINS["sex"]},
        "400",
        "INVALID_ARGUMENT",
        "has no input 'sexx'; did you mean 'sex'",
    ),
    "shape": ("penguins", {"measurements": PENGUINS["measurements"][:, :3]}, "400", "INVALID_ARGUMENT", "[3, 3]"),
    "datatype": ("penguins", {"sex": PENGUINS["measurements"]}, "400", "INVALID_ARGUMENT", "'sex' is FP32, the model"),
    "rows": ("penguins", {"sex": PENGUINS["sex"][:2]}, "400", "INVALID_ARGUMENT", "sex"),
    "missing": ("reviews", {}, "400", "INVALID_ARGUMENT", "has no input 'island'"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_the_client_s_exceptions(client: Client, case: str) -> None:
    model, changes, http_status, grpc_status, text = ERRORS[case]
    options = {"model_version": changes["model_version"]} if "model_version" in changes else {}
    feeds = PENGUINS | ({} if options else changes)
    with pytest.raises(InferenceServerException) as raised:
        client.own.infer(model, client.inputs(feeds), **options)
    assert text in raised.value.message()
    assert raised.value.status() == (http_status if client.is_http else f"StatusCode.{grpc_status}")


def test_an_unknown_output_and_a_bad_class_count(client: Client) -> None:
    for outputs, text in (
        ([client.output("kind")], "no output 'kind'"),
        ([client.output("species"), client.output("species")], "requested twice"),
    ):
        with pytest.raises(InferenceServerException, match=text):
            client.own.infer("penguins", client.inputs(PENGUINS), outputs=outputs)


def test_many_requests_at_once(client: Client, runs: Path) -> None:
    generator = np.random.default_rng(1)
    batches = [generator.normal(size=(size, 28, 28, 1)).astype("float32") for size in [1, 2, 3, 7] * 16]
    if client.is_http:
        waiting = [client.own.async_infer("mnist_cnn", client.inputs({"image": batch})) for batch in batches]
        results = [item.get_result(timeout=30).as_numpy("digit") for item in waiting]
    else:
        results = grpc_results(client, batches)
    session = jsonnx.Session(runs / "mnist_cnn")
    for batch, result in zip(batches, results, strict=True):
        assert np.array_equal(result, session.run(batch)["digit"])


def grpc_results(client: Client, batches: list[np.ndarray]) -> list[np.ndarray]:
    answers: Queue[tuple[int, Any, Any]] = Queue()
    for index, batch in enumerate(batches):
        client.own.async_infer(
            "mnist_cnn",
            client.inputs({"image": batch}),
            lambda result, error, index=index: answers.put((index, result, error)),
        )
    found = {index: (result, error) for index, result, error in (answers.get(timeout=30) for _ in batches)}
    assert all(error is None for _, error in found.values())
    return [found[index][0].as_numpy("digit") for index in range(len(batches))]


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_the_clients_for_asyncio(server: ServedProcess, runs: Path, transport: str) -> None:
    module = tritonclient.http.aio if transport == "http" else tritonclient.grpc.aio
    address = server.address if transport == "http" else server.grpc_address

    async def infer() -> list[np.ndarray]:
        async with module.InferenceServerClient(address) as client:
            assert await client.is_server_ready()
            inputs = module.InferInput("review", [4], "BYTES")
            inputs.set_data_from_numpy(REVIEWS)
            results = await asyncio.gather(*(client.infer("reviews", [inputs]) for _ in range(20)))
        return [result.as_numpy("sentiment") for result in results]

    own = expected(runs, "reviews", {"review": REVIEWS})
    assert all(np.array_equal(result, own) for result in asyncio.run(infer()))


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests(client: Client, runs: Path, algorithm: str) -> None:
    name = "request_compression_algorithm" if client.is_http else "compression_algorithm"
    options = {name: algorithm} | ({"response_compression_algorithm": algorithm} if client.is_http else {})
    result = client.own.infer("mnist_cnn", client.inputs({"image": IMAGES}), **options)
    assert np.array_equal(result.as_numpy("digit"), expected(runs, "mnist_cnn", {"image": IMAGES}))


def test_bodies_that_the_client_makes_and_reads_by_itself(server: ServedProcess, runs: Path) -> None:
    """Applications send such bodies with an HTTP library of their own."""
    client = tritonclient.http.InferenceServerClient
    inputs = [tritonclient.http.InferInput("review", [4], "BYTES")]
    inputs[0].set_data_from_numpy(REVIEWS)
    body, length = client.generate_request_body(inputs)
    headers = {"Inference-Header-Content-Length": str(length)}
    request = urllib.request.Request(f"{server.url}/v2/models/reviews/infer", body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        length = answer.headers.get("Inference-Header-Content-Length")
        result = client.parse_response_body(answer.read(), header_length=length and int(length))
    assert np.allclose(result.as_numpy("sentiment"), expected(runs, "reviews", {"review": REVIEWS}))


def test_a_deadline_of_grpc(server: ServedProcess) -> None:
    for client in _client("grpc", server):
        with pytest.raises(InferenceServerException) as raised:
            client.own.infer("mnist_cnn", client.inputs({"image": IMAGES}), client_timeout=1e-6)
    assert raised.value.status() == "StatusCode.DEADLINE_EXCEEDED"


def test_shared_memory_is_refused(client: Client) -> None:
    with pytest.raises(InferenceServerException):
        client.own.get_system_shared_memory_status()
