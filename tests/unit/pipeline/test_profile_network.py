"""`jsonnx profile`: where the time of training steps and of runs of a model goes."""

from __future__ import annotations

import json
import signal
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from jsonnx.pipeline.inspect.profile_network import ProfileOptions, profile_model, profile_training
from jsonnx.runtime.fit.step_timer import StepTimer
from jsonnx.runtime.providers.node_origins import NodeOrigins
from jsonnx.runtime.providers.node_times import session_times
from jsonnx.runtime.providers.session_recorder import SessionRecord
from onnx import TensorProto, helper
from support.commands import jsonnx

IMAGE = (8, 8, 3)
SPEC: dict[str, Any] = {
    "inputs": {"image": {"shape": list(IMAGE)}},
    "layers": [
        {"type": "Conv2D", "name": "features", "filters": 8, "kernel_size": 3, "use_bias": False},
        {"type": "BatchNormalization", "name": "normalized"},
        {"type": "ReLU", "name": "positive"},
        {"type": "Flatten", "name": "flat"},
        {"type": "Dense", "name": "hidden", "units": 16},
        {"type": "Dense", "name": "class", "units": 3, "activation": "softmax"},
    ],
    "training": {
        "loss": "sparse_categorical_crossentropy",
        "optimizer": "adam",
        "metrics": ["accuracy"],
        "batch_size": 8,
        "data": {"train": "d.npz", "x": "image", "y": "label"},
    },
}


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a spec, its data, and the temporary files of the test."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("d.npz", image=rng.normal(size=(20, *IMAGE)).astype(np.float32), label=rng.integers(3, size=20))
    Path("spec.json").write_text(json.dumps(SPEC))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return tmp_path


def test_time_of_steps_belongs_to_layers_and_passes(work_folder: Path) -> None:
    document = json.loads(jsonnx("profile", "spec.json", "--training", "--steps", "3", "--format", "json").stdout)
    layers = {layer["name"]: layer for layer in document["layers"]}
    assert {"features", "normalized", "positive", "flat", "class", "loss", "metrics"} <= layers.keys()
    assert document["unmapped_seconds"] == 0
    assert layers["features"]["path"] == "$.layers[0]"
    assert layers["features"]["passes"]["forward"] > 0 < layers["features"]["passes"]["backward"]
    assert layers["hidden"]["passes"]["update"] > 0  # its kernel is too large to be packed
    assert layers["metrics"]["passes"]["backward"] == 0
    total = sum(layer["seconds"] for layer in document["layers"])
    assert total == pytest.approx(document["node_seconds"])
    assert total <= document["recorded_step_seconds"] + 1e-4
    assert (document["steps"], document["batch_size"]) == (3, 8)
    assert all(0 < node["executions"] < 1.01 for node in document["nodes"])
    assert sorted(path.name for path in work_folder.iterdir()) == ["d.npz", "spec.json", "temporary"]
    assert not list((work_folder / "temporary").iterdir())


def test_moving_averages_belong_to_the_forward_pass() -> None:
    profile = profile_training("spec.json", ProfileOptions(steps=1, threads=1))
    passes = {(node.layer, node.step_pass) for node in profile.nodes}
    assert ("normalized", "forward") in passes
    assert {step_pass for layer, step_pass in passes if layer == "loss"} == {"forward", "backward"}


def test_a_fused_node_belongs_to_its_layer_and_names_the_others() -> None:
    profile = profile_model("spec.json", ProfileOptions(steps=2, batch_size=4))
    assert profile.unmapped_seconds == 0
    assert profile.fused_layers["positive"] == "features"  # normalized is folded into it, positive fused
    convolution = next(node for node in profile.nodes if node.op.endswith("Conv"))
    assert (convolution.layer, convolution.type) == ("features", "Conv2D")
    assert profile.batch_size == 4


def test_a_run_and_a_model_are_profiled_on_data() -> None:
    jsonnx("train", "spec.json", "-o", "elsewhere/run", "--set", "training.epochs=1", "--quiet")
    for subject in ("elsewhere/run", "elsewhere/run/model.onnx"):
        text = jsonnx("profile", subject, "--data", "d.npz", "--steps", "2", "--batch-size", "16").stdout
        assert f"{subject}: 16 samples in a run, provider cpu" in text
        assert "\nfeatures " in text
    text = jsonnx("profile", "elsewhere/run", "--training", "--steps", "1", "--batch-size", "4").stdout
    assert "4 samples in a step" in text
    jsonnx("profile", "spec.json", "--weights", "elsewhere/run", "--steps", "1")
    assert "error[unreadable-file]" in jsonnx("profile", "spec.json", "--weights", "none", status=2).stderr
    assert "error[bad-option]" in jsonnx("profile", "elsewhere/run", "--set", "training.epochs=1", status=2).stderr


