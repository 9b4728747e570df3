"""`jsonnx diff`: changes of layers, training, weights and signature, and which of them break programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper
from support.commands import jsonnx, process

SPEC: dict[str, Any] = {
    "name": "net",
    "inputs": {"image": {"shape": [8, 8, 1]}, "age": {"shape": ["n"]}},
    "layers": [
        {"type": "Conv2D", "from": "image", "filters": 4, "kernel_size": 3},
        {"type": "Conv2D", "filters": 8, "kernel_size": 3},
        {"type": "Flatten"},
        {"type": "Dense", "name": "hidden", "units": 6, "activation": "relu"},
        {"type": "Dropout", "rate": 0.25},
        {"type": "Dense", "name": "kind", "units": 3, "activation": "softmax"},
        {"type": "Dense", "name": "size", "from": "hidden", "units": 1},
        {"type": "Rescaling", "name": "years", "from": "age", "scale": 0.1},
    ],
    "outputs": ["kind", "size", "years"],
    "labels": {"kind": ["a", "b", "c"]},
    "training": {
        "loss": {"kind": "sparse_categorical_crossentropy", "size": "mse", "years": "mse"},
        "optimizer": {"type": "adam", "learning_rate": 0.001},
        "epochs": 3,
    },
}


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("old.json", SPEC)
    return tmp_path


def write(file: str, spec: Any) -> str:
    Path(file).write_text(json.dumps(spec))
    return file


def edited(edit: Callable[[dict[str, Any]], Any]) -> str:
    spec = json.loads(json.dumps(SPEC))
    edit(spec)
    return write("new.json", spec)


def diff(edit: Callable[[dict[str, Any]], Any], breaks: bool = False) -> tuple[str, dict[str, Any]]:
    """Returns the text and the JSON output of `diff` for an edit of the spec."""
    new = edited(edit)
    text = jsonnx("diff", "old.json", new, status=int(breaks)).stdout
    report = json.loads(jsonnx("diff", "old.json", new, "--format", "json", status=int(breaks)).stdout)
    assert report["breaks"] is breaks
    assert text.splitlines()[-1].startswith("the signature breaks" if breaks else "the signature holds")
    return text, report


def layers(report: dict[str, Any]) -> list[tuple[str, str | None, str | None]]:
    return [(layer["change"], layer["old"], layer["new"]) for layer in report["layers"]]


# -- no difference ----------------------------------------------------------------------------------------------------


def test_layout_key_order_and_explicit_defaults_make_no_difference() -> None:
    spec = json.loads(json.dumps(SPEC))
    spec["layers"][0] |= {"strides": 1, "padding": "valid", "kernel_size": [3, 3], "use_bias": True}
    spec["layers"] = [dict(reversed(layer.items())) for layer in spec["layers"]]
    spec["training"]["optimizer"]["beta_1"] = 0.9
    spec["training"]["batch_size"] = 32
    spec["inputs"]["image"]["dtype"] = "float32"
    spec["description"] = "another comment"
    Path("new.json").write_text(json.dumps(dict(reversed(spec.items())), indent=7))
    assert jsonnx("diff", "old.json", "new.json").output == "no difference in meaning\n"
    report = json.loads(jsonnx("diff", "old.json", "new.json", "--format", "json").stdout)
    assert report["same"] is True
    assert report["layers"] == report["signature"] == []
    assert jsonnx("diff", "-", "old.json", stdin=json.dumps(SPEC)).output == "no difference in meaning\n"


def test_blocks_make_no_difference() -> None:
    dense = {"type": "Dense", "activation": "relu"}
    flat = [dense | {"name": f"b_{index}_{name}", "units": 4} for index in (1, 2) for name in ("one", "two")]
    write("flat.json", {"inputs": {"x": {"shape": [4]}}, "layers": flat})
    block = {"parameters": {"n": 1}, "layers": [dense | {"name": name, "units": "${n}"} for name in ("one", "two")]}
    use = {"type": "pair", "name": "b", "n": "${w // 2}", "repeat": 2}
    spec = {"parameters": {"w": 8}, "blocks": {"pair": block}, "inputs": {"x": {"shape": [4]}}, "layers": [use]}
    assert jsonnx("diff", "flat.json", write("blocks.json", spec)).output == "no difference in meaning\n"
    spec["parameters"] = {"w": 10}
    report = json.loads(jsonnx("diff", "flat.json", write("b.json", spec), "--format", "json", status=1).stdout)
    assert [layer["arguments"] for layer in report["layers"]] == [{"units": {"old": 4, "new": 5}}] * 4


def test_models_and_run_folders_are_compared_by_their_specs() -> None:
    jsonnx("compile", "old.json", "-o", "m.onnx")
    assert jsonnx("diff", "m.onnx", "old.json").output == "no difference in meaning\n"
    Path("run").mkdir()
    assert "not a RUN folder" in jsonnx("diff", "run", "old.json", status=2).stderr
    write("run/spec.json", SPEC | {"name": "other"})
    assert "model other was called 'net'" in jsonnx("diff", "old.json", "run").stdout
    Path("run/model.onnx").write_bytes(Path("m.onnx").read_bytes())  # the trained model takes precedence
    assert jsonnx("diff", "old.json", "run").output == "no difference in meaning\n"


# -- layers -----------------------------------------------------------------------------------------------------------


def test_an_inserted_layer_renames_later_layers_with_default_names() -> None:
    text, report = diff(lambda spec: spec["layers"].insert(1, {"type": "Conv2D", "filters": 5, "kernel_size": 1}))
    assert layers(report) == [("added", None, "conv2d_1"), ("changed", "conv2d_1", "conv2d_2")]
    assert (
        "+ conv2d_1: Conv2D (filters 5, kernel_size 1); from conv2d; makes float32[batch, 6, 6, 5]; 25 parameters"
        in text
    )
    assert "  ~ conv2d_1 -> conv2d_2: Conv2D; from conv2d -> conv2d_1\n" in text
    assert report["weights"]["renamed"] == {"conv2d_2/bias": "conv2d_1/bias"}
    assert report["weights"]["reshaped"] == {"conv2d_2/kernel": {"old": [3, 3, 4, 8], "new": [3, 3, 5, 8]}}
    assert report["weights"]["missing"] == ["conv2d_1/kernel", "conv2d_1/bias"]
    assert report["weights"]["unused"] == []
    parameters = report["parameters"]
    assert parameters["new"] - parameters["old"] == 25 + 72
    assert f"parameters {parameters['old']:,} -> {parameters['new']:,} (+97, +8.52 %)" in text


def test_changed_arguments_change_shapes_and_costs_of_later_layers() -> None:
    def edit(spec: dict[str, Any]) -> None:
        spec["layers"][3] |= {"units": 7, "kernel_regularizer": "l2"}
        spec["layers"][4]["rate"] = 0.5

    text, report = diff(edit)
    assert layers(report) == [("changed", name, name) for name in ("hidden", "dropout", "kind", "size")]
    assert report["layers"][0]["arguments"]["units"] == {"old": 6, "new": 7}
    assert report["layers"][0]["arguments"]["kernel_regularizer"] == {"old": None, "new": "l2"}
    assert report["layers"][0]["outputs"] == {"old": ["float32[batch, 6]"], "new": ["float32[batch, 7]"]}
    assert report["layers"][2]["arguments"] == {}
    assert "  ~ dropout: Dropout; rate 0.25 -> 0.5\n" in text
    old, new = (
        json.loads(jsonnx("summary", file, "--format", "json").stdout)["totals"] for file in ("old.json", "new.json")
    )
    for key in ("parameters", "multiply_adds"):
        assert report[key] == {"old": old[key], "new": new[key]}


def test_a_removed_argument_is_shown_with_its_default() -> None:
    text, _ = diff(lambda spec: spec["layers"][3].pop("activation"))
    assert "activation relu -> null" in text


def test_a_removed_layer_changes_the_sources_of_the_next() -> None:
    text, report = diff(lambda spec: spec["layers"].pop(4))
    assert layers(report) == [("removed", "dropout", None), ("changed", "kind", "kind")]
    assert "- dropout: Dropout (rate 0.25); from hidden" in text
    assert report["layers"][1]["from"] == {"old": ["dropout"], "new": ["hidden"]}
    assert report["weights"]["fit"]
    assert "weights\n" not in text


def test_a_renamed_layer_keeps_its_weights() -> None:
    def edit(spec: dict[str, Any]) -> None:
        spec["layers"][3]["name"] = spec["layers"][6]["from"] = "inner"

    text, report = diff(edit)
    assert layers(report) == [("changed", "hidden", "inner")]
    assert "~ hidden -> inner: Dense; another name" in text
    assert report["weights"]["renamed"] == {f"inner/{name}": f"hidden/{name}" for name in ("kernel", "bias")}
    assert report["weights"]["missing"] == report["weights"]["unused"] == []


def test_ambiguous_renames_are_shown_as_added_and_removed() -> None:
    equal_layers = [{"type": "Dense", "name": name, "units": 2, "from": "x"} for name in ("a", "b")]
    spec = {"inputs": {"x": {"shape": [3]}}, "layers": [*equal_layers, {"type": "Add", "from": ["a", "b"]}]}
    write("old.json", spec)
    renamed = json.loads(json.dumps(spec).replace('"a"', '"c"').replace('"b"', '"d"'))
    report = json.loads(jsonnx("diff", "old.json", write("new.json", renamed), "--format", "json").stdout)
    assert {change for change, *_ in layers(report)[:4]} == {"added", "removed"}


def test_a_layer_of_another_type_under_the_same_name_is_changed() -> None:
    text, report = diff(lambda spec: spec["layers"].__setitem__(3, {"type": "LayerNormalization", "name": "hidden"}))
    assert "~ hidden: Dense -> LayerNormalization" in text
    assert set(report["weights"]["unused"]) == {"hidden/kernel", "hidden/bias"}
    assert set(report["weights"]["missing"]) == {"hidden/gamma", "hidden/beta"}


def test_a_use_of_a_layer_shows_the_shared_weights() -> None:
    def edit(spec: dict[str, Any]) -> None:
        spec["layers"].insert(4, {"use": "hidden", "name": "again", "from": "flatten"})
        spec["layers"][6] = {"type": "Dense", "name": "kind", "units": 3, "activation": "softmax", "from": "again"}

    text, _ = diff(lambda spec: edit(spec) or spec["layers"].pop(5))
    assert "+ again: Dense; weights of hidden; from flatten" in text


def test_changes_of_the_training_section() -> None:
    def edit(spec: dict[str, Any]) -> None:
        spec["training"] |= {"epochs": 4, "optimizer": {"type": "adam", "beta_1": 0.8}, "metrics": {"size": ["mae"]}}

    text, report = diff(edit)
    assert report["training"]["epochs"] == {"old": 3, "new": 4}
    assert report["training"]["optimizer.beta_1"] == {"old": 0.9, "new": 0.8}
    assert set(report["training"]) == {"epochs", "optimizer.beta_1", "metrics"}
    assert "  ~ optimizer.beta_1 0.9 -> 0.8\n" in text
    assert report["layers"] == []
    text, report = diff(lambda spec: spec.pop("training"))
    assert report["training"]["training"]["new"] is None
    assert "  - the training section was removed\n" in text


# -- the signature ----------------------------------------------------------------------------------------------------


def swap_inputs(spec: dict[str, Any]) -> None:
    spec["inputs"] = dict(reversed(spec["inputs"].items()))


def rename_input(spec: dict[str, Any]) -> None:
    spec["inputs"] = {"image": spec["inputs"]["image"], "years_old": spec["inputs"]["age"]}
    spec["layers"][7]["from"] = "years_old"


def add_input(spec: dict[str, Any]) -> None:
    spec["inputs"]["more"] = {"shape": [1]}
    spec["layers"].append({"type": "Flatten", "name": "rest", "from": "more"})
    spec["outputs"].append("rest")


def remove_output(spec: dict[str, Any]) -> None:
    spec["layers"].pop(6)
    spec["outputs"].remove("size")
    spec.pop("training")


def append_output(spec: dict[str, Any]) -> None:
    spec["outputs"].append("hidden")
    spec.pop("training")


def prepend_output(spec: dict[str, Any]) -> None:
    spec["outputs"].insert(0, "hidden")
    spec.pop("training")


def rename_output(spec: dict[str, Any]) -> None:
    text = json.dumps(spec).replace('"size"', '"length"')
    spec.clear()
    spec.update(json.loads(text))


@pytest.mark.parametrize(
    ("edit", "breaks", "line"),
    [
        (swap_inputs, True, "! input age, image are in a different order: they were image, age"),
        (rename_input, True, "! input age was renamed to 'years_old'"),
        (add_input, True, "! input more is new and must be fed: float32[batch, 1]"),
        (remove_output, True, "! output size was removed: float32[batch, 1]"),
        (append_output, False, "~ output hidden is new: float32[batch, 6]"),
        (prepend_output, True, "! output kind, size, years come after new ones"),
        (rename_output, True, "! output size was renamed to 'length'"),
        (lambda s: s["outputs"].reverse(), True, "! output years, size, kind are in a different order"),
        (lambda s: s["inputs"]["image"].update(shape=[9, 9, 1]), True, "! input image is float32[batch, 9, 9, 1], was"),
        (
            lambda s: s["inputs"]["age"].update(shape=[4]),
            True,
            "! input age is float32[batch, 4], was",
        ),
        (lambda s: s["inputs"]["age"].update(shape=["m"]), False, "~ output years is float32[batch, m], was"),
        (lambda s: s["inputs"]["age"].update(shape=["n", 1]), True, "! input age is float32[batch, n, 1], was"),
        (lambda s: s["inputs"]["age"].update(dtype="int32"), True, "! input age is int32[batch, n], was"),
        (lambda s: s["labels"]["kind"].reverse(), True, "! labels kind are in a different order"),
        (
            lambda s: s["labels"].update(kind=["a", "b", "d"]),
            True,
            "! labels kind differ: without 'c' and",
        ),
        (lambda s: s.pop("labels"), True, "! labels kind were removed"),
        (lambda s: s.update(name="x"), False, "~ model x was called 'net'"),
    ],
)
def test_changes_of_the_signature(edit: Callable[[dict[str, Any]], Any], breaks: bool, line: str) -> None:
    text, report = diff(edit, breaks)
    assert f"\n  {line}" in text
    part, name = line.split()[1], line.split()[2]
    assert any(change["part"] == part and change["name"].startswith(name.strip(",")) for change in report["signature"])


def test_a_free_axis_in_place_of_a_fixed_one_breaks_nothing() -> None:
    spec = {"inputs": {"x": {"shape": [4, 2]}}, "layers": [{"type": "GlobalMaxPooling1D"}]}
    free = {"inputs": {"x": {"shape": [None, 2]}}, "layers": [{"type": "GlobalMaxPooling1D"}]}
    write("fixed.json", spec)
    write("free.json", free)
    assert "~ input x" in jsonnx("diff", "fixed.json", "free.json").stdout
    assert "! input x" in jsonnx("diff", "free.json", "fixed.json", status=1).stdout


def test_a_renamed_axis_is_shown_in_the_signature_only() -> None:
    line, report = diff(lambda spec: spec["inputs"]["age"].update(shape=["years"]))
    assert "input age is float32[batch, years], was float32[batch, n]" in line
    assert not report["layers"]
    old = {"inputs": {"x": {"shape": ["time", 3]}}, "layers": [{"type": "Conv1D", "filters": 2, "kernel_size": 2}]}
    new = {"inputs": {"x": {"shape": ["steps", 3]}}, "layers": [{"type": "Conv1D", "filters": 4, "kernel_size": 2}]}
    line = jsonnx("diff", write("a.json", old), write("b.json", new), status=1).stdout
    assert "makes float32[batch, steps - 1, 2] -> float32[batch, steps - 1, 4]" in line


def test_added_labels_break_nothing() -> None:
    new = edited(lambda spec: spec.pop("labels"))
    assert "~ labels kind were added" in jsonnx("diff", new, "old.json").stdout


# -- what cannot be compared ------------------------------------------------------------------------------------------


def test_invalid_inputs_are_reported() -> None:
    new = edited(lambda spec: spec["layers"][3].update(unitz=3))
    assert "error[unknown-key]" in jsonnx("diff", "old.json", new, status=1).stderr
    assert "unreadable-file" in jsonnx("diff", "old.json", "nothing.json", status=2).stderr
    assert "unreadable-file" in jsonnx("diff", "nothing.onnx", "old.json", status=2).stderr
    jsonnx("diff", "old.json", status=2)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph), "other.onnx")
    assert "error[no-spec]" in jsonnx("diff", "other.onnx", "old.json", status=1).stderr
    model = helper.make_model(graph)
    model.metadata_props.add(key="jsonnx.spec", value='{"inputs": {"x": {"shape": [1]}}, "layers": [{"type": "Dens"}]}')
    onnx.save(model, "wrong.onnx")
    result = jsonnx("diff", "old.json", "wrong.onnx", "--format", "json", status=1)
    assert {diagnostic["file"] for diagnostic in json.loads(result.stdout)} == {"wrong.onnx"}


def test_a_breaking_change_exits_with_status_1() -> None:
    new = edited(lambda spec: spec["labels"]["kind"].reverse())
    result = process("diff", "old.json", new)
    assert result.returncode == 1
    assert "the signature breaks in 1 place" in result.stdout
    assert result.stderr == ""


def test_colors_only_on_a_terminal() -> None:
    from jsonnx.pipeline.compare.compare_specs import compare_specs
    from jsonnx.render.networks.spec_diff import comparison_text

    comparison = compare_specs("old.json", edited(lambda spec: spec["layers"][4].update(rate=0.5)))
    assert "\x1b[33m  ~ dropout" in comparison_text(comparison, color=True)
    assert "\x1b" not in comparison_text(comparison)


def test_an_inserted_block_renames_the_layers_of_later_blocks() -> None:
    layers_ = [{"type": "Dense", "units": "${n}"}, {"type": "Dense", "name": "out", "units": 4}]
    blocks = {"pair": {"parameters": {"n": 1}, "layers": layers_}}
    for file, sizes in (("old.json", (5, 6)), ("new.json", (9, 5, 6))):
        uses = [{"type": "pair", "n": size} for size in sizes]
        head = {"type": "Dense", "name": "head", "units": 1}
        write(file, {"blocks": blocks, "inputs": {"x": {"shape": [4]}}, "layers": [*uses, head]})
    report = json.loads(jsonnx("diff", "old.json", "new.json", "--format", "json").stdout)
    assert layers(report) == [
        ("added", None, "pair_dense"),
        ("added", None, "pair_out"),
        ("changed", "pair_dense", "pair_1_dense"),
        ("changed", "pair_out", "pair_1_out"),
        ("changed", "pair_1_dense", "pair_2_dense"),
        ("changed", "pair_1_out", "pair_2_out"),
    ]
    assert report["weights"]["reshaped"] == {}
