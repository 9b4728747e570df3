"""Answers over HTTP to requests that share runs: the same text as alone."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
from support.serving import RunningServer, running_server

SPEC = {
    "inputs": {"image": {"shape": [9, 9, 3]}},
    "layers": [
        {"type": "Conv2D", "filters": 8, "kernel_size": 3, "activation": "elu"},
        {"type": "GlobalAveragePooling2D"},
        {"type": "Dense", "units": 5, "activation": "softplus"},
        {"type": "Dense", "units": 3, "activation": "softmax", "name": "kind"},
    ],
}
CLIENTS, REQUESTS = 16, 160


def sent(server: RunningServer, x: np.ndarray) -> Any:
    tensor = {"name": "image", "datatype": "FP32", "shape": [*x.shape], "data": x.ravel().tolist()}
    answer = server.post("/v2/models/net/infer", json.dumps({"inputs": [tensor]}))
    assert answer.status == 200, answer.body
    return answer.json["outputs"]


def test_answers_to_many_clients_are_those_to_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    requests = [rng.normal(size=(rng.integers(1, 6), 9, 9, 3)).astype(np.float32) for _ in range(REQUESTS)]
    jsonnx.compile(SPEC, seed=1).save(tmp_path / "net.onnx")
    with running_server({"net": tmp_path / "net.onnx"}) as server:
        reason = server.get("/v2/models/net").json["properties"]["batching"]
        assert reason.endswith("and its results have the same bits in every batch")
        alone = [sent(server, x) for x in requests]
        with ThreadPoolExecutor(CLIENTS) as clients:
            together = list(clients.map(lambda x: sent(server, x), requests))
    assert together == alone


def test_a_file_without_a_spec_says_why_it_is_not_batched(tmp_path: Path) -> None:
    import onnx

    model = jsonnx.compile(SPEC, seed=1).proto
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "net.onnx")
    with running_server({"net": tmp_path / "net.onnx"}) as server:
        reason = server.get("/v2/models/net").json["properties"]["batching"]
    assert reason == "the file does not say how it was made, so that its rows may affect one another"
