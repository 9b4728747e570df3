"""What must hold of every valid spec, whatever it is.

Each oracle raises `Broken` with what it found. Numbers are compared with a float64 evaluation of the same graph by
ONNX' reference implementation. How far they may be off follows from how far that evaluation itself moves when every
input of it is moved by the rounding of float32: so neither a badly conditioned network nor a deep one is a false alarm.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from random import Random as Dice
from typing import Any

import numpy as np
import onnx
import onnxruntime
from elementwise_reference import ELEMENTWISE
from jsonnx.backend import emit, serialize
from jsonnx.driver import compiled, training_graph
from jsonnx.gradient import gradients
from jsonnx.gradient.step import with_loss
from jsonnx.graph import Builder, Constant, Graph, Node, Parameter, Random, State, Value
from jsonnx.graph.ir import Input
from jsonnx.passes.bind import bind
from jsonnx.passes.layout import channels_first
from jsonnx.passes.lower import lower
from jsonnx.passes.tidy import tidy
from jsonnx.runtime.random import size_of
from jsonnx.types import TensorType
from jsonnx.validation import Checked, check
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from recurrent_reference import RECURRENT
from scan_reference import SCAN
from window_reference import WINDOWS

from .draw import VOCABULARY

SIZES = ({"batch": 3, "time": 7, "width": 8}, {"batch": 1, "time": 9, "width": 8})
"""What symbolic sizes are, in two runs."""

FORWARD = 1e-4
"""Relative error allowed of results in float32, by the largest of a tensor."""
GRADIENT = 2e-4
"""The same of gradients, and of what an optimizer makes of them."""
SLOPE = 1e-5
"""Relative error allowed of a gradient along a direction, by central differences in float64."""
AMPLIFIED = 100.0
"""How many times the effect of rounding the inputs the error may be."""
DRAWS = 3
"""Values on which a fault must show: at a kink it shows on one draw only."""

Arrays = dict[str, np.ndarray]
Evaluated = tuple[Arrays, Arrays, Callable[[], list[Arrays]]]
"""What was found, what was wanted, and a way to results that are as good as the wanted ones."""


class Broken(Exception):
    """An oracle that does not hold, and how it shows."""

    def __init__(self, oracle: str, message: str) -> None:
        self.oracle, self.message = oracle, message
        super().__init__(f"{oracle}: {message}")


@dataclass
class Case:
    """A spec and what is computed of it once."""

    spec: dict[str, Any]
    seed: int = 0
    notes: list[str] = field(default_factory=list)

    @cached_property
    def checked(self) -> Checked:
        found = check(self.spec)
        if found.diagnostics:
            said = "; ".join(f"{d.code}: {d.message}" for d in found.diagnostics)
            raise Broken("valid", said)
        return found

    @cached_property
    def plain(self) -> Graph:
        """The inference graph without the layout pass."""
        return replace(lower(self.checked.sound), losses=())

    @cached_property
    def weights(self) -> Arrays:
        return weights_for(self.plain, np.random.default_rng(self.seed))

    @cached_property
    def model(self) -> onnx.ModelProto:
        return compiled(self.checked, self.weights).proto

    def feeds(self, sizes: Mapping[str, int] = SIZES[0], draw: int = 0) -> Arrays:
        rng = np.random.default_rng((self.seed, draw, sizes["batch"]))
        return {name: tensor(type, sizes, rng) for name, type in self.checked.sound.inputs.items()}


# -- values ------------------------------------------------------------------------------------------------------------


def tensor(type: TensorType, sizes: Mapping[str, int], rng: np.random.Generator) -> np.ndarray:
    shape = tuple(size_of(size, sizes) for size in type.shape)
    if type.dtype == "bool":
        return rng.random(shape) < 0.7
    if not type.dtype.startswith("float"):
        return rng.integers(0, VOCABULARY, shape).astype(type.dtype)
    return rng.normal(size=shape).astype(type.dtype)


def weights_for(graph: Graph, rng: np.random.Generator) -> Arrays:
    """Arbitrary weights that neither explode nor vanish: not the initial ones, so that biases and gains count too."""
    drawn = {}
    for name, value in [*graph.parameters.items(), *graph.states.items()]:
        shape = tuple(int(size) for size in value.shape)
        last = name.rpartition("/")[2]
        if not value.dtype.startswith("float"):
            drawn[name] = np.full(shape, 3, value.dtype)
        elif "variance" in last or last == "gamma" or name.startswith("optimizer/"):
            small = 0.1 if last in ("average_gradient", "linear") else 1.0
            drawn[name] = np.asarray(rng.uniform(0.5, 1.5, shape) * small, value.dtype)
        else:
            fan = max(1.0, np.prod(shape[:-1])) if len(shape) > 1 else 4.0
            drawn[name] = np.asarray(rng.normal(size=shape) / np.sqrt(fan), value.dtype)
    return drawn


def targets_for(case: Case, sizes: Mapping[str, int], rng: np.random.Generator) -> Arrays:
    """Targets that suit each loss."""
    objective = case.checked.objective
    assert objective is not None
    drawn = {}
    for output, loss in objective.losses.items():
        type, kind = objective.targets[output], loss.type_name
        shape = tuple(size_of(size, sizes) for size in type.shape)
        if type.dtype == "int64":
            classes = case.checked.sound.outputs[output].shape[-1]
            values: Any = rng.integers(0, classes, shape)
        elif "categorical" in kind or kind == "kl_divergence":
            values = rng.dirichlet(np.ones(shape[-1]), shape[:-1]) if shape[-1] > 1 else np.ones(shape)
        elif "hinge" in kind:
            values = rng.choice([-1.0, 1.0], shape)
        elif kind in ("binary_crossentropy", "binary_focal_crossentropy", "dice", "tversky"):
            values = rng.choice([0.0, 1.0], shape)
        elif kind in ("poisson", "mean_absolute_percentage_error", "mean_squared_logarithmic_error"):
            values = rng.uniform(0.5, 2.0, shape)
        else:
            values = rng.normal(size=shape)
        drawn[f"{output}/target"] = np.asarray(values, type.dtype)
    return drawn


def randoms_for(graph: Graph, sizes: Mapping[str, int], rng: np.random.Generator) -> Arrays:
    drawn = {}
    for name, random in graph.randoms.items():
        shape = tuple(size_of(size, sizes) for size in random.shape)
        if random.kind == "mask":
            values = np.where(rng.random(shape) < random.keep, random.scale, 0.0)
        else:
            values = random.scale * (rng.normal(size=shape) if random.kind == "normal" else rng.random(shape))
        drawn[name] = np.asarray(values, np.float32)
    return drawn


# -- evaluation --------------------------------------------------------------------------------------------------------


def session(model: onnx.ModelProto | bytes, *, optimize: bool = True) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = model if isinstance(model, bytes) else serialize(model)
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run(model: Any, feeds: Mapping[str, np.ndarray], *, optimize: bool = True) -> Arrays:
    made = model if isinstance(model, onnxruntime.InferenceSession) else session(model, optimize=optimize)
    names = [output.name for output in made.get_outputs()]
    wanted = {value.name for value in made.get_inputs()}
    return dict(zip(names, made.run(None, {k: v for k, v in feeds.items() if k in wanted}), strict=True))


class GatherElements(OpRun):
    """ONNX' own asks for inputs of one shape."""

    def _run(self, x, indices, axis=0):  # type: ignore[no-untyped-def]
        return (np.take_along_axis(x, indices, axis),)


