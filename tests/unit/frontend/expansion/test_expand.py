"""Expansion of blocks, parameters and repetitions, compared with specs written without them."""

from __future__ import annotations

import json
import random
import time
from contextlib import suppress
from typing import Any

import jsonnx
import pytest
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training

DENSE = {"type": "Dense", "units": 4}


def spec(layers: list[Any], **more: Any) -> dict[str, Any]:
    return {"inputs": {"x": {"shape": [4]}}, "layers": layers, **more}


def flat(layers: list[Any], **more: Any) -> list[tuple[str, str, tuple[str, ...]]]:
    """Returns name, type and sources of every layer of the expanded spec; of a use, the layer in place of the type."""
    network = check_spec(spec(layers, **more)).network
    return [
        (call.name, call.layer.type_name if call.owner == call.name else call.owner, call.sources)
        for call in network.calls
        if call.layer
    ]


def errors(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns the codes and paths of the diagnostics of a spec."""
    return [(diagnostic.code, diagnostic.path) for diagnostic in jsonnx.validate(document)]


# -- blocks ------------------------------------------------------------------------------------------------------------


def test_the_layers_of_a_block_are_named_after_the_use_and_themselves() -> None:
    block = {"layers": [{**DENSE, "name": "1_a"}, DENSE, {"type": "ReLU"}, DENSE]}
    assert flat([{"type": "b", "name": "s"}, {"type": "b"}, DENSE], blocks={"b": block}) == [
        ("s_1_a", "Dense", ("x",)),
        ("s_dense", "Dense", ("s_1_a",)),
        ("s_re_lu", "ReLU", ("s_dense",)),
        ("s_dense_1", "Dense", ("s_re_lu",)),
        ("b_1_a", "Dense", ("s_dense_1",)),
        ("b_dense", "Dense", ("b_1_a",)),
        ("b_re_lu", "ReLU", ("b_dense",)),
        ("b_dense_1", "Dense", ("b_re_lu",)),
        ("dense", "Dense", ("b_dense_1",)),
    ]


def test_an_optional_input_of_a_block_may_be_left_out() -> None:
    """Its name is true in expressions if it is given, also in the copies of a repeated use."""
    block = {
        "inputs": {"x": {}, "more": {"optional": True, "shape": [4]}},
        "layers": [{**DENSE, "name": "a"}, {"type": "Add", "name": "b", "from": "${['a', 'more' if more else 'x']}"}],
    }
    uses = [{"type": "b"}, {"type": "b", "name": "c", "from": ["b", "x"], "repeat": 2}, {"use": "b", "from": "c"}]
    assert flat(uses, blocks={"b": block}) == [
        ("b_a", "Dense", ("x",)),
        ("b_b", "Add", ("b_a", "x")),
        ("c_1_a", "Dense", ("b_b",)),
        ("c_1_b", "Add", ("c_1_a", "x")),
        ("c_2_a", "Dense", ("c_1_b",)),
        ("c_2_b", "Add", ("c_2_a", "x")),
        ("b_1_a", "b_a", ("c_2_b",)),
        ("b_1_b", "b_b", ("b_1_a", "c_2_b")),
    ]


def test_a_block_with_own_names_adds_no_prefix() -> None:
    """With `use` the names get a prefix, since the first call has them; inside another block, that block's prefix."""
    own = {
        "parameters": {"n": 0},
        "names": "own",
        "layers": [{**DENSE, "name": "d_${n}"}, {"type": "ReLU", "name": "r_${n}"}],
    }
    around = {"layers": [{"type": "b", "n": 7}, {**DENSE, "from": "b"}]}
    layers = [
        {"type": "b"},
        {"type": "b", "n": 1},
        {"type": "Add", "from": ["b", "b_1"]},
        {"use": "b", "name": "again"},
    ]
    assert flat([*layers, {"type": "outer"}], blocks={"b": own, "outer": around}) == [
        ("d_0", "Dense", ("x",)),
        ("r_0", "ReLU", ("d_0",)),
        ("d_1", "Dense", ("r_0",)),
        ("r_1", "ReLU", ("d_1",)),
        ("add", "Add", ("r_0", "r_1")),
        ("again_d_0", "d_0", ("add",)),
        ("again_r_0", "r_0", ("again_d_0",)),
        ("outer_d_7", "Dense", ("again_r_0",)),
        ("outer_r_7", "ReLU", ("outer_d_7",)),
        ("outer_dense", "Dense", ("outer_r_7",)),
    ]


def test_a_block_with_own_names_needs_parameters_in_the_names() -> None:
    own = {"names": "own", "layers": [{**DENSE, "name": "d"}]}
    assert errors(spec([{"type": "b"}, {"type": "b"}], blocks={"b": own})) == [
        ("duplicate-name", "$.blocks.b.layers[0].name")
    ]
    assert errors(spec([{"type": "b"}], blocks={"b": {**own, "names": "mine"}})) == [
        ("invalid-value", "$.blocks.b.names")
    ]


def test_inputs_and_outputs_of_a_block_have_names() -> None:
    block = {
        "inputs": ["left", "right"],
        "layers": [
            {"type": "Add", "name": "sum", "from": ["left", "right"]},
            {"type": "Multiply", "name": "product", "from": ["right", "left"]},
        ],
        "outputs": ["product", "sum"],
    }
    layers = [
        {**DENSE, "name": "a"},
        {**DENSE, "name": "b", "from": "x"},
        {"type": "pair", "name": "p", "from": ["a", "b"]},
        {"type": "Concatenate", "from": ["p", "p.sum", "p.product"]},
    ]
    assert flat(layers, blocks={"pair": block})[2:] == [
        ("p_sum", "Add", ("a", "b")),
        ("p_product", "Multiply", ("b", "a")),
        ("concatenate", "Concatenate", ("p_product", "p_sum", "p_product")),
    ]


def test_an_output_of_a_block_may_be_its_input_or_a_further_output_of_a_layer() -> None:
    blocks = {
        "keep": {"inputs": ["p", "q"], "layers": [{**DENSE, "name": "d", "from": "q"}], "outputs": ["d", "p"]},
        "state": {"layers": [{"type": "LSTM", "units": 3, "return_state": True}], "outputs": ["lstm", "lstm.state_c"]},
    }
    layers = [
        {**DENSE, "name": "a"},
        {"type": "keep", "from": ["a", "x"]},
        {"type": "Add", "name": "s", "from": ["keep", "keep.p"]},
        {"type": "Reshape", "target_shape": [2, 2]},
        {"type": "state"},
        {"type": "Add", "from": ["state", "state.state_c"]},
    ]
    expanded = flat(layers, blocks=blocks, outputs=["add", "state_lstm.state_h"])
    assert expanded[2] == ("s", "Add", ("keep_d", "a"))
    assert expanded[-1] == ("add", "Add", ("state_lstm", "state_lstm.state_c"))


def test_nested_blocks_have_their_own_parameter_values() -> None:
    blocks = {
        "one": {"parameters": {"n": 1, "m": "${n + 1}"}, "layers": [{"type": "Dense", "units": "${n * m}"}]},
        "two": {"parameters": {"n": 5}, "layers": [{"type": "one", "n": "${n}"}, {"type": "one", "m": 7}]},
    }
    network = check_spec(spec([{"type": "two"}, {"type": "two", "n": 2, "name": "t"}], blocks=blocks)).network
    assert [(call.name, call.layer.units) for call in network.calls] == [  # type: ignore[union-attr]
        ("two_one_dense", 30),
        ("two_one_1_dense", 7),
        ("t_one_dense", 6),
        ("t_one_1_dense", 7),
    ]
    assert network.calls[3].block_uses == (("t", "two"), ("t_one_1", "one"))


def test_use_of_a_block_shares_the_weights_of_all_its_layers() -> None:
    blocks = {
        "inner": {"layers": [{**DENSE, "name": "d"}, {"use": "d", "name": "again"}]},
        "tower": {"layers": [{"type": "inner"}, {**DENSE, "name": "e"}]},
    }
    layers = [
        {"use": "t", "from": "x"},
        {"type": "tower", "name": "t", "from": "x"},
        {"type": "Add", "from": ["t", "t_1"]},
    ]
    assert flat(layers, blocks=blocks)[:3] == [
        ("t_1_inner_d", "t_inner_d", ("x",)),
        ("t_1_inner_again", "t_inner_d", ("t_1_inner_d",)),
        ("t_1_e", "t_e", ("t_1_inner_again",)),
    ]


def test_a_block_cannot_refer_to_outer_names() -> None:
    blocks = {"b": {"layers": [{"type": "Dense", "units": "${width}"}, {"type": "Add", "from": ["dense", "x"]}]}}
    document = spec([DENSE, {"type": "b"}], blocks=blocks, parameters={"width": 3})
    assert errors(document) == [
        ("unknown-name", "$.blocks.b.layers[0].units"),
        ("unknown-name", "$.blocks.b.layers[1].from[1]"),
    ]
    assert '"globals": ["width"]' in str(jsonnx.validate(document)[0].help)


def test_an_invalid_argument_is_reported_at_the_use_of_the_block() -> None:
    blocks = {
        "inner": {"parameters": {"n": 1}, "layers": [{"type": "Dense", "units": "${n}"}]},
        "outer": {"parameters": {"k": -2}, "layers": [{"type": "inner", "n": "${k}"}]},
    }
    diagnostics = jsonnx.validate(spec([{"type": "outer", "k": -1}], blocks=blocks))
    assert [(diagnostic.code, diagnostic.path) for diagnostic in diagnostics] == [("out-of-range", "$.layers[0].k")]
    assert [note.path for note in diagnostics[0].notes] == [
        "$.blocks.inner.layers[0].units",
        "$.blocks.outer.layers[0]",
        "$.layers[0]",
    ]
    assert errors(spec([{"type": "outer"}], blocks=blocks)) == [("out-of-range", "$.blocks.outer.parameters.k")]


def test_an_error_in_a_block_is_reported_once() -> None:
    blocks = {"b": {"layers": [{"type": "Dense", "units": 0}]}}
    diagnostics = jsonnx.validate(spec([{"type": "b", "repeat": 50}, {"type": "b"}], blocks=blocks))
    assert [(diagnostic.code, diagnostic.path) for diagnostic in diagnostics] == [
        ("out-of-range", "$.blocks.b.layers[0].units")
    ]
    assert diagnostics[0].notes[0].message == "in block 'b', used here as 'b'"


# -- repeat ------------------------------------------------------------------------------------------------------------


def test_each_repetition_takes_the_previous_one() -> None:
    layers = [
        {**DENSE, "name": "a", "repeat": 2},
        {"type": "Add", "from": ["a_1", "x"], "repeat": 2},
        {**DENSE, "name": "b_${index}", "from": "a", "repeat": 2},
        {"type": "Add", "name": "last", "from": ["add_1", "b_1"]},
    ]
    assert flat(layers) == [
        ("a_1", "Dense", ("x",)),
        ("a_2", "Dense", ("a_1",)),
        ("add", "Add", ("a_1", "x")),
        ("add_1", "Add", ("add", "x")),
        ("b_0", "Dense", ("a_2",)),
        ("b_1", "Dense", ("b_0",)),
        ("last", "Add", ("add_1", "b_1")),
    ]


def test_one_repetition_keeps_the_name_and_0_repetitions_are_elided() -> None:
    layers = [
        {**DENSE, "name": "a", "repeat": 1},
        {**DENSE, "name": "gone", "repeat": "${n}"},
        {**DENSE, "name": "b"},
        {"type": "Add", "from": ["gone", "b"]},
        {**DENSE, "repeat": 0},
    ]
    expanded = [("a", "Dense", ("x",)), ("b", "Dense", ("a",)), ("add", "Add", ("a", "b"))]
    assert flat(layers, parameters={"n": 0}) == expanded


def test_conditions_include_entries_and_choose_values() -> None:
    layers = [
        {**DENSE, "units": "${stages[index][0]}", "use_bias": "${stages[index][1]}", "repeat": "${len(stages)}"},
        {"type": "Activation", "activation": "${'relu' if wide else 'tanh'}", "repeat": "${wide}"},
        {"type": "Dropout", "rate": 0.5, "repeat": "${not wide and stages[0][0] >= 8}"},
        {**DENSE, "repeat": True},
    ]
    network = check_spec(spec(layers, parameters={"stages": [[8, True], [16, False]], "wide": True})).network
    made = [
        (call.name, getattr(call.layer, "units", None), getattr(call.layer, "use_bias", None)) for call in network.calls
    ]
    expected = [("dense", 8, True), ("dense_1", 16, False), ("activation", None, None), ("dense_2", 4, True)]
    assert made == expected


def test_the_deepest_expressions_are_evaluated_in_the_deepest_blocks() -> None:
    """Neither the parser nor the functions that it makes reach Python's limit of recursion."""
    levels = 31
    units = f"${{{'a if b or c and a<a+a*(' * levels}1{')else a' * levels}}}"
    parameters = {"a": 1, "b": False, "c": True}
    blocks: dict[str, Any] = {"b0": {"parameters": parameters, "layers": [{**DENSE, "units": units}]}}
    blocks |= {f"b{depth}": {"names": "own", "layers": [{"type": f"b{depth - 1}"}]} for depth in range(1, 64)}
    assert errors(spec([{"type": "b63"}], blocks=blocks)) == []
    blocks["b0"] = {"layers": [{**DENSE, "units": f"${{{'[' * levels + ']' * levels}}}"}]}
    assert [code for code, _ in errors(spec([{"type": "b63"}], blocks=blocks))] == ["too-deep"]


def test_the_name_of_a_repeated_block_refers_to_the_last_repetition() -> None:
    blocks = {"b": {"parameters": {"n": 4}, "layers": [{"type": "Dense", "units": "${n}"}]}}
    layers = [
        {"type": "b", "name": "s", "n": "${index + 1}", "repeat": 3},
        {**DENSE, "name": "z"},
        {"type": "Concatenate", "from": ["s", "s_1", "z"]},
    ]
    assert flat(layers, blocks=blocks)[-1][2] == ("s_3_dense", "s_1_dense", "z")


# -- copies side by side -----------------------------------------------------------------------------------------------


def test_copies_that_are_not_chained_take_the_same_value_and_their_name_stands_for_all() -> None:
    layers = [
        {**DENSE, "name": "a"},
        {**DENSE, "name": "b", "repeat": 2, "chain": False},
        {"type": "Add", "from": ["a", "b"]},
        {**DENSE, "units": "${4 * index + 4}", "repeat": 2, "chain": False},
        {"type": "Concatenate"},
    ]
    assert flat(layers) == [
        ("a", "Dense", ("x",)),
        ("b_1", "Dense", ("a",)),
        ("b_2", "Dense", ("a",)),
        ("add", "Add", ("a", "b_1", "b_2")),
        ("dense", "Dense", ("add",)),
        ("dense_1", "Dense", ("add",)),
        ("concatenate", "Concatenate", ("dense", "dense_1")),
    ]


def test_a_single_copy_side_by_side_has_a_number_too() -> None:
    """So an index in a name is right for every number of copies."""
    layers = [
        {**DENSE, "name": "b", "repeat": "${n}", "chain": False},
        {**DENSE, "name": "c", "from": "b_${index + 1}", "repeat": "${n}", "chain": False},
        {"type": "Concatenate", "name": "end", "from": ["x", "c", "x"]},
    ]
    assert flat(layers, parameters={"n": 1})[-1] == ("end", "Concatenate", ("x", "c_1", "x"))
    assert flat(layers, parameters={"n": 0}) == [("end", "Concatenate", ("x", "x"))]


def test_blocks_and_calls_of_layers_stand_side_by_side() -> None:
    block = {
        "layers": [{"type": "LSTM", "units": 2, "return_state": True}],
        "outputs": ["lstm", "lstm.state_h"],
    }
    layers = [
        {"type": "Reshape", "target_shape": [2, 2], "from": "x"},
        {"type": "b", "name": "s", "repeat": 2, "chain": False},
        {"type": "Add", "name": "sum", "from": ["s", "s.state_h"]},
        {**DENSE, "name": "tower", "from": "s_1"},
        {"use": "tower", "from": "s_${index + 1}", "repeat": 2, "chain": False},
        {"type": "Concatenate", "from": ["tower*", "sum"]},
    ]
    assert flat(layers, blocks={"b": block})[3:] == [
        ("sum", "Add", ("s_1_lstm", "s_2_lstm", "s_1_lstm.state_h", "s_2_lstm.state_h")),
        ("tower", "Dense", ("s_1_lstm",)),
        ("tower_1", "tower", ("s_1_lstm",)),
        ("tower_2", "tower", ("s_2_lstm",)),
        ("concatenate", "Concatenate", ("tower", "tower_1", "tower_2", "sum")),
    ]


def test_copies_side_by_side_may_be_outputs() -> None:
    head = {**DENSE, "name": "head", "repeat": 2, "chain": False}
    for more in ({}, {"outputs": "head"}, {"outputs": ["head"]}, {"outputs": {"head": {"description": "Both."}}}):
        assert check_spec(spec([head], **more)).network.outputs == ("head_1", "head_2")
    document = spec([{**DENSE, "name": "a"}, {**head, "units": "${index + 1}"}], outputs=["a", "head"])
    network = check_spec(document | {"training": {"loss": {"a": "mse", "head_1": "mse"}}}).network
    assert network.outputs == ("a", "head_1", "head_2")


def test_inputs_are_made_by_repetition() -> None:
    document: Any = {
        "inputs": {
            "field": {"shape": ["${sizes[index]}"], "repeat": "${len(sizes)}"},
            "number": {"shape": [2]},
        },
        "parameters": {"sizes": [3, 5]},
        "layers": [
            {**DENSE, "name": "d", "from": "field_${index + 1}", "repeat": 2, "chain": False},
            {"type": "Concatenate", "from": ["d", "number"]},
            {"type": "Concatenate", "name": "raw", "from": ["field", "concatenate"]},
        ],
        "training": {"data": {"train": "a.csv", "x": {"field": "C${index + 7}", "number": ["a", "b"]}}, "loss": "mse"},
    }
    checked = check_spec(document)
    network = checked.network
    assert {name: type.shape[1:] for name, type in network.inputs.items()} == {
        "field_1": (3,),
        "field_2": (5,),
        "number": (2,),
    }
    assert network.calls[-1].sources == ("field_1", "field_2", "concatenate")
    columns = {"field_1": "C7", "field_2": "C8", "number": ["a", "b"]}
    assert network.flat_document["training"]["data"]["x"] == columns


# -- several values carried on -----------------------------------------------------------------------------------------

TWO_STATES = {
    "inputs": ["x", "total", "first"],
    "layers": [
        {**DENSE, "name": "part", "from": "x"},
        {"type": "Add", "name": "sum", "from": ["total", "part", "first"]},
    ],
    "outputs": ["part", "sum"],
}


def test_named_results_replace_the_first_sources_of_the_next_copy() -> None:
    layers = [
        {**DENSE, "name": "zero"},
        {"type": "b", "name": "s", "from": ["x", "zero", "x"], "repeat": 3, "carry": ["part", "sum"]},
        {"type": "Identity", "name": "end", "from": "s.sum"},
    ]
    assert flat(layers, blocks={"b": TWO_STATES})[1:] == [
        ("s_1_part", "Dense", ("x",)),
        ("s_1_sum", "Add", ("zero", "s_1_part", "x")),
        ("s_2_part", "Dense", ("s_1_part",)),
        ("s_2_sum", "Add", ("s_1_sum", "s_2_part", "x")),
        ("s_3_part", "Dense", ("s_2_part",)),
        ("s_3_sum", "Add", ("s_2_sum", "s_3_part", "x")),
        ("end", "Identity", ("s_3_sum",)),
    ]
    layers[1] = {**layers[1], "carry": "sum", "repeat": 2}
    assert flat(layers, blocks={"b": TWO_STATES})[3] == ("s_2_part", "Dense", ("s_1_sum",))


def test_a_later_source_of_chained_copies_may_have_an_index() -> None:
    layers = [
        {**DENSE, "name": "skip", "repeat": 2, "chain": False},
        {"type": "Add", "name": "up", "from": ["x", "skip_${2 - index}"], "repeat": 2},
    ]
    assert flat(layers)[2:] == [("up_1", "Add", ("x", "skip_2")), ("up_2", "Add", ("up_1", "skip_1"))]


# -- conditions --------------------------------------------------------------------------------------------------------


def test_the_name_of_an_entry_left_out_stands_for_its_first_input() -> None:
    layers = [
        {**DENSE, "name": "a"},
        {"type": "Add", "name": "project", "from": ["a", "x"], "if": "${deep}"},
        {**DENSE, "name": "b", "from": "project", "if": True, "repeat": 2},
        {**DENSE, "name": "c", "repeat": "${1 // 0}", "if": False},
        {**DENSE, "name": "d", "if": False, "repeat": 2, "chain": False},
    ]
    end = {"type": "Concatenate", "name": "end", "from": ["project", "d", "c"]}
    expanded = [("a", "Dense", ("x",)), ("b_1", "Dense", ("a",)), ("b_2", "Dense", ("b_1",))]
    assert flat([*layers, end], parameters={"deep": False}) == [*expanded, ("end", "Concatenate", ("a", "b_2"))]
    assert flat([*layers, end], parameters={"deep": True})[1] == ("project", "Add", ("a", "x"))


# -- parameters --------------------------------------------------------------------------------------------------------

SCALED = spec(
    [{"type": "Dense", "units": "${deep}"}, {"type": "Activation", "activation": "${function}"}],
    parameters={"width": 4, "deep": "${2 * width}", "function": "relu", "epochs": 3},
    scales={"small": {"width": 1}, "large": {"width": 100, "function": "tanh"}},
    training={"loss": "mse", "epochs": "${epochs}", "optimizer": {"type": "adam", "learning_rate": "${1 / width}"}},
)


def units(**options: Any) -> int:
    return check_spec(SCALED, **options).network.calls[0].layer.units  # type: ignore[union-attr]


def test_scales_and_overrides_set_parameters() -> None:
    assert units() == 8
    assert units(changes=["width=3"]) == 6
    assert units(changes=["deep=5"]) == 5
    assert units(scale="large") == 200
    assert units(scale="large", changes=["width=7"]) == 14
    assert check_spec(SCALED, scale="small").network.training.optimizer.learning_rate == 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"changes": ["widht=3"]}, "there is no parameter 'widht'"),
        ({"scale": "larg"}, "the spec has no scale 'larg'"),
    ],
)
def test_an_unknown_parameter_or_scale_is_a_usage_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        check_spec(SCALED, **options)
    assert "did you mean" in str(error.value.diagnostic.help)


