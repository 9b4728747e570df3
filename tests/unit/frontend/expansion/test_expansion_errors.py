"""Diagnostics of blocks, repetitions and expressions: one error per cause, and no false ones."""

from __future__ import annotations

from typing import Any

import jsonnx
import pytest
from jsonnx.lowering.dropped_layers import dropped_layers
from jsonnx.pipeline.check.check import check_spec

DENSE = {"type": "Dense", "units": 4}


def errors(**more: Any) -> list[tuple[str, str]]:
    """Returns the codes and paths of the errors and warnings of a spec."""
    spec: Any = {"inputs": {"x": {"shape": [4]}}, "layers": [DENSE], **more}
    return [(item.code, item.path) for item in jsonnx.validate(spec) if item.severity != "note"]


def test_a_block_repeated_0_times_has_no_errors() -> None:
    blocks = {"b": {"inputs": ["a"], "layers": [DENSE]}, "c": {"layers": [{"type": "b", "repeat": 0}, DENSE]}}
    assert errors(blocks=blocks, layers=[{"type": "c", "repeat": 0}, DENSE]) == []
    assert errors(blocks=blocks, layers=[{"type": "c", "repeat": 2}]) == []


def test_an_unused_input_of_a_used_block_is_an_error() -> None:
    blocks = {"b": {"inputs": ["a", "z"], "layers": [{**DENSE, "from": "a"}]}}
    layers = [DENSE, {"type": "b", "from": ["dense", "x"]}]
    assert errors(blocks=blocks, layers=layers) == [("unused-input", "$.blocks.b.inputs[1]")]


SUM = {"type": "Add", "from": "${['a', 'z'] if z else ['a', 'a']}"}


@pytest.mark.parametrize(
    ("block", "sources", "expected"),
    [
        ({"inputs": {"a": {}, "z": {"optional": True}}}, ["x"], []),
        ({"inputs": {"a": {}, "z": {"optional": True}}}, ["x", "x", "x"], [("wrong-inputs", "$.layers[0].from")]),
        ({"inputs": {"a": {}, "z": {"optional": 1}}}, ["x"], [("wrong-type", "$.blocks.b.inputs.z.optional")]),
        ({"inputs": {"z": {"optional": True}, "a": {}}}, ["x"], [("invalid-value", "$.blocks.b.inputs.a")]),
        ({"inputs": {"z": {"optional": True}}}, ["x"], [("invalid-value", "$.blocks.b.inputs.z")]),
        (
            {"inputs": {"a": {}, "z": {"optional": True}}, "parameters": {"z": 1}},
            ["x"],
            [("duplicate-name", "$.blocks.b.inputs.z")],
        ),
        (
            {"inputs": {"a": {}, "z": {"optional": True}}, "layers": [{**SUM, "from": ["a", "z"]}]},
            ["x"],
            [("unknown-name", "$.blocks.b.layers[0].from[1]")],
        ),
    ],
)
def test_optional_inputs_are_the_last_and_are_named_only_where_given(
    block: dict[str, Any], sources: list[str], expected: list[tuple[str, str]]
) -> None:
    found = errors(blocks={"b": {"layers": [SUM], **block}}, layers=[{"type": "b", "from": sources}, DENSE])
    assert [item for item in found if item[0] != "unused-parameter"][: len(expected) or None] == expected


@pytest.mark.parametrize("name", ["index", "for"])
def test_a_parameter_with_an_invalid_name_is_not_also_reported_as_unused(name: str) -> None:
    assert errors(parameters={name: 3}) == [("invalid-name", f"$.parameters.{name}")]


def test_a_parameter_with_an_invalid_value_is_not_also_reported_as_unused() -> None:
    assert errors(parameters={"a": {"b": 1}}) == [("unknown-key", "$.parameters.a.b")]