class OneHot(OpRun):
    """ONNX' own asks for a depth without axes."""

    def _run(self, indices, depth, values, axis=-1):  # type: ignore[no-untyped-def]
        size = int(np.asarray(depth).reshape(()))
        hit = np.expand_dims(indices % size, -1) == np.arange(size)
        return (np.moveaxis(np.where(hit, values[1], values[0]).astype(values.dtype), -1, axis),)


class Sigmoid(OpRun):
    """In float32 with the precision of onnxruntime's, which is absolute: of 4e-8, the sigmoid of -17, it makes 9e-8."""

    def _run(self, x):  # type: ignore[no-untyped-def]
        y = 1 / (1 + np.exp(-x))
        return (np.asarray(np.round(y * 2**24) / 2**24 if x.dtype == np.float32 else y, x.dtype),)


OPERATORS = [*RECURRENT, *SCAN, *WINDOWS, *ELEMENTWISE, GatherElements, OneHot, Sigmoid]


class Reference:
    """A graph on ONNX' reference implementation, in float64 and, as a measure of what rounding does, in float32."""

    def __init__(self, graph: Graph, *, real: type = np.float64) -> None:
        self.graph, self.real = graph, real
        model = emit(precise(graph) if real is np.float64 else graph)
        self.names = [output.name for output in model.graph.output]
        self.inputs = {value.name for value in model.graph.input}
        self.evaluator = ReferenceEvaluator(model, new_ops=OPERATORS)

    @cached_property
    def rounded(self) -> Reference:
        return Reference(self.graph, real=np.float32)

    def slack(self, feeds: Mapping[str, np.ndarray]) -> list[Arrays]:
        """The results by float32, and by inputs that are off by what float32 rounds."""
        return [self.rounded(feeds), self(moved(feeds, np.random.default_rng(0)))]

    def __call__(self, feeds: Mapping[str, np.ndarray]) -> Arrays:
        given = {k: np.asarray(v, self.real if v.dtype.kind == "f" else v.dtype) for k, v in feeds.items()}
        given = {k: v for k, v in given.items() if k in self.inputs}
        with np.errstate(all="ignore"):
            return dict(zip(self.names, map(np.asarray, self.evaluator.run(None, given)), strict=True))


