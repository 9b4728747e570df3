"""`jsonnx evaluate --require`: bounds on metrics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.pipeline.run.required_metrics import MetricBound, check_metrics
from support.commands import jsonnx

NAN = float("nan")


def codes(metrics: dict, *texts: str) -> list[str]:
    return [item.message for item in check_metrics("runs/a", metrics, [MetricBound.parse(text) for text in texts])]


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("accuracy>=0.97", 0.97, True),
        ("accuracy >= 0.97", 0.969, False),
        ("accuracy>.5", 0.5, False),
        ("accuracy<1e-3", 0.0009, True),
        ("accuracy<=-1.", -1.0, True),
        ("accuracy>=0", NAN, False),
        ("accuracy<=0", NAN, False),
    ],
)
def test_a_bound(text: str, value: float, holds: bool) -> None:
    assert MetricBound.parse(text).holds(value) is holds


@pytest.mark.parametrize("text", ["", "accuracy", ">=1", "accuracy=1", "accuracy==1", "a>=x", "a>=1<2", "a>=nan"])
def test_other_texts_are_no_bounds(text: str) -> None:
    with pytest.raises(UsageError, match="that is no bound"):
        MetricBound.parse(text)


def test_every_number_of_a_list_must_keep_a_bound() -> None:
    assert not codes({"recall": [0.9, [0.8]]}, "recall>=0.8")
    assert codes({"recall": [0.9, 0.7, NAN]}, "recall>=0.8") == [
        "recall[1] of 'runs/a' is 0.7 (and 1 more of its 3 numbers), --require asks for recall>=0.8"
    ]


def test_an_unknown_metric_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean 'accuracy'"):
        codes({"loss": 1.0, "accuracy": 0.5}, "acuracy>=0.5")
    with pytest.raises(UsageError, match="its metrics are 'loss' and 'mae'"):
        codes({"loss": 1.0, "mae": 0.5}, "accuracy>=0.5")


def test_the_command_exits_with_status_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text("x,y\n1,2\n2,4\n3,6\n")
    spec = {
        "inputs": {"x": {"shape": []}},
        "layers": [{"type": "Reshape", "target_shape": [1]}, {"type": "Dense", "name": "y", "units": 1}],
        "training": {"data": {"train": "data.csv", "test": "data.csv", "x": "x", "y": "y"}, "loss": "mse", "epochs": 1},
    }
    Path("spec.json").write_text(json.dumps(spec))
    jsonnx("train", "spec.json", "-o", "run")
    jsonnx("evaluate", "run", "--require", "loss<1e9")
    failed = jsonnx("evaluate", "run", "run", "--require", "loss<1e9", "--require", "loss<-1", status=1)
    assert failed.stderr.count("error[required-figure]: loss of 'run' is ") == 2
    failed = jsonnx("evaluate", "run", "--require", "loss<-1", "--format", "json", status=1)
    assert list(json.loads(failed.stdout)) == ["data", "loss"]
    assert "that is no bound" in jsonnx("evaluate", "nothing", "--require", "loss", status=2).stderr
