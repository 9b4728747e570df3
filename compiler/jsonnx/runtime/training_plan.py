"""What a training run is made of: the driver makes it, the trainer runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..core.diagnostics import Locator
from ..core.reserved_names import LOSS, is_slot_name, metric_sums_name, output_loss_name
from ..core.types import TensorType
from ..training.section import Training
from .validate_arrays import DataSpec, IndexRange

if TYPE_CHECKING:
    import numpy as np

    from ..ir import Graph
    from ..training.metrics import Metric


class AugmentationLayer(Protocol):
    """A layer that changes images before they are fed; see `layers.image.geometric_augmentation`."""

    mixes_targets: ClassVar[bool]

    @property
    def seed(self) -> int | None: ...
    def augment(self, images: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]: ...
    def transform_labels(self, targets: np.ndarray, **drawn: Any) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class AugmentedInput:
    """An input of the training graph that a layer makes of other images before every step."""

    name: str
    layer: AugmentationLayer
    source: str
    """Which images: the name of a fed value, or of the result of `graph`."""
    graph: Graph | None = None
    """What has to be computed of the fed values first."""


@dataclass(frozen=True, eq=False)
class AdaptTask:
    """A layer's name, what it learns of arrays (states by their names within the layer), and the graph of these."""

    layer: str
    adapt: Callable[[list[np.ndarray]], dict[str, np.ndarray]]
    graph: Graph


@dataclass(frozen=True, eq=False)
class ShardedGraphs:
    """A step in two graphs: what a share of a batch gives, and what renews the variables by what all shares gave.

    `shard` takes samples, their targets and how large a share of the batch they are, and gives losses, statistics and
    gradients, of which `combiner` takes `+0/NAME`, `+1/NAME` and so on, and the rate; it gives and renews what a step does.
    """

    shard_count: int
    shard: Graph
    combiner: Graph


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """Three graphs over the same variables, and what goes in and comes out.

    `train` takes a batch, targets and `learning_rate`, gives `loss`, `metrics/NAME` (sums) and, with several outputs,
    `OUTPUT_loss`, and has updates. `evaluate` is the same without the rate and the updates, `predict` the bare network.
    """

    train: Graph
    evaluate: Graph
    predict: Graph
    inputs: Mapping[str, TensorType]
    outputs: Mapping[str, TensorType]
    targets: Mapping[str, TensorType]
    metrics: Mapping[str, Metric]
    training: Training
    augmented_inputs: tuple[AugmentedInput, ...] = ()
    """Further inputs of `train`, in an order in which they can be made."""
    seed: int = 0
    learning_rate: Callable[[int], float] | None = None
    """The rate at a step, counted from 0; None for the optimizer's constant one."""
    index_sizes: Mapping[str, int] = field(default_factory=dict)
    """Inputs that are indexes: how many values each may take."""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of classes by output."""
    file: str | None = None
    """The spec's file; data files lie beneath its folder."""
    locate: Locator | None = None
    """Where in the spec a value stands."""
    adapt_tasks: tuple[AdaptTask, ...] = ()
    """What layers learn from the data before the first step."""
    make_shards: Callable[[int], ShardedGraphs] | None = None
    """The step for so many shares of a batch; None where samples do not stand apart."""
    fingerprint: str = ""
    """Stands for all of the spec that a checkpoint depends on."""

    @property
    def folder(self) -> Path:
        return Path(self.file).resolve().parent if self.file else Path.cwd()

    def rate(self, step: int) -> float:
        """The step size of a step, counted from 0."""
        return self.training.optimizer.learning_rate if self.learning_rate is None else self.learning_rate(step)

    @cached_property
    def loss_names(self) -> tuple[str, ...]:
        """The losses that are reported: the whole, and each output's where there are several."""
        parts = (output_loss_name(output) for output in self.outputs) if len(self.outputs) > 1 else ()
        return (LOSS, *(name for name in parts if name in self.train.outputs))

    @cached_property
    def fetched_names(self) -> tuple[str, ...]:
        """What a step is asked for."""
        return (*self.loss_names, *(metric_sums_name(name) for name in self.metrics))

    @cached_property
    def data_spec(self) -> DataSpec:
        """What data must look like."""
        limits = {name: IndexRange(count) for name, count in self.index_sizes.items()}
        for output, target in self.targets.items():
            classes = self.outputs[output].shape[-1]
            if "int" in target.dtype and target.rank == self.outputs[output].rank - 1 and isinstance(classes, int):
                limits[output] = IndexRange(classes, self._ignored_class(output))
        return DataSpec(self.inputs, self.targets, limits, self.labels)

    def _ignored_class(self, output: str) -> int | None:
        loss = self.training.loss
        ignored = getattr(loss.get(output) if isinstance(loss, dict) else loss, "ignore_class", None)
        return None if ignored is None else int(ignored)

    @cached_property
    def weight_names(self) -> tuple[str, ...]:
        """The network's weights in Keras' order: layer by layer, trained ones before states.

        Layers come in the order in which the network uses them.
        """
        states = [name for name in self.train.states if not is_slot_name(name)]
        known = [*self.train.parameters, *states]
        layers: dict[str, int] = {}
        for node in self.predict.nodes:
            layers.setdefault(node.scope.partition("/")[0], len(layers))
        groups: dict[str, int] = {}
        for name in known:
            groups.setdefault(name.rpartition("/")[0], len(groups))
        last = len(layers)
        behind: dict[str, list[str]] = {}
        for name in states:
            if follows := self.train.states[name].follows:
                behind.setdefault(follows, []).insert(0, name)
        moved = {name for names in behind.values() for name in names}
        first = [name for name in known if name not in moved]
        first.sort(key=lambda n: (layers.get(n.partition("/")[0], last), groups[n.rpartition("/")[0]]))
        return tuple(name for leader in first for name in (leader, *behind.get(leader, ())))
