"""The plan of a training run, which the pipeline makes and the trainer runs: its graphs and their interface."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import nan
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from ..core.date_formats import FormatName
from ..core.files.spec_source import NO_SPEC, SpecSource
from ..core.files.tokenizer_file import Tokenization
from ..core.reserved_names import (
    LOSS,
    is_added_loss_name,
    is_slot_name,
    metric_sums_name,
    output_loss_name,
    schedule_steps_name,
)
from ..core.types import TensorType
from ..data.samples.data_spec import DataSpec, make_data_spec
from ..ir.integer_weights import network_parameters
from ..sections.training_section import Training
from ..training.optimizers.schedules import Schedule

if TYPE_CHECKING:
    import numpy as np

    from ..data.samples.dataset import Dataset
    from ..ir import Graph
    from ..training.metrics.metrics import Metric


class AugmentationLayer(Protocol):
    """A layer that transforms images before they are fed; see `layers.image.geometric_augmentation`."""

    mixes_targets: ClassVar[bool]

    @property
    def seed(self) -> int | None: ...
    def augment(self, images: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]: ...
    def transform_labels(self, targets: np.ndarray, **drawn: Any) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class AugmentedInput:
    """An input of the training graph, which an augmentation layer computes from other images before every step."""

    name: str
    layer: AugmentationLayer
    source: str
    """The layer's input: the name of a fed value, or of the output of `graph`."""
    graph: Graph | None = None
    """The part of the network between the fed values and the layer; None if the layer's input is fed."""


@dataclass(frozen=True, eq=False)
class AdaptTask:
    """A layer that learns states from the training data before the first step."""

    layer: str
    adapt: Callable[[Iterable[np.ndarray]], dict[str, np.ndarray]]
    """Computes the states, by their names within the layer, from the layer's inputs, one array per batch."""
    graph: Graph
    """Computes the layer's input."""


@dataclass(frozen=True, eq=False)
class VectorTask:
    """An embedding that starts with the vectors of tokens, once these are learned from the data."""

    weight: str
    vocabulary: str
    """The state with the tokens."""
    read: Callable[[Sequence[str], SpecSource], tuple[np.ndarray, np.ndarray]]
    """The indices of the tokens that have a vector, and their vectors."""


@dataclass(frozen=True, eq=False)
class ShardedGraphs:
    """A data-parallel step in two graphs.

    `shard` takes the samples and targets of a shard and the shard's fraction of the batch. Its outputs are losses,
    metric sums and gradients; `combiner` takes them as `+0/NAME`, `+1/NAME` and so on, with the learning rate, and has
    the outputs and updates of the whole step.
    """

    shard_count: int
    shard: Graph
    combiner: Graph


class ShardBuilder(Protocol):
    """Builds the graphs of a data-parallel step with a number of shards."""

    def __call__(self, shards: int, sparse_weights: Collection[str] = ()) -> ShardedGraphs:
        """In a distributed training, the gradients of some weights may be sparse: the indices of rows, and the rows."""


class Teacher(Protocol):
    """A trained model whose outputs the network learns from; see `distillation.teacher`."""

    @property
    def digest(self) -> str: ...
    @property
    def rows(self) -> int: ...
    @property
    def feed_names(self) -> Mapping[str, str]: ...
    @property
    def has_fixed_shapes(self) -> bool: ...
    def with_outputs(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]: ...
    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]: ...
    def require_labels(self, labels: Mapping[str, Sequence[str]]) -> None: ...


class TeacherOpener(Protocol):
    """Opens the teacher of a training plan, with an execution provider and its threads."""

    def __call__(self, plan: TrainingPlan, provider: Any, threads: int | None) -> Teacher: ...


