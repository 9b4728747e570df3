"""The formulas of layers and of keras.ops, evaluated over the layers' cases and compared with the compiled layers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from jsonnx.core.types import TensorType, evaluate_size
from jsonnx.ir import Builder, Graph
from jsonnx.layers import LAYERS, Layer
from jsonnx.layers.activations import ACTIVATIONS
from jsonnx.layers.attention.attention import SimpleAttention, inputs_by_argument
from jsonnx.layers.attention.projected_attention import ProjectedAttention
from jsonnx.layers.attention.relative_positions import RELATIVE_POSITIONS, DistanceAxes, RelativePosition
from jsonnx.layers.merging import Merge
from jsonnx.layers.ops.base import ConstantOperand, MultiTensorOp
from jsonnx.layers.ops.creation import AxisSize
from jsonnx.layers.ops.get_item import GetItem
from jsonnx.layers.preprocessing.audio import STFTSpectrogram
from support.formulas import evaluate
from support.harness import draw_weights, lower, make_layer, run

from .cases import Case, all_cases
from .test_layers import feeds_of, network

BATCH = 3

WITHOUT_FORMULA = {
    "looks up words, dates or categories": ("DateFeatures", "IntegerLookup", "StringLookup", "TextVectorization"),
    "runs other layers": (
        *("Bidirectional", "Pipeline", "RNN", "SpectralNormalization", "StackedRNNCells", "TimeDistributed"),
    ),
    "runs the operators of a file": ("OnnxModel",),
    "tokenizes outside of the graph": ("Tokenizer",),
    "interpolates between pixels": ("CenterCrop", "Resizing", "ops.image.resize"),
    "computes histograms": ("ContrastLimitedAdaptiveHistogramEqualization", "Equalization"),
    "draws random numbers": ("random.normal", "random.uniform"),
    "changes images at random, in training on the host": (
        *("AugMix", "CutMix", "MixUp", "RandAugment", "RandomBrightness", "RandomColorDegeneration"),
        *("RandomColorJitter", "RandomContrast", "RandomCrop", "RandomElasticTransform", "RandomErasing"),
        *("RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective"),
        *("RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear"),
        *("RandomTranslation", "RandomZoom", "Solarization"),
    ),
}
"""The layers that have none, by the reason."""

BEYOND_FORMULA: dict[str, tuple[str, ...]] = {
    "factors that lie along other axes than the last ones, and are reshaped": (
        "ops-layer-normalization-two",
        *("layer-norm-first", "layer-norm-apart", "layer-norm-order", "layer-norm-rms-scaling-axes"),
        "layer-norm-last-order",
        *("normalization-axis", "normalization-axes", "normalization-matrix", "normalization-adapted-axes"),
    ),
    "options whose descriptions say what they change": (
        *("heads-gate", "heads-value-dim-scores", "groups-one-shared"),
        *("heads-biases", "rotary-positions", "rotary-dynamic", "rotary-yarn", "rotary-yarn-fractions"),
        *("heads-output-axes", "heads-mask-heads", "discretization-down", "category-encoding-real"),
    ),
    "queries whose keys are all masked": (
        *("dot-attention-masks-causal", "heads-masks", "heads-window-short", "heads-window-short-scores"),
    ),
    "masks and states with channels first": (
        *("spatial-dropout-2d-first", "conv-lstm-2d-first", "conv-lstm-2d-first-all", "conv-lstm-3d-first"),
    ),
}
"""Cases that a formula does not cover, by the reason."""
OPTIONS_BEYOND_FORMULA = (
    *("rotary", "relative_position", "use_query_key_norm", "attention_axes", "renorm"),
    *("use_key_bias", "use_query_bias", "interpolation"),
)
"""Arguments whose descriptions say what they change in a formula."""


def is_covered(case: Case) -> bool:
    """Whether the formula of a layer is that of a case."""
    if any(case.id in ids for ids in BEYOND_FORMULA.values()):
        return False
    if any(case.layer.get(name) for name in OPTIONS_BEYOND_FORMULA) or case.layer.get("output_mode", "int") != "int":
        return case.layer["type"] == "CategoryEncoding"
    is_image_attention = "Attention" in case.layer["type"] and len(case.inputs[0]) > 2
    return not (is_image_attention and case.layer["type"].endswith("HeadAttention"))


def with_formula() -> list[Case]:
    return [case for case in all_cases() if LAYERS.by_name[case.layer["type"]].formula and is_covered(case)]


def test_every_layer_has_a_formula_or_a_reason() -> None:
    exempt = [name for names in WITHOUT_FORMULA.values() for name in names]
    assert sorted(layer.type_name for layer in LAYERS if not layer.formula) == sorted(exempt)


def test_every_formula_is_evaluated() -> None:
    evaluated_types = {LAYERS.by_name[case.layer["type"]] for case in with_formula()}
    assert evaluated_types == {layer for layer in LAYERS if layer.formula}


def input_names(layer: Layer) -> list[str]:
    """The names of the inputs in a formula."""
    if isinstance(layer, MultiTensorOp):
        return [name for name in layer.tensors if getattr(layer, name) is None]
    return [*inspect.signature(layer.lower).parameters][1:]


def inputs_of(layer: Layer, inputs: list[np.ndarray]) -> dict[str, Any]:
    if isinstance(layer, (SimpleAttention, ProjectedAttention)):
        return inputs_by_argument(layer.arguments, inputs)
    if isinstance(layer, Merge):  # inputs of lower rank get axes behind the batch
        rank = max(x.ndim for x in inputs)
        inputs = [x.reshape(len(x), *[1] * (rank - x.ndim), *x.shape[1:]) for x in inputs]
    names: dict[str, Any] = {"xs": inputs, "x": inputs[0] if inputs else None}
    names |= {f"x{index}": x for index, x in enumerate(inputs, 1)}
    names |= dict(zip(input_names(layer), inputs, strict=False))
    return names


def arguments_of(layer: Layer, inputs: list[np.ndarray]) -> dict[str, Any]:
    """The arguments whose values in a formula differ from their attributes."""
    return {name: given for name, value in vars(layer).items() if (given := as_given(value, inputs)) is not value}


def as_given(value: Any, inputs: list[np.ndarray]) -> Any:
    if isinstance(value, ConstantOperand):
        return np.asarray(value.values)
    if isinstance(value, AxisSize):
        return inputs[0].shape[value.axis]
    if isinstance(value, tuple) and any(isinstance(item, AxisSize) for item in value):
        return tuple(as_given(item, inputs) for item in value)
    return value


def indexing_key(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(eval(f"numpy.s_[{item}]", {"numpy": np}) if isinstance(item, str) else item for item in key)


def as_float64(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if array.dtype == np.float32 else array


def weight_names(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights and random numbers by the last part of their names, or if that is not unique, by two: `query_kernel`."""
    last = [name.rpartition("/")[2] for name in feeds]
    return {
        (part if last.count(part) == 1 else "_".join(name.split("/")[-2:])): as_float64(array)
        for part, (name, array) in zip(last, feeds.items(), strict=True)
    }


