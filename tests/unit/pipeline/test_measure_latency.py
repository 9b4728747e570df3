"""`jsonnx profile --batch-sizes`: latency percentiles, throughput and memory of a model, and bounds on them."""

from __future__ import annotations

import json
import sys
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.core.system.peak_memory import peak_memory_bytes, resident_memory_bytes
from jsonnx.pipeline.inspect.measure_latency import measure_latency
from jsonnx.pipeline.inspect.profile_network import ProfileOptions
from jsonnx.pipeline.inspect.required_latency import LatencyBound, check_latency
from jsonnx.runtime.profile.latency import BatchLatency, LatencyProfile, percentile
from jsonnx.runtime.session import measure_runs
from onnx import TensorProto, helper, numpy_helper
from support.commands import jsonnx

FEW_RUNS = ProfileOptions(steps=20, threads=1)
MB = 1_000_000


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save_model(file: str, size: int, products: int = 1, batch: int | str = "batch") -> None:
    """A model that multiplies its input `products` times by one square matrix."""
    weight = numpy_helper.from_array(np.random.default_rng(0).random((size, size), np.float32) / size, "w")
    names = ["x", *(f"h{number}" for number in range(products - 1)), "y"]
    nodes = [helper.make_node("MatMul", [names[i], "w"], [names[i + 1]]) for i in range(products)]
    types = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, size]) for name in "xy"]
    graph = helper.make_graph(nodes, "products", types[:1], types[1:], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)


def profile_of(*seconds: float, batch_size: int = 1, peak: int | None = 300 * MB) -> LatencyProfile:
    batch = BatchLatency(batch_size, 0.5, seconds, 0)
    return LatencyProfile("model.onnx", "cpu", 1, 0.25, 100 * MB, 200 * MB, peak, (batch,))


@pytest.mark.parametrize("count", [1, 2, 9, 10, 19, 20, 99, 100, 101, 1000])
def test_percentiles_are_those_of_nearest_rank(count: int) -> None:
    seconds = sorted(np.random.default_rng(count).random(count).tolist())
    for percent in (50, 90, 95, 99):
        expected = np.percentile(seconds, percent, method="inverted_cdf")
        assert seconds[ceil(count * percent / 100) - 1] == expected
        has_enough = count >= 100 / (100 - percent)
        assert percentile(seconds, percent) == (expected if has_enough else None)


def test_figures_are_those_of_the_times_of_runs() -> None:
    save_model("model.onnx", 64)
    profile = measure_latency("model.onnx", [1, 4], FEW_RUNS)
    assert [batch.batch_size for batch in profile.batches] == [1, 4]
    for batch in profile.batches:
        assert 20 <= len(batch.run_seconds) <= measure_runs.MAX_RUNS_PER_SIZE
        seconds = np.array(batch.run_seconds)
        assert batch.mean_seconds == pytest.approx(seconds.mean())
        assert batch.samples_per_second == pytest.approx(batch.batch_size * len(seconds) / seconds.sum())
        for percent, value in batch.percentiles.items():
            assert value is None or np.count_nonzero(seconds <= value) >= percent / 100 * len(seconds)
            assert value is None or np.count_nonzero(seconds < value) < percent / 100 * len(seconds)


def test_a_model_with_more_products_takes_longer() -> None:
    save_model("few.onnx", 256, products=2)
    save_model("many.onnx", 256, products=40)
    few, many = (measure_latency(file, [64], FEW_RUNS).batches[0] for file in ("few.onnx", "many.onnx"))
    assert min(many.run_seconds) > 4 * min(few.run_seconds)


