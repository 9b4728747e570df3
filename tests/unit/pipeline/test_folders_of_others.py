"""RUN and SWEEP folders that someone else has made: no writing through links, no reading elsewhere."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.core.files.run_layout import RunPaths
from jsonnx.runtime.session.session import Session
from jsonnx.trackers.tracker import read_run_key, write_run_key
from support.commands import jsonnx, process

SPEC: dict[str, Any] = {
    "inputs": {"x": {"shape": [1]}},
    "layers": [{"type": "Dense", "name": "y", "units": 1}],
    "training": {
        "data": {"train": "data.csv", "test": "data.csv"},
        "loss": "mse",
        "optimizer": "sgd",
        "epochs": 2,
        "csv_log": True,
        "checkpoint": {"monitor": "loss"},
    },
    "sweep": {"parameters": {"training.epochs": {"choice": [1, 2]}}, "sampler": "grid", "metric": "loss"},
}
ROWS = "x,y\n" + "".join(f"{index % 3},{index % 5}\n" for index in range(8))
PRECIOUS = "precious\n"


def make_project(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(json.dumps(SPEC))
    (folder / "data.csv").write_text(ROWS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a finished run, `run`, and a sweep with all runs, `sweep`."""
    project = tmp_path_factory.mktemp("trained") / "project"
    make_project(project)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        jsonnx("train", "spec.json", "-o", "run", "--quiet")
        jsonnx("report", "run")
        jsonnx("sweep", "spec.json", "-o", "sweep", "--keep", "all")
    return project


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project, the current folder, beside a folder `outside` with files that must not change."""
    shutil.copytree(trained, tmp_path / "project")
    outside = tmp_path / "outside"
    (outside / "0001").mkdir(parents=True)
    for name in ("file", "step-000000000001.safetensors", "0001/model.onnx", "0001.json"):
        (outside / name).write_text(PRECIOUS)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def replace_by_link(path: Path, target: str) -> None:
    """Puts a link in the place of a file or a folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(target)


WRITTEN = [str(path.relative_to("run")) for path in RunPaths(Path("run")).written]


@pytest.mark.parametrize("option", ["--resume", "--force"])
@pytest.mark.parametrize("name", [*WRITTEN, "checkpoints/step-000000000004.safetensors"])
def test_a_training_writes_through_no_link_of_a_run(project: Path, name: str, option: str) -> None:
    is_folder = (project / "run" / name).is_dir()
    outside = project.parent / "outside"
    target = outside if is_folder else outside / "file"
    replace_by_link(project / "run" / name, str(target))
    before = contents(project.parent)
    error = jsonnx("train", "spec.json", "-o", "run", option, "--set", "training.epochs=3", "--quiet", status=2).stderr
    assert "unwritable-file" in error or "lock" in name
    assert f"{name}': it is a symbolic link" in error or "it is a symbolic link" in error
    assert contents(project.parent) == before


def test_a_link_to_nothing_creates_nothing(project: Path) -> None:
    absent = project.parent / "outside" / "absent"
    replace_by_link(project / "run" / "metrics.jsonl", str(absent))
    jsonnx("train", "spec.json", "-o", "run", "--force", "--quiet", status=2)
    assert not absent.exists()


def test_a_new_run_in_a_folder_with_links_is_refused(project: Path) -> None:
    (project / "new").mkdir()
    (project / "new" / "steps.jsonl").symlink_to(project.parent / "outside" / "file")
    assert "symbolic link" in jsonnx("train", "spec.json", "-o", "new", "--force", "--quiet", status=2).stderr
    assert (project.parent / "outside" / "file").read_text() == PRECIOUS


def test_a_folder_that_the_user_names_may_be_a_link(project: Path) -> None:
    (project / "disk").mkdir()
    (project / "named").symlink_to("disk")
    jsonnx("train", "spec.json", "-o", "named", "--quiet")
    assert (project / "disk" / "model.onnx").exists()