def evaluated(layer: Layer, names: dict[str, Any]) -> dict[str, Any]:
    """The values of a formula, which has the channels last unless it names `data_format`."""
    if getattr(layer, "data_format", None) != "channels_first" or "data_format" in layer.formula:
        return evaluate(layer, **names)
    found = evaluate(layer, **{**names, "x": np.moveaxis(names["x"], 1, -1)})
    return found | {"y": np.moveaxis(found["y"], -1, 1)}


def outputs_of(layer: Layer, found: Mapping[str, Any]) -> list[Any]:
    y = found["y"]
    return list(y) if isinstance(y, list) else [y, *(found[name] for name in layer.output_names())]


def draws_of(graph: Graph, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What the host draws for a step."""
    draws = {}
    for name, random in graph.randoms.items():
        shape = [evaluate_size(size, {"batch": BATCH}) for size in random.shape]
        numbers = rng.normal(size=shape)
        kept = np.where(rng.random(shape) < random.keep, random.scale, 0.0)
        draws[name] = (kept if random.kind == "mask" else numbers).astype("float32")
    return draws


def check(case: Case, training: bool) -> None:
    """Asserts that the formula of a layer gives what the compiled layer computes."""
    typed, layer, rng = network(case), make_layer(case.layer), np.random.default_rng(2)
    graph = lower(typed, training=training)
    feeds = feeds_of(case, BATCH, rng, "float32") | draw_weights(graph, rng) | draws_of(graph, rng)
    results = run(graph, feeds)
    inputs = [as_float64(feeds[f"x{index}"]) for index in range(len(case.inputs))]
    weights = weight_names({name: array for name, array in feeds.items() if not re.fullmatch(r"x\d", name)})
    if "layer/mask" in graph.randoms:
        weights["mask"] = weights["mask"] != 0
    names = inputs_of(layer, inputs) | weights | arguments_of(layer, inputs) | {"training": training}
    if isinstance(layer, GetItem):
        names["key"] = indexing_key(layer.key)
    if isinstance(layer, STFTSpectrogram):  # the modes `real` and `imag` need one kernel
        names = dict.fromkeys(("real_kernel", "imag_kernel"), next(iter(weights.values()))) | names
    with np.errstate(all="ignore"):
        found = outputs_of(layer, evaluated(layer, names))
    expected = [results[name] for name in typed.outputs]
    assert len(found) == len(expected)
    for actual, desired in zip(map(np.asarray, found), expected, strict=True):
        assert actual.shape == desired.shape
        if desired.dtype == object:
            assert actual.tolist() == desired.tolist()
        else:
            np.testing.assert_allclose(actual.astype(np.float64), desired.astype(np.float64), rtol=1e-5, atol=1e-5)


@pytest.mark.costly(8)
@pytest.mark.parametrize("case", with_formula(), ids=lambda case: case.id)
def test_the_formula_of_a_layer_gives_its_result(case: Case) -> None:
    check(case, training=False)


TRAINED = [case for case in with_formula() if "training" in LAYERS.by_name[case.layer["type"]].formula]


@pytest.mark.parametrize("case", TRAINED, ids=lambda case: case.id)
def test_the_formula_of_a_layer_gives_its_result_in_training(case: Case) -> None:
    check(case, training=True)


@pytest.mark.parametrize(
    "case",
    [case for case in with_formula() if re.search(r"^loss = ", LAYERS.by_name[case.layer["type"]].formula, re.M)],
    ids=lambda case: case.id,
)
def test_the_formula_of_a_layer_gives_the_loss_that_it_adds(case: Case) -> None:
    graph, layer = lower(network(case), training=True), make_layer(case.layer)
    feeds = feeds_of(case, BATCH, np.random.default_rng(4), "float32")
    terms = {f"term{index}": term.value for index, term in enumerate(graph.losses)}
    values = run(replace(graph, outputs=terms), feeds) if terms else {}
    expected = sum(float(values[name]) * term.weight for name, term in zip(values, graph.losses, strict=True))
    assert float(evaluate(layer, x=feeds["x0"])["loss"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("case", [case for case in TRAINED if case.layer["type"] == "BatchNormalization"], ids=str)
def test_the_formula_of_batch_normalization_gives_the_moving_averages(case: Case) -> None:
    graph, layer, rng = lower(network(case), training=True), make_layer(case.layer), np.random.default_rng(5)
    feeds = feeds_of(case, BATCH, rng, "float32") | draw_weights(graph, rng)
    found = evaluate(layer, **weight_names(feeds), x=feeds["x0"].astype(np.float64), training=True)
    for name, value in graph.updates.items():
        expected = run(replace(graph, outputs={"next": value}), feeds)["next"]
        np.testing.assert_allclose(found[name.rpartition("/")[2]], expected, rtol=1e-5, atol=1e-5)


# -- functions that are no layers --------------------------------------------------------------------------------------


def test_every_activation_is_evaluated() -> None:
    cases = [case.layer["activation"] for case in all_cases() if case.layer["type"] == "Activation"]
    names = {case if isinstance(case, str) else case["type"] for case in cases}
    assert {ACTIVATIONS.by_name[name] for name in names} == set(ACTIVATIONS)
    assert all(activation.formula for activation in ACTIVATIONS)


@pytest.mark.parametrize(
    ("spec", "is_causal"),
    [
        ({"type": "alibi"}, False),
        ({"type": "t5", "num_buckets": 8, "max_distance": 5}, False),
        ({"type": "t5", "num_buckets": 6, "max_distance": 5}, True),
        ({"type": "shaw", "max_distance": 2}, False),
    ],
    ids=str,
)
def test_the_formula_of_relative_positions_gives_the_term(spec: dict[str, Any], is_causal: bool) -> None:
    position = RELATIVE_POSITIONS.by_name[spec["type"]](
        **{name: value for name, value in spec.items() if name != "type"}
    )
    assert isinstance(position, RelativePosition)
    heads, queries, keys, features, rng = 4, 5, 7, 3, np.random.default_rng(1)
    g = Builder()
    query, x, y = (
        g.input(name, TensorType("float32", (BATCH, *shape)))
        for name, shape in (("query", (heads, queries, features)), ("x", (queries, 1)), ("y", (keys, 1)))
    )
    graph = g.graph({"term": position.term(g, query, DistanceAxes(x, y, 1), is_causal)})
    feeds = {name: rng.normal(size=value.shape).astype("float32") for name, value in graph.inputs.items()}
    feeds |= draw_weights(graph, rng)
    sizes = {"heads": heads, "queries": queries, "keys": keys}
    names = sizes | weight_names(feeds) | ({"bidirectional": not is_causal} if spec["type"] == "t5" else {})
    found = np.broadcast_to(evaluate(position, **names)["term"], (BATCH, heads, queries, keys))
    expected = np.broadcast_to(run(graph, feeds)["term"], found.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_every_relative_position_has_a_formula() -> None:
    assert all(position.formula for position in RELATIVE_POSITIONS)