class ObjectiveGraphs(NamedTuple):
    """The graphs of a training plan that compute the losses."""

    train: Graph
    evaluate: Graph
    make_shards: ShardBuilder | None
    make_step: Callable[[Mapping[str, int]], Graph] | None


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """Three graphs over the same variables, their inputs and outputs, and the settings of the run.

    `train` takes a batch, its targets and, unless it is a schedule, `learning_rate`; its outputs are `loss`,
    `metrics/NAME` (sums over a batch), `losses/LAYER` for each layer AddLoss and, with several outputs, `OUTPUT_loss`.
    Its updates are the variables' next values. `evaluate` is the same without the learning rate and the updates,
    `predict` the network alone.
    """

    train: Graph
    evaluate: Graph
    predict: Graph
    inputs: Mapping[str, TensorType]
    outputs: Mapping[str, TensorType]
    targets: Mapping[str, TensorType]
    metrics: Mapping[str, Metric]
    training: Training
    seed: int = 0
    rate_graph: Graph | None = None
    """Computes the learning rate of the next step from the number of steps; None if it is a constant."""
    vector_tasks: tuple[VectorTask, ...] = ()
    """The embeddings that start with vectors of a file, for tokens that are learned from the data."""
    masked_outputs: frozenset[str] = frozenset()
    adapt_tasks: tuple[AdaptTask, ...] = ()
    """The states that layers learn from the data before the first step, in topological order of the layers."""
    augmented_inputs: tuple[AugmentedInput, ...] = ()
    """Further inputs of `train`, in an order that respects their dependencies."""
    make_shards: ShardBuilder | None = None
    """None if the batch cannot be split."""
    make_step: Callable[[Mapping[str, int]], Graph] | None = None
    """Builds another `train` for batches in which symbols have these sizes. It computes large values by blocks, and is
    right for all sizes."""
    index_sizes: Mapping[str, int] = field(default_factory=dict)
    """The number of valid values of each input that holds indices."""
    input_vocabularies: Mapping[str, frozenset[Any]] = field(default_factory=dict)
    """The valid tokens of inputs whose lookup rejects all others."""
    missing_inputs: frozenset[str] = frozenset()
    """The inputs that may have missing values."""
    date_inputs: Mapping[str, tuple[FormatName, ...]] = field(default_factory=dict)
    """The formats of dates of the inputs whose texts are dates."""
    tokenizations: tuple[Tokenization, ...] = ()
    """How texts become inputs of the graphs."""
    text_inputs: Mapping[str, TensorType] = field(default_factory=dict)
    """The inputs of texts that are no inputs of the graphs."""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The names of classes, by output."""
    weighted_outputs: frozenset[str] = frozenset()
    """The outputs whose losses take sample weights."""
    make_objective_graphs: Callable[[frozenset[str]], ObjectiveGraphs] | None = None
    """Builds the graphs with losses for other `weighted_outputs`; None if the spec is not known."""
    open_teacher: TeacherOpener | None = None
    """None without a teacher."""
    source: SpecSource = NO_SPEC
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    """Hashes of the parts of the spec that may not change when a run is resumed, by their keys in the spec."""
    vocabulary_digests: Mapping[str, str] = field(default_factory=dict)
    """Hashes of the tokens of vocabulary files, by the names of the files in the spec."""

    def with_learned(self, train: Dataset) -> TrainingPlan:
        """The plan with the labels, the columns and the step of series that training data determine."""
        data = self.training.data
        training = self.training.replaced(data=train.learned_section(data)) if data else self.training
        return replace(self, labels=train.data_spec.labels, training=training)

    @property
    def constant_rate(self) -> float:
        """The learning rate that steps read; NaN for a schedule, which steps compute themselves."""
        rate = self.training.optimizer.learning_rate
        return rate if isinstance(rate, float) else nan

    @cached_property
    def schedule_states(self) -> tuple[str, ...]:
        """The states with numbers of steps of schedules that the length of a fit determines."""
        optimizers = enumerate(self.training.optimizer.optimizers)
        schedules = ((index, optimizer.learning_rate) for index, optimizer in optimizers)
        return tuple(
            schedule_steps_name(index, attribute)
            for index, schedule in schedules
            if isinstance(schedule, Schedule)
            for attribute in schedule.relative_steps
        )

    @property
    def buckets_by_length(self) -> bool:
        """Whether batches of sequences have samples of similar lengths."""
        data = self.training.data
        return data is not None and data.sequences is not None and data.sequences.bucket_by_length

    def weighting(self, outputs: Iterable[str]) -> TrainingPlan:
        """This plan for losses of these outputs that take sample weights. Raises ShapeError if a loss takes none."""
        outputs = frozenset(outputs)
        if outputs == self.weighted_outputs:
            return self
        if self.make_objective_graphs is None:
            raise TypeError("this training plan takes no sample weights")
        graphs = self.make_objective_graphs(outputs)
        return replace(self, **graphs._asdict(), weighted_outputs=outputs)

    @cached_property
    def inference_inputs(self) -> dict[str, TensorType]:
        """The inputs that the network's outputs depend on."""
        return {name: type for name, type in self.inputs.items() if name in self.predict.inputs}

    @cached_property
    def loss_names(self) -> tuple[str, ...]:
        """The outputs that are losses: the total, each output's if there are several, and those of layers AddLoss."""
        output_losses = (output_loss_name(output) for output in self.outputs) if len(self.outputs) > 1 else ()
        added_losses = filter(is_added_loss_name, self.train.outputs)
        return (LOSS, *(name for name in output_losses if name in self.train.outputs), *added_losses)

    @cached_property
    def fetched_names(self) -> tuple[str, ...]:
        """The outputs of a step that are fetched: losses, then metric sums."""
        return (*self.loss_names, *(metric_sums_name(name) for name in self.metrics))

    @cached_property
    def data_spec(self) -> DataSpec:
        """The types and valid values of data."""
        return self.data_spec_weighting(self.weighted_outputs)

    def data_spec_weighting(self, outputs: Collection[str]) -> DataSpec:
        """The types and valid values of data with sample weights for these outputs. Raises ShapeError if a loss takes
        none."""
        return make_data_spec(
            self.inputs,
            self.outputs,
            self.targets,
            self.index_sizes,
            self.labels,
            self.training,
            self.input_vocabularies,
            outputs,
            self.missing_inputs,
            self.date_inputs,
            self.masked_outputs,
        ).with_texts(self.text_inputs, self.tokenizations)

    @cached_property
    def inference_data_spec(self) -> DataSpec:
        """The data that predictions take, with the types of targets."""
        data_spec = replace(self.data_spec, inputs=self.inference_inputs, tokenizations=(), fed_inputs={})
        return data_spec.with_texts(self.text_inputs, self.tokenizations)

    @property
    def weight_types(self) -> dict[str, TensorType]:
        """The types of the network's weights, by name."""
        variables = {**network_parameters(self.train), **self.train.states}
        return {name: variables[name].type for name in self.weight_names}

    @cached_property
    def weight_names(self) -> tuple[str, ...]:
        """The network's weights in Keras' order: layers in the order of their first use, and of each the parameters,
        then the states. A state that follows a parameter (`State.follows`) comes right after it."""
        states = [name for name in self.train.states if not is_slot_name(name)]
        layer_order: dict[str, int] = {}
        for node in self.predict.nodes:
            layer_order.setdefault(node.scope.partition("/")[0], len(layer_order))
        scope_order: dict[str, int] = {}
        for name in (*network_parameters(self.train), *states):
            scope_order.setdefault(name.rpartition("/")[0], len(scope_order))
        followers: dict[str, list[str]] = {}
        for name in states:
            if leader := self.train.states[name].follows:
                followers.setdefault(leader, []).insert(0, name)
        parameters = network_parameters(self.train)
        leaders = [*parameters, *(name for name in states if not self.train.states[name].follows)]
        leaders.sort(
            key=lambda name: (
                layer_order.get(name.partition("/")[0], len(layer_order)),
                scope_order[name.rpartition("/")[0]],
            )
        )
        return tuple(name for leader in leaders for name in (leader, *followers.get(leader, ())))