def test_a_folder_that_jsonnx_names_is_no_link(project: Path) -> None:
    (project / "runs").mkdir()
    (project / "runs" / "spec").symlink_to(project / "run")
    assert "symbolic link" in jsonnx("train", "spec.json", "--force", "--quiet", status=2).stderr
    (project / "sweeps").mkdir()
    (project / "sweeps" / "spec").symlink_to(project / "sweep")
    assert "symbolic link" in jsonnx("sweep", "spec.json", "--resume", status=2).stderr


def test_an_evaluation_is_recorded_through_no_link(project: Path) -> None:
    copy = project.parent / "outside" / "run.json"
    shutil.move(project / "run" / "run.json", copy)
    (project / "run" / "run.json").symlink_to(copy)
    before = copy.read_bytes()
    assert "loss" in jsonnx("evaluate", "run", "--data", "data.csv").stdout
    assert copy.read_bytes() == before


@pytest.mark.parametrize(("command", "name"), [("report", "run/report.html"), ("lock", "jsonnx.lock")])
def test_reports_and_locks_are_written_through_no_link(project: Path, command: str, name: str) -> None:
    target = project.parent / "outside" / "file"
    target.write_text('{"format": 1, "specs": {}}')
    replace_by_link(project / name, str(target))
    before = target.read_bytes()
    assert "symbolic link" in jsonnx(command, "run", status=2).stderr
    assert target.read_bytes() == before


SWEEP_FILES = ["sweep.json", "spec.json", "best.json", "sweep.html", "trials", "trials/0001.json", "trials/0001"]


@pytest.mark.parametrize("name", [*SWEEP_FILES, "trials/0003", "trials/0003.json", "trials/0003.log", ".lock"])
def test_a_sweep_writes_through_no_link(project: Path, name: str) -> None:
    outside = project.parent / "outside"
    is_folder = name == "trials" or (not Path(name).suffix and name != ".lock")
    replace_by_link(project / "sweep" / name, str(outside / ("0001" if is_folder else "file")))
    if name in ("sweep.json", "spec.json"):  # it is read before anything is written
        shutil.copy(project / ("spec.json" if name == "spec.json" else "data.csv"), outside / "file")
    before = contents(project.parent)
    spec = {**SPEC, "sweep": {**SPEC["sweep"], "parameters": {"training.epochs": {"choice": [1, 2, 3]}}}}
    (project / "spec.json").write_text(json.dumps(spec))
    before["project/spec.json"] = (project / "spec.json").read_bytes()
    result = jsonnx("sweep", "spec.json", "-o", "sweep", "--resume", "--keep", "all", status=2)
    assert "symbolic link" in result.stderr
    assert contents(project.parent) == before


# -- recorded folders --------------------------------------------------------------------------------------------------


def change_record(run: Path, **values: Any) -> None:
    file = RunPaths(run).execution
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.fixture
def elsewhere(project: Path) -> Path:
    """A folder outside of the current one, with data that fit and a spec of its own."""
    folder = project.parent / "elsewhere"
    make_project(folder)
    (folder / "spec.json").write_text(json.dumps({**SPEC, "name": "another"}))
    return folder


COMMANDS = {
    "evaluate": ("evaluate", "run"),
    "lock": ("lock", "run"),
    "profile": ("profile", "run", "--training", "--steps", "1"),
}


@pytest.mark.parametrize("is_relative", [True, False])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_recorded_folder_elsewhere_needs_a_data_root(
    project: Path, elsewhere: Path, command: str, is_relative: bool
) -> None:
    change_record(project / "run", data_folder="../../elsewhere" if is_relative else str(elsewhere))
    before = contents(elsewhere)
    result = jsonnx(*COMMANDS[command], status=2)
    assert "unsafe-path" in result.stderr
    assert "--data-root" in result.stderr
    assert contents(elsewhere) == before
    jsonnx(*COMMANDS[command], "--data-root", str(elsewhere))


def test_a_report_notes_that_the_folder_needs_a_data_root(project: Path, elsewhere: Path) -> None:
    change_record(project / "run", data_folder=str(elsewhere))
    result = jsonnx("report", "run")
    assert "--data-root" in result.stderr
    assert "--data-root" not in jsonnx("report", "run", "--data-root", str(elsewhere)).stderr


