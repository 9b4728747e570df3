"""The standard library: its specs, how uses of its blocks expand, and what commands show of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx import library
from jsonnx.core.diagnostics import Report
from jsonnx.frontend.expansion.expand import expand
from jsonnx.frontend.json.json_reader import read_text
from jsonnx.frontend.schema.editor_schema import editor_schema
from jsonnx.frontend.text.formatter import format_source
from jsonnx.layers import LAYERS
from jsonnx.lowering.cost import cost_table
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.compile.graphs import inference_graph
from jsonnx.render.reference.library_reference import block_example
from jsonschema import Draft202012Validator
from support.commands import jsonnx as command

ROOT = Path(__file__).parents[3]
FOLDER = Path(library.__file__).parent
TYPES = library.block_types()

each_type = pytest.mark.parametrize("type_", TYPES)

Json = Any


def flat_layers(spec: Json) -> list[Json]:
    report = Report()
    flat = expand(spec, report)
    assert flat is not None
    assert not [*report]
    return flat.document["layers"]


def spec_of(*layers: Json, shape: tuple[int | str | None, ...] = (8,)) -> Json:
    return {"inputs": {"x": {"shape": list(shape)}}, "layers": list(layers)}


# -- the specs of the library ------------------------------------------------------------------------------------------


def test_the_library_has_the_documented_blocks() -> None:
    assert [f"std.{file.stem}" for file in sorted(FOLDER.glob("*.json"))] == [*TYPES]
    page = (ROOT / "docs/language/library.md").read_text("utf-8")
    assert [type_ for type_ in TYPES if f"`{type_}`" not in page] == []


@each_type
def test_a_block_is_a_formatted_spec_without_diagnostics(type_: str) -> None:
    text = library.source_text(type_)
    assert jsonnx.validate(text) == []
    assert format_source(read_text(text)) == text


@each_type
def test_every_parameter_and_layer_of_a_block_is_described_and_named(type_: str) -> None:
    for block in library.block_definitions(type_).values():
        assert block["description"]
        assert all("name" in entry for entry in block["layers"])
        for name, parameter in block["parameters"].items():
            assert parameter.keys() in ({"default", "description"}, {"required", "description"}), name


@each_type
def test_a_use_expands_like_the_copied_definition(type_: str) -> None:
    copied = json.loads(library.source_text(type_))
    assert flat_layers(library.example(type_)) == flat_layers(copied)


def without_defaults(entry: Json) -> Json:
    attributes = LAYERS.by_name[entry["type"]].attributes
    return {key: value for key, value in entry.items() if key not in attributes or attributes[key].default != value}


@each_type
def test_a_block_keeps_its_layers_within_a_version_of_the_language(type_: str) -> None:
    """A model contains the spec as written, so a changed block would give it another network.

    A new block or parameter adds a line; the other lines stay until the version of the language changes. Arguments that
    have their defaults count as left out.
    """
    digests = dict(line.split() for line in (Path(__file__).parent / "digests.txt").read_text().splitlines())
    layers = json.dumps([without_defaults(entry) for entry in flat_layers(library.example(type_))], sort_keys=True)
    assert digests[type_] == blake2b(layers.encode(), digest_size=8).hexdigest()


# -- which files are read ----------------------------------------------------------------------------------------------


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The types whose files are read."""
    types: list[str] = []
    source_text = library.source_text
    monkeypatch.setattr(library, "source_text", lambda type_: types.append(type_) or source_text(type_))
    library.library_spec.cache_clear()
    yield types
    library.library_spec.cache_clear()


def test_a_spec_without_blocks_of_the_library_does_not_look_into_it(monkeypatch: pytest.MonkeyPatch) -> None:
    library.block_types.cache_clear()
    monkeypatch.setattr(library, "_folder", None)
    assert jsonnx.validate(ROOT / "samples/resnet50.json") == []