def test_an_expression_that_fails_for_every_value_is_reported_once() -> None:
    blocks = {"b": {"parameters": {"k": 1}, "layers": [{**DENSE, "units": "${k // 0}"}]}}
    uses = [{"type": "b", "k": "${index}", "repeat": 30}, {"type": "b", "k": 7}]
    assert errors(blocks=blocks, layers=uses) == [("invalid-expression", "$.blocks.b.layers[0].units")]
    layers = [{**DENSE, "units": "${index // 0}", "repeat": 30}]
    assert errors(layers=layers) == [("invalid-expression", "$.layers[0].units")]


REQUIRED = {"required": True, "description": "Number of units."}


def test_a_required_parameter_of_a_block_must_be_given_at_each_use() -> None:
    block = {"parameters": {"units": REQUIRED, "rate": {"default": 0.5}}, "layers": [{**DENSE, "units": "${units}"}]}
    block["layers"].append({"type": "Dropout", "rate": "${rate}"})
    uses = [{"type": "b"}, {"type": "b", "unit": 3}, {"type": "b", "units": "${1 / 0}"}, {"type": "b", "units": 8}]
    assert sorted(errors(blocks={"b": block}, layers=uses)) == [
        ("invalid-expression", "$.layers[2].units"),
        ("missing-key", "$.layers[0]"),
        ("unknown-key", "$.layers[1].unit"),
    ]
    assert errors(blocks={"b": block}, layers=[{"type": "b", "units": None}]) == [("wrong-type", "$.layers[0].units")]


def test_an_unused_block_may_have_required_parameters() -> None:
    block = {"parameters": {"units": REQUIRED}, "layers": [{**DENSE, "units": "${units}"}]}
    assert errors(blocks={"b": block}) == [("unused-block", "$.blocks.b")]


def test_a_required_parameter_of_the_network_must_be_set() -> None:
    parameters = {"units": REQUIRED, "twice": "${2 * units}"}
    spec: Any = {"inputs": {"x": {"shape": [4]}}, "parameters": parameters, "layers": [{**DENSE, "units": "${twice}"}]}
    spec["scales"] = {"small": {"units": 3}}
    (diagnostic,) = jsonnx.validate(spec)
    assert (diagnostic.code, diagnostic.path) == ("missing-key", "$.parameters.units")
    assert diagnostic.help == "give it with --set units=... (Number of units.)"
    assert jsonnx.validate(spec, scale="small") == []
    checked = check_spec(spec, changes=["units=5"])
    assert checked.require().types["dense"].shape[1] == 10
    assert checked.source.value["parameters"]["units"] == {"default": 5, "description": "Number of units."}


def test_a_block_reads_the_listed_parameters_of_the_network() -> None:
    parameters = {"dim": {"default": 8}, "half": "${dim // 2}"}
    inner = {"globals": ["half"], "layers": [{**DENSE, "units": "${half}"}]}
    outer = {
        "globals": ["dim"],
        "parameters": {"units": "${3 * dim}"},
        "layers": [{**DENSE, "units": "${units}"}, {"type": "inner"}],
    }
    spec: Any = {"inputs": {"x": {"shape": [4]}}, "parameters": parameters, "layers": [{"type": "outer"}]}
    spec["blocks"] = {"inner": inner, "outer": outer}
    assert jsonnx.validate(spec) == []
    types = check_spec(spec, changes=["dim=6"]).require().types
    assert [types[name].shape[1] for name in ("outer_dense", "outer_inner_dense")] == [18, 3]
    (error,) = jsonnx.validate(spec, changes=["half=0"])
    assert (error.code, error.path) == ("out-of-range", "$.parameters.half")
    spec["blocks"]["inner"]["globals"] = []
    (error,) = jsonnx.validate(spec)
    assert error.help == 'a block reads the parameters of the network that it lists: "globals": ["half"]'