def test_runs_end_with_the_time_and_not_before_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def run() -> None:
        nonlocal now
        now += 0.3

    monkeypatch.setattr(measure_runs, "perf_counter", lambda: now)
    assert len([*measure_runs._timed_runs(run, 3)]) == 1 + 7  # 2 s
    assert len([*measure_runs._timed_runs(run, 50)]) == 1 + 50
    assert [*measure_runs._timed_runs(run, 1)][1:] == pytest.approx([0.3] * 7)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_is_that_of_the_model() -> None:
    save_model("model.onnx", 3550)
    size = Path("model.onnx").stat().st_size
    assert size > 50 * MB
    profile = measure_latency("model.onnx", [1, 8], FEW_RUNS)
    assert profile.baseline_bytes is not None
    assert profile.peak_bytes is not None
    assert profile.model_bytes is not None
    assert profile.load_peak_bytes is not None
    assert size <= profile.model_bytes < 4 * size
    assert profile.baseline_bytes < profile.load_peak_bytes <= profile.peak_bytes
    assert profile.baseline_bytes < 200 * MB


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_grows_with_the_batch() -> None:
    save_model("model.onnx", 512)
    small, large = measure_latency("model.onnx", [1, 16384], ProfileOptions(steps=1)).batches
    result_bytes = 16384 * 512 * 4
    assert small.added_bytes is not None
    assert large.added_bytes is not None
    assert small.added_bytes + result_bytes < large.added_bytes < small.added_bytes + 8 * result_bytes


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_of_a_process() -> None:
    before = resident_memory_bytes()
    array = np.ones(25 * MB)
    after, peak = resident_memory_bytes(), peak_memory_bytes()
    assert before is not None
    assert after is not None
    assert peak is not None
    assert 0.9 * array.nbytes < after - before < 1.1 * array.nbytes
    assert peak >= after


def test_json_has_all_figures() -> None:
    save_model("model.onnx", 16)
    text = jsonnx("profile", "model.onnx", "--batch-sizes", "8,1", "--threads", "1", "--format", "json").stdout
    document: dict[str, Any] = json.loads(text)
    assert {*document} == {"subject", "provider", "threads", "load_seconds", "memory", "batches"}
    assert (document["subject"], document["provider"], document["threads"]) == ("model.onnx", "cpu", 1)
    assert [batch["batch_size"] for batch in document["batches"]] == [1, 8]
    for batch in document["batches"]:
        order = ("min_seconds", "p50_seconds", "p90_seconds", "p95_seconds", "p99_seconds", "max_seconds")
        times = [batch[name] for name in order]
        assert times == sorted(times)
        assert batch["samples_per_second"] == pytest.approx(batch["batch_size"] / batch["mean_seconds"])
        assert {"runs", "first_seconds", "added_bytes"} <= {*batch}


def test_specs_runs_and_strings_are_measured() -> None:
    spec = {
        "inputs": {"word": {"shape": [], "dtype": "string"}, "size": {"shape": [2]}},
        "layers": [
            {
                "type": "StringLookup",
                "name": "code",
                "from": "word",
                "vocabulary": ["a", "b"],
                "output_mode": "one_hot",
            },
            {"type": "Concatenate", "from": ["code", "size"]},
            {"type": "Dense", "units": 1, "name": "y"},
        ],
    }
    Path("spec.json").write_text(json.dumps(spec))
    text = jsonnx("profile", "spec.json", "--batch-sizes", "1,3", "--set", "layers.2.units=4").stdout
    assert text.startswith("spec.json: provider cpu, ")
    assert [line.split()[0] for line in text.splitlines()[4:6]] == ["1", "3"]
    jsonnx("compile", "spec.json", "-o", "model.onnx")
    assert measure_latency("model.onnx", [2], FEW_RUNS).batches[0].batch_size == 2


def test_data_are_the_inputs() -> None:
    spec = {"inputs": {"x": {"shape": [2]}}, "layers": [{"type": "Dense", "units": 1}]}
    Path("spec.json").write_text(json.dumps(spec))
    np.savez("data.npz", x=np.zeros((6, 2), np.float32))
    jsonnx("profile", "spec.json", "--batch-sizes", "1,6", "--data", "data.npz")
    found = jsonnx("profile", "spec.json", "--batch-sizes", "1,7", "--data", "data.npz", status=2)
    assert "--batch-sizes 7: the data have fewer samples" in found.stderr


def test_models_in_ort_format_are_measured() -> None:
    save_model("model.onnx", 8)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = "model.ort"
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession("model.onnx", options)
    assert measure_latency("model.ort", [3], FEW_RUNS).batches[0].batch_size == 3
    found = jsonnx("profile", "model.ort", status=2).stderr
    assert "does not tell the layers of a model in ORT format" in found