def test_only_the_blocks_that_are_used_are_read(read: list[str]) -> None:
    unused = {"mine": {"layers": [{"type": "std.MLP", "units": 2}]}}
    block = {"type": "std.InvertedResidual", "in_channels": 8, "filters": 8}
    assert jsonnx.validate(spec_of(block, shape=(6, 6, 8))) == []
    assert read == ["std.InvertedResidual", "std.SqueezeExcitation"]
    jsonnx.validate({**spec_of({"type": "Dense", "units": 2}), "blocks": unused})
    assert read[2:] == ["std.MLP"]


@pytest.mark.parametrize(
    "type_", ["std.", "std.mlp", "std.MLP.hidden", "std.__init__", "std.../library/MLP", "std.MLP\0"]
)
def test_only_names_of_blocks_are_read(type_: str, read: list[str]) -> None:
    (diagnostic,) = jsonnx.validate(spec_of({"type": type_, "units": 2}))
    assert (diagnostic.code, diagnostic.path) == ("unknown-type", "$.layers[0].type")
    assert {*read} <= {"std.MLP"}  # the block whose name is suggested


# -- what blocks compute (those of Keras: tests/environments/parity/test_library.py) -----------------------------------


def test_mlp_alternates_dense_layers_and_dropout() -> None:
    use = {"type": "std.MLP", "name": "mlp", "units": 2, "hidden_units": [5, 4], "dropout": 0.5, "activation": "tanh"}
    entries = [(entry["type"], entry["name"], entry.get("units")) for entry in flat_layers(spec_of(use))]
    assert entries == [
        ("Dense", "mlp_hidden_1_dense", 5),
        ("Dropout", "mlp_hidden_1_dropout", None),
        ("Dense", "mlp_hidden_2_dense", 4),
        ("Dropout", "mlp_hidden_2_dropout", None),
        ("Dense", "mlp_output", 2),
    ]
    assert flat_layers(spec_of({**use, "hidden_units": []})) == [flat_layers(spec_of(use))[-1]]


INPUT_SIZES = [
    ({"type": "std.InvertedResidual", "in_channels": 16, "filters": 24}, (28, 28, 32), '"in_channels": 32'),
    ({"type": "std.InvertedResidual", "in_channels": 16, "filters": 16}, (28, 28, 1), '"in_channels": 1'),
    ({"type": "std.InvertedResidual", "in_channels": 16, "filters": 24, "strides": 2}, (28, 28, 32), '"in_channels"'),
    ({"type": "std.SqueezeExcitation", "channels": 8}, (6, 6, 1), '"channels": 1'),
    ({"type": "std.ConvNeXtBlock", "projection_dim": 8}, (6, 6, 1), '"projection_dim": 1'),
    ({"type": "std.Residual", "filters": 8}, (6, 6, 1), None),
    ({"type": "std.Bottleneck", "filters": 2, "conv_shortcut": False}, (6, 6, 1), None),
    ({"type": "std.TemporalConvolution", "filters": 8}, (6, 1), None),
    *(
        ({"type": f"std.Transformer{name}coder", "hidden_dim": 8, "intermediate_dim": 4, "num_heads": 2}, (6, 1), '"hi')
        for name in ("En", "De")
    ),
    ({"type": "std.LlamaBlock", "hidden_dim": 8, "intermediate_dim": 4, "num_query_heads": 2}, (6, 1), '"hidden_dim"'),
    (
        {"type": "std.GemmaBlock", "hidden_dim": 8, "intermediate_dim": 4, "num_query_heads": 2, "head_dim": 6},
        *((6, 1), '"hidden_dim"'),
    ),
]
"""Blocks with an input that does not have the size that they are given, which broadcasting would hide; the help."""


@pytest.mark.parametrize(("use", "shape", "help"), INPUT_SIZES)
def test_a_size_that_differs_from_the_input_is_one_error_at_the_use(
    use: Json, shape: tuple[int, ...], help: str | None
) -> None:
    error, *notes = jsonnx.validate(spec_of(use, shape=shape))
    assert (error.code, error.path) == ("shape-mismatch", "$.layers[0]")
    assert use["type"] in error.message
    assert (error.help is None) if help is None else (help in str(error.help))
    assert [note.code for note in notes] == ["not-checked"]


