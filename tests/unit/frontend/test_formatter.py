"""The canonical format: it keeps the value and the spelling of numbers, and depends on nothing else."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from jsonnx.frontend.json.json_reader import from_value, read_text
from jsonnx.frontend.text.formatter import LINE_WIDTH, format_source

ROOT = Path(__file__).parents[3]

NUMBERS = [
    "0",
    "-0",
    "1e-3",
    "0.0010",
    "1E+5",
    "9223372036854775807",
    "-12345678901234567890123",
    "0.1",
    "3",
    "-7.25e0",
]
WORDS = ["Dense", "x", "type", "name", "from", "layers", "é", "\u2028", "\u202e", "🙂", '"', "\\", "\n", "a b", "units"]


def fmt(text: str) -> str:
    return format_source(read_text(text))


def value_with_number_texts(text: str) -> Any:
    """Returns the value with numbers as spelled in the text."""
    return json.loads(text, parse_int=lambda token: ("number", token), parse_float=lambda token: ("number", token))


def random_json_text(value: Any, rng: random.Random) -> str:
    """Returns a value as JSON with random whitespace and escapes."""

    def space() -> str:
        return rng.choice(["", "", " ", "\n", "\t ", "\r\n"])

    def string(text: str) -> str:
        return json.dumps(text, ensure_ascii=rng.random() < 0.5)

    if isinstance(value, tuple):
        return value[1]
    if isinstance(value, str):
        return string(value)
    if isinstance(value, list):
        return "[" + ",".join(space() + random_json_text(item, rng) + space() for item in value) + "]"
    if isinstance(value, dict):
        items = [
            f"{space()}{string(k)}{space()}:{space()}{random_json_text(v, rng)}{space()}" for k, v in value.items()
        ]
        return "{" + ",".join(items) + "}"
    return json.dumps(value)


def random_value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.random()
    if depth < 4 and kind < 0.3:
        long = [rng.choice(WORDS)] * 40
        return rng.choice([[], long, [random_value(rng, depth + 1) for _ in range(3)]])
    if depth < 4 and kind < 0.65:
        return {
            rng.choice(WORDS) + rng.choice(["", "1"]): random_value(rng, depth + 1) for _ in range(rng.randrange(6))
        }
    return rng.choice([("number", rng.choice(NUMBERS)), rng.choice(WORDS) * rng.choice([1, 1, 30]), True, False, None])


def random_spec(rng: random.Random) -> Any:
    """Returns a random document with keys of a spec."""
    keys = ["training", "zzz", "labels", "outputs", "layers", "inputs", "blocks", "scales", "parameters", "name"]
    spec: dict[str, Any] = {key: random_value(rng) for key in rng.sample(keys, rng.randrange(len(keys)))}
    if rng.random() < 0.7:
        layers = [
            {"name": "n", "units": ("number", "1e0"), "type": rng.choice(["Dense", "LSTM", "Bidirectional", "mine"])}
        ]
        spec["layers"] = [*layers, {"activation": random_value(rng), "type": "Conv2D", "layer": random_value(rng)}]
    if rng.random() < 0.5:
        spec["training"] = {
            "optimizer": {"epsilon": random_value(rng), "type": "adam", "x": random_value(rng)},
            "loss": random_value(rng),
        }
    return spec


def equal_except_key_order(one: Any, other: Any) -> bool:
    """Tells whether two values are equal except for the order of keys."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@pytest.mark.costly(2)
@pytest.mark.parametrize("seed", range(300))
def test_formatting_keeps_the_value_and_is_idempotent(seed: int) -> None:
    rng = random.Random(seed)
    value = random_spec(rng) if seed % 4 else random_value(rng)
    text = random_json_text(value, rng)
    once = fmt(text)
    assert equal_except_key_order(value_with_number_texts(once), value)
    assert fmt(once) == once
    assert fmt(random_json_text(value, rng)) == once  # whatever the layout
    assert once.endswith("\n")
    assert not once.endswith("\n\n")


def test_a_value_stays_on_one_line_if_it_fits() -> None:
    for size in range(60, 140):
        key = "k" * size
        text = fmt(json.dumps({"zzz": {key: ["a", "b"]}, "more": 1}))
        widest = max(map(len, text.splitlines()))
        assert widest <= LINE_WIDTH or size > LINE_WIDTH - 14
        flat = f'  "zzz": {{"{key}": ["a", "b"]}},'
        assert (flat in text.splitlines()) == (len(flat) <= LINE_WIDTH)


def test_a_layer_on_several_lines_keeps_the_line_width() -> None:
    for size in range(110):
        layer = {"type": "Dense", "name": "n" * 60, "kernel_initializer": "a" * 20, "bias_initializer": "b" * size}
        text = fmt(json.dumps({"layers": [layer, layer]}))
        assert max(map(len, text.splitlines())) <= LINE_WIDTH or size > LINE_WIDTH - 30
        assert fmt(text) == text


