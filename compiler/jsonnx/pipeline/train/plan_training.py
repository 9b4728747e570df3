"""Plans a training: the graphs of a step, of an evaluation and of a prediction, with their inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from math import nan
from typing import Any

from ...analysis.shape_inference import TypedNetwork
from ...backend import spec_hash
from ...core.diagnostics import CompileError, Diagnostic
from ...core.files.spec_source import SpecSource
from ...core.reserved_names import ADAPT_INPUT, next_name, target_name
from ...core.system.gc_pause import gc_paused
from ...frontend.network import Network
from ...gradient import MissingRule
from ...gradient.training_step import NoGradient, training_step, with_loss
from ...gradient.update_weights import rate_graph
from ...ir import Builder, Graph, Node
from ...layers.preprocessing.adaptable import Adaptable
from ...layers.preprocessing.text_vectorization import TOKENS_PER_TEXT
from ...lowering.check_augmentation import augmentation_calls, augmented_input_name
from ...lowering.lower import lower
from ...passes.canonicalize import canonicalize
from ...passes.quantization.corresponding_values import NoCounterpart
from ...passes.quantization.frozen_integers import store_frozen_integers
from ...passes.training_steps.block_order import order_by_block
from ...passes.training_steps.byte_masks import separate_mask_reads, with_byte_masks
from ...passes.training_steps.class_gathers import gather_scores, scatter_into_softmax
from ...passes.training_steps.frozen_weights import store_frozen_weights
from ...passes.training_steps.mixed_precision import with_mixed_precision
from ...passes.training_steps.row_blocks import with_row_blocks
from ...passes.training_steps.simplify_step import simplify_step
from ...runtime.fit.trainer import TrainingPlan
from ...runtime.training_plan import AdaptTask, AugmentedInput, ObjectiveGraphs
from ...sections.quantization_section import QUANTIZATION_KEY, UNTRAINED_KEYS
from ...sections.target_scaling import target_statistics, unmasked_target_statistics
from ...sections.training_section import Training
from ...training.losses.losses import expand_rank
from ...training.metrics.objective import Objective
from ...training.target_form import TargetForm
from ...tuning.cpu.gradient import CPU_GRADIENTS
from ..check.check import CheckedSpec, StageHook, no_hook
from ..check.data_spec import date_inputs, index_limits, input_vocabularies, inputs_with_missing_values
from ..compile.graphs import forward_graph, inference_only
from ..compile.quantized_network import QuantizedNetwork, quantized_network
from ..compile.word_vectors import vector_tasks
from .sharded_graphs import shard_builder
from .teacher_model import open_teacher

NORMALIZATION_MODULES = Adaptable.__module__.partition(".preprocessing")[0] + ".normalization."
"""The modules of the layers that stay in float32, with their statistics."""


@gc_paused()
def plan_training(checked: CheckedSpec, seed: int | None = None, after: StageHook = no_hook) -> TrainingPlan:
    """Plans the training of a checked spec. Raises CompileError if the spec cannot be trained."""
    typed, objective = checked.require(), checked.objective
    training = typed.network.training
    if training is None or objective is None:
        message = "the spec has no `training` section"
        help = 'add one: "training": {"loss": "...", "optimizer": "adam"}'
        raise CompileError([Diagnostic("missing-key", message, "$", checked.source.file, 1, 1, help)])
    quantized = quantized_network(checked)
    scored = forward_loss_graph(checked, objective, quantized=quantized)
    train = training_graph(checked, scored)
    after("step", train)
    network = _network_graph(checked, quantized)
    return TrainingPlan(
        train=train,
        evaluate=canonicalize(with_loss(network, objective)),
        predict=inference_only(network, typed.network),
        inputs=typed.inputs,
        outputs=typed.outputs,
        targets=objective.targets,
        metrics={name: reported.metric for name, reported in objective.metrics_by_name().items()},
        training=training,
        rate_graph=rate_graph(training.optimizer),
        augmented_inputs=augmented_inputs(typed, training),
        seed=checked.seed(seed),
        index_sizes=index_limits(typed),
        input_vocabularies=input_vocabularies(typed),
        missing_inputs=inputs_with_missing_values(typed),
        date_inputs=date_inputs(typed),
        tokenizations=typed.network.tokenizations,
        text_inputs=typed.network.text_inputs,
        labels=typed.network.labels,
        source=SpecSource(checked.source.file, checked.locate),
        masked_outputs=frozenset(typed.masks.training.value_masks),
        adapt_tasks=adapt_tasks(typed, training),
        vector_tasks=vector_tasks(checked),
        make_shards=shard_builder(checked, scored),
        make_step=partial(sized_training_graph, checked, objective) if quantized is None else None,
        weighted_outputs=objective.weighted_outputs,
        open_teacher=None if objective.distillation is None else partial(open_teacher, checked),
        make_objective_graphs=cache(partial(weighted_graphs, checked, objective, quantized)),
        fingerprint={key: spec_hash(part) for key, part in fixed_parts(typed.network.flat_document).items()},
        vocabulary_digests=vocabulary_digests(checked),
    )


@gc_paused()
def weighted_graphs(
    checked: CheckedSpec, objective: Objective, quantized: QuantizedNetwork | None, weighted_outputs: frozenset[str]
) -> ObjectiveGraphs:
    """The graphs for losses of these outputs that take sample weights. Raises ShapeError if a loss takes none."""
    objective = objective._replace(weighted_outputs=weighted_outputs)
    scored = forward_loss_graph(checked, objective, quantized=quantized)
    return ObjectiveGraphs(
        train=training_graph(checked, scored),
        evaluate=canonicalize(with_loss(_network_graph(checked, quantized), objective)),
        make_shards=shard_builder(checked, scored),
        make_step=partial(sized_training_graph, checked, objective) if quantized is None else None,
    )


def augmented_inputs(typed: TypedNetwork, training: Training) -> tuple[AugmentedInput, ...]:
    """The inputs of a step that augmentation layers compute on the host, in the order of the network."""
    calls = augmentation_calls(typed.network)
    names = {call.name: augmented_input_name(call.name) for call in calls}
    inputs: list[AugmentedInput] = []
    for call in calls:
        layer: Any = call.layer
        (source,) = call.sources
        fed_name = names.get(source, source if source in typed.inputs else None)
        graph = None
        if not fed_name:
            before_layer = lower(typed, training=True, outputs=[source], fed_names=names)
            graph = with_stored_weights(training, canonicalize(replace(before_layer, losses=())))
        inputs.append(AugmentedInput(names[call.name], layer, fed_name or source, graph))
    return tuple(inputs)


def adapt_tasks(typed: TypedNetwork, training: Training) -> tuple[AdaptTask, ...]:
    """The states that layers learn from the data before the first step, in the order of the network."""
    tasks: dict[str, AdaptTask] = {}
    for call in typed.network.calls:
        if isinstance(call.layer, Adaptable) and call.layer.needs_adapt and call.owner not in tasks:
            graph = lower(typed, outputs=call.sources)
            g = Builder.extending(replace(graph, losses=()))
            with g.scope(call.owner, call.path):
                adapt_input = call.layer.adapt_input(g, *graph.outputs.values())
            adapt_graph = with_stored_weights(training, canonicalize(g.graph({ADAPT_INPUT: adapt_input})))
            tasks[call.owner] = AdaptTask(call.owner, call.layer.adapt, adapt_graph)
    forms = {output: form for output, form in typed.network.target_forms.items() if form.statistics}
    target_tasks = (target_task(typed, training, output, form) for output, form in forms.items())
    return (*tasks.values(), *target_tasks)


def target_task(typed: TypedNetwork, training: Training, output: str, form: TargetForm) -> AdaptTask:
    """The statistics of the target of an output, at the positions that count for its loss."""
    type = typed.types[output]
    target_type = type.with_shape(type.shape[:-1]) if form.has_quantiles else type
    learn = target_statistics
    if output in typed.masks.inference.value_masks:
        g = Builder.extending(replace(lower(typed), losses=()))
        target, mask = g.input(target_name(output), target_type), g.masks.pop(output)
        values = g.Where(expand_rank(g, mask, target), target, g.const(nan, target.dtype))
        learn = unmasked_target_statistics
    else:
        g = Builder()
        values = g.Identity(g.input(target_name(output), target_type))
    g.masks.clear()
    graph = with_stored_weights(training, canonicalize(g.graph({ADAPT_INPUT: values})))
    return AdaptTask(target_name(output), partial(learn, form, type), graph)


def fixed_parts(document: Any) -> dict[str, Any]:
    """The parts of a spec that may not change when a run is resumed, by their keys.

    A resumed run may have more epochs, other names of files and of the teacher, other memory settings and other
    checkpoints; the contents of its files are compared on their own.
    """
    training = document.get("training", {})
    changeable = (
        *("epochs", "data", "weights", "remat", "checkpoint", "time_limit", "csv_log", "trackers"),
        *("threshold", "calibration"),
    )
    fixed = {f"training.{key}": value for key, value in training.items() if key not in changeable}
    if isinstance(lora := training.get("lora"), dict):
        fixed["training.lora"] = {key: value for key, value in lora.items() if key != "adapter"}
    if isinstance(distill := training.get("distill"), dict):
        fixed["training.distill"] = {key: value for key, value in distill.items() if key != "teacher"}
    data = training.get("data") or {}
    if "sequences" in data:  # decides which samples are in a batch
        fixed["training.data.sequences"] = data["sequences"]
    inputs = {name: _without_description(input) for name, input in document["inputs"].items()}
    layers = [_without_description(entry) for entry in document["layers"]]
    outputs = {"outputs": document["outputs"]} if "outputs" in document else {}
    variant = (document.get(QUANTIZATION_KEY) or {}).get(training.get("quantize"))
    if variant is not None:
        fixed |= {f"quantization.{key}": value for key, value in variant.items() if key not in UNTRAINED_KEYS}
    return {"inputs": inputs, "layers": layers, **outputs, **fixed}


def _without_description(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "description"} if "description" in entry else entry


def vocabulary_digests(checked: CheckedSpec) -> dict[str, str]:
    """Hashes of the tokens of the spec's vocabulary files, by the names of the files."""
    layers = checked.flat.document["layers"] if checked.flat else []
    tokens: dict[str, list[Any]] = {}
    for index, name in checked.vocabulary_files.items():
        tokens.setdefault(name, []).append(layers[index]["vocabulary"])
    return {name: spec_hash(lists) for name, lists in tokens.items()}


