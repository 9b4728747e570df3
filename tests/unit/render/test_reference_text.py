"""What `jsonnx layers` prints: every layer and component with its arguments and a valid example; lists; the search."""

from __future__ import annotations

import json

import jsonnx
import pytest
from jsonnx import library
from jsonnx.core.components import Component
from jsonnx.core.diagnostics import Report
from jsonnx.frontend.schema.errors import check_against_schema
from jsonnx.layers import LAYERS
from jsonnx.render.reference.component_reference import (
    KINDS,
    accepted_names,
    arguments_of,
    example_json,
    plural,
    snippets,
)
from jsonnx.render.reference.layer_groups import GROUPS, group_of_module, grouped_layers
from jsonnx.render.reference.reference_examples import FURTHER_EXAMPLES
from jsonnx.render.reference.reference_json import list_json, reference_json
from jsonnx.render.reference.reference_text import found_sections, layers_text, reference_text
from support.commands import jsonnx as command

COMPONENTS: list[type[Component]] = [component for registry in (LAYERS, *KINDS.values()) for component in registry]

each_component = pytest.mark.parametrize(
    "component", COMPONENTS, ids=[f"{component.registry.kind}-{component.type_name}" for component in COMPONENTS]
)

NETWORK = {"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "Dense", "units": 1}]}


def document_with(snippet: str) -> dict[str, object]:
    """A document that contains a layer or a training section."""
    if snippet.startswith('"training"'):
        return {**NETWORK, **json.loads(f"{{{snippet}}}")}
    return {**NETWORK, "layers": [json.loads(snippet)]}


def errors_of(document: object) -> list[str]:
    report = Report()
    check_against_schema(document, report)
    return list(map(str, report))


@each_component
def test_a_reference_has_all_arguments_and_valid_examples(component: type[Component]) -> None:
    text = reference_text(component)
    supported = [name for name, attribute in component.attributes.items() if attribute.unsupported is None]
    assert [
        argument.name for argument in sorted(arguments_of(component), key=lambda argument: argument.name)
    ] == sorted(supported)
    assert all(f"  {name}: " in text for name in supported)
    assert component.summary() in " ".join(text.split())
    assert all(f"  {line}" in text for line in component.formula.splitlines() if line)
    assert all(name in text.splitlines()[0] for name in accepted_names(component))
    examples = [example_json(component)] if component.registry is LAYERS else snippets(component)
    for example in examples:
        assert example in text
        assert errors_of(document_with(example)) == []


@each_component
def test_a_reference_for_programs_has_the_same_facts(component: type[Component]) -> None:
    value = json.loads(json.dumps(reference_json(component)))
    text = reference_text(component)
    assert value["names"] == accepted_names(component)
    for argument in value["arguments"]:
        assert argument["required"] is ("default" not in argument)
        assert f"  {argument['name']}: {argument['type']} " in text
        assert argument.get("default") is None or "enum" not in argument or argument["default"] in argument["allowed"]
    assert all(shape in text for shape in value["shapes"])
    assert all(f"`{weight['name']} [" in text for weight in value.get("weights", ()))
    assert all(f"`{operator}`" in text for operator in value.get("operators", ()))


def test_a_reference_for_programs_says_all_of_a_layer() -> None:
    value = reference_json(LAYERS.by_name["Conv2D"])
    assert value["inputs"] == {"minimum": 1, "maximum": 1, "ranks": [4]}
    assert value["examples"][0]["outputs"] == [{"dtype": "float32", "shape": ["batch", "height - 2", "width - 2", 8]}]
    assert value["weights"][0] == {"name": "kernel", "shape": [3, 3, 32, 8]}
    assert value["operators"] == ["Transpose", "Conv"]
    arguments = {argument["name"]: argument for argument in value["arguments"]}
    assert arguments["padding"]["allowed"] == ["valid", "same"]
    assert "relu" in arguments["activation"]["allowed"]
    assert arguments["filters"]["schema"] == {"type": "integer", "minimum": 1}
    assert reference_json(LAYERS.by_name["Dense"])["formula"] == "y = activation(x @ kernel + bias)"
    assert reference_json(LAYERS.by_name["LSTM"])["further_results"]["return_state"] == ("state_h", "state_c")


def test_refused_arguments_are_left_out_but_keep_their_diagnostic() -> None:
    assert "quantization_config" not in reference_text(LAYERS.by_name["Dense"])
    layer = {"type": "Dense", "units": 1, "quantization_config": "int8", "xyz": 3}
    spec = {"inputs": {"x": {"shape": [4]}}, "layers": [layer]}
    unknown, refused = sorted(jsonnx.validate(spec), key=lambda diagnostic: diagnostic.code)
    assert (unknown.code, refused.code) == ("unknown-key", "unsupported-argument")
    assert unknown.help is not None
    assert unknown.help.startswith("known keys: type, name, description, from, trainable")
    assert "quantization_config" not in unknown.help
    assert "dtype" not in unknown.help


@pytest.mark.parametrize("name", FURTHER_EXAMPLES)
def test_an_example_of_names_in_a_network_is_sound(name: str) -> None:
    example = FURTHER_EXAMPLES[name]
    spec = {"inputs": example.inputs, "layers": example.layers}
    assert jsonnx.validate(spec) == []
    assert "\n".join(f"  {line}" for line in example.lines()) in reference_text(LAYERS.by_name[name])


def test_results_are_shown_by_name() -> None:
    assert "further results with `return_state`: `lstm.state_h`, `lstm.state_c`" in reference_text(
        LAYERS.by_name["LSTM"]
    )
    assert "further results: `moments.variance`" in reference_text(LAYERS.by_name["ops.moments"])


# -- lists -------------------------------------------------------------------------------------------------------------


def test_every_layer_is_in_one_group_and_dense_is_first() -> None:
    listed = [layer.type_name for _, layers in grouped_layers() for layer in layers]
    assert sorted(listed) == sorted(LAYERS.members)
    assert listed[0] == "Dense"
    assert all(layers for _, layers in grouped_layers())


def test_a_module_without_a_group_is_named() -> None:
    assert group_of_module("jsonnx.layers.rnn.new_file").title == "Recurrent layers"
    with pytest.raises(KeyError, match=r"jsonnx\.layers\.new_folder\.file belong to no group"):
        group_of_module("jsonnx.layers.new_folder.file")


def test_every_name_in_a_group_is_a_layer() -> None:
    names = [name for group in GROUPS for name in group.ordered_names()]
    assert set(names) <= {*LAYERS.members}
    assert len(names) == len({*names})


def test_the_list_names_every_layer_and_every_kind() -> None:
    text = layers_text()
    assert all(f"  {layer.type_name} " in text for layer in LAYERS)
    assert all(f"  jsonnx layers {plural(kind)} " in text for kind in KINDS)


def test_a_search_looks_in_names_arguments_and_descriptions() -> None:
    by_group = {title: [component.type_name for component in members] for title, members in found_sections("NOISE")}
    assert {"GaussianDropout", "GaussianNoise"} <= {*by_group["Regularization layers"]}
    assert "SpatialDropout1D" not in by_group["Regularization layers"]
    assert "RandomErasing" in by_group["Image augmentation"]
    assert [entry["name"] for entry in list_json(found_sections("swish"))] == [
        "ops.silu",
        "ops.hard_silu",
        "silu",
        "hard_silu",
    ]
    assert "Embedding" in [component.type_name for component in dict(found_sections("mask_zero"))["Core layers"]]
    assert found_sections("no such word") == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_lists_a_kind_by_its_singular_and_its_plural(kind: str) -> None:
    text = command("layers", plural(kind)).stdout
    assert command("layers", kind).stdout == text
    assert all(f"  {name} " in text for name in KINDS[kind].members)


def test_the_command_shows_what_has_a_name() -> None:
    assert "learning_rate: a schedule or a number" in command("layers", "adam").stdout
    mse = command("layers", "mse").stdout
    assert "(loss)" in mse
    assert "(metric)" in mse
    assert "glorot_uniform" in command("layers", "GlorotUniform").stdout
    assert [entry["kind"] for entry in json.loads(command("layers", "mse", "--format", "json").stdout)] == [
        "loss",
        "metric",
    ]
    kinds = [entry["kind"] for entry in json.loads(command("layers", "--format", "json").stdout)]
    assert kinds == ["layer"] * len(LAYERS.members) + ["block"] * len(library.block_types())
    assert json.loads(command("layers", "--search", "no such word", "--format", "json").stdout) == []


def test_the_command_refuses_other_names() -> None:
    assert "did you mean 'Adam' or 'AdamW'?" in command("layers", "adamv", status=2).stderr
    assert "`jsonnx layers --search xyz`" in command("layers", "xyz", status=2).stderr
    assert "nothing contains 'xyz'" in command("layers", "--search", "xyz", status=2).stderr
    for arguments in (["early_stopping"], ["--search", "early_stopping"]):
        assert (
            "a key of `training`, see docs/guides/training/index.md" in command("layers", *arguments, status=2).stderr
        )
    assert 'write "BatchNormalization"' in command("layers", "BatchNorm2d", status=2).stderr
    assert "omit the name" in command("layers", "Dense", "--search", "xyz", status=2).stderr


def test_lists_are_wrapped_to_the_width_of_the_terminal() -> None:
    lines = layers_text(line_width=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(" ".join(lines).split()) == " ".join(layers_text().split())