def test_a_folder_with_the_spec_of_the_run_is_used(project: Path, elsewhere: Path) -> None:
    change_record(project / "run", data_folder=str(elsewhere))
    shutil.copy(project / "run" / "spec.source.json", elsewhere / "spec.json")
    assert "loss" in jsonnx("evaluate", "run").stdout
    assert str(elsewhere) in jsonnx("lock", "run").stderr
    assert (elsewhere / "jsonnx.lock").exists()


@pytest.mark.parametrize("text", ['{"a": 1}', "{}", "[1]", "text", ""])
def test_a_file_of_the_same_text_that_is_no_spec_does_not_count(project: Path, elsewhere: Path, text: str) -> None:
    change_record(project / "run", data_folder=str(elsewhere))
    for file in (elsewhere / "spec.json", project / "run" / "spec.source.json"):
        file.write_text(text)
    assert "unsafe-path" in jsonnx("evaluate", "run", status=2).stderr


def test_the_spec_of_a_run_is_a_name_without_folders(project: Path, elsewhere: Path) -> None:
    info = json.loads((project / "run" / "run.json").read_text())
    (project / "run" / "run.json").write_text(json.dumps({**info, "spec": "../../elsewhere/spec.json"}))
    assert "damaged-file" in jsonnx("evaluate", "run", status=1).stderr


@pytest.mark.parametrize(
    "name", ["../../elsewhere/data.csv", "../../elsewhere/*.csv", "../linked.csv", "../linked/d.csv"]
)
def test_recorded_data_elsewhere_need_a_data_root(project: Path, elsewhere: Path, name: str) -> None:
    (project / "linked.csv").symlink_to(elsewhere / "data.csv")
    (project / "linked").symlink_to(elsewhere)
    shutil.copy(elsewhere / "data.csv", elsewhere / "d.csv")
    change_record(project / "run", data_files={"train": name})
    for command in ("evaluate", "profile"):
        assert "--data-root" in jsonnx(*COMMANDS[command], status=2).stderr
    jsonnx(*COMMANDS["profile"], "--data-root", str(elsewhere))
    jsonnx("evaluate", "run", "--data", "data.csv")  # needs none of what is recorded


def test_data_that_the_user_named_are_used_by_the_report_of_the_training(project: Path, elsewhere: Path) -> None:
    named = ["--data", str(elsewhere / "data.csv"), "--report", "--quiet"]
    assert "--data-root" not in jsonnx("train", "spec.json", "-o", "named", *named).stderr


def test_runs_of_a_spec_above_the_current_folder_are_used(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "below").mkdir()
    monkeypatch.chdir(project / "below")
    jsonnx("train", "../spec.json", "-o", "run", "--quiet")
    assert "loss" in jsonnx("evaluate", "run").stdout
    (project / "spec.json").write_text(json.dumps({**SPEC, "name": "edited"}))
    assert "--data-root" in jsonnx("evaluate", "run", status=2).stderr
    assert "loss" in jsonnx("evaluate", "run", "--data-root", "..").stdout


def external_tensor(location: str) -> Any:
    import onnx

    tensor = onnx.TensorProto(name="w", data_type=1, dims=[4], data_location=onnx.TensorProto.EXTERNAL)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return tensor


def model_of(initializers: list[Any], nodes: list[Any] | None = None, functions: list[Any] | None = None) -> Any:
    from onnx import helper

    values = [helper.make_tensor_value_info(name, 1, [4]) for name in ("x", "y")]
    nodes = nodes or [helper.make_node("Max", ["x", "w"], ["y"])]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], initializers)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=functions or [])