def test_nodes_of_another_programs_model_belong_to_the_scopes_of_their_names() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="/fc1/MatMul"),
        helper.make_node("Tanh", ["h"], ["y"], name="last"),
    ]
    weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [1.0, 2.0, 3.0, 4.0])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy")
    graph = helper.make_graph(nodes, "g", [x], [y], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), "other.onnx")
    profile = profile_model("other.onnx", ProfileOptions(steps=1))
    assert {node.layer for node in profile.nodes} == {"fc1", "last"}
    jsonnx("profile", "other.onnx", "--data", "d.npz", status=1)


def test_by_op_and_node_and_top() -> None:
    text = jsonnx("profile", "spec.json", "--steps", "1", "--by", "op", "--top", "1").stdout
    assert len(text.split("share\n")[1].splitlines()) == 3  # a rule, an operator, the others
    text = jsonnx("profile", "spec.json", "--training", "--steps", "1", "--by", "node").stdout
    assert "/class/" in text
    assert "backward" in text


def test_the_trace_has_the_layers_of_nodes() -> None:
    jsonnx("profile", "spec.json", "--training", "--steps", "2", "--trace", "trace.json")
    events = json.loads(Path("trace.json").read_text())["traceEvents"]
    assert {"$.layers[0]", "$.training.loss"} <= {event["args"].get("path") for event in events}
    assert all({"name", "ph", "ts", "dur", "pid", "tid"} <= event.keys() for event in events)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["other.onnx", "--training"], "error[bad-option]: --training needs a spec"),
        (["spec.json", "--trace", "spec.json"], "error[is-an-input]"),
        (["spec.json", "--training", "--data", "none.npz"], "error[unreadable-file]"),
        (["spec.json", "--provider", "nope"], "error[unknown-provider]"),
    ],
)
def test_wrong_arguments_are_diagnostics(arguments: list[str], message: str) -> None:
    assert message in jsonnx("profile", *arguments, status=2).stderr


@pytest.mark.parametrize("options", [("--training",), ()])
def test_ctrl_c_leaves_no_files(work_folder: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]) -> None:
    steps = StepTimer.on_train_batch_end
    seen: list[int] = []

    def interrupted(timer: StepTimer, *arguments: Any) -> None:
        seen.append(len(list((work_folder / "temporary").iterdir())))
        if seen[-1]:
            signal.raise_signal(signal.SIGINT)
        steps(timer, *arguments)

    def interrupted_read(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(StepTimer, "on_train_batch_end", interrupted)
    if not options:
        monkeypatch.setattr("jsonnx.pipeline.inspect.profile_network.session_times", interrupted_read)
    jsonnx("profile", "spec.json", *options, "--trace", "trace.json", status=130)
    assert not options or seen[-1], "a recorded step was interrupted"
    assert not list((work_folder / "temporary").iterdir())
    assert not Path("trace.json").exists()


def _event(name: str, op: str, start: int, duration: int) -> dict[str, Any]:
    return {"cat": "Node", "name": f"{name}_kernel_time", "ts": start, "dur": duration, "args": {"op_name": op}}


def test_the_time_of_a_body_is_not_that_of_its_loop() -> None:
    loop = helper.make_node("Scan", ["x"], ["y"], name="/rnn/Scan")
    model = helper.make_model(helper.make_graph([loop], "g", [], []))
    run = {"cat": "Session", "name": "model_run", "ts": 0, "dur": 100, "args": {}}
    inner = [_event("Identity_3", "Identity", 10, 20), _event("Identity_3", "Identity", 40, 20)]
    events = [run, _event("/rnn/Scan", "Scan", 5, 90), *inner, _event("none", "Add", 96, 1)]
    times = session_times(SessionRecord(model, None, events), NodeOrigins(model, None), 0)
    found = {name: (round(node.seconds * 1e6), node.executions) for name, node in times.nodes.items()}
    assert found == {"/rnn/Scan": (50, 1), "Identity_3": (40, 2), "none": (1, 1)}
    origin = times.nodes["Identity_3"].origin
    assert origin is not None
    assert origin.origin.scope == "rnn"
    assert times.nodes["none"].origin is None


def test_the_time_of_a_node_on_a_device_is_what_the_device_measured() -> None:
    node = helper.make_node("Conv", ["x"], ["y"], name="/c/Conv")
    model = helper.make_model(helper.make_graph([node], "g", [], []))
    run = {"cat": "Session", "name": "model_run", "ts": 10, "dur": 100, "args": {}}
    started = [_event("/c/Conv", "Conv", 20, 3), _event("/c/Relu", "Relu", 30, 3), _event("/c/Host", "Add", 40, 3)]
    webgpu = {"cat": "Api", "name": "/c/Conv&Conv&Tiled", "ts": 40, "dur": 50, "args": {}}
    cuda = {"cat": "Kernel", "name": "k", "ts": 95, "dur": 7, "args": {"parent_name": "/c/Relu_kernel_time"}}
    before = {**webgpu, "ts": 1}
    record = SessionRecord(model, None, [before, run, *started, webgpu, webgpu, cuda])
    times = session_times(record, NodeOrigins(model, None), 0)
    seconds = {name: round(node.computing_seconds * 1e6) for name, node in times.nodes.items()}
    assert seconds == {"/c/Conv": 100, "/c/Relu": 7, "/c/Host": 3}