def test_the_globals_of_a_block_are_parameters_of_the_network() -> None:
    block = {"parameters": {"a": 1}, "globals": ["a", "wdth", "idle"], "layers": [{**DENSE, "units": "${a}"}]}
    assert errors(parameters={"width": 3, "idle": 2}, blocks={"b": block}, layers=[{"type": "b"}]) == [
        ("duplicate-name", "$.blocks.b.globals[0]"),
        ("unknown-name", "$.blocks.b.globals[1]"),
        ("unused-parameter", "$.parameters.width"),
        ("unused-parameter", "$.blocks.b.globals[2]"),
    ]
    block["globals"] = ["idle", "idle"]
    assert ("duplicate-name", "$.blocks.b.globals[1]") in errors(parameters={"idle": 2}, blocks={"b": block})


# -- shapes of inputs --------------------------------------------------------------------------------------------------


def shape_errors(shape: Any, sizes: list[Any], **parameters: Any) -> list[tuple[str, str, str]]:
    """Returns code, path and message of the errors of a block whose input must have a shape, used twice."""
    block = {
        "parameters": {"width": 4, **parameters},
        "inputs": {"a": {"shape": sizes, "description": "Features."}},
        "layers": [{"type": "Dense", "units": 4, "name": "one", "from": "a"}, {"type": "Add", "from": ["one", "a"]}],
    }
    spec: Any = {"inputs": {"x": {"shape": shape}}, "blocks": {"b": block}, "layers": [{"type": "b", "repeat": 2}]}
    return [(item.code, item.path, item.message) for item in jsonnx.validate(spec) if item.severity == "error"]


@pytest.mark.parametrize("sizes", [["${width}"], [4], [None], ["any"], ["${null if width == 4 else 3}"]])
def test_an_input_of_a_block_may_have_the_required_shape(sizes: list[Any]) -> None:
    assert shape_errors([4], sizes) == []


def test_an_input_of_a_block_with_another_shape_is_one_error_at_the_use() -> None:
    message = "b 'b' needs size 4 on axis -1 of its input 'a', got 1 of float32[batch, 1]"
    assert shape_errors([1], ["${width}"]) == [("shape-mismatch", "$.layers[0]", message)]
    message = "b 'b' needs rank 3 (with the batch) for its input 'a', got float32[batch, 4]"
    assert shape_errors([4], [None, 4]) == [("shape-mismatch", "$.layers[0]", message)]
    message = "b 'b' needs size 3 on axis -2 of its input 'a', got t of float32[batch, t, 4]"
    assert shape_errors(["t", 4], [3, 4]) == [("shape-mismatch", "$.layers[0]", message)]


@pytest.mark.parametrize(
    ("size", "code"), [(0, "out-of-range"), ("${0 * width}", "wrong-type"), ("${width / 8}", "wrong-type")]
)
def test_a_size_of_an_input_of_a_block_is_a_positive_integer(size: Any, code: str) -> None:
    assert [(code_, path) for code_, path, _ in shape_errors([4], [size])] == [(code, "$.blocks.b.inputs.a.shape[0]")]


def test_a_block_that_is_called_again_checks_its_inputs_again() -> None:
    block = {"inputs": {"a": {"shape": [4]}}, "layers": [{"type": "Dense", "units": 1}, {"type": "ReLU"}]}
    layers = [{"type": "b", "name": "first"}, {"use": "first", "from": "first"}]
    assert errors(blocks={"b": block}, layers=layers) == [("shape-mismatch", "$.layers[1]")]


# -- names of uses of blocks -------------------------------------------------------------------------------------------


def tower_errors(use: str, source: str) -> list[tuple[str, str, str | None]]:
    """Returns code, path and help of the errors of a block that is called twice and whose results are concatenated."""
    layers = [
        {"type": "tower", "name": "encoder", "from": "left"},
        {"use": use, "name": "again", "from": "right"},
        {"type": "Concatenate", "from": [source, "again"]},
    ]
    inputs = {"left": {"shape": [8]}, "right": {"shape": [8]}}
    spec: Any = {"inputs": inputs, "blocks": {"tower": {"layers": [DENSE]}}, "layers": layers}
    return [(item.code, item.path, item.help) for item in jsonnx.validate(spec) if item.severity != "note"]


