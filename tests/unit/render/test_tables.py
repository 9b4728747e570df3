"""Summaries as text and JSON, and the table of providers."""

from __future__ import annotations

import json
from typing import Any

from jsonnx.lowering.cost import LayerCost, cost_table
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.compile.graphs import inference_graph
from jsonnx.render.networks.tables import providers_text, summary_json, summary_text
from jsonnx.runtime.providers.provider_availability import provider_availability

SPEC = {
    "name": "two_heads",
    "inputs": {"image": {"shape": [8, 8, 1]}},
    "layers": [
        {"type": "Conv2D", "filters": 4, "kernel_size": 3},
        {"type": "Flatten"},
        {"type": "Dense", "name": "digit", "units": 10, "trainable": False},
        {"type": "Dense", "name": "even", "units": 1, "from": "flatten"},
    ],
    "outputs": ["digit", "even"],
}

TEXT = """\
two_heads: image float32 (batch, 8, 8, 1) -> digit float32 (batch, 10), even float32 (batch, 1)

layer    type     output shape      parameters  multiply-adds  from     notes
-------- -------- ----------------- ----------- -------------- -------- ------
conv2d   Conv2D   (batch, 6, 6, 4)          40          1,296
flatten  Flatten  (batch, 144)               0              0
digit    Dense    (batch, 10)            1,450          1,440           frozen
even     Dense    (batch, 1)               145            144  flatten

parameters      1,635
trainable       185
non-trainable   1,450
multiply-adds   2,880 a sample
weights         0.01 MB"""


def summary(spec: dict[str, Any]) -> tuple[Any, list[LayerCost]]:
    checked = check_spec(spec)
    return checked.network, cost_table(checked.require(), inference_graph(checked))


def test_summary_text_has_one_row_per_layer_and_totals() -> None:
    assert summary_text(*summary(SPEC)) == TEXT


def test_summary_json_has_the_same_numbers() -> None:
    summary_ = json.loads(json.dumps(summary_json(*summary(SPEC))))
    assert summary_["inputs"] == {"image": {"dtype": "float32", "shape": ["batch", 8, 8, 1]}}
    assert summary_["outputs"]["even"] == {"dtype": "float32", "shape": ["batch", 1]}
    assert summary_["layers"][3] == {
        "name": "even",
        "type": "Dense",
        "from": ["flatten"],
        "outputs": [{"dtype": "float32", "shape": ["batch", 1]}],
        "parameters": 145,
        "trainable": 145,
        "frozen": False,
        "training_only": False,
        "multiply_adds": 144,
        "blocks": [],
        "masked_inputs": [],
        "reads_masks": False,
        "mask": None,
    }
    assert [layer["name"] for layer in summary_["layers"] if layer["frozen"]] == ["digit"]
    totals = {"parameters": 1635, "trainable": 185, "non_trainable": 1450, "multiply_adds": 2880, "megabytes": 0.00654}
    assert summary_["totals"] == totals | {"activation_bytes": None}


MASKED = {
    "inputs": {"ids": {"shape": [5], "dtype": "int64"}},
    "layers": [
        {"type": "Embedding", "name": "words", "input_dim": 9, "output_dim": 4, "mask_zero": True, "trainable": False},
        {"type": "LayerNormalization", "name": "scaled"},
        {"type": "MultiHeadAttention", "name": "look", "num_heads": 2, "key_dim": 2},
        {"type": "Add", "name": "sum", "from": ["scaled", "look"]},
        {"type": "BatchNormalization", "name": "even", "trainable": False},
        {"type": "GlobalAveragePooling1D", "name": "mean"},
    ],
}


