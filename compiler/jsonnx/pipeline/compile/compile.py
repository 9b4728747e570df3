"""Compiles a spec to an inference model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...analysis.decision import spec_thresholds
from ...backend import QUANTIZATION, model_metadata, to_model_writer
from ...core.diagnostics import CompileError
from ...core.files.spec_source import SpecSource
from ...core.providers.known_providers import PLAIN_TARGET, target_names
from ...core.signature.thresholds import Threshold
from ...core.system.gc_pause import gc_paused
from ...core.system.memory import require_memory
from ...data.samples.data_errors import FeedError
from ...frontend.text.formatter import with_ordered_keys
from ...ir import Graph, VocabularyNotLearned, variable_bytes
from ...ir.cost import count_parameters, onnxruntime_ops
from ...passes.canonicalize import canonicalize
from ...passes.constant_folding import bind_weights
from ...passes.inference import optimize_for_inference
from ...runtime.providers.random import draw_initial_weights
from ...runtime.session.weight_files import WeightsReport
from ...sections.target_scaling import target_statistics_of
from ..check.check import CheckedSpec, Spec, StageHook, check_spec, no_hook
from .adapters import merge_adapters, network_adapters
from .graphs import inference_graph, inference_only
from .initial_weights import Weights, resolve_initial_weights
from .model import Model
from .network_part import NetworkPart, network_part
from .quantized_network import quantized_network, trained_variant
from .target_forms import write_for_target
from .word_vectors import read_known_vectors

NOT_LEARNED_HELP = "train the model, give the weights of a run that learned it, or write it as `vocabulary`"


def compile(
    spec: Spec,
    weights: Weights = None,
    seed: int | None = None,
    *,
    partial: bool = False,
    fold: bool = True,
    scale: str | None = None,
    verify: bool = True,
    after: StageHook = no_hook,
    changes: Sequence[str] = (),
    target: str = PLAIN_TARGET,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
) -> Model:
    """Compiles a spec to an inference model.

    The weights are the given ones, or the ones that the spec names, or else drawn from `seed` (None: the spec's seed).
    Every weight of the network must be given and fit; with `partial`, weights that are missing or do not fit are drawn,
    and `weights_report` of the model lists them. With `fold`, operators are folded into the weights of their neighbours
    (a batch normalization into a convolution); without it, the model has each layer as it is written. `scale` is the
    name of one of the spec's scales, and a change is a text like `width=128`, as after `--set`. With `verify`, a weight
    file must match the digests that it records. The model has operators and element types that the `target` has kernels
    for: cpu (standard operators of the lowest opset) or another name after `jsonnx compile --for`. With `inputs` or
    `outputs`, names of layers, the model is the part of the network between these. Raises CompileError for an invalid
    spec, weights that do not fit or do not match their digests, UsageError for a file that cannot be read and for a
    part that does not exist, ValueError for another target.
    """
    if target not in target_names():
        raise ValueError(f"target must be one of {target_names()}, got {target!r}")
    checked = check_spec(spec, after, changes, scale)
    if inputs or outputs:
        part = network_part(checked, inputs, outputs)
        return compile_part(checked, part, weights, seed, partial=partial, fold=fold, verify=verify, target=target)
    return compile_checked(checked, weights, seed, after, partial, fold, verify, target)


def compile_part(
    checked: CheckedSpec,
    part: NetworkPart,
    weights: Weights = None,
    seed: int | None = None,
    *,
    partial: bool = False,
    fold: bool = True,
    verify: bool = True,
    target: str = PLAIN_TARGET,
) -> Model:
    """Compiles a part of a network, with the weights that `compile` would give the network. Raises as `compile`."""
    arrays, report = _weights(checked, inference_graph(checked), weights, seed, partial, verify)
    model = compile_checked(part.checked, part.weights(arrays), partial=True, fold=fold, target=target)
    model.weights_report = report
    return model


def _weights(
    checked: CheckedSpec, graph: Graph, weights: Weights, seed: int | None, partial: bool, verify: bool
) -> tuple[dict[str, np.ndarray], WeightsReport | None]:
    """The weights of a graph, into which those of adapters are merged, and a report on those that were given."""
    adapters = network_adapters(checked)
    types = {name: value.type for name, value in {**graph.parameters, **graph.states}.items()}
    types |= {variable.name: variable.type for adapter in adapters for variable in adapter.variables}
    if not isinstance(weights, Mapping):  # arrays are in memory
        require_memory("the model", {"weights": variable_bytes(types.values())}, checked.source.file)
    try:
        initial, report = resolve_initial_weights(checked, types, weights, partial, verify)
    except FeedError as error:
        raise CompileError(error.diagnostics) from error
    arrays = draw_initial_weights(graph, checked.seed(seed), initial)
    source = SpecSource(checked.source.file, checked.locate)
    for found in read_known_vectors(checked, source) if weights is None else ():
        if found.weight in arrays and found.weight not in initial:
            arrays[found.weight] = found.written_to(arrays[found.weight])
    return merge_adapters(adapters, arrays, initial), report


@gc_paused()
def compile_checked(
    checked: CheckedSpec,
    weights: Weights = None,
    seed: int | None = None,
    after: StageHook = no_hook,
    partial: bool = False,
    fold: bool = True,
    verify: bool = True,
    target: str = PLAIN_TARGET,
    thresholds: Mapping[str, Threshold] = {},
) -> Model:
    """Compiles a checked spec; see `compile`. `thresholds` are kept in the metadata, by output."""
    typed = checked.require()
    graph, quantized = inference_graph(checked), quantized_network(checked)
    after("graph", graph)
    weighed = graph if quantized is None else inference_only(quantized.evaluation_graph(), checked.network)
    arrays, report = _weights(checked, weighed, weights, seed, partial, verify)
    is_quantized = quantized is not None and quantized.has_ranges(arrays)
    if quantized is not None and is_quantized:
        bound = quantized.bound(arrays)
    else:
        bound = canonicalize(_with_weights(graph, arrays, checked))
    after("bound", bound)
    if fold and not is_quantized:
        bound = optimize_for_inference(bound)
        after("folded", bound)
    optimized = bound
    bound = write_for_target(optimized, target)
    document = with_ordered_keys(typed.network.document)
    types = {name: value.type for name, value in {**bound.inputs, **bound.randoms}.items()}
    if not thresholds and checked.objective is not None:
        thresholds = spec_thresholds(typed, checked.objective.losses)
    layers = {call.owner for call in typed.network.inference_calls}
    count = count_parameters(graph, {call.owner for call in typed.network.calls} - layers)
    statistics = {
        name: target_statistics_of(name, form, arrays)
        for name, form in typed.network.target_forms.items()
        if form.statistics
    }
    metadata = model_metadata(typed, document, count, onnxruntime_ops(bound), types, thresholds, statistics)
    if is_quantized:
        metadata[QUANTIZATION] = trained_variant(checked)
    model = to_model_writer(bound, name=typed.network.name, metadata=metadata)
    after("model", model)
    return Model(model, checked, graph, arrays, report, types, optimized, target, thresholds)


def _with_weights(graph: Graph, weights: Mapping[str, np.ndarray], checked: CheckedSpec) -> Graph:
    """The graph with its weights as constants. Raises CompileError `not-learned` for a layer without a vocabulary."""
    try:
        return bind_weights(graph, weights)
    except VocabularyNotLearned as error:
        report = checked.new_report()
        report.add("not-learned", checked.network.paths[error.layer], str(error), help=NOT_LEARNED_HELP)
        raise CompileError(report) from error
