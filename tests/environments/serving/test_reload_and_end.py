"""No request is lost while a model is loaded again, and none that has arrived when the server is told to end."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from support.served_process import ServedProcess
from tritonclient.utils import InferenceServerException

CLIENTS = 4
RELOADS = 5
IMAGES = np.zeros((64, 28, 28, 1), "float32")
MODULES = {"http": tritonclient.http, "grpc": tritonclient.grpc}


def client_of(server: ServedProcess, module: ModuleType) -> Any:
    return module.InferenceServerClient(server.address if module is tritonclient.http else server.grpc_address)


@contextmanager
def requests_in_turn(server: ServedProcess, module: ModuleType) -> Iterator[list[Any]]:
    """Sends one request after the other from several clients within the block. Yields the answers and exceptions."""
    results: list[Any] = []
    end = threading.Event()

    def send() -> None:
        client = client_of(server, module)
        item = module.InferInput("image", list(IMAGES.shape), "FP32")
        item.set_data_from_numpy(IMAGES)
        while not end.is_set():
            try:
                results.append(client.infer("mnist_cnn", [item]).as_numpy("digit"))
            except Exception as error:
                results.append(error)
                return
        client.close()

    with ThreadPoolExecutor(CLIENTS) as threads:
        sending = [threads.submit(send) for _ in range(CLIENTS)]
        try:
            yield results
        finally:
            end.set()
            for item in sending:
                item.result(60)


@pytest.mark.parametrize("transport", MODULES)
def test_a_reload_loses_no_request(runs: Path, transport: str) -> None:
    module = MODULES[transport]
    with ServedProcess([str(runs / "mnist_cnn")], grpc=True) as server:
        client = client_of(server, module)
        with requests_in_turn(server, module) as results:
            for _ in range(RELOADS):
                client.load_model("mnist_cnn")
        client.close()
    assert len(results) > CLIENTS
    assert [item for item in results if isinstance(item, Exception)] == []
    assert all(np.array_equal(item, results[0]) for item in results)


def test_the_end_answers_all_calls_that_have_arrived(runs: Path) -> None:
    """Calls that come later are refused as unavailable, which clients of gRPC repeat elsewhere."""
    with ServedProcess([str(runs / "mnist_cnn")], grpc=True) as server:
        with requests_in_turn(server, tritonclient.grpc) as results:
            while len(results) < 2 * CLIENTS:
                time.sleep(0.01)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(30) == 0
        failures = [item for item in results if isinstance(item, Exception)]
        assert len(failures) == CLIENTS
        assert all(isinstance(item, InferenceServerException) for item in failures)
        assert {item.status() for item in failures} == {"StatusCode.UNAVAILABLE"}