def test_summary_shows_frozen_layers_and_masks() -> None:
    network, rows = summary(MASKED)
    notes = {line.split()[0]: line.split("  ")[-1].strip() for line in summary_text(network, rows).splitlines()[4:10]}
    assert notes["words"] == "frozen, makes a mask"
    assert notes["scaled"] == "masked"
    assert notes["look"] == "reads the mask, masked"
    assert notes["sum"] == "ends the mask"
    assert notes["even"] == "frozen, reads the mask, masked"
    assert notes["mean"] == "reads the mask"
    layers = {layer["name"]: layer for layer in summary_json(network, rows)["layers"]}
    assert layers["words"]["mask"] == {"dtype": "bool", "shape": ["batch", 5]}
    assert layers["sum"]["masked_inputs"] == ["look"]
    assert layers["sum"]["mask"] is None


def test_adapted_layers_and_layers_without_weights_are_not_shown_as_frozen() -> None:
    layers = [{"type": "Normalization"}, {"type": "BatchNormalization", "scale": False, "center": False}]
    network, rows = summary(
        {"inputs": {"x": {"shape": [4]}}, "layers": [*layers, {"type": "ReLU", "trainable": False}]}
    )
    assert not any(row.frozen for row in rows)
    assert "notes" not in summary_text(network, rows)


def test_symbolic_sizes_are_shown_by_name() -> None:
    spec = {"inputs": {"x": {"shape": ["time", 4]}}, "layers": [{"type": "Dense", "units": 3}]}
    network, rows = summary(spec)
    assert "(batch, time, 3)" in summary_text(network, rows)
    assert "multiply-adds   12*time a sample" in summary_text(network, rows)
    totals = summary_json(network, rows)["totals"]
    assert (totals["multiply_adds"], totals["multiply_adds_formula"]) == (None, "12*time")


def test_collapsed_blocks_show_where_their_inputs_come_from() -> None:
    up = {"inputs": ["x", "seen"], "layers": [{"type": "Add", "from": ["x", "seen"]}, {"type": "ReLU"}]}
    down = {"layers": [{"type": "Dense", "name": "seen", "units": 4}, {"type": "ReLU"}], "outputs": ["re_lu", "seen"]}
    spec = {
        "inputs": {"x": {"shape": [4]}},
        "blocks": {"up": up, "down": down},
        "layers": [
            {"type": "down", "name": "down_1"},
            {"type": "down", "name": "down_2"},
            {"type": "up", "name": "up_1", "from": ["down_2", "down_1.seen"]},
            {"type": "up", "name": "up_2", "from": ["up_1", "x"]},
            {"type": "Add", "name": "sum", "from": ["up_2", "down_2.seen", "down_2"]},
            {"type": "Dense", "name": "last", "units": 1},
        ],
    }
    network, rows = summary(spec)
    lines = summary_text(network, rows, depth=0).splitlines()[4:10]
    sources = {line.split()[0]: line[lines[4].index("up_2") :] for line in lines}
    assert sources == {
        "down_1": "",
        "down_2": "",
        "up_1": "down_2, down_1.seen",
        "up_2": "up_1, x",
        "sum": "up_2, down_2.seen, down_2",
        "last": "",
    }
    assert [block["from"] for block in summary_json(network, rows)["blocks"]] == [
        ["x"],
        ["down_1_re_lu"],
        ["down_2_re_lu", "down_1_seen"],
        ["up_1_re_lu", "x"],
    ]


def test_colored_summary_has_the_same_content() -> None:
    network, rows = summary(SPEC)
    colored = summary_text(network, rows, color=True)
    assert "\x1b[1m" in colored
    assert "flatten" in colored


def test_providers_are_listed_with_installation_commands() -> None:
    text = providers_text(provider_availability())
    assert text.splitlines()[0].split() == ["provider", "here", "how", "to", "get", "it", "in", "onnxruntime"]
    assert "CPUExecutionProvider" in text