def forward_loss_graph(
    checked: CheckedSpec,
    objective: Objective,
    expected_sizes: Mapping[str, int] = {},
    quantized: QuantizedNetwork | None = None,
) -> Graph:
    """Forward pass in training, loss and metrics. `expected_sizes` are the sizes of symbols in most batches, and
    `quantized` is the network's `quantized_network`, if it is known."""
    typed = checked.require()
    network = forward_graph(checked, training=True, has_adapters=True, expected_sizes=expected_sizes)
    quantized = quantized or quantized_network(checked)
    network = network if quantized is None else _with_rounding(checked, quantized, network)
    is_distributed = typed.network.training is not None and typed.network.training.distributed is not None
    graph = canonicalize(
        with_loss(network, objective, expected_sizes, adds_weight=is_distributed, distillation=objective.distillation)
    )
    report = checked.new_report()
    for name, drawn in graph.randoms.items():
        if any(str(TOKENS_PER_TEXT) in str(size) for size in drawn.shape):
            layer = name.partition("/")[0]
            message = f"{layer!r} draws a random number for each token, but the number of tokens depends on the data"
            report.add("shape-mismatch", typed.network.paths[layer], message, help="give an output_sequence_length")
    report.raise_errors()
    training = typed.network.training
    if training is not None and training.precision != "float32":
        dtype = training.precision.removeprefix("mixed_")
        graph = canonicalize(with_mixed_precision(graph, dtype, in_normalization(typed.network)))
    return graph if training is None else with_stored_weights(training, graph)