def precise(graph: Graph) -> Graph:
    """The same operators on the same numbers, float64 in place of float32."""
    return _precise_graph(graph, {})


def _precise_graph(graph: Graph, new: dict[Value, Value]) -> Graph:
    """A graph, or the body of a loop, over new values."""

    def renewed(value: Value | None) -> Value | None:
        if value is None:
            return None
        if value not in new:
            new[value] = _precise(value)
        return new[value]

    nodes = [
        replace(
            node,
            inputs=tuple(map(renewed, node.inputs)),
            outputs=tuple(renewed(output) for output in node.outputs),  # type: ignore[misc]
            attributes=_precise_attributes(node, new),
        )
        for node in graph.nodes
    ]
    every = {
        part: {name: renewed(value) for name, value in getattr(graph, part).items()}
        for part in ("inputs", "outputs", "parameters", "states", "randoms", "updates")
    }
    return replace(graph, nodes=tuple(nodes), losses=tuple(map(renewed, graph.losses)), **every)  # type: ignore[arg-type]


def _precise(value: Value) -> Value:
    type = value.type.with_dtype("float64") if value.dtype == "float32" else value.type
    if isinstance(value, Constant):
        return Constant(type, value.array.astype(np.float64) if value.dtype == "float32" else value.array, value.name)
    if not isinstance(value, (Input, Parameter, State, Random)):
        return Value(type)
    made = copy.copy(value)
    made.type = type
    return made


def _precise_attributes(node: Node, new: dict[Value, Value]) -> dict[str, Any]:
    changed = dict(node.attributes)
    if changed.get("to") == onnx.TensorProto.FLOAT:
        changed["to"] = onnx.TensorProto.DOUBLE
    for name, value in changed.items():
        if isinstance(value, Graph):
            changed[name] = _precise_graph(value, new)
        if isinstance(value, onnx.TensorProto) and value.data_type == onnx.TensorProto.FLOAT:
            changed[name] = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(value).astype(np.float64))
    return changed


def moved(feeds: Mapping[str, np.ndarray], rng: np.random.Generator) -> Arrays:
    """The feeds, every number off by what float32 may round it to."""
    return {
        name: np.asarray(values * (1 + rng.choice([-6e-8, 6e-8], values.shape)))
        if values.dtype == np.float32
        else values
        for name, values in feeds.items()
    }


def difference(found: np.ndarray, wanted: np.ndarray, slack: list[np.ndarray], tolerance: float) -> float:
    """The worst error, 1 being as much as is allowed; NaN and infinite places of `wanted` do not count."""
    wanted = wanted.astype(np.float64)
    finite = np.isfinite(wanted) & (np.abs(wanted) < 1e30)
    for other in slack:
        finite &= np.isfinite(other)
    if not finite.any():
        return 0.0
    allowed = tolerance * max(np.abs(wanted[finite]).max(), 1e-6)
    allowed += AMPLIFIED * sum(np.abs(other[finite] - wanted[finite]).max() for other in slack)
    with np.errstate(all="ignore"):
        error = np.abs(found[finite].astype(np.float64) - wanted[finite])
    return float("inf") if np.isnan(error).any() else float(error.max() / allowed)


