"""Completion in whole and in half-written specs."""

from __future__ import annotations

import pytest

from .lsp_client import LspClient, position, with_edits
from .specs import DIGITS

URI = "file:///specs/digits.json"
CURSOR = "█"


def completions(client: LspClient, text: str) -> dict[str, dict]:
    """The completions at the cursor in a text, by label."""
    at = position(text, CURSOR)
    plain = text.replace(CURSOR, "")
    client.open(URI, plain)
    answer = client.ask("completion", URI, position=at)
    client.close(URI)
    return {item["label"]: item for item in answer["items"]}


def entry(text: str, rest: str = "") -> str:
    """The spec of digits, with an entry that is being written in place of one of its layers."""
    return DIGITS.replace('{"type": "GlobalAveragePooling2D"},', text) + rest


@pytest.mark.parametrize(
    ("text", "offered", "missing"),
    [
        (entry('{"type": "Den█"},'), ["Dense", "Conv2D", "residual", "std.MLP"], ["softmax"]),
        (entry('{"type": "Den█'), ["Dense"], []),
        (entry('{"type": █'), ["Dense"], []),
        (entry('{"█'), ["type", "use", "name", "from", "if", "repeat", "chain", "carry"], ["units"]),
        (entry('{"type": "residual", "repeat": 2, "chain": █},'), ["true", "false"], []),
        (entry('{"type": "residual", "repeat": 2, "carry": ["█"]},'), ["sum"], ["stage1"]),
        (
            entry('{"type": "Dense", "█"},'),
            ["units", "activation", "name"],
            ["type", "kernel_size", "quantization_config"],
        ),
        (entry('{"type": "Dense", "█'), ["units"], []),
        (entry('{"type": "residual", █},'), ["filters", "name"], ["units"]),
        (entry('{"type": "Dense", "activation": "█"},'), ["relu", "softmax", "gelu"], ["Dense", "Relu"]),
        (entry('{"type": "Dense", "use_bias": █},'), ["true", "false"], []),
        (entry('{"type": "Conv2D", "padding": "█"},'), ["valid", "same"], []),
        (entry('{"type": "Dense", "kernel_initializer": "█"},'), ["he_normal", "zeros"], ["relu"]),
        (entry('{"type": "Dense", "kernel_initializer": {"type": "he_normal", "█"}},'), ["seed"], ["units"]),
        (entry('{"type": "Dense", "from": "█"},'), ["image", "stage1", "hidden"], ["conv", "residual"]),
        (entry('{"type": "Add", "from": ["stage1", "█'), ["stage2"], []),
        (entry('{"use": "█"},'), ["hidden", "digit"], ["image"]),
        (DIGITS.replace('"from": ["conv", "short"]', '"from": ["conv", "█"]'), ["input", "short"], ["sum", "stage1"]),
        (DIGITS.replace('"outputs": ["digit"', '"outputs": ["█"'), ["digit", "hidden"], []),
        (DIGITS.replace('"loss": {', '"loss": {"█": "mse", '), [], ["hidden"]),
        (DIGITS.replace('"labels": {', '"labels": {"█": [], '), ["even"], ["digit", "hidden"]),
        (DIGITS.replace('"freeze": [', '"freeze": ["█", '), ["stage1", "hidden"], ["image"]),
        (DIGITS.replace('"training": {', '"training": {"█": 1, '), ["optimizer", "epochs"], ["loss", "units"]),
        (DIGITS.replace('"training": {', '"training": {"optimizer": "█", '), ["adam", "sgd"], ["relu"]),
        (
            DIGITS.replace('"training": {', '"training": {"optimizer": {"type": "adam", "█"}, '),
            ["learning_rate"],
            ["type"],
        ),
        (DIGITS.replace('"val_digit_loss"', '"█"'), ["val_loss", "val_digit_sparse_categorical_accuracy"], []),
        (DIGITS.replace('"${width}"', '"${█}"'), ["width", "index"], ["filters"]),
        (
            DIGITS.replace('"filters": "${filters}", "kernel_size": 3', '"filters": "${█", "kernel_size": 3'),
            ["filters"],
            ["width"],
        ),
        (DIGITS.replace('"parameters": {"width"', '"█": 1, "parameters": {"width"'), ["name", "sweep"], ["layers"]),
    ],
)
def test_completions(client: LspClient, text: str, offered: list[str], missing: list[str]) -> None:
    labels = completions(client, text)
    assert [label for label in offered if label not in labels] == []
    assert [label for label in missing if label in labels] == []


def test_a_type_brings_its_required_arguments_and_its_documentation(client: LspClient) -> None:
    text = entry('{"type": "Con█"},')
    item = completions(client, text)["Conv2D"]
    plain = text.replace(CURSOR, "")
    assert item["insertTextFormat"] == 2
    written = with_edits(plain, [item["textEdit"]])
    assert '{"type": "Conv2D", "filters": ${1:8}, "kernel_size": ${2:3}},' in written
    resolved = client.request("completionItem/resolve", item)
    assert "Convolution of images" in resolved["documentation"]["value"]


def test_a_new_line_offers_whole_entries(client: LspClient) -> None:
    item = completions(client, entry('{"type": "GlobalAveragePooling2D"},\n    █'))["Dense"]
    assert item["textEdit"]["newText"] == '{"type": "Dense", "units": ${1:8}\\},'


def test_a_key_replaces_the_word_that_is_written(client: LspClient) -> None:
    text = entry('{"type": "Dense", "uni█"},')
    written = with_edits(text.replace(CURSOR, ""), [completions(client, text)["units"]["textEdit"]])
    assert '{"type": "Dense", "units": $1},' in written
    renamed = entry('{"type": "Dense", "uni█": 3},')
    written = with_edits(renamed.replace(CURSOR, ""), [completions(client, renamed)["units"]["textEdit"]])
    assert '{"type": "Dense", "units": 3},' in written


def test_an_editor_without_snippets_gets_plain_text() -> None:
    with LspClient() as plain_client:
        item = completions(plain_client, entry('{"type": "Con█"},'))["Conv2D"]
        assert item["textEdit"]["newText"] == '"Conv2D"'
        assert item.get("insertTextFormat", 1) == 1


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        ('["stage1", █]', '["stage1", "hidden"]'),
        ('[█ "stage1"]', '["hidden", "stage1"]'),
        ('["stage1" █, "digit"]', '["stage1" , "hidden", "digit"]'),
        ('["stage1", █ "digit"]', '["stage1", "hidden", "digit"]'),
        ('["stage1" █ "digit"]', '["stage1" , "hidden", "digit"]'),
        ('["stage1", "hid█", "digit"]', '["stage1", "hidden", "digit"]'),
        ("[█]", '["hidden"]'),
    ],
)
def test_an_item_between_others_brings_its_commas(client: LspClient, array: str, expected: str) -> None:
    text = DIGITS.replace('"outputs": ["digit", "even"]', f'"outputs": {array}')
    assert CURSOR in text
    written = with_edits(text.replace(CURSOR, ""), [completions(client, text)["hidden"]["textEdit"]])
    assert f'"outputs": {expected}' in written


def test_an_entry_between_others_brings_its_comma(client: LspClient) -> None:
    text = DIGITS.replace('{"type": "GlobalAveragePooling2D"},', '{"type": "GlobalAveragePooling2D"}, █ ')
    item = completions(client, text)["Flatten"]
    written = with_edits(text.replace(CURSOR, ""), [item["textEdit"]])
    assert '{"type": "GlobalAveragePooling2D"}, {"type": "Flatten"}, ' in " ".join(written.split())
