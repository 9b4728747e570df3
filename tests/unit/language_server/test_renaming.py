"""Renaming: all references follow, and the network remains the same or the name is refused."""

from __future__ import annotations

import pytest

from .lsp_client import LspClient, LspError, edits_of, position, text_of_range, with_edits
from .specs import DIGITS

URI = "file:///specs/digits.json"


def renamed(client: LspClient, text: str, mark: str, new: str, offset: int = 2) -> str:
    client.open(URI, text)
    try:
        edit = client.ask("rename", URI, position=position(text, mark, offset), newName=new)
        result = with_edits(text, edits_of(edit))
        client.change(URI, result)
        assert [item for item in client.diagnostics(URI) if item["severity"] == 1] == []
        return result
    finally:
        client.close(URI)


def test_an_output_is_renamed_in_labels_losses_metrics_and_metrics(client: LspClient) -> None:
    result = renamed(client, DIGITS, '"digit", "even"]', "klass")
    assert result == DIGITS.replace('"digit"', '"klass"').replace("val_digit_loss", "val_klass_loss")


def test_a_use_of_a_block_is_renamed_in_the_names_of_its_layers(client: LspClient) -> None:
    text = DIGITS.replace('"type": "GlobalAveragePooling2D"', '"type": "GlobalAveragePooling2D", "from": "stage2_sum"')
    result = renamed(client, text, '"stage2", "filters"', "second")
    assert result == text.replace("stage2", "second")


def test_a_layer_of_a_block_is_renamed_in_the_block_and_outside(client: LspClient) -> None:
    text = DIGITS.replace('"freeze": ["stage1_*"]', '"freeze": ["stage1_conv"]')
    text = text.replace(
        '{"type": "GlobalAveragePooling2D"}', '{"type": "GlobalAveragePooling2D", "from": "stage2.sum"}'
    )
    result = renamed(client, text, '"conv", "filters"', "first")
    assert result == text.replace('"conv"', '"first"').replace("stage1_conv", "stage1_first")
    result = renamed(client, text, '"name": "sum"', "total", 10)
    assert result == text.replace('"sum"', '"total"').replace("stage2.sum", "stage2.total")


def test_a_block_and_an_input_are_renamed(client: LspClient) -> None:
    assert renamed(client, DIGITS, '"residual"', "Res") == DIGITS.replace('"residual"', '"Res"')
    assert renamed(client, DIGITS, '"image"', "pixels") == DIGITS.replace('"image"', '"pixels"')


def test_an_input_and_a_target_keep_their_columns(client: LspClient) -> None:
    text = """{
      "inputs": {"age": {"shape": []}, "size": {"shape": []}},
      "layers": [
        {"type": "ops.stack", "from": ["age", "size"], "axis": -1},
        {"type": "Dense", "name": "price", "units": 1}
      ],
      "training": {"data": {"train": "people.csv"}, "loss": "mse", "metrics": ["mae"]}
    }"""
    result = renamed(client, text, '"age", "size"]', "years")
    assert '"data": {"train": "people.csv", "x": {"years": "age"}}' in result
    result = renamed(client, result, '"size": {', "height")
    assert '"x": {"height": "size", "years": "age"}' in result
    result = renamed(client, text, '"price"', "cost")
    assert '"y": {"cost": "price"}' in result


def test_a_pattern_that_no_longer_matches_is_extended(client: LspClient) -> None:
    result = renamed(client, DIGITS, '"hidden", "units": "', "deep")
    assert result == DIGITS.replace("hidden", "deep")
    text = DIGITS.replace("hidden*", "hid*")
    result = renamed(client, text, '"hidden", "units": "', "dense")
    assert '{"stage2_*": 0.1, "dense_2": 0.5, "dense_1": 0.5}' in result
    assert '"from": "dense"' in result


def test_a_layer_that_a_list_leaves_out_keeps_being_left_out(client: LspClient) -> None:
    text = DIGITS.replace('"freeze": ["stage1_*"]', '"freeze": ["*", "!hidden*", "!digit"]')
    result = renamed(client, text, '"digit", "units"', "number")
    assert '"freeze": ["*", "!hidden*", "!number"]' in result


def test_a_layer_without_a_name_gets_one(client: LspClient) -> None:
    text = DIGITS.replace('"from": "hidden", "units": 1', '"from": "global_average_pooling2d", "units": 1')
    result = renamed(client, text, '"global_average_pooling2d", "units"', "pooled")
    assert '{"type": "GlobalAveragePooling2D", "name": "pooled"},' in result
    assert '"from": "pooled"' in result


@pytest.mark.parametrize(
    ("mark", "new", "reason"),
    [
        ('"digit", "units"', "even", "is taken"),
        ('"digit", "units"', "EVEN", "is taken"),
        ('"digit", "units"', "9lives", "a name consists of"),
        ('"digit", "units"', "a b", "a name consists of"),
        ('"digit", "units"', "a" * 100_000, "at most 128 characters, and the new one has 100,000"),
        ('"digit", "units"', "\U0001f600", "a name consists of"),
        ('"digit", "units"', "hiddenish", "would match the new name"),
        ('"digit", "units"', "stage1_conv", "leads to an error"),
    ],
)
def test_a_name_that_would_change_the_network_is_refused(client: LspClient, mark: str, new: str, reason: str) -> None:
    with pytest.raises(LspError, match=reason):
        renamed(client, DIGITS, mark, new)


def test_only_names_can_be_renamed(client: LspClient) -> None:
    client.open(URI, DIGITS)
    place = client.ask("prepareRename", URI, position=position(DIGITS, '"digit", "even"]', 3))
    assert text_of_range(DIGITS, place) == "digit"
    for mark in ('"softmax"', '"units": 10', '"stage1_*"', "10,", '"type"'):
        assert client.ask("prepareRename", URI, position=position(DIGITS, mark, 1)) is None
    client.close(URI)


REPEATED = """{
  "inputs": {"field": {"shape": [4], "repeat": 2}},
  "blocks": {
    "pair": {
      "inputs": ["a", "b"],
      "layers": [
        {"type": "Dense", "name": "part", "from": "a", "units": 4},
        {"type": "Add", "name": "total", "from": ["part", "b"]}
      ],
      "outputs": ["part", "total"]
    }
  },
  "layers": [
    {"type": "Dense", "name": "expert", "from": "field_1", "units": 4, "repeat": 3, "chain": false},
    {"type": "Add", "name": "sum", "from": ["expert", "field"]},
    {"type": "pair", "name": "s", "from": ["sum", "expert_2"], "repeat": 2, "carry": ["part", "total"]},
    {"type": "Dense", "name": "end", "from": "s.total", "units": 1}
  ]
}"""


def test_copies_side_by_side_and_carried_results_are_renamed(client: LspClient) -> None:
    assert renamed(client, REPEATED, '"expert", "from"', "gate") == REPEATED.replace("expert", "gate")
    assert renamed(client, REPEATED, '"field": {', "column") == REPEATED.replace("field", "column")
    assert renamed(client, REPEATED, '"total", "from"', "state") == REPEATED.replace("total", "state")
    assert renamed(client, REPEATED, '"part", "total"]}', "back") == REPEATED.replace("part", "back")
