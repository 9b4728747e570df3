"""What must hold of every valid spec, whatever it is. Each oracle raises `Broken` with what it found."""

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
from jsonnx.gradient import GradientBuilder, gradients
from jsonnx.gradient.training_step import with_loss
from jsonnx.ir import Graph
from jsonnx.layers import LAYERS
from jsonnx.layers.rnn.time_distributed import acts_along_batch_axis
from jsonnx.lowering.lower import lower
from jsonnx.passes.canonicalize import canonicalize
from jsonnx.passes.constant_folding import bind_weights
from jsonnx.passes.layout import propagate_transposes
from jsonnx.passes.training.remat import MODES, rematerialize
from jsonnx.pipeline.check import CheckedSpec, check_spec
from jsonnx.pipeline.compile import compile_checked
from jsonnx.pipeline.model import Model
from jsonnx.pipeline.plan_training import forward_loss_graph, plan_training, training_graph
from jsonnx.pipeline.trainer import Trainer
from jsonnx.runtime import data_parallel
from jsonnx.runtime.random import evaluate_size
from jsonnx.runtime.trainer import Diverged
from jsonnx.tuning.cpu.embeddings import lazy_updates
from jsonnx.tuning.cpu.gradient import CPU_GRADIENTS
from jsonnx.tuning.cpu.matmul import partition_rows
from jsonnx.tuning.cpu.memory import pack_weights as pack_weights_module

from .compare import AMPLIFIED, Broken, Evaluated, compare, run, session
from .reference import Reference
from .renaming import rename, shuffled
from .values import SIZES, Arrays, moved, randoms_for, targets_for, tensor, weights_for

FORWARD = 1e-4
"""Relative error allowed of results in float32, by the largest of a tensor."""
GRADIENT = 2e-4
"""The same of gradients, and of what an optimizer makes of them."""
DOUBLE = 2.0**-53
"""What float64 rounds, relatively."""
SLOPE = 1e-5
"""Relative error allowed of a gradient along a direction, by central differences in float64."""

STEPS = 3
"""How many a trainer makes."""


@dataclass
class Case:
    """A spec and what is computed of it once."""

    spec: dict[str, Any]
    seed: int = 0
    notes: list[str] = field(default_factory=list)

    @cached_property
    def checked(self) -> CheckedSpec:
        found = check_spec(self.spec)
        faults = [d for d in found.diagnostics if d.severity == "error"]
        if faults:
            said = "; ".join(f"{d.code}: {d.message}" for d in faults)
            raise Broken("valid", said)
        return found

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
        """The model as a user runs it."""
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
        """The inputs of which Masking hides some places, and the value that does it. They have no slope: a place that
        moves is no longer hidden."""
        calls = self.checked.require().network.calls
        found = {call.sources[0]: call.layer for call in calls if isinstance(call.layer, LAYERS.by_name["Masking"])}
        return {name: layer.mask_value for name, layer in found.items() if name in self.checked.require().inputs}


# -- the oracles -------------------------------------------------------------------------------------------------------


def shapes(case: Case) -> None:
    """The inferred type of every value is ONNX' own and that of onnxruntime, at two batches; the model is valid."""
    typed = case.checked.require()
    onnx.checker.check_model(case.model)
    inferred = onnx.shape_inference.infer_shapes(case.model, check_type=True, strict_mode=True, data_prop=True)
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
    made = session(to_model_proto(lower(whole)), optimize=False)
    for sizes in SIZES:
        for name, values in run(made, case.feeds(sizes) | case.weights).items():
            promised = tuple(evaluate_size(size, sizes) for size in typed.types[name].shape)
            if values.shape != promised or str(values.dtype) != typed.types[name].dtype:
                raise Broken("shapes", f"{name} is {values.dtype}{values.shape}, promised is {typed.types[name]}")


def _sizes(output: onnx.ValueInfoProto) -> list[int | str]:
    return [d.dim_value if d.HasField("dim_value") else d.dim_param for d in output.type.tensor_type.shape.dim]