def test_an_error_in_a_scale_has_a_note_about_the_scale() -> None:
    diagnostic, _ = jsonnx.validate(SCALED | {"scales": {"none": {"function": "rely"}}}, scale="none")
    assert diagnostic.path == "$.parameters.function"
    assert diagnostic.notes[-1].message == "changed by the scale 'none'"


def test_a_model_contains_the_spec_it_was_compiled_from() -> None:
    model = jsonnx.compile(SCALED, scale="large")
    stored_spec = json.loads(next(p.value for p in model.proto.metadata_props if p.key == "jsonnx.spec"))
    assert stored_spec["parameters"]["width"] == 100
    assert stored_spec["scales"] == SCALED["scales"]
    assert jsonnx.compile(stored_spec).to_bytes() == model.to_bytes()


def test_the_fingerprint_of_a_plan_depends_on_the_expanded_layers() -> None:
    written = spec([{"type": "Dense", "units": 8}, {"type": "Activation", "activation": "relu"}])
    written["training"] = {"loss": "mse", "optimizer": {"type": "adam", "learning_rate": 0.25}}
    by_hand, expanded = plan_training(check_spec(written)), plan_training(check_spec(SCALED))
    assert expanded.fingerprint == by_hand.fingerprint
    assert plan_training(check_spec(SCALED, changes=["width=5"])).fingerprint != by_hand.fingerprint
    assert plan_training(check_spec(SCALED, changes=["epochs=9"])).fingerprint == by_hand.fingerprint