@pytest.mark.parametrize(
    ("use", "source", "path", "help"),
    [
        ("encoder", "encodr", "$.layers[2].from[0]", "did you mean 'encoder'?"),
        ("encoder", "zzzzz", "$.layers[2].from[0]", "known names: again, encoder, left, right"),
        ("encodr", "encoder", "$.layers[1].use", "did you mean 'encoder'?"),
        ("tower", "encoder", "$.layers[1].use", "name a use of it: 'encoder'"),
    ],
)
def test_uses_of_blocks_are_suggested(use: str, source: str, path: str, help: str) -> None:
    assert tower_errors(use, source) == [("unknown-name", path, help)]


def test_a_misspelled_parameter_is_one_error_for_all_its_uses() -> None:
    layers = [{**DENSE, "units": units} for units in ("${width}", "${2 * width}", "${width + depth}", 3)]
    assert errors(parameters={"widht": 4}, layers=layers) == [
        ("unknown-name", "$.layers[0].units"),
        ("unknown-name", "$.layers[2].units"),
    ]


# -- repetition --------------------------------------------------------------------------------------------------------

PAIR = {
    "inputs": ["a", "b"],
    "layers": [{**DENSE, "from": "a"}, {"type": "Add", "name": "sum", "from": ["dense", "b"]}],
    "outputs": ["dense", "sum"],
}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"carry": ["dense", "total"]}, ("unknown-name", "carry")),
        ({"carry": ["dense", "sum", "sum"]}, ("wrong-inputs", "carry")),
        ({"carry": []}, ("wrong-type", "carry")),
        ({"carry": {"a": "sum"}}, ("wrong-type", "carry")),
        ({"carry": ["dense"], "chain": False}, ("invalid-value", "carry")),
        ({"chain": "no"}, ("wrong-type", "chain")),
        ({"if": 1}, ("wrong-type", "if")),
        ({"if": "${index > 0}"}, ("unknown-name", "if")),
        ({"from": ["x_${index}", "x"]}, ("invalid-expression", "from[0]")),
        ({"from": ["x", "x_${index}"], "carry": ["dense", "sum"]}, ("invalid-expression", "from[1]")),
    ],
)
def test_an_invalid_repetition_is_one_error(keys: dict[str, Any], expected: tuple[str, str]) -> None:
    end = {"type": "Add", "from": ["pair", "pair.sum"]}
    layers = [{"type": "b", "name": "pair", "from": ["x", "x"], "repeat": 3, **keys}, end]
    found = [item for item in errors(blocks={"b": PAIR}, layers=layers) if item[0] != "partly-used-copies"]
    assert found == [(expected[0], f"$.layers[0].{expected[1]}")]


def test_keys_of_a_repetition_need_repeat_and_carry_needs_a_block() -> None:
    assert errors(layers=[{**DENSE, "chain": False}]) == [("missing-key", "$.layers[0].chain")]
    assert errors(layers=[{**DENSE, "repeat": 2, "carry": "a"}]) == [("invalid-value", "$.layers[0].carry")]


def test_an_index_in_a_source_of_chained_copies_is_one_error() -> None:
    inputs = {"c": {"shape": [4], "repeat": 9}}
    layers = [{**DENSE, "from": "c_${index + 1}", "repeat": 9}]
    assert errors(inputs=inputs, layers=layers) == [("invalid-expression", "$.layers[0].from")]


def test_copies_that_nothing_uses_are_one_error() -> None:
    copies = {**DENSE, "name": "d", "repeat": 5, "chain": False}
    assert errors(layers=[copies, {**DENSE, "from": "d_2"}]) == [("unused-layer", "$.layers[0]")]
    inputs = {"c": {"shape": [4], "repeat": 5}}
    assert errors(inputs=inputs, layers=[{**DENSE, "from": "c_2"}]) == [("unused-input", "$.inputs.c")]


