"""The schema for structured output: within the vendors' documented limits, and every document that fits is a spec."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonnx.core.components import Json
from jsonnx.core.diagnostics import Report, UsageError
from jsonnx.frontend.schema.errors import check_against_schema
from jsonnx.frontend.schema.layer_subset import layer_subset
from jsonnx.frontend.schema.structured_schema import DEFAULT_LAYERS, structured_schema
from jsonnx.frontend.text.formatter import without_nulls
from jsonnx.layers import LAYERS
from jsonschema import Draft202012Validator
from support.commands import jsonnx

INEXPRESSIBLE = ("Pipeline", "RNN", "StackedRNNCells", "ops.get_item")
"""Layers with a required argument that structured output cannot express."""

WRAPPERS = ("Bidirectional", "SpectralNormalization", "TimeDistributed")
"""Layers that need another chosen layer."""

LAYER_SETS = {
    "default": (),
    "one": ("Dense",),
    "images": ("Conv2D", "MaxPooling2D", "Flatten", "Dense", "RandomFlip", "RandomRotation"),
    "text": ("StringLookup", "TextVectorization", "Embedding", "Bidirectional", "LSTM", "GRU", "Dense"),
    "functions": tuple(name for name in LAYERS.members if name.startswith("ops.r") or name.startswith("ops.s")),
    "others": tuple(name for name in LAYERS.members if not name.startswith("ops.") and name not in INEXPRESSIBLE)[::3],
    "many": tuple(name for name in LAYERS.members if name not in (*INEXPRESSIBLE, *WRAPPERS))[:350],
}

each_set = pytest.mark.parametrize("layers", LAYER_SETS.values(), ids=LAYER_SETS)


# -- the vendors' limits, written down apart from the code that keeps them ---------------------------------------------

KEYWORDS = {
    # OpenAI, "Structured model outputs", section "Supported schemas" (developers.openai.com, read in November 2026).
    "openai": "type properties required additionalProperties items anyOf enum const $ref $defs description title "
    "pattern format multipleOf minimum maximum exclusiveMinimum exclusiveMaximum minItems maxItems",
    # Anthropic, "Structured outputs", section "JSON Schema limitations" (platform.claude.com, read in November 2026):
    # no numerical constraints, no string lengths, of the array constraints only minItems 0 and 1, no recursion.
    "anthropic": "type properties required additionalProperties items anyOf allOf enum const $ref $defs definitions "
    "default format pattern minItems description title",
    # Google, reference of `responseJsonSchema` in GenerationConfig (ai.google.dev, read in November 2026).
    "gemini": "$id $defs $ref $anchor type format title description enum items prefixItems minItems maxItems minimum "
    "maximum anyOf oneOf properties additionalProperties required propertyOrdering",
}


def parts(schema: Json) -> Iterator[dict[str, Json]]:
    yield schema
    for key in ("properties", "$defs"):
        for part in schema.get(key, {}).values():
            yield from parts(part)
    if "items" in schema:
        yield from parts(schema["items"])
    for part in schema.get("anyOf", []):
        yield from parts(part)


def object_depth(schema: Json, root: Json) -> int:
    """The levels of objects and arrays inside one another, with references resolved; fails on recursion."""
    if "$ref" in schema:
        return object_depth(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]
    inner += [schema["items"]] if "items" in schema else []
    level = 1 if {"properties", "items"} & set(schema) else 0
    return level + max((object_depth(part, root) for part in inner), default=0)


def check_closed_objects(schema: Json) -> None:
    for part in parts(schema):
        if "properties" in part:
            assert part["additionalProperties"] is False
            assert set(part["required"]) <= set(part["properties"])


def check_openai(schema: Json) -> None:
    assert schema["type"] == "object"
    assert "anyOf" not in schema
    properties = [name for part in parts(schema) for name in part.get("properties", {})]
    enums = [value for part in parts(schema) for value in part.get("enum", [])]
    definitions = [*schema["$defs"]]
    assert len(properties) <= 5_000
    assert len(enums) <= 1_000
    assert sum(map(len, [*properties, *enums, *definitions])) <= 120_000
    assert object_depth(schema, schema) <= 10
    for part in parts(schema):
        if "properties" in part:
            assert set(part["required"]) == set(part["properties"]), "all properties must be required"
        if len(part.get("enum", [])) > 250:
            assert sum(map(len, part["enum"])) <= 15_000
    entries = schema["properties"]["layers"]["items"]["anyOf"]
    firsts = [json.dumps(next(iter(entry["properties"].items()))) for entry in entries]
    assert len(firsts) == len(set(firsts)), "the first key must tell the alternatives apart"


def check_anthropic(schema: Json) -> None:
    optional = [name for part in parts(schema) for name in part.get("properties", {}) if name not in part["required"]]
    unions = [part for part in parts(schema) if "anyOf" in part or isinstance(part.get("type"), list)]
    assert len(optional) <= 24
    assert len(unions) <= 16
    assert all(part.get("minItems", 0) in (0, 1) for part in parts(schema))
    object_depth(schema, schema)  # recursion would not end


def check_gemini(schema: Json) -> None:
    object_depth(schema, schema)
    for part in parts(schema):
        assert all(isinstance(value, (str, int, float)) for value in part.get("enum", []))


@each_set
def test_a_schema_is_within_the_documented_limits(layers: tuple[str, ...]) -> None:
    schema = structured_schema(layers, ("image", "mask"))
    Draft202012Validator.check_schema(schema)
    allowed = set.intersection(*(set(keywords.split()) for keywords in KEYWORDS.values()))
    for part in parts(schema):
        assert set(part) <= allowed
        if "$ref" in part:
            assert set(part) == {"$ref"}
    check_closed_objects(schema)
    check_openai(schema)
    check_anthropic(schema)
    check_gemini(schema)


def test_the_size_of_the_default_schema_suits_a_prompt() -> None:
    assert len(json.dumps(structured_schema())) < 40_000


@pytest.mark.parametrize(
    ("layers", "inputs", "code"),
    [
        ([name for name in LAYERS.members if name not in INEXPRESSIBLE], [], "too-large"),
        (["Dens"], [], "unknown-type"),
        (["Bidirectional"], [], "bad-option"),
        (["ops.get_item"], [], "bad-option"),
        (["Dense"], ["2x"], "bad-option"),
    ],
)
def test_what_a_schema_cannot_express_is_refused(layers: list[str], inputs: list[str], code: str) -> None:
    with pytest.raises(UsageError) as error:
        structured_schema(layers, inputs)
    assert error.value.diagnostic.code == code


# -- documents ---------------------------------------------------------------------------------------------------------


class DocumentWriter:
    """Writes documents that fit a schema and are sensible: names differ, `from` names what stands before."""

    def __init__(self, schema: Json, seed: int) -> None:
        self.schema, self.random = schema, random.Random(seed)
        self.names = [*schema["properties"]["inputs"]["properties"]]

    def document(self) -> Json:
        root = self.schema["properties"]
        entries = self.random.sample(root["layers"]["items"]["anyOf"], k=min(6, len(root["layers"]["items"]["anyOf"])))
        document = {key: self.value(root[key], key) for key in root if key not in ("layers", "outputs")}
        document["layers"] = [self.entry(entry, index) for index, entry in enumerate(entries)]
        document["outputs"] = [self.names[-1]]
        return document

    def entry(self, schema: Json, index: int) -> Json:
        entry = self.value(schema, "layer")
        if "name" in schema["properties"]:
            entry |= {"name": f"layer_{index}", "from": [self.names[-1]]}
            self.names.append(f"layer_{index}")
        return entry

    def value(self, schema: Json, key: str) -> Json:
        if "$ref" in schema:
            return self.value(self.schema["$defs"][schema["$ref"].removeprefix("#/$defs/")], key)
        if "anyOf" in schema:
            return self.value(self.random.choice(schema["anyOf"]), key)
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        types = schema["type"]
        kind = self.random.choice(types) if isinstance(types, list) else types
        if kind == "object":
            needed = schema["required"]
            chosen = [name for name in schema["properties"] if name in needed or self.random.random() < 0.5]
            return {name: self.value(schema["properties"][name], name) for name in chosen}
        if kind == "array":
            return [self.value(schema["items"], key) for _ in range(self.length(schema))]
        return {
            "null": None,
            "boolean": True,
            "integer": self.integer(schema, key),
            "number": self.number(schema),
            "string": "x",
        }[kind]

    def length(self, schema: Json) -> int:
        """A length that the bounds allow; a schema without `maxItems` has it in its description."""
        text = schema.get("description", "")
        exact = next((count for count in range(1, 5) if f"at most {count} items" in text), None)
        return exact or schema.get("maxItems", max(1, schema.get("minItems", 1)))

    def integer(self, schema: Json, key: str) -> int:
        return max(schema.get("minimum", 2), 2)

    def number(self, schema: Json) -> float:
        """A number that the bounds allow; they are in its description."""
        bound = re.search(r"at least ([0-9]+)", schema.get("description", ""))
        return max(0.5, float(bound[1])) if bound else 0.5


@each_set
def test_a_document_of_the_schema_is_a_spec(layers: tuple[str, ...]) -> None:
    schema = structured_schema(layers, ("image", "mask"))
    validator = Draft202012Validator(schema)
    for seed in range(10):
        document = DocumentWriter(schema, seed).document()
        validator.validate(document)
        report = Report()
        check_against_schema(without_nulls(document), report)
        assert [str(diagnostic) for diagnostic in report] == []


def test_null_stands_for_an_absent_key() -> None:
    dense = {"type": "Dense", "units": 8, "name": None, "from": None, "activation": None, "use_bias": None}
    entry = {"inputs": {"x": {"shape": [None, 4], "dtype": "float32"}}, "layers": [dense], "training": None}
    assert without_nulls(entry) == {
        "inputs": {"x": {"shape": [None, 4], "dtype": "float32"}},
        "layers": [{"type": "Dense", "units": 8}],
    }


# -- the editors' schema with chosen layers ----------------------------------------------------------------------------


def test_a_subset_of_the_editors_schema_has_only_the_chosen_layers() -> None:
    schema = layer_subset(["Dense", "TimeDistributed", "Convolution2D"])
    layers = {name for name in schema["$defs"] if name.startswith("layer.")}
    assert layers == {"layer.Dense", "layer.TimeDistributed", "layer.Conv2D"}
    validator = Draft202012Validator(schema)

    def is_accepted(*layers: Json) -> bool:
        return bool(validator.is_valid({"inputs": {"x": {"shape": [4]}}, "layers": [*layers]}))

    assert is_accepted({"type": "Dense", "units": "${2 * width}"}, {"type": "block", "width": 3})
    assert is_accepted({"type": "std.MLP", "units": [4]})
    assert not is_accepted({"type": "Dense", "unit": 4})
    assert not is_accepted({"type": "LSTM", "units": 4})
    assert not is_accepted({"type": "TimeDistributed", "layer": {"type": "LSTM", "units": 4}})


def test_every_default_layer_exists() -> None:
    assert set(DEFAULT_LAYERS) <= set(LAYERS.members)


def test_the_command_prints_the_schemas(tmp_path: Path) -> None:
    printed = jsonnx("schema", "--structured", "--layers", "Dense, Flatten", "--inputs", "image").stdout
    assert json.loads(printed) == structured_schema(("Dense", "Flatten"), ("image",))
    jsonnx("schema", "--layers", "Dense", "-o", str(tmp_path / "dense.json"))
    assert json.loads((tmp_path / "dense.json").read_text()) == layer_subset(["Dense"])
    assert "--inputs needs --structured" in jsonnx("schema", "--inputs", "x", status=2).stderr
    assert "concern specs" in jsonnx("schema", "--of", "run", "--layers", "Dense", status=2).stderr
    assert "did you mean 'Dense'?" in jsonnx("schema", "--layers", "Dens", status=2).stderr