DESCRIBED: dict[str, Any] = {
    "inputs": {"x": {"shape": [4], "description": "Four numbers."}},
    "parameters": {"width": {"default": 4, "description": "Units of each layer."}, "plain": "${width}"},
    "blocks": {
        "gate": {
            "description": "A layer and a sum.",
            "parameters": {"units": {"required": True, "description": "Units."}},
            "inputs": {"input": {"description": "Any features."}},
            "layers": [
                {"type": "Dense", "name": "dense", "description": "Of ${units} units.", "units": "${units}"},
                {"type": "Add", "name": "sum", "from": ["input", "dense"]},
            ],
            "outputs": {"sum": {"description": "The sum."}},
        }
    },
    "layers": [
        {"type": "gate", "name": "a", "units": "${plain}"},
        {"type": "gate", "name": "b", "description": "The second.", "units": "${width}"},
    ],
    "outputs": {"b": {"description": "The result."}},
}


def test_descriptions_are_shown_on_request() -> None:
    network, rows = summary(DESCRIBED)
    text = summary_text(network, rows, with_descriptions=True)
    ends = {line.split()[0]: line.rsplit("  ", 1)[-1].strip() for line in text.splitlines()[4:10]}
    assert [ends[name] for name in ("a", "a_dense", "b")] == ["A layer and a sum.", "Of 4 units.", "The second."]
    lists = """
inputs
  x  Four numbers.

outputs
  b_sum  The result.

parameters
  width = 4  Units of each layer.

blocks
  gate  A layer and a sum.
    input             Any features.
    units (required)  Units.
    sum               The sum."""
    assert text.endswith(lists)
    assert "Four numbers" not in summary_text(network, rows)


def test_the_json_summary_has_the_descriptions() -> None:
    made = summary_json(*summary(DESCRIBED))
    assert made["inputs"]["x"]["description"] == "Four numbers."
    assert made["outputs"]["b_sum"]["description"] == "The result."
    assert [layer.get("description") for layer in made["layers"]] == ["Of 4 units.", None] * 2
    assert [block["description"] for block in made["blocks"]] == ["A layer and a sum.", "The second."]
    assert made["parameters"]["width"] == {"value": 4, "description": "Units of each layer."}
    assert made["block_definitions"]["gate"] == {
        "description": "A layer and a sum.",
        "parameters": {"units": {"required": True, "description": "Units."}},
        "inputs": {"input": "Any features."},
        "outputs": {"sum": "The sum."},
    }


def test_descriptions_of_library_blocks_are_not_repeated() -> None:
    entries = [{"type": "std.Residual", "name": name, "filters": 4} for name in ("a", "b")]
    spec = {"inputs": {"x": {"shape": [8, 8, 4]}}, "layers": [entries[0], {**entries[1], "description": "The second."}]}
    network, _ = summary(spec)
    assert network.descriptions == {"b": "The second."}


def test_layers_of_a_block_are_indented_below_the_block() -> None:
    spec = {
        "inputs": {"x": {"shape": [4]}},
        "blocks": {
            "inner": {"layers": [{"type": "Dense", "units": 4, "repeat": 2}]},
            "outer": {"layers": [{"type": "inner"}, {"type": "Dense", "name": "last", "units": 4}]},
        },
        "layers": [{"type": "outer", "name": "a", "repeat": 2}, {"type": "Dense", "units": 1}],
    }
    network, rows = summary(spec)
    text = summary_text(network, rows).splitlines()
    assert [line.split("  (")[0].rstrip() for line in text[4:9]] == [
        "a_1                    outer",
        "  a_1_inner            inner",
        "    a_1_inner_dense    Dense",
        "    a_1_inner_dense_1  Dense",
        "  a_1_last             Dense",
    ]
    assert "60" in text[4]
    assert "40" in text[5]
    collapsed = summary_text(network, rows, depth=0).splitlines()
    assert [line.split()[0] for line in collapsed[4:7]] == ["a_1", "a_2", "dense"]
    collapsed_json = summary_json(network, rows, depth=1)
    assert [row["name"] for row in collapsed_json["layers"]] == ["a_1_last", "a_2_last", "dense"]
    assert [(use["name"], use["blocks"], use["parameters"]) for use in collapsed_json["blocks"][:2]] == [
        ("a_1", [], 60),
        ("a_1_inner", ["a_1"], 40),
    ]
    assert summary_json(network, rows)["layers"][0]["blocks"] == ["a_1", "a_1_inner"]
