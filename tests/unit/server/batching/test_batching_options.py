"""The options of `jsonnx serve` about batching."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonnx
import pytest
from click.testing import CliRunner
from jsonnx.cli import main
from jsonnx.server.http import start as start_module


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """The options of the servers that commands start."""
    found: list[Any] = []
    monkeypatch.setattr(start_module, "start", lambda sources, options: found.append(options))
    monkeypatch.chdir(tmp_path)
    spec = {"inputs": {"x": {"shape": [2]}}, "layers": [{"type": "Dense", "units": 1}]}
    jsonnx.compile(spec).save("net.onnx")
    return found


def test_options_reach_the_batcher(started: list[Any]) -> None:
    words = "--max-batch 8 --max-queue 9 --max-delay 0.5 --sessions 3 --threads 2 --batch-unproven net"
    result = CliRunner().invoke(main, ["serve", "net.onnx", *words.split()])
    assert result.exit_code == 0, result.output
    models = started[0].models
    assert (models.max_batch_rows, models.max_queue_rows, models.max_delay_s) == (8, 9, 0.5)
    assert (models.sessions, models.threads, models.batch_unproven) == (3, 2, {"net"})


def test_an_unknown_model_cannot_be_batched(started: list[Any]) -> None:
    result = CliRunner().invoke(main, ["serve", "net.onnx", "--batch-unproven", "nets"])
    assert result.exit_code == 2
    assert "--batch-unproven names 'nets', which is not served" in result.output
    assert "did you mean 'net'?" in result.output
    assert not started