def test_a_name_of_several_values_in_a_place_of_one_is_an_error() -> None:
    copies = {**DENSE, "name": "d", "repeat": 3, "chain": False}
    assert errors(layers=[copies, DENSE]) == [("wrong-inputs", "$.layers[1]")]
    assert errors(layers=[copies, {**DENSE, "from": "d"}]) == [("wrong-inputs", "$.layers[1].from")]
    assert errors(layers=[copies, {"type": "Add"}, {"use": "d"}]) == [("unknown-name", "$.layers[2].use")]
    assert errors(layers=[{"type": "b"}], blocks={"b": {"layers": [copies]}}) == [
        ("wrong-inputs", "$.blocks.b.outputs")
    ]
    assert errors(layers=[{**copies, "repeat": 0}, {"type": "Add"}]) == [("wrong-inputs", "$.layers[1]")]
    assert errors(layers=[copies, {"type": "Add", "name": "d"}]) == [("duplicate-name", "$.layers[1].name")]


def test_errors_in_repeated_inputs_are_reported_once_where_they_are_written() -> None:
    layers = [{"type": "Concatenate", "from": "c"}]
    assert errors(inputs={"c": {"shape": [4], "dtype": "float", "repeat": 3}}, layers=layers) == [
        ("invalid-value", "$.inputs.c.dtype")
    ]
    inputs = {"c": {"shape": [4], "repeat": 3}, "c_2": {"shape": [4]}}
    assert errors(inputs=inputs, layers=layers) == [("duplicate-name", "$.inputs.c_2")]
    assert errors(inputs={"c": {"shape": [4], "repeat": -1}}, layers=layers) == [("out-of-range", "$.inputs.c.repeat")]
    assert errors(inputs={"c": {"shape": [4], "repeat": 10**9}}, layers=layers) == [("too-large", "$.inputs.c")]


def test_shapes_that_change_from_copy_to_copy_are_reported_with_the_copy() -> None:
    block = {"inputs": ["a", "b"], "layers": [{"type": "Add", "name": "s"}], "outputs": "s"}
    block = {**PAIR, "layers": [{**DENSE, "units": 2, "from": "a"}, {"type": "Add", "name": "sum", "from": ["a", "b"]}]}
    layers = [
        {"type": "b", "name": "s", "from": ["x", "x"], "repeat": 2},
        {"type": "Concatenate", "from": ["s", "s*.sum"]},
    ]
    spec: Any = {"inputs": {"x": {"shape": [4]}}, "blocks": {"b": block}, "layers": layers}
    (error,) = [item for item in jsonnx.validate(spec) if item.severity == "error"]
    assert (error.code, error.path) == ("shape-mismatch", "$.blocks.b.layers[1]")
    assert any("used here as 's_2'" in note.message for note in error.notes)


def test_globals_that_a_block_does_not_read_are_one_warning() -> None:
    inner = {"globals": ["h"], "layers": [{**DENSE, "units": "${h}"}]}
    blocks = {"inner": inner, **{name: {"globals": ["h"], "layers": [{"type": "inner"}]} for name in ("b", "c")}}
    assert errors(parameters={"h": 4}, blocks=blocks, layers=[{"type": "b"}, {"type": "c"}]) == [
        ("unused-parameter", "$.blocks.b.globals[0]")
    ]


def test_a_parameter_may_have_the_name_of_a_section() -> None:
    spec: Any = {"inputs": {"x": {"shape": [4]}}, "layers": [{**DENSE, "units": "${layers}"}]}
    spec |= {"parameters": {"layers": 3}}
    assert not jsonnx.validate(spec)
    assert check_spec(spec, changes=["layers=7"]).network.calls[0].layer.units == 7  # type: ignore[union-attr]


