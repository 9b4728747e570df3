"""Properties that hold for every valid spec. Each oracle raises `OracleError` if its property does not hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from random import Random as Dice
from typing import Any
from unittest.mock import patch

import numpy as np
import onnx
import onnxruntime
from jsonnx.backend import to_model_proto
from jsonnx.core.types import evaluate_size
from jsonnx.gradient import GradientBuilder, gradients
from jsonnx.gradient.training_step import with_loss
from jsonnx.ir import Graph
from jsonnx.layers import LAYERS
from jsonnx.layers.rnn.time_distributed import acts_along_batch_axis
from jsonnx.lowering.lower import lower
from jsonnx.passes.canonicalize import canonicalize
from jsonnx.passes.constant_folding import bind_weights
from jsonnx.passes.layout import propagate_transposes
from jsonnx.passes.training_steps.live_memory import ValueSizes
from jsonnx.passes.training_steps.remat import MODES, ForwardPass, with_copies
from jsonnx.pipeline.check.check import CheckedSpec, check_spec
from jsonnx.pipeline.compile.compile import compile_checked
from jsonnx.pipeline.compile.model import Model
from jsonnx.pipeline.train.plan_training import forward_loss_graph, plan_training, training_graph
from jsonnx.pipeline.train.trainer import Trainer
from jsonnx.runtime.execution import data_parallel
from jsonnx.runtime.fit.trainer import Diverged
from jsonnx.tuning.cpu.embeddings import lazy_updates
from jsonnx.tuning.cpu.gradient import CPU_GRADIENTS
from jsonnx.tuning.cpu.matmul import partition_rows
from jsonnx.tuning.cpu.memory import pack_weights as pack_weights_module

from .compare import MAX_AMPLIFICATION, Evaluation, OracleError, compare, run, session
from .quantization import quantization
from .reference import Reference
from .renaming import rename, shuffled
from .values import SIZES, Arrays, perturb, randoms_for, targets_for, tensor, weights_for

FORWARD = 1e-4
"""Allowed error of float32 results, relative to the greatest element of a tensor."""
GRADIENT = 2e-4
"""Allowed error of gradients and updated weights, relative to the greatest element of a tensor."""
FLOAT64_ROUNDING = 2.0**-53
"""Relative rounding error of float64."""
DERIVATIVE = 1e-5
"""Allowed relative error of a directional derivative, by central differences in float64."""

STEPS = 3
"""Number of training steps that are compared."""


@dataclass
class Case:
    """A spec with everything that is computed from it once."""

    spec: dict[str, Any]
    seed: int = 0
    notes: list[str] = field(default_factory=list)

    @cached_property
    def checked(self) -> CheckedSpec:
        checked = check_spec(self.spec)
        errors = [d for d in checked.diagnostics if d.severity == "error"]
        if errors:
            messages = "; ".join(f"{d.code}: {d.message}" for d in errors)
            raise OracleError("valid", messages)
        return checked

    @cached_property
    def plain(self) -> Graph:
        """The inference graph without the layout pass."""
        return replace(lower(self.checked.require()), losses=())

    @cached_property
    def weights(self) -> Arrays:
        return weights_for(self.plain, np.random.default_rng(self.seed))

    @cached_property
    def compiled(self) -> Model:
        return compile_checked(self.checked, self.weights)

    @cached_property
    def model(self) -> onnx.ModelProto:
        return self.compiled.proto

    @cached_property
    def session(self) -> onnxruntime.InferenceSession:
        """A session of the compiled model."""
        return session(self.compiled.to_bytes())

    def feeds(self, sizes: Mapping[str, int] = SIZES[0], draw: int = 0) -> Arrays:
        rng = np.random.default_rng((self.seed, draw, sizes["batch"]))
        drawn = {name: tensor(type, sizes, rng) for name, type in self.checked.require().inputs.items()}
        for name, value in self.masked.items():
            hidden = rng.random(drawn[name].shape[:-1]) < 0.4
            drawn[name] = np.where(hidden[..., None], drawn[name].dtype.type(value), drawn[name])
        return drawn

    @cached_property
    def masked(self) -> dict[str, float]:
        """The mask values of the inputs of Masking layers. These inputs have no derivative: a changed position is no
        longer masked."""
        calls = self.checked.require().network.calls
        layers = {call.sources[0]: call.layer for call in calls if isinstance(call.layer, LAYERS.by_name["Masking"])}
        return {name: layer.mask_value for name, layer in layers.items() if name in self.checked.require().inputs}


# -- the oracles -------------------------------------------------------------------------------------------------------


def shapes(case: Case) -> None:
    """Inferred types equal those of ONNX and the results of onnxruntime at two batch sizes; the model is valid."""
    typed = case.checked.require()
    onnx.checker.check_model(case.model)
    inferred = onnx.shape_inference.infer_shapes(case.model, check_type=True, strict_mode=True, data_prop=True)
    for output, inferred_output in zip(case.model.graph.output, inferred.graph.output, strict=True):
        promised = [size if isinstance(size, int) else str(size) for size in typed.outputs[output.name].shape]
        expected = [
            size if isinstance(size, int) else theirs
            for size, theirs in zip(promised, _sizes(inferred_output), strict=True)
        ]
        if _sizes(output) != promised or _sizes(inferred_output) != expected:
            raise OracleError(
                "shapes",
                f"{output.name} is {_sizes(output)}, {_sizes(inferred_output)} by ONNX, promised is {promised}",
            )
    names = [result for call in typed.network.calls for result in call.results]
    with_all_results = typed._replace(network=replace(typed.network, outputs=tuple(names)))
    model_session = session(to_model_proto(lower(with_all_results)), optimize=False)
    for sizes in SIZES:
        for name, values in run(model_session, case.feeds(sizes) | case.weights).items():
            promised = tuple(evaluate_size(size, sizes) for size in typed.types[name].shape)
            if values.shape != promised or str(values.dtype) != typed.types[name].dtype:
                raise OracleError("shapes", f"{name} is {values.dtype}{values.shape}, promised is {typed.types[name]}")


def _sizes(output: onnx.ValueInfoProto) -> list[int | str]:
    return [d.dim_value if d.HasField("dim_value") else d.dim_param for d in output.type.tensor_type.shape.dim]


def forward(case: Case) -> None:
    """Results of onnxruntime with and without optimization, and without the layout pass, equal those in float64."""
    bound = canonicalize(bind_weights(case.plain, case.weights))
    reference = Reference(bound)
    sessions = {
        "forward": case.session,
        "forward, not optimised": session(case.compiled.to_bytes(), optimize=False),
        "forward, no layout": session(to_model_proto(bound), optimize=False),
    }
    cache: dict[int, Evaluation] = {}

    def evaluations(draw: int, model_session: Any) -> Evaluation:
        if draw not in cache:
            feeds = case.feeds(draw=draw)
            cache[draw] = feeds, reference(feeds), lambda: reference.perturbed_results(feeds)
        feeds, expected, perturbed = cache[draw]
        return run(model_session, feeds), expected, perturbed

    for oracle, model_session in sessions.items():
        compare(oracle, lambda draw, model_session=model_session: evaluations(draw, model_session), FORWARD)


def training_feeds(case: Case, graph: Graph, draw: int) -> Arrays:
    rng = np.random.default_rng((case.seed, draw, 99))
    feeds = case.feeds(draw=draw) | weights_for(graph, rng) | targets_for(case.checked, SIZES[0], rng)
    return feeds | randoms_for(graph, SIZES[0], rng) | {"learning_rate": np.array(0.01, np.float32)}


def gradient_graph(case: Case) -> Graph:
    """Returns a graph of the training loss and its gradients with respect to all weights and real inputs."""
    typed, objective = case.checked.require(), case.checked.objective
    assert objective is not None
    graph = canonicalize(with_loss(propagate_transposes(lower(typed, training=True)), objective))
    g = GradientBuilder.extending(graph, tuning=CPU_GRADIENTS)
    loss = graph.outputs["loss"]
    variables = {
        **graph.parameters,
        **{
            n: v for n, v in graph.inputs.items() if n in typed.inputs and v.dtype == "float32" and n not in case.masked
        },
    }
    gradient_values = gradients(g, graph, {loss: g.const(1.0)}, variables.values())
    results = {f"d/{name}": gradient_values[value] for name, value in variables.items() if value in gradient_values}
    return canonicalize(replace(g.graph({"loss": loss, **results}), updates={}, losses=()))


def gradient(case: Case) -> None:
    """float32 gradients equal float64 gradients, and these equal central differences along a direction."""
    graph = gradient_graph(case)
    reference, model_session = Reference(graph), session(to_model_proto(graph), optimize=False)
    loss_reference = Reference(canonicalize(replace(graph, outputs={"loss": graph.outputs["loss"]})))

    @cache
    def cached_results(draw: int) -> tuple[Arrays, Arrays]:
        feeds = training_feeds(case, graph, draw)
        return feeds, reference(feeds)

    def evaluations(draw: int) -> Evaluation:
        feeds, expected = cached_results(draw)
        return run(model_session, feeds), expected, lambda: reference.perturbed_results(feeds)

    compare("gradient, float32", evaluations, GRADIENT)
    compare(
        "gradient, differences",
        lambda draw: slopes(case.seed, loss_reference, reference, *cached_results(draw), draw),
        DERIVATIVE,
    )


def slopes(
    seed: int, loss_reference: Reference, reference: Reference, feeds: Arrays, float64_results: Arrays, draw: int
) -> Evaluation:
    """Returns the derivative of the loss along a random direction: by the gradients, and by central differences.

    The perturbed results are central differences with a wider step, and the gradients with float64 rounding errors,
    which matter where large components cancel.
    """
    rng = np.random.default_rng((seed, draw, 7))
    feeds = {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in feeds.items()}
    slopes = {name[2:]: values for name, values in float64_results.items() if name.startswith("d/")}
    if not slopes:
        return {}, {}, lambda: []
    direction = {name: rng.normal(size=feeds[name].shape) for name in slopes}
    length = np.sqrt(sum(float((values**2).sum()) for values in direction.values()))
    direction = {name: values / length for name, values in direction.items()}

    def along(results: Arrays) -> float:
        return sum(float((results[f"d/{name}"] * values).sum()) for name, values in direction.items())

    analytic = along(float64_results)
    norm = np.sqrt(sum(float((values**2).sum()) for values in slopes.values()))

    detached = loss_reference.detached(feeds)

    def slope(step: float) -> float:
        shifted = (feeds | {n: feeds[n] + s * v for n, v in direction.items()} for s in (step, -step))
        ends = [loss_reference(to, detached)["loss"] for to in shifted]
        return (float(ends[0]) - float(ends[1])) / (2 * step)

    near = slope(1e-5)
    noise = 1e-15 * abs(float(float64_results["loss"])) / 1e-5  # rounding error of the loss in the quotient

    def scaled(value: float) -> Arrays:  # errors are relative to the norm of the gradient, not to one component of it
        return {"slope": np.array([value, norm])}

    def perturbed() -> list[Arrays]:
        rounded = along(reference.with_rounding_errors(feeds, FLOAT64_ROUNDING, rng)) - analytic
        return [scaled(near + (slope(2e-5) - near) / MAX_AMPLIFICATION * 10 + noise), scaled(near + rounded)]

    return scaled(analytic), scaled(near), perturbed


def _with_recomputation(graph: Graph, mode: str) -> Graph:
    """The graph that recomputes most, whether that saves memory or not."""
    cuts = MODES[mode](ForwardPass(graph, ValueSizes(SIZES[0])))
    return with_copies(graph, cuts[-1]) if cuts else graph


def step(case: Case) -> None:
    """A training step in onnxruntime equals the same graph in float64, with and without rematerialization."""
    assert case.checked.objective is not None
    graph = training_graph(case.checked, forward_loss_graph(case.checked, case.checked.objective))
    if not graph.parameters:
        return
    outputs = {name: v for name, v in graph.outputs.items() if name.startswith("metrics/") or "loss" in name}
    graph = replace(graph, outputs=outputs)
    reference = Reference(graph)

    @cache
    def cached_results(draw: int) -> tuple[Arrays, Arrays]:
        feeds = training_feeds(case, graph, draw)
        return feeds, reference(feeds)

    def evaluations(draw: int, model_session: Any) -> Evaluation:
        feeds, expected = cached_results(draw)
        return run(model_session, feeds), expected, lambda: reference.perturbed_results(feeds)

    rematerialized = {f"step, {mode}": _with_recomputation(graph, mode) for mode in MODES}
    for oracle, variant in {"step": graph, **rematerialized}.items():
        if oracle == "step" or variant is not graph:
            model_session = session(to_model_proto(variant))
            compare(oracle, lambda draw, model_session=model_session: evaluations(draw, model_session), GRADIENT)


def trainer(case: Case) -> None:
    """Steps rewritten for this machine, with lazy updates of all embeddings, equal those of the plain graph."""

    with patch.multiple(lazy_updates, MIN_TABLE_ELEMENTS=0, MIN_ROW_ELEMENTS=0, MIN_TABLE_ROWS_PER_LOOKUP=0):
        compare("trainer", partial(trainings, case, 1), GRADIENT)


def shared(case: Case) -> None:
    """Steps that split the batch across threads equal those of the plain graph."""
    with patch.multiple(
        data_parallel, MIN_SHARD_SAMPLES=1, MIN_CONV_SHARD_SAMPLES=1, MIN_BATCH_MACS=0, MIN_WEIGHT_REUSE=0
    ):
        if data_parallel.plan_shards(plan_training(case.checked), 2) is not None:
            compare("shared", partial(trainings, case, 2), GRADIENT)


def threads(case: Case) -> None:
    """Steps with matrix products partitioned by rows across two threads equal those of the plain graph."""
    with (
        patch.multiple(partition_rows, MIN_WEIGHT_ELEMENTS=0, MAX_SAMPLES=SIZES[0]["batch"]),
        patch.object(pack_weights_module, "MAX_SMALL_WEIGHT_ELEMENTS", 0),
    ):
        compare("threads", partial(trainings, case, 2), GRADIENT)


def trainings(case: Case, threads: int, draw: int) -> Evaluation:
    """Returns losses and weights after some steps with and without the rewrites for this machine."""

    def run_steps(draw: int, fast: bool, rng: np.random.Generator | None = None) -> Arrays:
        model = Trainer(case.spec, threads=threads, seed=case.seed, fast=fast)
        if rng is not None:
            model.set_weights(perturb(model.weights(), rng))
        losses = np.full(STEPS, np.inf)
        with suppress(Diverged):
            for step in range(STEPS):
                x = case.feeds(draw=STEPS * draw + step)
                y = targets_for(case.checked, SIZES[0], np.random.default_rng((case.seed, draw, step)))
                losses[step] = model.step(x, {n.removesuffix("/target"): values for n, values in y.items()})["loss"]
        return {"losses": losses, **numbers(model.weights())}

    rng = np.random.default_rng((case.seed, draw))
    expected = run_steps(draw, False)
    if not np.isfinite(expected["losses"]).all():  # the step at which it diverges may depend on rounding
        expected = {"losses": expected["losses"]}
    return run_steps(draw, True), expected, lambda: [run_steps(draw, False, rng) for _ in range(2)]


def numbers(arrays: Arrays) -> Arrays:
    return {name: array for name, array in arrays.items() if array.dtype.kind == "f" and array.size}


def bytes_(case: Case) -> None:
    """Compiling the spec embedded in the model gives the same bytes."""
    embedded_spec = json.loads(next(p.value for p in case.model.metadata_props if p.key == "jsonnx.spec"))
    if compile_checked(check_spec(embedded_spec), case.weights).to_bytes() != case.compiled.to_bytes():
        raise OracleError("bytes", "compiling the spec embedded in the model gives other bytes")


def digest(case: Case) -> str:
    """Returns the hash of the model with initial weights, for comparison between processes."""
    return hashlib.sha256(compile_checked(case.checked).to_bytes()).hexdigest()


def batches(case: Case) -> None:
    """A batch gives the same results as batches of one sample in any order, unless a layer mixes samples."""
    typed = case.checked.require()
    if any(
        acts_along_batch_axis(call.layer, typed.types[call.sources[0]].rank)
        for call in typed.network.calls
        if call.layer
    ):
        return
    model_session = case.session
    reference: list[Reference] = []
    order = [2, 0, 1]

    def with_permuted(results: Arrays) -> Arrays:
        return results | {f"{name} permuted": values[order] for name, values in results.items()}

    def perturbed(feeds: Arrays) -> list[Arrays]:
        if not reference:
            reference.append(Reference(canonicalize(bind_weights(case.plain, case.weights))))
        return [with_permuted(reference[0](feeds)), *map(with_permuted, reference[0].perturbed_results(feeds))]

    def evaluations(draw: int) -> Evaluation:
        feeds = case.feeds(draw=draw)
        single_results = [
            run(model_session, {n: v[i : i + 1] for n, v in feeds.items()}) for i in range(SIZES[0]["batch"])
        ]
        joined = {name: np.concatenate([one[name] for one in single_results]) for name in single_results[0]}
        permuted = run(model_session, {n: v[order] for n, v in feeds.items()})
        actual = joined | {f"{name} permuted": values for name, values in permuted.items()}
        return actual, with_permuted(run(model_session, feeds)), lambda: perturbed(feeds)

    compare("batches", evaluations, FORWARD)


def names(case: Case) -> None:
    """Renaming inputs and layers and reordering keys does not change any result."""
    dice = Dice(case.seed)
    new_names = {entry["name"]: f"n{dice.randrange(10**6)}_{i}" for i, entry in enumerate(case.spec["layers"])}
    new_names |= {name: f"in_{name}" for name in case.spec["inputs"]}
    renamed = shuffled(rename(case.spec, new_names), dice)
    other = check_spec(renamed)
    errors = [d.message for d in other.diagnostics if d.severity == "error"]
    if errors:
        raise OracleError("names", "; ".join(errors))
    weights = {
        f"{new_names[name.partition('/')[0]]}/{name.partition('/')[2]}": values for name, values in case.weights.items()
    }
    feeds = case.feeds()
    expected = run(case.session, feeds)
    actual = run(
        compile_checked(other, weights).to_bytes(), {new_names[name]: values for name, values in feeds.items()}
    )
    for name, values in expected.items():
        layer, dot, rest = name.partition(".")
        if not np.array_equal(actual[new_names[layer] + dot + rest], values, equal_nan=values.dtype.kind == "f"):
            raise OracleError("names", f"{name} changes with names or the order of keys")


ORACLES: tuple[Callable[[Case], None], ...] = (shapes, forward, quantization, bytes_, batches, names)
TRAINING: tuple[Callable[[Case], None], ...] = (gradient, step, trainer, shared, threads)


def examine(spec: dict[str, Any], seed: int = 0, only: Iterable[str] | None = None) -> list[OracleError]:
    """Returns the error of every oracle that does not hold; other exceptions are converted to oracle errors."""
    case, errors = Case(spec, seed), []
    try:
        has_training = case.checked.objective is not None
    except Exception as error:
        return [_oracle_error("valid", error)]
    for oracle in (*ORACLES, *(TRAINING if has_training else ())):
        name = oracle.__name__.rstrip("_")
        if only is None or name in only:
            try:
                oracle(case)
            except Exception as error:
                errors.append(_oracle_error(name, error))
    return errors


def _oracle_error(oracle: str, error: Exception) -> OracleError:
    if isinstance(error, OracleError):
        return error
    return OracleError(oracle, f"{type(error).__name__}: {' '.join(str(error).split())[:400]}")