def compare(oracle: str, evaluations: Callable[[int], Evaluated], tolerance: float) -> None:
    """Raises Broken where found and wanted differ on every draw.

    `evaluations` gives found, wanted, and a way to other results that are as good as the wanted ones.
    """
    first = ""
    for draw in range(DRAWS):
        found, wanted, slack = evaluations(draw)
        bad = _differences(oracle, found, wanted, [], tolerance)
        if bad:
            bad = _differences(oracle, found, wanted, slack(), tolerance)
        if not bad:
            return
        first = first or "; ".join(bad[:4])
    raise Broken(oracle, first)


def _differences(oracle: str, found: Arrays, wanted: Arrays, slack: list[Arrays], tolerance: float) -> list[str]:
    bad = []
    for name, values in wanted.items():
        if found[name].shape != values.shape:
            raise Broken(oracle, f"{name} has shape {found[name].shape}, not {values.shape}")
        error = difference(found[name], values, [other[name] for other in slack], tolerance)
        if error > 1:
            bad.append(f"{name} is off by {error:.3g} times what is allowed")
    return bad


# -- the oracles -------------------------------------------------------------------------------------------------------


def shapes(case: Case) -> None:
    """The inferred type of every value is ONNX' own and that of onnxruntime, at two batches; the model is valid."""
    typed = case.checked.sound
    onnx.checker.check_model(case.model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(case.model, strict_mode=True, data_prop=True)
    for output, again in zip(case.model.graph.output, inferred.graph.output, strict=True):
        promised = [size if isinstance(size, int) else str(size) for size in typed.outputs[output.name].shape]
        known = [
            size if isinstance(size, int) else theirs for size, theirs in zip(promised, _sizes(again), strict=True)
        ]
        if _sizes(output) != promised or _sizes(again) != known:
            raise Broken(
                "shapes", f"{output.name} is {_sizes(output)}, {_sizes(again)} by ONNX, promised is {promised}"
            )
    names = [result for call in typed.network.calls for result in call.results]
    whole = replace(typed, network=replace(typed.network, outputs=tuple(names)))
    made = session(emit(lower(whole)))
    for sizes in SIZES:
        for name, values in run(made, case.feeds(sizes) | case.weights).items():
            promised = tuple(size_of(size, sizes) for size in typed.types[name].shape)
            if values.shape != promised or str(values.dtype) != typed.types[name].dtype:
                raise Broken("shapes", f"{name} is {values.dtype}{values.shape}, promised is {typed.types[name]}")


def _sizes(output: onnx.ValueInfoProto) -> list[int | str]:
    return [d.dim_value if d.HasField("dim_value") else d.dim_param for d in output.type.tensor_type.shape.dim]


def forward(case: Case) -> None:
    """onnxruntime with and without optimisation, and without the layout pass, agree with float64."""
    bound = tidy(bind(case.plain, case.weights))
    reference = Reference(bound)
    ways = {
        "forward": session(case.model),
        "forward, not optimised": session(case.model, optimize=False),
        "forward, no layout": session(emit(bound)),
    }
    known: dict[int, Evaluated] = {}

    def evaluations(draw: int, made: Any) -> Evaluated:
        if draw not in known:
            feeds = case.feeds(draw=draw)
            known[draw] = feeds, reference(feeds), lambda: reference.slack(feeds)
        feeds, wanted, slack = known[draw]
        return run(made, feeds), wanted, slack

    for oracle, made in ways.items():
        compare(oracle, lambda draw, made=made: evaluations(draw, made), FORWARD)


def whole_feeds(case: Case, graph: Graph, draw: int) -> Arrays:
    rng = np.random.default_rng((case.seed, draw, 99))
    feeds = case.feeds(draw=draw) | weights_for(graph, rng) | targets_for(case, SIZES[0], rng)
    return feeds | randoms_for(graph, SIZES[0], rng) | {"learning_rate": np.array(0.01, np.float32)}


def gradient_graph(case: Case) -> Graph:
    """The loss in training, and its gradients by all weights and real inputs."""
    typed, objective = case.checked.sound, case.checked.objective
    assert objective is not None
    graph = tidy(with_loss(channels_first(lower(typed, training=True)), objective))
    g = Builder.onto(graph)
    loss = graph.outputs["loss"]
    wanted = {
        **graph.parameters,
        **{n: v for n, v in graph.inputs.items() if n in typed.inputs and v.dtype == "float32"},
    }
    found = gradients(g, graph, {loss: g.const(1.0)}, wanted.values())
    results = {f"d/{name}": found[value] for name, value in wanted.items() if value in found}
    return tidy(replace(g.graph({"loss": loss, **results}), updates={}, losses=()))


def gradient(case: Case) -> None:
    """float32 gradients agree with float64 ones, and those with central differences along a direction."""
    whole = gradient_graph(case)
    reference, made = Reference(whole), session(emit(whole))
    only = Reference(tidy(replace(whole, outputs={"loss": whole.outputs["loss"]})))

    def evaluations(draw: int) -> Evaluated:
        feeds = whole_feeds(case, whole, draw)
        return run(made, feeds), reference(feeds), lambda: reference.slack(feeds)

    compare("gradient, float32", evaluations, GRADIENT)
    compare("gradient, differences", lambda draw: slopes(case, whole, reference, only, draw), SLOPE)


def slopes(case: Case, whole: Graph, reference: Reference, only: Reference, draw: int) -> Evaluated:
    """The slope along a random direction: by the gradient, by central differences, and by those of a wider step."""
    rng = np.random.default_rng((case.seed, draw, 7))
    feeds = {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in whole_feeds(case, whole, draw).items()}
    slopes = {name[2:]: values for name, values in reference(feeds).items() if name.startswith("d/")}
    if not slopes:
        return {}, {}, lambda: []
    direction = {name: rng.normal(size=feeds[name].shape) for name in slopes}
    length = np.sqrt(sum(float((values**2).sum()) for values in direction.values()))
    direction = {name: values / length for name, values in direction.items()}
    analytic = sum(float((slopes[name] * values).sum()) for name, values in direction.items())
    size = np.sqrt(sum(float((values**2).sum()) for values in slopes.values()))

    def slope(step: float) -> float:
        ends = [only(feeds | {n: feeds[n] + s * v for n, v in direction.items()})["loss"] for s in (step, -step)]
        return (float(ends[0]) - float(ends[1])) / (2 * step)

    near, wide = slope(1e-5), slope(2e-5)
    loss = abs(float(only(feeds)["loss"]))
    noise = 1e-15 * loss / 1e-5  # what float64 rounds of the loss, in the quotient

    def scaled(value: float) -> Arrays:  # the whole gradient's norm sets the scale, not a chance small component of it
        return {"slope": np.array([value, size])}

    return scaled(analytic), scaled(near), lambda: [scaled(near + (wide - near) / AMPLIFIED * 10 + noise)]


def step(case: Case) -> None:
    """One training step in onnxruntime is what float64 makes of the same graph."""
    assert case.checked.objective is not None
    graph = training_graph(case.checked, case.checked.objective)
    if not graph.parameters:
        return
    outputs = {name: v for name, v in graph.outputs.items() if name.startswith("metrics/") or "loss" in name}
    graph = replace(graph, outputs=outputs)
    reference, made = Reference(graph), session(emit(graph))

    def evaluations(draw: int) -> Evaluated:
        feeds = whole_feeds(case, graph, draw)
        return run(made, feeds), reference(feeds), lambda: reference.slack(feeds)

    compare("step", evaluations, GRADIENT)


def bytes_(case: Case) -> None:
    """The same bytes again, and from the spec inside the model."""
    first = serialize(case.model)
    initial = compiled(case.checked).to_bytes()
    again = check(copy.deepcopy(case.spec))
    if compiled(again).to_bytes() != initial:
        raise Broken("bytes", "a second compilation gives other bytes")
    if compiled(again, case.weights).to_bytes() != first:
        raise Broken("bytes", "a second compilation with weights gives other bytes")
    inside = json.loads(next(p.value for p in case.model.metadata_props if p.key == "jsonnx.spec"))
    if compiled(check(inside)).to_bytes() != initial:
        raise Broken("bytes", "the spec inside the model gives other bytes")


def digest(case: Case) -> str:
    """Stands for the model with initial weights, to be compared between processes."""
    return hashlib.sha256(compiled(case.checked).to_bytes()).hexdigest()


def batches(case: Case) -> None:
    """A batch is as many batches of one, in any order."""
    made = session(case.model)
    reference: list[Reference] = []
    order = [2, 0, 1]

    def both(results: Arrays) -> Arrays:
        return results | {f"{name} permuted": values[order] for name, values in results.items()}

    def slack(feeds: Arrays) -> list[Arrays]:
        if not reference:
            reference.append(Reference(tidy(bind(case.plain, case.weights))))
        return [both(reference[0](feeds)), *map(both, reference[0].slack(feeds))]

    def evaluations(draw: int) -> Evaluated:
        feeds = case.feeds(draw=draw)
        ones = [run(made, {n: v[i : i + 1] for n, v in feeds.items()}) for i in range(SIZES[0]["batch"])]
        joined = {name: np.concatenate([one[name] for one in ones]) for name in ones[0]}
        permuted = run(made, {n: v[order] for n, v in feeds.items()})
        found = joined | {f"{name} permuted": values for name, values in permuted.items()}
        return found, both(run(made, feeds)), lambda: slack(feeds)

    compare("batches", evaluations, FORWARD)


def names(case: Case) -> None:
    """Other names and another order of keys change no number."""
    dice = Dice(case.seed)
    new = {entry["name"]: f"n{dice.randrange(10**6)}_{i}" for i, entry in enumerate(case.spec["layers"])}
    new |= {name: f"in_{name}" for name in case.spec["inputs"]}
    renamed = shuffled(rename(case.spec, new), dice)
    other = check(renamed)
    if other.diagnostics:
        raise Broken("names", "; ".join(d.message for d in other.diagnostics))
    weights = {
        f"{new[name.partition('/')[0]]}/{name.partition('/')[2]}": values for name, values in case.weights.items()
    }
    feeds = case.feeds()
    wanted = run(case.model, feeds)
    found = run(compiled(other, weights).proto, {new[name]: values for name, values in feeds.items()})
    for name, values in wanted.items():
        layer, dot, rest = name.partition(".")
        if not np.array_equal(found[new[layer] + dot + rest], values, equal_nan=values.dtype.kind == "f"):
            raise Broken("names", f"{name} changes with names or the order of keys")


def rename(spec: dict[str, Any], new: Mapping[str, str]) -> dict[str, Any]:
    """The spec with other names of inputs and layers. Initial weights depend on names; these here are given."""

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(item) for item in value]
        layer, dot, rest = value.partition(".")
        return new[layer] + dot + rest

    layers = [
        {k: named(v) if k in ("name", "from", "use") else v for k, v in entry.items()} for entry in spec["layers"]
    ]
    made = spec | {"inputs": {new[n]: v for n, v in spec["inputs"].items()}, "layers": layers}
    made["outputs"] = named(spec["outputs"])
    made.pop("training", None)
    return made


def shuffled(value: Any, dice: Dice) -> Any:
    if isinstance(value, dict):
        keys = dice.sample(list(value), len(value))
        return {key: shuffled(value[key], dice) for key in keys}
    return [shuffled(item, dice) for item in value] if isinstance(value, list) else value


ORACLES: tuple[Callable[[Case], None], ...] = (shapes, forward, bytes_, batches, names)
TRAINING: tuple[Callable[[Case], None], ...] = (gradient, step)


def examine(spec: dict[str, Any], seed: int = 0, only: Iterable[str] | None = None) -> list[Broken]:
    """Every oracle that does not hold. An exception of another kind is one too."""
    case, found = Case(spec, seed), []
    try:
        trained = case.checked.objective is not None
    except Exception as error:
        return [_broken("valid", error)]
    for oracle in (*ORACLES, *(TRAINING if trained else ())):
        name = oracle.__name__.rstrip("_")
        if only is None or name in only:
            try:
                oracle(case)
            except Exception as error:
                found.append(_broken(name, error))
    return found


def _broken(oracle: str, error: Exception) -> Broken:
    if isinstance(error, Broken):
        return error
    return Broken(oracle, f"{type(error).__name__}: {' '.join(str(error).split())[:400]}")