def test_heads_that_do_not_divide_the_features_are_named() -> None:
    use = {"type": "std.LlamaBlock", "hidden_dim": 64, "intermediate_dim": 4, "num_query_heads": 7}
    error = jsonnx.validate(spec_of(use, shape=(6, 64)))[0]
    assert (error.code, error.path) == ("invalid-expression", "$.layers[0]")
    assert "64 is not a multiple of 7" in error.message
    assert "num_query_heads" in error.message


def test_squeeze_excitation_weights_channels_by_their_means() -> None:
    model = jsonnx.compile(spec_of({"type": "std.SqueezeExcitation", "name": "se", "channels": 4}, shape=(3, 2, 4)))
    x = np.random.default_rng(0).normal(size=(5, 3, 2, 4)).astype(np.float32)
    weights = model.weights
    means = x.mean(axis=(1, 2))
    reduced = np.maximum(means @ weights["se_reduce/kernel"][0, 0] + weights["se_reduce/bias"], 0)
    gates = 1 / (1 + np.exp(-(reduced @ weights["se_expand/kernel"][0, 0] + weights["se_expand/bias"])))
    assert weights["se_reduce/kernel"].shape == (1, 1, 4, 1)
    (result,) = model.session().run({"x": x}).values()
    np.testing.assert_allclose(result, x * gates[:, None, None, :], atol=1e-6)


def test_a_stack_of_temporal_convolutions_reads_as_many_earlier_steps_as_its_description_says() -> None:
    kernel_size, depth, time = 3, 3, 40
    block = {"type": "std.TemporalConvolution", "filters": 4, "kernel_size": kernel_size, "activation": "linear"}
    spec = spec_of({**block, "repeat": depth, "dilation_rate": "${2 ** index}"}, shape=("time", 4))
    session = jsonnx.compile(spec).session()
    x = np.zeros((1, time, 4), np.float32)
    (before,) = session.run({"x": x}).values()
    x[0, 5] = 1
    (after,) = session.run({"x": x}).values()
    changed = np.flatnonzero(np.abs(after - before).max(axis=(0, 2)) > 1e-9)
    assert (changed.min(), changed.max()) == (5, 5 + 2 * (kernel_size - 1) * (2**depth - 1))


def test_the_stages_of_a_unet_make_the_network_of_the_sample() -> None:
    """The sample's parameters are counted in `test_block_samples`."""
    down = [{"type": "std.UNetDown", "name": f"down{n}", "filters": 32 * 2**n} for n in (1, 2, 3, 4)]
    bottom = {"type": "std.UNetDown", "name": "bottom", "filters": 1024, "pool_size": 1}
    sources = ["bottom", "up4", "up3", "up2"]
    up = [
        {"type": "std.UNetUp", "name": f"up{n}", "from": [source, f"down{n}.skip"], "filters": 32 * 2**n}
        for n, source in zip((4, 3, 2, 1), sources, strict=True)
    ]
    classes = {"type": "Conv2D", "name": "classes", "filters": 2, "kernel_size": 1, "activation": "softmax"}
    spec = spec_of(*down, bottom, *up, classes, shape=(64, 64, 3))
    checked = check_spec(spec)
    assert sum(row.parameters for row in cost_table(checked.require(), inference_graph(checked))) == 31_049_474