# -- comparison with specs written by hand -----------------------------------------------------------------------------


def random_blocks(rng: random.Random) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Returns a random spec with blocks, and the same layers written one by one."""
    width, times = rng.randrange(2, 6), rng.randrange(4)
    deep = {
        "parameters": {"units": 3, "times": 1},
        "inputs": ["a", "b"],
        "layers": [
            {"type": "Add", "name": "1_sum", "from": ["a", "b"]},
            {"type": "Dense", "units": "${units}", "repeat": "${times}", "use_bias": rng.random() < 0.5},
            {"type": "Dense", "name": "2_out", "units": "${width}", "activation": "relu"},
        ],
    }
    deep["parameters"]["width"] = width
    layers: list[dict[str, Any]] = [{"type": "Dense", "name": "stem", "units": "${width}"}]
    by_hand: list[dict[str, Any]] = [{"type": "Dense", "name": "stem", "units": width}]
    last, other = "stem", "stem"
    for number in range(rng.randrange(1, 4)):
        name = f"s{number}"
        layers.append({"type": "deep", "name": name, "units": number + 1, "times": times, "from": [last, other]})
        by_hand.append({"type": "Add", "name": f"{name}_1_sum", "from": [last, other]})
        for k in range(times):
            unnamed = {"type": "Dense", "name": f"{name}_dense" + (f"_{k}" if k else ""), "units": number + 1}
            by_hand.append(unnamed | {"use_bias": deep["layers"][1]["use_bias"]})
        by_hand.append({"type": "Dense", "name": f"{name}_2_out", "units": width, "activation": "relu"})
        layers[-1]["from"] = [last if last == "stem" else f"s{number - 1}", other]
        last = f"{name}_2_out"
    return spec(layers, blocks={"deep": deep}, parameters={"width": width}), by_hand


@pytest.mark.parametrize("seed", range(8))
def test_blocks_compile_to_the_same_bytes_as_layers_written_by_hand(seed: int) -> None:
    document, by_hand = random_blocks(random.Random(seed))
    protos = [jsonnx.compile(written).proto for written in (document, spec(by_hand))]
    for proto in protos:
        del proto.metadata_props[:]  # the metadata contains the spec
    assert protos[0].SerializeToString(deterministic=True) == protos[1].SerializeToString(deterministic=True)


# -- patterns and unused results ---------------------------------------------------------------------------------------

GATE = {
    "layers": [{**DENSE, "name": "skip"}, {"type": "Add", "name": "out", "from": ["input", "skip"]}],
    "outputs": ["out", "skip"],
}


def test_a_pattern_takes_all_matching_values_in_the_order_of_the_layers() -> None:
    layers = [
        {"type": "Concatenate", "name": "all", "from": ["x", "deep_*", "g_?.skip", "lstm*.state_[hc]"]},
        {"type": "gate", "name": "g_${index}", "from": "x", "repeat": 3},
        {**DENSE, "name": "deep", "repeat": 2},
        {"type": "gate", "name": "h"},
        {"type": "Reshape", "target_shape": [1, 4]},
        {"type": "LSTM", "name": "lstm", "units": 4, "return_state": True},
    ]
    sources = ("x", "deep_1", "deep_2", "g_0_skip", "g_1_skip", "g_2_skip", "lstm.state_h", "lstm.state_c")
    made = flat(layers, blocks={"gate": GATE}, outputs=["all", "lstm"])
    assert [call for call in made if call[0] == "all"] == [("all", "Concatenate", sources)]
    single = [{**DENSE, "name": "a1"}, {**DENSE, "from": "x"}, {"type": "Add", "from": ["a?", "dense"]}]
    assert flat(single)[-1] == ("add", "Add", ("a1", "dense"))
    assert flat([*single, {**DENSE, "from": "add*"}])[-1] == ("dense_1", "Dense", ("add",))


def test_a_pattern_in_a_block_matches_its_own_names_only() -> None:
    block = {
        "inputs": ["left", "right"],
        "layers": [
            {**DENSE, "name": "a_1", "from": "left"},
            {**DENSE, "name": "a_2"},
            {"type": "Add", "from": ["a_*", "right"]},
        ],
    }
    layers = [{**DENSE, "name": "a_0"}, {"type": "b", "from": ["*0", "x"]}]
    assert flat(layers, blocks={"b": block})[-1] == ("b_add", "Add", ("b_a_1", "b_a_2", "x"))


def test_a_pattern_without_a_match_is_an_error() -> None:
    layers = [
        {**DENSE, "name": "deep", "repeat": 2},
        {"type": "gate", "from": "deep"},
        {"type": "Add", "from": ["x", "dep_*"]},
    ]
    layers += [{"type": "Add", "from": ["gate.sk", "gat*.skp"]}, {"type": "gate", "name": "g", "from": "lost_*"}]
    assert sorted(errors(spec(layers, blocks={"gate": GATE}))) == [
        ("unknown-name", "$.layers[2].from[1]"),
        ("unknown-name", "$.layers[3].from[0]"),
        ("unknown-name", "$.layers[3].from[1]"),
        ("unknown-name", "$.layers[4].from"),
    ]


def test_an_error_in_a_value_that_a_pattern_matches_is_reported_at_the_pattern() -> None:
    layers = [DENSE, {**DENSE, "units": 5}, {**DENSE, "units": 4}, {"type": "Dot", "axes": 1, "from": ["x", "dense_*"]}]
    assert errors(spec(layers)) == [("wrong-inputs", "$.layers[3].from")]


def test_a_result_that_other_uses_of_the_block_use_may_be_unused() -> None:
    layers = [{"type": "gate", "name": "g", "repeat": 3}, {"type": "Add", "from": ["g_*.skip"]}]
    assert [name for name, *_ in flat(layers, blocks={"gate": GATE})] == [
        "g_1_skip", "g_1_out", "g_2_skip", "g_2_out", "g_3_skip", "add"
    ]  # fmt: skip
    plan_training(check_spec(spec(layers, blocks={"gate": GATE}, training={"loss": "mse"})))


def test_a_result_that_no_use_uses_is_an_error() -> None:
    layers = [{"type": "gate", "name": "a"}, {"type": "gate", "name": "b", "from": "x"}]
    layers.append({"type": "Add", "from": ["a.skip", "b.skip"]})
    assert errors(spec(layers, blocks={"gate": GATE})) == [("unused-layer", "$.blocks.gate.layers[1]")]


def test_an_unused_use_of_a_block_is_an_error_even_if_another_one_is_used() -> None:
    layers = [{"type": "gate", "name": "a"}, {**DENSE, "from": "a.skip"}, {"type": "Add", "from": ["dense", "a"]}]
    layers += [{"type": "gate", "name": "b"}, {**DENSE, "from": "add"}]
    (diagnostic,) = jsonnx.validate(spec(layers, blocks={"gate": GATE}))
    assert (diagnostic.code, diagnostic.message) == ("unused-layer", "nothing uses the result of 'b_out'")


def test_a_layer_that_only_unused_layers_of_a_block_take_is_unused() -> None:
    block = {
        "inputs": ["a", "b"],
        "layers": [{**DENSE, "name": "one", "from": "a"}, {**DENSE, "name": "two", "from": "b"}],
        "outputs": ["one", "two"],
    }
    layers = [DENSE, {"type": "b", "from": ["x", "x"]}, {"type": "b", "from": ["x", "dense"]}]
    layers.append({"type": "Add", "from": ["b.one", "b.two", "b_1.one"]})
    assert errors(spec(layers, blocks={"b": block})) == [("unused-layer", "$.layers[0]")]


# -- descriptions ------------------------------------------------------------------------------------------------------


def test_descriptions_change_nothing_but_the_spec_in_the_model() -> None:
    block = {"layers": [DENSE, {"type": "Add", "from": ["input", "dense"]}], "outputs": ["add", "dense"]}
    layers = [{"type": "b"}, {"type": "Add", "name": "sum", "from": ["b", "b.dense"]}]
    plain = spec(layers, blocks={"b": block}, outputs=["sum", "b"], training={"loss": "mse"})
    text = {"description": "For readers."}
    described = spec(
        [{**layer, **text} for layer in layers],
        inputs={"x": {"shape": [4], **text}},
        blocks={"b": {**block, **text, "inputs": {"input": text}, "outputs": {"add": text, "dense": {}}}},
        outputs={"sum": text, "b": {}},
        training={"loss": "mse"},
    )
    described["blocks"]["b"]["layers"] = [{**layer, **text} for layer in block["layers"]]
    protos = [jsonnx.compile(document).proto for document in (plain, described)]
    for proto in protos:
        del proto.metadata_props[:]
    assert protos[0].SerializeToString(deterministic=True) == protos[1].SerializeToString(deterministic=True)
    plans = [plan_training(check_spec(document)) for document in (plain, described)]
    assert plans[0].fingerprint == plans[1].fingerprint


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"layers": [{**DENSE, "description": 3}]}, ("wrong-type", "$.layers[0].description")),
        ({"layers": [{"type": "b", "description": 3}, DENSE]}, ("wrong-type", "$.layers[0].description")),
        ({"outputs": {"dense": "text"}}, ("wrong-type", "$.outputs.dense")),
        ({"outputs": {"dens": {}}}, ("unknown-name", "$.outputs.dens")),
        ({"outputs": {}}, ("out-of-range", "$.outputs")),
        (
            {"layers": [{"type": "Bidirectional", "layer": {"type": "LSTM", "units": 3, "description": "a"}}]},
            ("unknown-key", "$.layers[0].layer.description"),
        ),
        ({"inputs": {"x": {"shape": [4], "description": None}}}, ("wrong-type", "$.inputs.x.description")),
    ],
)
def test_an_invalid_description_is_an_error(change: dict[str, Any], error: tuple[str, str]) -> None:
    document = spec([DENSE], blocks={"b": {"layers": [DENSE]}}) | change
    assert error in errors(document)


def test_an_unused_input_of_a_block_is_reported_at_its_name() -> None:
    block = {"inputs": {"a": {}, "z": {}}, "layers": [{**DENSE, "from": "a"}]}
    document = spec([DENSE, {"type": "b", "from": ["dense", "x"]}], blocks={"b": block})
    assert errors(document) == [("unused-input", "$.blocks.b.inputs.z")]


# -- exponential expansions --------------------------------------------------------------------------------------------


def nested(entry: Any, depth: int = 40) -> dict[str, Any]:
    """Returns a spec of nested blocks; `entry` returns the layers of a block from the name of the previous block."""
    blocks: dict[str, Any] = {"b0": {"parameters": {"n": 1}, "layers": [DENSE]}}
    for number in range(1, depth):
        blocks[f"b{number}"] = {"parameters": {"n": 1}, "layers": entry(f"b{number - 1}")}
    return spec([{"type": f"b{depth - 1}"}], blocks=blocks)


LAUGHS = {f"b{n}": [f"${{b{n - 1}}}" if n else 1] * 10 for n in range(12)}
TEXTS = {f"b{n}": f"${{b{n - 1}}}${{b{n - 1}}}" if n else "text" for n in range(40)}
DEEP = {f"b{n}": [f"${{b{n - 1}}}" if n else 1] for n in range(500)}


@pytest.mark.costly(3)
@pytest.mark.parametrize(
    ("document", "code", "seconds"),
    [
        (nested(lambda name: [{"type": name, "repeat": 10**9}]), "too-large", 0.5),
        (nested(lambda name: [{"type": name}] * 10), "too-large", 0.5),
        (nested(lambda name: [{"type": name, "n": "${n * 2}"}, {"type": name, "n": "${n * 2 + 1}"}]), "too-large", 9),
        (spec([{**DENSE, "repeat": 10**9}]), "too-large", 0.2),
        (spec([{**DENSE, "units": "${index}", "repeat": 10**18}]), "too-large", 0.2),
        (spec([{**DENSE, "units": "${b11}"}], parameters=LAUGHS), "too-large", 0.5),
        (spec([{**DENSE, "units": "${b39}"}], parameters=TEXTS), "invalid-expression", 0.5),
        (spec([{**DENSE, "units": "${b499}"}], parameters=DEEP), "too-deep", 1),
        (spec([{**DENSE, "units": "${a}", "repeat": 9000}], parameters={"a": list(range(1000))}), "too-large", 2),
        (nested(lambda name: [{"type": name}], 9000), "too-deep", 9),
        (
            spec([{**DENSE, "units": "${sum(a) + max(a)}", "repeat": 9000}], parameters={"a": "${range(9999)}"}),
            "too-large",
            2,
        ),
        (spec([{**DENSE, "units": "${index}", "bad": ["${a}", *range(9999)], "repeat": 9000}]), "too-large", 9),
        (spec([{"type": "Add", "from": ["x*", "dense_9*"]}] * 2000 + [{**DENSE, "repeat": 7000}]), "too-large", 2),
        (spec([{**DENSE, "units": "${[" + "range(9000)," * 60 + "0]}"}]), "wrong-type", 2),
    ],
)
def test_an_expansion_beyond_the_limits_is_rejected_without_delay(document: Any, code: str, seconds: float) -> None:
    check_spec(spec([DENSE]))
    start = time.process_time()
    codes = [diagnostic.code for diagnostic in jsonnx.validate(document)]
    assert time.process_time() - start < seconds
    assert code in codes


def test_the_message_contains_the_number_of_layers_and_the_limit() -> None:
    diagnostic, _ = jsonnx.validate(nested(lambda name: [{"type": name}] * 10, 10))
    assert diagnostic.message == "this expands to 1,000,000,000 layers, more than 10,000"


def test_a_cycle_of_blocks_is_reported_with_their_names() -> None:
    count = 3000
    blocks = {f"b{n}": {"layers": [{"type": f"b{(n + 1) % count}"}]} for n in range(count)}
    (diagnostic,) = jsonnx.validate(spec([{"type": "b0"}], blocks=blocks))
    assert diagnostic.code == "cycle"
    assert "b0 -> b1 -> b2" in diagnostic.message


def test_a_cycle_of_elided_entries_is_an_error() -> None:
    layers = [{**DENSE, "name": "a", "from": "b", "repeat": 0}, {**DENSE, "name": "b", "from": "a", "repeat": 0}]
    diagnostics = jsonnx.validate(spec([*layers, {**DENSE, "from": "a"}]))
    assert [diagnostic.code for diagnostic in diagnostics] == ["cycle", "not-checked"]


def test_a_long_chain_of_elided_entries_is_resolved() -> None:
    layers = [{**DENSE, "name": f"g{n}", "from": f"g{n + 1}", "repeat": 0} for n in range(5000)]
    all_layers = [{**DENSE, "from": "g0"}, *layers, {**DENSE, "name": "g5000", "from": "x"}]
    assert flat(all_layers, outputs="dense")[-1][2] == ("g5000",)


# -- invalid values ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_invalid_values_anywhere_raise_no_exception() -> None:
    """Replaces each value of a valid spec by invalid ones; validation must not raise any other exception."""
    valid_spec = nested(lambda name: [{"type": name, "n": "${n}", "name": "k", "from": "input"}], 3)
    valid_spec["blocks"]["b1"] |= {"inputs": ["input"], "outputs": ["k"], "description": "x"}
    valid_spec |= {"parameters": {"p": 1, "q": [1, "${p}"]}, "scales": {"s": {"p": 2}}, "outputs": ["b2"]}
    valid_spec["layers"] += [
        {"type": "Dense", "name": "d${p}", "units": "${q[0]}", "repeat": 2},
        {"use": "b2", "from": "x"},
    ]
    paths = list(places(valid_spec))
    replacements = [
        None,
        True,
        -1,
        1.5,
        10**30,
        "",
        "x",
        "${",
        "${p}",
        "${zz}",
        "a.b",
        [],
        [[]],
        ["x", 3],
        {},
        {"type": []},
    ]
    for path in paths:
        for replacement in replacements:
            with suppress(CompileError):
                check_spec(replaced(valid_spec, path, replacement))


def places(value: Any, path: tuple[Any, ...] = ()) -> Any:
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], replacement: Any) -> Any:
    if not path:
        return replacement if isinstance(replacement, dict) else {"layers": replacement}
    copy = value.copy()
    copy[path[0]] = replacement if len(path) == 1 else replaced(value[path[0]], path[1:], replacement)
    return copy