@pytest.fixture
def model_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, beside a file with a secret that a link in it leads to."""
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(16))
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "weights").write_bytes(bytes(16))
    monkeypatch.chdir(folder)
    return folder


def test_weights_of_a_model_lie_in_its_folder(model_folder: Path) -> None:
    file = model_folder / "model.onnx"
    for location in ("../secret", "link", str(model_folder.parent / "secret")):
        file.write_bytes(model_of([external_tensor(location)]).SerializeToString())
        for verify in (True, False):
            with pytest.raises(CompileError, match="unsafe-path"):
                Session(os.fspath(file), verify=verify)
        with pytest.raises(CompileError, match="unsafe-path"):
            Session(file.read_bytes())
    file.write_bytes(model_of([external_tensor("weights")]).SerializeToString())
    if tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 21):
        pytest.skip("this onnxruntime reads no file beside a model that it gets as bytes")
    assert Session(file).run(np.zeros(4, np.float32))["y"].tolist() == [0, 0, 0, 0]


def models_that_hide_a_location() -> dict[str, bytes]:
    """Models that onnxruntime loads, which jsonnx's own reader refuses or does not read completely."""
    import onnx
    from onnx import helper

    model = model_of([external_tensor("../secret")])
    plain = model.SerializeToString()
    two_entries = onnx.ModelProto(metadata_props=[onnx.StringStringEntryProto(key="a", value="b")] * 2)
    nodes = [
        helper.make_node("Constant", [], ["c"], value=external_tensor("../secret")),
        helper.make_node("Max", ["a", "c"], ["b"]),
    ]
    function = helper.make_function("own", "F", ["a"], ["b"], nodes, [helper.make_opsetid("", 18)])
    # an enumeration's value in 64 bits, of which protobuf keeps 32
    tensor = external_tensor("../secret").SerializeToString().replace(b"\x70\x01", b"\x70\x81\x80\x80\x80\x10")
    rest = model_of([])
    graph = rest.graph.SerializeToString() + b"\x2a" + bytes([len(tensor)]) + tensor
    rest.ClearField("graph")
    return {
        "two graphs": plain + onnx.ModelProto(graph=onnx.GraphProto(name="g")).SerializeToString(),
        "two entries of metadata": plain + two_entries.SerializeToString(),
        "function": model_of([], [helper.make_node("F", ["x"], ["y"], domain="own")], [function]).SerializeToString(),
        "enumeration": rest.SerializeToString() + b"\x3a" + bytes([len(graph)]) + graph,
    }


@pytest.mark.parametrize("name", ["two graphs", "two entries of metadata", "function", "enumeration"])
def test_no_model_hides_where_its_weights_are(model_folder: Path, name: str) -> None:
    (model_folder / "model.onnx").write_bytes(models_that_hide_a_location()[name])
    with pytest.raises(CompileError, match="unsafe-path"):
        Session("model.onnx")


def test_an_address_in_memory_is_no_file(model_folder: Path) -> None:
    """onnxruntime 1.22 reads from an address for this name, even if there is such a file."""
    (model_folder / "*" / "_ORT_MEM_ADDR_").mkdir(parents=True)
    (model_folder / "*" / "_ORT_MEM_ADDR_" / "*").write_bytes(bytes(16))
    (model_folder / "model.onnx").write_bytes(model_of([external_tensor("*/_ORT_MEM_ADDR_/*")]).SerializeToString())
    with pytest.raises(CompileError, match="unsafe-path"):
        Session("model.onnx")


@pytest.mark.parametrize(
    "name", [".lock", ".lock-owner", "steps.jsonl", "run.json", "checkpoints/step-000000000006.safetensors"]
)
def test_no_command_waits_for_a_pipe_in_a_run(project: Path, name: str) -> None:
    (project / "run" / name).unlink(missing_ok=True)
    os.mkfifo(project / "run" / name)
    command = ["train", "spec.json", "-o", "run", "--resume", "--set", "training.epochs=3", "--quiet"]
    done = process(*command, cwd=project, timeout=60)
    assert done.returncode == 2
    assert "internal error" not in done.stderr


def test_trackers_write_through_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text(PRECIOUS)
    (tmp_path / "mlflow.json").symlink_to(outside)
    with pytest.raises(UsageError, match="symbolic link"):
        write_run_key(tmp_path / "mlflow.json", run_id="1")
    assert outside.read_text() == PRECIOUS


def test_trackers_read_no_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mlflow.json")
    assert read_run_key(tmp_path / "mlflow.json") == {}