def test_a_mask_excludes_positions_and_accompanies_the_output() -> None:
    encoder = {"type": "std.TransformerEncoder", "repeat": 2, "hidden_dim": 8, "intermediate_dim": 8, "num_heads": 2}
    embedding = {"type": "Embedding", "input_dim": 9, "output_dim": 8, "mask_zero": True}
    spec = spec_of(embedding, encoder, {"type": "GlobalAveragePooling1D"}, shape=("time",))
    spec["inputs"]["x"]["dtype"] = "int32"
    session = jsonnx.compile(spec).session()
    (padded,) = session.run({"x": np.array([[3, 5, 0, 0]], np.int32)}).values()
    (short,) = session.run({"x": np.array([[3, 5]], np.int32)}).values()
    np.testing.assert_allclose(padded, short, atol=1e-6)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "std.LlamaBlock", "hidden_dim": 8, "intermediate_dim": 8, "num_query_heads": 2, "sliding_window": 3},
        {"type": "std.GemmaBlock", "hidden_dim": 8, "intermediate_dim": 8, "num_query_heads": 2, "head_dim": 4},
        {"type": "std.TransformerDecoder", "hidden_dim": 8, "intermediate_dim": 8, "num_heads": 2},
    ],
    ids=lambda block: block["type"],
)
def test_no_position_attends_to_one_that_the_attention_mask_excludes(block: Json) -> None:
    spec = spec_of({**block, "from": ["x", "mask"], "repeat": 2, "name": "block"}, shape=("time", 8))
    spec["inputs"]["mask"] = {"shape": ["time"], "dtype": "int32"}
    session = jsonnx.compile(spec).session()
    x = np.random.default_rng(0).normal(size=(1, 6, 8)).astype(np.float32)
    (short,) = session.run({"x": x[:, 2:5], "mask": np.ones((1, 3), np.int32)}).values()
    (padded,) = session.run({"x": x, "mask": np.array([[0, 0, 1, 1, 1, 0]], np.int32)}).values()
    np.testing.assert_allclose(padded[:, 2:5], short, atol=1e-5)  # the angles differ, but not their differences


# -- diagnostics (their text: tests/integration/diagnostics/library*.json) ---------------------------------------------


def test_equal_errors_in_two_uses_are_reported_at_both() -> None:
    block = {"type": "std.Residual", "filters": 8}
    spec = spec_of(block, {**block, "from": "x", "filters": 16}, shape=(4, 4, 3)) | {
        "outputs": ["residual", "residual_1"]
    }
    errors = [diagnostic for diagnostic in jsonnx.validate(spec) if diagnostic.severity == "error"]
    assert [error.path for error in errors] == ["$.layers[0]", "$.layers[1]"]


def test_an_error_in_a_block_of_a_block_is_reported_at_the_use_in_the_document() -> None:
    block = {"type": "std.InvertedResidual", "name": "first", "in_channels": 8, "filters": 8, "se_ratio": "half"}
    spec = {**spec_of({"type": "mine"}, shape=(4, 4, 8)), "blocks": {"mine": {"layers": [block]}}}
    (diagnostic,) = jsonnx.validate(spec)
    assert diagnostic.path == "$.blocks.mine.layers[0]"
    assert any("std.InvertedResidual" in note.message for note in diagnostic.notes)


def test_the_position_of_a_layer_is_that_of_the_use() -> None:
    text = '{"inputs": {"x": {"shape": [8]}},\n "layers": [\n  {"type": "std.MLP", "units": 2}]}'
    checked = check_spec(text)
    assert checked.locate(("layers", 0)) == (3, 3)
    assert checked.locate(("layers", 2, "units")) == (3, 32)


# -- other features ----------------------------------------------------------------------------------------------------


@pytest.mark.costly(2)
@each_type
def test_the_published_schema_knows_the_parameters(type_: str) -> None:
    validator, spec = Draft202012Validator(editor_schema()), library.example(type_)
    assert validator.is_valid(spec)
    assert validator.is_valid(json.loads(library.source_text(type_)))
    *before, entry = spec["layers"]
    assert not validator.is_valid({**spec, "layers": [*before, {**entry, "absent": 1}]})
    required = library.block_definitions(type_)[type_]["parameters"]
    name = next(name for name, parameter in required.items() if parameter.get("required"))
    assert not validator.is_valid({**spec, "layers": [*before, {k: v for k, v in entry.items() if k != name}]})


