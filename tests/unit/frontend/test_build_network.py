"""Building a network from a document: names, defaults, connections, order."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from jsonnx.core.diagnostics import Report
from jsonnx.core.types import BATCH, Size
from jsonnx.frontend.json.json_reader import from_value
from jsonnx.frontend.network import Network
from jsonnx.frontend.networks.build_network import build_network
from jsonnx.layers import LAYERS


def dense(**more: Any) -> dict[str, Any]:
    return {"type": "Dense", "units": 4, **more}


def build(layers: list[Any], **more: Any) -> tuple[Network, list[str]]:
    """Returns the network and the codes of the diagnostics."""
    report = Report()
    document = {"inputs": {"x": {"shape": [4]}}, "layers": layers, **more}
    network = build_network(from_value(document).value, report)
    assert network is not None
    return network, [diagnostic.code for diagnostic in report]


def valid_network(layers: list[Any], **more: Any) -> Network:
    network, codes = build(layers, **more)
    assert codes == []
    return network


def sources(network: Network) -> dict[str, tuple[str, ...]]:
    return {call.name: call.sources for call in network.calls}


def test_default_names_are_those_of_keras() -> None:
    network = valid_network([dense(), dense(), {"type": "Activation", "activation": "relu"}, dense()])
    assert list(sources(network)) == ["dense", "dense_1", "activation", "dense_2"]


def test_an_alias_of_a_layer_type_gets_the_default_name_of_the_main_type() -> None:
    layers = [
        {"type": "Convolution2D", "filters": 2, "kernel_size": 3},
        {"type": "MaxPool2D"},
        {"type": "MaxPooling2D"},
    ]
    network = valid_network(layers, inputs={"x": {"shape": [9, 9, 1]}})
    assert list(sources(network)) == ["conv2d", "max_pooling2d", "max_pooling2d_1"]
    assert network.calls[1].layer == network.calls[2].layer


def test_the_aliases_of_layer_types_are_those_of_keras() -> None:
    spatial = [f"{stem}{number}D" for number in (1, 2, 3) for stem in ("MaxPool", "AvgPool")]
    convolutions = [f"Convolution{number}D{end}" for number in (1, 2, 3) for end in ("", "Transpose")]
    expected = {*spatial, *(f"Global{name}" for name in spatial), *convolutions}
    expected |= {"SeparableConvolution1D", "SeparableConvolution2D", "GroupedQueryAttention"}
    functions = ("absolute", "conj", "swish", "hard_swish", "true_divide", "empty", "empty_like")
    expected |= {f"ops.{name}" for name in functions}
    assert {name for name in LAYERS.by_name if name not in LAYERS.members} == expected


def test_a_default_name_differs_from_all_names_in_the_document() -> None:
    network = valid_network([dense(), dense(name="dense"), dense(), dense(name="DENSE_2")])
    assert list(sources(network)) == ["dense_1", "dense", "dense_3", "DENSE_2"]


def test_a_layer_takes_the_previous_layer_and_the_first_takes_the_input() -> None:
    assert sources(valid_network([dense(), dense(), dense()])) == {
        "dense": ("x",),
        "dense_1": ("dense",),
        "dense_2": ("dense_1",),
    }


def test_from_may_be_one_name_or_several() -> None:
    network = valid_network([dense(name="a"), dense(name="b", **{"from": "x"}), {"type": "Add", "from": ["a", "b"]}])
    assert sources(network) == {"a": ("x",), "b": ("x",), "add": ("a", "b")}


def test_the_last_layer_is_the_default_output() -> None:
    assert valid_network([dense(name="a"), dense(name="b")]).outputs == ("b",)
    assert valid_network([dense(name="a"), dense(name="b")], outputs="b").outputs == ("b",)
    assert valid_network([dense(name="a"), dense(name="b")], outputs=["b", "a"]).outputs == ("b", "a")


def test_use_calls_a_layer_again() -> None:
    network = valid_network([dense(name="a"), {"use": "a"}, {"use": "a", "name": "third"}])
    first, second, third = network.calls
    assert (second.name, second.owner, third.owner) == ("a_1", "a", "a")
    assert first.layer is second.layer is third.layer
    assert sources(network) == {"a": ("x",), "a_1": ("a",), "third": ("a_1",)}


def test_use_may_precede_the_entry_of_its_layer() -> None:
    network = valid_network([{"use": "a", "from": "x", "name": "early"}, dense(name="a")])
    assert all(call.layer is not None for call in network.calls)


def test_calls_are_sorted_topologically_and_otherwise_as_written() -> None:
    layers = [dense(name="last", **{"from": "b"}), dense(name="a", **{"from": "x"}), dense(name="b"), dense(name="c")]
    network = valid_network(layers, outputs=["last", "c"])
    assert [call.name for call in network.calls] == ["a", "b", "last", "c"]


def test_further_outputs_are_named_after_the_layer_and_the_output() -> None:
    inputs = {"x": {"shape": [5, 4]}}
    lstm = {"type": "LSTM", "name": "encoder", "units": 3, "return_state": True}
    network = valid_network([lstm, dense(**{"from": "encoder.state_h"})], inputs=inputs)
    assert network.calls[0].results == ("encoder", "encoder.state_h", "encoder.state_c")
    assert network.paths["encoder.state_c"] == ("layers", 0)


def test_a_size_may_be_a_number_a_name_or_null() -> None:
    layers = [{"type": "Activation", "activation": "relu"}]
    network = valid_network(layers, inputs={"x": {"shape": [3, "time", None, 2.0], "dtype": "float32"}})
    assert network.inputs["x"].shape == (BATCH, 3, Size.named("time"), Size.named("x_3"), 2)


def test_labels_may_be_a_list_or_an_object_by_output() -> None:
    assert valid_network([dense()], labels=["a", "b", "c", "d"]).labels == {"dense": ("a", "b", "c", "d")}
    assert valid_network([dense()], labels={"dense": ["a"]}).labels == {"dense": ("a",)}


def test_the_training_section_is_read_into_components() -> None:
    training = valid_network(
        [dense()], training={"loss": "mse", "optimizer": {"type": "adam", "learning_rate": 1}}
    ).training
    assert training is not None
    assert (training.loss.type_name, training.optimizer.learning_rate, training.batch_size) == (
        "mean_squared_error",
        1.0,
        32,
    )


def test_the_training_section_is_optional() -> None:
    assert valid_network([dense()]).training is None
    assert valid_network([dense()], training=None).training is None


@pytest.mark.parametrize(
    ("layers", "codes"),
    [
        ([dense(name="a", **{"from": "a"})], ["cycle"]),
        ([dense(name="a", **{"from": "b"}), dense(name="b")], ["cycle"]),
        ([dense(name="a", **{"from": "b"}), dense(name="b"), dense(name="after")], ["cycle"]),
        ([dense(name="x")], ["duplicate-name"]),
        ([dense(name="a"), dense(name="a")], ["duplicate-name"]),
        ([dense(name="a"), dense(name="A")], ["duplicate-name"]),
        ([dense(**{"from": "y"})], ["unknown-name"]),
        ([dense(**{"from": ["x", "x"]})], ["wrong-inputs"]),
        ([{"type": "Add"}], ["wrong-inputs"]),
        ([dense(**{"from": "x.state_h"})], ["unknown-name"]),
        ([dense(name="a"), dense(name="b", **{"from": "x"})], ["unused-layer"]),
        ([dense(name="a"), {"use": "b"}], ["unknown-name"]),
        ([dense(name="a"), {"use": "a"}, {"use": "a_1"}], ["unknown-name"]),
        ([{"use": "me", "name": "me"}], ["unknown-name"]),
        ([{"use": "x"}], ["unknown-name"]),
        ([{"type": "Nothing"}, dense(), dense()], ["unknown-type"]),
        ([dense(units=0), dense(), dense(**{"from": "dense_1"})], ["out-of-range"]),
        ([5, dense()], ["wrong-type"]),
        ([dense(**{"from": 5}), dense()], ["wrong-type"]),
        ([dense(**{"from": "two words"}), dense()], ["invalid-name"]),
    ],
)
def test_an_error_is_reported_once_without_its_consequences(layers: list[Any], codes: list[str]) -> None:
    assert build(layers)[1] == codes


@pytest.mark.parametrize(
    ("outputs", "codes"),
    [("x", 1), ("nothing", 1), (["dense", "dense"], 1), ([], 1), (["dense", 5], 1), ("dense.state", 1), (["a b"], 1)],
)
def test_an_invalid_output_is_reported_once(outputs: Any, codes: int) -> None:
    assert len(build([dense()], outputs=outputs, labels=["a"])[1]) == codes


def test_an_unsupported_version_is_the_only_error() -> None:
    report = Report()
    assert build_network({"version": 2, "layers": 5, "foo": 1}, report) is None
    assert [diagnostic.code for diagnostic in report] == ["unsupported-version"]


def test_a_cycle_of_a_thousand_layers_has_one_short_message() -> None:
    layers = [dense(name=f"l{index}", **({"from": "l999"} if not index else {})) for index in range(1000)]
    report = Report()
    build_network(from_value({"inputs": {"x": {"shape": [4]}}, "layers": layers, "outputs": "l5"}).value, report)
    codes = [diagnostic.code for diagnostic in report]
    assert codes == ["cycle"]
    assert max(len(diagnostic.message) for diagnostic in report) < 200


def test_an_initializer_is_known_before_the_layer_that_uses_it_by_default_is_imported() -> None:
    program = (
        "import jsonnx; layer = {'type': 'Conv1D', 'filters': 10, 'kernel_size': 8, 'kernel_initializer': 'stft'};"
        "print(jsonnx.validate({'inputs': {'x': {'shape': [16, 1]}}, 'layers': [layer]}))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"