# -- results of the last copy only -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "source", "found"),
    [
        ({"repeat": 3}, "s.sum", ["partly-used-copies"]),
        ({"repeat": 3, "carry": ["dense", "sum"]}, "s.sum", []),
        ({"repeat": 3}, "s*.sum", []),
        ({"repeat": 1}, "s.sum", []),
        ({"repeat": 3}, "s", []),
    ],
)
def test_a_result_of_the_last_copy_only_is_a_warning(entry: dict[str, Any], source: str, found: list[str]) -> None:
    layers = [{"type": "b", "name": "s", "from": ["x", "x"], **entry}, {"type": "Concatenate", "from": [source, "x"]}]
    if source == "s":
        layers.append({"type": "b", "name": "t", "from": ["x", "x"]})
        layers.append({"type": "Concatenate", "from": ["concatenate", "t.sum"]})
    assert [code for code, _ in errors(blocks={"b": PAIR}, layers=layers)] == found


def test_the_warning_counts_the_parameters_of_the_layers_that_are_left_out() -> None:
    part = {**DENSE, "name": "part", "from": "a"}
    block = {**PAIR, "layers": [{**DENSE, "from": "a"}, part, {"type": "Add", "name": "sum", "from": ["part", "b"]}]}
    layers = [{"type": "b", "name": "s", "from": ["x", "x"], "repeat": 4}, {"type": "Add", "from": ["s.sum", "x"]}]
    spec: Any = {"inputs": {"x": {"shape": [4]}}, "blocks": {"b": block}, "layers": layers}
    (warning,) = jsonnx.validate(spec)
    assert warning.path == "$.layers[0].repeat"
    assert "3 of 4 copies lack layers with 60 parameters, 's_1_part', 's_1_sum'" in warning.message
    assert '"carry": ["dense", "sum"]' in (warning.help or "")
    silenced = {"lint": {"ignore": [{"code": "partly-used-copies", "reason": "Only the last copy has an output."}]}}
    assert not jsonnx.validate(spec | silenced)
    names = [layer.name for layer in dropped_layers(check_spec(spec).require())]
    assert names == ["s_1_part", "s_1_sum", "s_2_part", "s_2_sum", "s_3_part", "s_3_sum", "s_4_dense"]


def test_a_misspelled_name_of_copies_is_corrected_to_the_name_of_all() -> None:
    layers = [
        {**DENSE, "name": "expert", "repeat": 2, "chain": False},
        {"type": "Add", "name": "a", "from": ["expet", "fild"]},
    ]
    spec: Any = {"inputs": {"field": {"shape": [4], "repeat": 1}}, "layers": layers, "outputs": ["a", "exper"]}
    found = {item.message: item.help for item in jsonnx.validate(spec) if item.code == "unknown-name"}
    assert found == {
        "nothing is called 'expet'": "did you mean 'expert'?",
        "nothing is called 'fild'": "did you mean 'field'?",
        "nothing is called 'exper'": "did you mean 'expert'?",
    }


def test_a_result_that_no_copy_has_is_one_error() -> None:
    copies = {**DENSE, "name": "d", "repeat": 3, "chain": False}
    assert errors(layers=[copies, {"type": "Add", "from": ["x", "d", "d.state_h"]}]) == [
        ("unknown-name", "$.layers[1].from[2]")
    ]


@pytest.mark.parametrize(("key", "help"), [("repat", "repeat"), ("chian", "chain"), ("cary", "carry"), ("when", "if")])
def test_a_misspelled_key_of_a_repetition_is_suggested(key: str, help: str) -> None:
    spec: Any = {"inputs": {"x": {"shape": [4]}}, "layers": [{**DENSE, key: True}]}
    (error,) = jsonnx.validate(spec)
    assert error.code == "unknown-key"
    assert f"'{help}'" in (error.help or "")