def test_long_lists_of_scalars_are_filled() -> None:
    text = fmt(json.dumps({"labels": [str(number) for number in range(1000, 1100)]}))
    lines = text.splitlines()[2:-2]
    assert len(lines) == 8
    assert all(LINE_WIDTH - 8 <= len(line) <= LINE_WIDTH for line in lines[:-1])


def test_each_layer_starts_a_new_line() -> None:
    assert fmt('{"layers":[{"type":"Flatten"},{"type":"Flatten"}]}').count("\n") == 6
    block = '{"blocks":{"b":{"layers":[{"type":"Flatten"}],"inputs":["x"]}}}'
    assert fmt(block).splitlines()[3:6] == [
        '      "inputs": ["x"],',
        '      "layers": [',
        '        {"type": "Flatten"}',
    ]


def test_keys_are_in_canonical_order() -> None:
    spec = {
        "unknown": 1,
        "training": {"batch_size": 2, "optimizer": {"epsilon": 1, "type": "Adam"}, "loss": "mse", "data": {"y": 1}},
        "labels": ["b", "a"],
        "outputs": ["b"],
        "layers": [
            {"activation": "relu", "repeat": 2, "from": "x", "name": "a", "units": 2, "type": "Dense"},
            {"gamma": 1, "alpha": 2, "type": "mine", "beta": 3},
            {"from": "x", "use": "a", "name": "b"},
            {"layer": {"units": 1, "type": "LSTM"}, "type": "Bidirectional"},
        ],
        "inputs": {"z": {"dtype": "int32", "shape": []}, "a": {"shape": [1]}},
        "blocks": {"mine": {"layers": [], "outputs": "x", "parameters": {"beta": 0, "alpha": 0}}},
        "scales": {},
        "parameters": {},
        "description": "",
        "name": "n",
        "version": 1,
        "$schema": "s",
    }
    read = json.loads(format_source(from_value(spec)))
    top = ["$schema", "version", "name", "description", "parameters", "scales", "blocks", "inputs", "layers", "outputs"]
    assert list(read) == [*top, "labels", "training", "unknown"]
    assert [list(entry) for entry in read["layers"]] == [
        ["type", "name", "from", "repeat", "units", "activation"],
        ["type", "beta", "alpha", "gamma"],
        ["use", "name", "from"],
        ["type", "layer"],
    ]
    assert list(read["layers"][3]["layer"]) == ["type", "units"]
    assert list(read["inputs"]) == ["z", "a"]  # the order of the model's inputs is kept
    assert list(read["inputs"]["z"]) == ["shape", "dtype"]
    assert list(read["blocks"]["mine"]) == ["parameters", "layers", "outputs"]
    assert list(read["training"]) == ["data", "loss", "optimizer", "batch_size"]
    assert list(read["training"]["optimizer"]) == ["type", "epsilon"]
    assert read == spec


def test_the_keys_of_parameters_and_blocks_are_ordered() -> None:
    size = {"description": "d", "required": True}
    block = {"layers": [], "outputs": "a", "names": "own", "globals": ["w"], "parameters": {"b": size, "a": {"x": 1}}}
    parameters = {"w": {"description": "d", "default": 3}, "a": 3}
    read = json.loads(format_source(from_value({"blocks": {"b": block}, "parameters": parameters})))
    assert [*map(list, (read, read["blocks"]["b"], read["parameters"]))] == [
        ["parameters", "blocks"],
        ["parameters", "globals", "names", "layers", "outputs"],
        ["w", "a"],
    ]
    assert list(read["parameters"]["w"]) == ["default", "description"]
    assert list(read["blocks"]["b"]["parameters"]["b"]) == ["required", "description"]


def test_formatting_keeps_the_values_of_invalid_specs() -> None:
    for path in sorted((ROOT / "tests/integration/diagnostics").glob("*.json")):
        text = path.read_bytes()
        try:
            source = read_text(text)
        except Exception:
            continue
        assert equal_except_key_order(
            value_with_number_texts(format_source(source)), value_with_number_texts(source.text)
        ), path


def test_a_large_document_is_formatted() -> None:
    layers = [{"type": "Dense", "units": number, "from": [f"d{number}"] * 30} for number in range(2_000)]
    text = json.dumps({"inputs": {"x": {"shape": [1]}}, "layers": layers})
    once = fmt(text)
    assert equal_except_key_order(value_with_number_texts(once), value_with_number_texts(text))


def test_a_document_of_the_greatest_depth_is_formatted() -> None:
    text = "[" * 32 + "]" * 32
    assert value_with_number_texts(fmt(text)) == value_with_number_texts(text)