def forward(case: Case) -> None:
    """onnxruntime with and without optimisation, and without the layout pass, agree with float64."""
    bound = canonicalize(bind_weights(case.plain, case.weights))
    reference = Reference(bound)
    ways = {
        "forward": case.session,
        "forward, not optimised": session(case.compiled.to_bytes(), optimize=False),
        "forward, no layout": session(to_model_proto(bound), optimize=False),
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
    feeds = case.feeds(draw=draw) | weights_for(graph, rng) | targets_for(case.checked, SIZES[0], rng)
    return feeds | randoms_for(graph, SIZES[0], rng) | {"learning_rate": np.array(0.01, np.float32)}


def gradient_graph(case: Case) -> Graph:
    """The loss in training, and its gradients by all weights and real inputs."""
    typed, objective = case.checked.require(), case.checked.objective
    assert objective is not None
    graph = canonicalize(with_loss(propagate_transposes(lower(typed, training=True)), objective))
    g = GradientBuilder.extending(graph, tuning=CPU_GRADIENTS)
    loss = graph.outputs["loss"]
    wanted = {
        **graph.parameters,
        **{
            n: v for n, v in graph.inputs.items() if n in typed.inputs and v.dtype == "float32" and n not in case.masked
        },
    }
    found = gradients(g, graph, {loss: g.const(1.0)}, wanted.values())
    results = {f"d/{name}": found[value] for name, value in wanted.items() if value in found}
    return canonicalize(replace(g.graph({"loss": loss, **results}), updates={}, losses=()))


def gradient(case: Case) -> None:
    """float32 gradients agree with float64 ones, and those with central differences along a direction."""
    whole = gradient_graph(case)
    reference, made = Reference(whole), session(to_model_proto(whole), optimize=False)
    only = Reference(canonicalize(replace(whole, outputs={"loss": whole.outputs["loss"]})))

    @cache
    def known(draw: int) -> tuple[Arrays, Arrays]:
        feeds = whole_feeds(case, whole, draw)
        return feeds, reference(feeds)

    def evaluations(draw: int) -> Evaluated:
        feeds, wanted = known(draw)
        return run(made, feeds), wanted, lambda: reference.slack(feeds)

    compare("gradient, float32", evaluations, GRADIENT)
    compare("gradient, differences", lambda draw: slopes(case.seed, only, reference, *known(draw), draw), SLOPE)


def slopes(seed: int, only: Reference, whole: Reference, feeds: Arrays, known: Arrays, draw: int) -> Evaluated:
    """The slope along a random direction: by the known gradient, by central differences of the loss alone, and by those
    of a wider step and with what float64 rounds of the gradient, of which large parts may cancel."""
    rng = np.random.default_rng((seed, draw, 7))
    feeds = {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in feeds.items()}
    slopes = {name[2:]: values for name, values in known.items() if name.startswith("d/")}
    if not slopes:
        return {}, {}, lambda: []
    direction = {name: rng.normal(size=feeds[name].shape) for name in slopes}
    length = np.sqrt(sum(float((values**2).sum()) for values in direction.values()))
    direction = {name: values / length for name, values in direction.items()}

    def along(found: Arrays) -> float:
        return sum(float((found[f"d/{name}"] * values).sum()) for name, values in direction.items())

    analytic = along(known)
    size = np.sqrt(sum(float((values**2).sum()) for values in slopes.values()))

    held = only.detached(feeds)

    def slope(step: float) -> float:
        moved = (feeds | {n: feeds[n] + s * v for n, v in direction.items()} for s in (step, -step))
        ends = [only(to, held)["loss"] for to in moved]
        return (float(ends[0]) - float(ends[1])) / (2 * step)

    near = slope(1e-5)
    noise = 1e-15 * abs(float(known["loss"])) / 1e-5  # what float64 rounds of the loss, in the quotient

    def scaled(value: float) -> Arrays:  # the whole gradient's norm sets the scale, not a chance small component of it
        return {"slope": np.array([value, size])}

    def slack() -> list[Arrays]:
        rounded = along(whole.shaken(feeds, DOUBLE, rng)) - analytic
        return [scaled(near + (slope(2e-5) - near) / AMPLIFIED * 10 + noise), scaled(near + rounded)]

    return scaled(analytic), scaled(near), slack


def step(case: Case) -> None:
    """One training step in onnxruntime is what float64 makes of the same graph, with all kept and with some of it
    computed again."""
    assert case.checked.objective is not None
    graph = training_graph(case.checked, forward_loss_graph(case.checked, case.checked.objective))
    if not graph.parameters:
        return
    outputs = {name: v for name, v in graph.outputs.items() if name.startswith("metrics/") or "loss" in name}
    graph = replace(graph, outputs=outputs)
    reference = Reference(graph)

    @cache
    def known(draw: int) -> tuple[Arrays, Arrays]:
        feeds = whole_feeds(case, graph, draw)
        return feeds, reference(feeds)

    def evaluations(draw: int, made: Any) -> Evaluated:
        feeds, wanted = known(draw)
        return run(made, feeds), wanted, lambda: reference.slack(feeds)

    again = {f"step, {mode}": rematerialize(graph, mode, SIZES[0]["batch"]) for mode in MODES}
    for oracle, form in {"step": graph, **again}.items():
        if oracle == "step" or form is not graph:
            made = session(to_model_proto(form))
            compare(oracle, lambda draw, made=made: evaluations(draw, made), GRADIENT)


def trainer(case: Case) -> None:
    """Steps in the form that suits the machine, with tables by rows however small they are, are those of the plain
    graph."""

    with patch.multiple(lazy_updates, MIN_TABLE_ELEMENTS=0, MIN_ROW_ELEMENTS=0, MIN_TABLE_ROWS_PER_LOOKUP=0):
        compare("trainer", partial(trainings, case, 1), GRADIENT)


def shared(case: Case) -> None:
    """Steps in shares of a batch are those of the plain graph."""
    with patch.multiple(
        data_parallel, MIN_SHARD_SAMPLES=1, MIN_CONV_SHARD_SAMPLES=1, MIN_BATCH_MACS=0, MIN_WEIGHT_REUSE=0
    ):
        if data_parallel.plan_shards(plan_training(case.checked), 2) is not None:
            compare("shared", partial(trainings, case, 2), GRADIENT)


def threads(case: Case) -> None:
    """Steps by two threads, which have rows of weights of their own however small these are, are those of the plain
    graph."""
    with (
        patch.multiple(partition_rows, MIN_WEIGHT_ELEMENTS=0, MAX_SAMPLES=SIZES[0]["batch"]),
        patch.object(pack_weights_module, "MAX_SMALL_WEIGHT_ELEMENTS", 0),
    ):
        compare("threads", partial(trainings, case, 2), GRADIENT)


def trainings(case: Case, threads: int, draw: int) -> Evaluated:
    """Some steps in a fast form and in the plain one."""

    def trained(draw: int, fast: bool, rng: np.random.Generator | None = None) -> Arrays:
        made = Trainer(case.spec, threads=threads, seed=case.seed, fast=fast)
        if rng is not None:
            made.set_weights(moved(made.weights(), rng))
        losses = np.full(STEPS, np.inf)
        with suppress(Diverged):
            for step in range(STEPS):
                x = case.feeds(draw=STEPS * draw + step)
                y = targets_for(case.checked, SIZES[0], np.random.default_rng((case.seed, draw, step)))
                losses[step] = made.step(x, {n.removesuffix("/target"): values for n, values in y.items()})["loss"]
        return {"losses": losses, **numbers(made.weights())}

    rng = np.random.default_rng((case.seed, draw))
    wanted = trained(draw, False)
    if not np.isfinite(wanted["losses"]).all():  # from which step it diverges, rounding may decide
        wanted = {"losses": wanted["losses"]}
    return trained(draw, True), wanted, lambda: [trained(draw, False, rng) for _ in range(2)]


def numbers(arrays: Arrays) -> Arrays:
    return {name: array for name, array in arrays.items() if array.dtype.kind == "f" and array.size}


def bytes_(case: Case) -> None:
    """The same bytes again, and from the spec inside the model."""
    inside = json.loads(next(p.value for p in case.model.metadata_props if p.key == "jsonnx.spec"))
    if compile_checked(check_spec(inside), case.weights).to_bytes() != case.compiled.to_bytes():
        raise Broken("bytes", "a second compilation, of the spec inside the model, gives other bytes")


def digest(case: Case) -> str:
    """Stands for the model with initial weights, to be compared between processes."""
    return hashlib.sha256(compile_checked(case.checked).to_bytes()).hexdigest()


def batches(case: Case) -> None:
    """A batch is as many batches of one, in any order, but for a layer that looks at all of it."""
    typed = case.checked.require()
    if any(
        acts_along_batch_axis(call.layer, typed.types[call.sources[0]].rank)
        for call in typed.network.calls
        if call.layer
    ):
        return
    made = case.session
    reference: list[Reference] = []
    order = [2, 0, 1]

    def both(results: Arrays) -> Arrays:
        return results | {f"{name} permuted": values[order] for name, values in results.items()}

    def slack(feeds: Arrays) -> list[Arrays]:
        if not reference:
            reference.append(Reference(canonicalize(bind_weights(case.plain, case.weights))))
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
    other = check_spec(renamed)
    faults = [d.message for d in other.diagnostics if d.severity == "error"]
    if faults:
        raise Broken("names", "; ".join(faults))
    weights = {
        f"{new[name.partition('/')[0]]}/{name.partition('/')[2]}": values for name, values in case.weights.items()
    }
    feeds = case.feeds()
    wanted = run(case.session, feeds)
    found = run(compile_checked(other, weights).to_bytes(), {new[name]: values for name, values in feeds.items()})
    for name, values in wanted.items():
        layer, dot, rest = name.partition(".")
        if not np.array_equal(found[new[layer] + dot + rest], values, equal_nan=values.dtype.kind == "f"):
            raise Broken("names", f"{name} changes with names or the order of keys")


ORACLES: tuple[Callable[[Case], None], ...] = (shapes, forward, bytes_, batches, names)
TRAINING: tuple[Callable[[Case], None], ...] = (gradient, step, trainer, shared, threads)


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