def test_a_model_for_one_batch_size_refuses_another() -> None:
    save_model("fixed.onnx", 4, batch=2)
    assert measure_latency("fixed.onnx", [2], FEW_RUNS).batches[0].batch_size == 2
    with pytest.raises(UsageError, match="fixed first axis") as caught:
        measure_latency("fixed.onnx", [1], FEW_RUNS)
    assert caught.value.diagnostic.help == "give --batch-sizes 2"


@pytest.mark.parametrize(
    ("bound", "holds"),
    [
        ("p50<5ms", True),
        ("p50 <= 2 ms", True),
        ("p50<2ms", False),
        ("p50@1<5ms", True),
        ("mean>1s", False),
        ("first<1s", True),
        ("load<0.1s", False),
        ("throughput>=400", True),
        ("throughput>600", False),
        ("memory<300MB", False),
        ("memory<=300MB", True),
    ],
)
def test_bounds(bound: str, holds: bool) -> None:
    failures = check_latency(profile_of(0.002, 0.002, 0.002), [LatencyBound.parse(bound)])
    assert [failure.code for failure in failures] == ([] if holds else ["required-figure"])


@pytest.mark.parametrize(
    ("bound", "message"),
    [
        ("p50", "that is no bound"),
        ("p50<5", "expected a time with a unit"),
        ("p51<5ms", "there is no figure 'p51'"),
        ("memory<5ms", "expected 500000, 5 MB or 4 MiB"),
        ("throughput>fast", "expected a number, got 'fast'"),
        ("p99<5ms", "p99@1 was not measured"),
    ],
)
def test_bounds_that_cannot_be_checked(bound: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_latency(profile_of(0.002, 0.002), [LatencyBound.parse(bound)])
    assert caught.value.diagnostic.code == "bad-option"
    assert message in caught.value.diagnostic.message


def test_a_bound_on_another_batch_size_is_refused_before_the_model_is_read() -> None:
    found = jsonnx("profile", "absent.onnx", "--batch-sizes", "1,8", "--require", "p50@2<5ms", status=2)
    assert "error[bad-option]: --require p50@2<5ms: the batch size 2 is not measured" in found.stderr
    assert "add it to --batch-sizes" in found.stderr


def test_memory_that_the_system_does_not_tell_cannot_be_bounded() -> None:
    with pytest.raises(UsageError, match="memory was not measured"):
        check_latency(profile_of(0.1, peak=None), [LatencyBound.parse("memory<1GB")])


def test_the_exit_status_is_1_beyond_a_bound() -> None:
    save_model("model.onnx", 4)
    arguments = ("profile", "model.onnx", "--batch-sizes", "1,2", "--require", "p50@2<1us")
    found = jsonnx(*arguments, status=1)
    assert "error[required-figure]: p50@2 of 'model.onnx' is " in found.stderr
    jsonnx("profile", "model.onnx", "--batch-sizes", "1", "--require", "p50<10s")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--batch-sizes", "0"], "--batch-sizes: expected numbers from 1 to 100,000"),
        (["--batch-sizes", "1;2"], "--batch-sizes: expected numbers"),
        (["--batch-sizes", "1", "--training"], "--training has no effect with --batch-sizes"),
        (["--batch-sizes", "1", "--workers", "2"], "--workers has no effect with --batch-sizes"),
        (["--batch-sizes", "1", "--batch-size", "2"], "--batch-size has no effect with --batch-sizes"),
        (["--batch-sizes", "1", "--top", "3"], "--top has no effect with --batch-sizes"),
        (["--batch-sizes", "1", "--trace", "t.json"], "--trace has no effect with --batch-sizes"),
        (["--require", "p95<1s"], "--require has no effect without --batch-sizes"),
        (["--batch-sizes", "1", "--set", "a=1"], "--set, --scale and --weights have no effect on a compiled model"),
    ],
)
def test_options_that_do_not_go_together(options: list[str], message: str) -> None:
    save_model("model.onnx", 4)
    found = jsonnx("profile", "model.onnx", *options, status=2)
    assert f"error[bad-option]: {message}" in found.stderr


def test_a_failed_process_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    save_model("model.onnx", 4)
    monkeypatch.setattr("jsonnx.pipeline.inspect.measure_latency.PROCESS_MODULE", "jsonnx.no_such_module")
    with pytest.raises(UsageError, match=r"the process that runs the model has failed: .*no_such_module"):
        measure_latency("model.onnx", [1], FEW_RUNS)