def _with_rounding(checked: CheckedSpec, quantized: QuantizedNetwork, network: Graph) -> Graph:
    """A forward pass in training with the rounding of the quantized model. Raises CompileError for a layer that has
    other operators in training."""
    try:
        return quantized.training_graph(network)
    except NoCounterpart as error:
        report, layer = checked.new_report(), error.layer.partition("/")[0]
        message = f"{layer!r} has other operators in training than in the model, so its rounding cannot be trained"
        help = f'leave this layer in floating point: `"layers": {{"{layer}": null}}` in a variant in `quantization`'
        report.add("invalid-value", ("training", "quantize"), message, help=help)
        raise CompileError(report) from error


def _network_graph(checked: CheckedSpec, quantized: QuantizedNetwork | None) -> Graph:
    """The network as evaluation computes it during a training."""
    training = checked.network.training
    graph = forward_graph(checked, has_adapters=True) if quantized is None else quantized.evaluation_graph()
    return graph if training is None else with_stored_weights(training, graph)


def with_stored_weights(training: Training, graph: Graph) -> Graph:
    """The graph that reads frozen weights in the type in which the training keeps them."""
    dtype = training.frozen_dtype
    if dtype.startswith("int"):
        return store_frozen_integers(graph, int(dtype.removeprefix("int")))
    return graph if dtype == "float32" else store_frozen_weights(graph, dtype)