@each_type
def test_the_reference_shows_parameters_shapes_and_the_definition(type_: str) -> None:
    text = command("layers", type_).output
    definition = library.block_definitions(type_)[type_]
    assert all(f"\n  {name} (" in text for name in definition["parameters"])
    assert f"\n  {block_example(type_)}\n" in text
    assert ("inputs, in the order of `from`: " in text) == (len(definition.get("inputs", "")) > 1)
    assert library.source_text(type_).strip() in text
    (value,) = json.loads(command("layers", type_, "--format", "json").output)
    assert [argument["name"] for argument in value["arguments"]] == [*definition["parameters"]]
    assert f"  {type_} " in command("layers").output


def test_search_finds_blocks_by_description_and_parameter() -> None:
    assert "std.TransformerEncoder" in command("layers", "--search", "Vaswani").output
    assert "std.LlamaBlock" in command("layers", "--search", "rope_max_wavelength").output


def test_a_misspelled_block_gets_a_suggestion() -> None:
    assert "did you mean 'std.TransformerEncoder'?" in command("layers", "std.TransfomerEncoder", status=2).stderr


FIRST, GPT, MOBILENET, UNET = (
    json.loads(block.partition("```")[0])
    for block in (ROOT / "docs/language/library.md").read_text("utf-8").split("```json\n")[1:]
)


@pytest.mark.parametrize("spec", [FIRST, GPT, MOBILENET, UNET])
def test_the_examples_of_the_page_are_sound(spec: Json) -> None:
    assert jsonnx.validate(spec) == []


def test_the_page_shows_what_summary_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gpt.json").write_text(json.dumps(GPT))
    _, _, shown = (
        (ROOT / "docs/language/library.md").read_text("utf-8").partition("$ jsonnx summary gpt.json --depth 0\n")
    )
    printed = command("summary", "gpt.json", "--depth", "0").output
    assert [line.rstrip() for line in printed.splitlines()][:10] == shown.splitlines()[:10]


def test_the_gpt_of_the_page_becomes_a_llama_and_learns() -> None:
    decoder = {"type": "std.LlamaBlock", "name": "block", "repeat": 2, "hidden_dim": 16, "intermediate_dim": 32}
    small = {**GPT["parameters"], "vocabulary": 8, "width": 16, "depth": 2, "length": 6}
    llama = {**GPT, "layers": [GPT["layers"][0], {**decoder, "num_query_heads": 4}, *GPT["layers"][4:]]}
    tokens = np.tile(np.arange(7) % 8, (8, 1)).astype(np.int32)
    for spec in ({**GPT, "parameters": small}, {**llama, "parameters": {"vocabulary": 8, "width": 16}}):
        trainer = jsonnx.Trainer(spec)
        losses = [trainer.step(tokens[:, :-1], tokens[:, 1:])["loss"] for _ in range(20)]
        assert losses[-1] < losses[0]


def test_a_model_and_other_commands_keep_the_use_of_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    use = {"type": "std.MLP", "name": "mlp", "units": 2, "hidden_units": [4]}
    Path("spec.json").write_text(json.dumps(spec_of(use)))
    Path("wide.json").write_text(json.dumps(spec_of({**use, "hidden_units": [5]})))
    command("fmt", "spec.json")
    assert json.loads(Path("spec.json").read_text()) == spec_of(use)
    command("compile", "spec.json", "-o", "model.onnx")
    command("inspect", "model.onnx", "--spec", "inside.json")
    assert json.loads(Path("inside.json").read_text()) == spec_of(use)
    assert "no difference" in command("diff", "spec.json", "inside.json").output
    assert "mlp_hidden_dense: Dense; units 4 -> 5" in command("diff", "spec.json", "wide.json").output
    command("export", "spec.json", "--keras", "-o", "model.keras")
    command("import", "model.keras", "-o", "imported.json")
    assert [entry["name"] for entry in json.loads(Path("imported.json").read_text())["layers"]][-1] == "mlp_output"
