"""A short run of the campaign, and that it finds what is wrong."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from campaigns.server_load import run
from campaigns.server_load.clients import Client, Record
from campaigns.server_load.requests import change_bytes, change_json, draw_requests, malformed_http
from campaigns.server_load.served import Holdings, save_models, serve
from jsonnx.conformance.http_client import Answer, HttpClient
from jsonnx.conformance.tensors import Tensor

MALFORMED = 120


def test_a_server_survives_malformed_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "SETTLING_S", 0.5)
    models = save_models(tmp_path)
    with serve(models, tmp_path / "log") as process:
        campaign = run.Campaign(process, models, seed=1)
        campaign.work({"valid": 2, "aborted": 1, "reload": 1}, lambda: False, 0.5)
        campaign.send_malformed(MALFORMED, jobs=4)
        assert process.is_running()
        assert campaign.record.findings == []
        kinds = campaign.record.counts
        assert sum(count for kind, count in kinds.items() if kind.startswith("malformed")) >= MALFORMED
        assert kinds["malformed: 400"] > 0
        assert kinds["valid JSON"] + kinds["valid gRPC"] + kinds["valid binary"] + kinds["valid rows"] > 0
        assert Holdings.of(process.pid).threads > 1


def test_a_wrong_answer_is_found(tmp_path: Path) -> None:
    (request,) = [item for item in draw_requests(save_models(tmp_path), 1, seed=0) if item.model == "pictures"]
    ((name, expected),) = request.expected.items()
    right = Tensor(name, "FP32", expected.shape, tuple(expected.reshape(-1).tolist()))
    assert request.is_answered_by([right])
    assert not request.is_answered_by([replace(right, elements=(right.elements[0] + 0.01, *right.elements[1:]))])
    assert not request.is_answered_by([])
    assert np.isfinite(expected).all()


def test_an_answer_without_an_error_object_is_found() -> None:
    client = Client(HttpClient("http://127.0.0.1:9"), None, [], Record(), seed=0)
    for answer in (Answer(400, {}, b"bad"), Answer(500, {}, b'{"error": "x"}'), Answer(422, {}, b'{"detail": []}')):
        client.check(b"GET / HTTP/1.1\r\n\r\n", answer)
    assert client.record.counts["FOUND no error object"] == 2
    assert client.record.counts["FOUND status 5xx"] == 1


def test_changes_depend_on_the_seed_alone(tmp_path: Path) -> None:
    (request,) = [item for item in draw_requests(save_models(tmp_path), 1, seed=0) if item.model == "several"]
    changed = [[malformed_http(request, random.Random(seed)) for seed in range(50)] for _ in range(2)]
    assert changed[0] == changed[1]
    assert len(set(changed[0])) > 40
    assert change_bytes(b"abcdef" * 10, random.Random(3)) != b"abcdef" * 10
    assert change_json({"a": [1, 2], "b": {"c": 3}}, random.Random(4)) != {"a": [1, 2], "b": {"c": 3}}