def in_normalization(network: Network) -> Callable[[Node], bool]:
    """Whether a node belongs to a normalization layer of the network, or to the transform of a target."""
    names = {call.owner for call in network.calls if type(call.layer).__module__.startswith(NORMALIZATION_MODULES)}
    names |= {target_name(output) for output in network.target_forms}
    return lambda node: node.scope in names


@gc_paused()
def sized_training_graph(checked: CheckedSpec, objective: Objective, expected_sizes: Mapping[str, int]) -> Graph:
    """The training graph for batches of these sizes, which computes large values by blocks."""
    scored = with_byte_masks(forward_loss_graph(checked, objective, expected_sizes), expected_sizes)
    scored, logits_groups = with_row_blocks(gather_scores(scored, expected_sizes), expected_sizes)
    step = separate_mask_reads(scatter_into_softmax(training_graph(checked, scored)))
    return order_by_block(step, logits_groups) if logits_groups else step


def training_graph(checked: CheckedSpec, forward_loss: Graph) -> Graph:
    """Adds the backward pass and the optimizer's update to a forward pass.

    Raises CompileError for a layer whose operator has no gradient, if no weight to train has a gradient, and for a
    weight with a reserved name.
    """
    typed = checked.require()
    training = typed.network.training
    if training is None:
        raise ValueError("a network without a training section has no training graph")
    report = checked.new_report()
    try:
        factors = typed.network.learning_rate_factors
        step = training_step(
            forward_loss,
            training.optimizer,
            factors,
            training.batch_size,
            CPU_GRADIENTS,
            training.effective_loss_scale,
        )
    except MissingRule as error:
        reason = f"it {error}" if str(error).startswith("needs") else str(error)
        report.add("no-gradient", error.node.path, f"{error.node.scope or 'the loss'!r} cannot be trained: {reason}")
        raise CompileError(report) from error
    except NoGradient as error:
        message = "nothing trains: no gradient reaches any of the weights that are to be trained"
        help = "the loss has to depend on them, not only through integers or a stop_gradient"
        report.add("nothing-trains", ("training",), message, help=help)
        raise CompileError(report) from error
    fed = step.parameters.keys() | step.states.keys()
    clash = next((name for name in step.updates if next_name(name) in fed), None)
    if clash is not None:
        name = next_name(clash)
        layer = name.partition("/")[0]
        message = f"{name!r} is a weight of {layer!r} and also the name of the next value of {clash!r}"
        report.add("duplicate-name", typed.network.paths[layer], message, help="give the layer another name")
        raise CompileError(report)
    return simplify_step(step, training.batch_size)
