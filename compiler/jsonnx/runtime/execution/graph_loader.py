"""Rewrites the graphs of a training plan for the machine, and loads them into onnxruntime."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic
from ...core.system.gc_pause import gc_paused
from ...core.system.memory import MIN_CHECKED_BYTES, require_memory
from ...core.types import BATCH
from ...ir import VocabularyNotLearned, with_vocabularies
from ...passes.canonicalize import with_outputs
from ...passes.training_steps.frozen_weights import recast_frozen_weights
from ...passes.training_steps.live_memory import ValueSizes, live_bytes
from ...passes.training_steps.remat import rematerialize
from ...tuning.cpu.pipeline import optimize_for_cpu
from ...tuning.cpu.target import Target
from ..providers.kernel_probes import has_gated_add, nchwc_block_size
from ..providers.providers import SessionConfig
from ..providers.static_shapes import StaticShapeRunner, needs_static_shapes
from ..sharding.shard_group import ShardGroup
from .data_parallel import ShardedStep
from .device_runner import DeviceRunner
from .device_variables import DeviceVariables
from .runner import Runner, has_small_nodes
from .sized_steps import SizedSteps
from .virtual_shards import VirtualShardStep

if TYPE_CHECKING:
    from ...ir import Graph
    from ..providers.session_recorder import SessionRecorder
    from ..training_plan import AugmentedInput, ShardedGraphs, TrainingPlan
    from .execution_plan import ExecutionPlan
    from .step_runners import StepRunner
    from .variables import Variables


MAX_PLANNED_BYTES = 64 << 20
"""Maximum size of the results that exist at a time, in bytes, for which onnxruntime plans memory: the plan is one block
of this size beside the memory of the first step, and saves less time the longer nodes run."""


STEP_MEMORY_HELP = (
    'train with a smaller `batch_size` or with `"remat": "full"`; `jsonnx summary SPEC --training` shows the memory'
)


class StepGraph(NamedTuple):
    """A graph that a step runs, how many sessions run it at once, and the sizes of symbols that each of them gets."""

    graph: Graph
    session_count: int
    sizes: Mapping[str, int]


class GraphLoader:
    """Builds the runners of a plan, all over the same variables, each when it is first needed.

    Vocabularies are constants of the graphs: other vocabularies need another loader.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        execution: ExecutionPlan,
        variables: Variables,
        vocabularies: Mapping[str, np.ndarray],
        recorder: SessionRecorder | None = None,
        group: ShardGroup | None = None,
    ) -> None:
        """`recorder` records when the nodes of training steps run; `group` are the workers of a distributed
        training."""
        self._recorder, self._group = recorder, group
        self.sized_steps = SizedSteps(plan, execution)
        self._plan, self._execution, self._variables, self._vocabularies = plan, execution, variables, vocabularies
        self._augmentation_runners: dict[str, Runner] = {}
        self._evaluation_runners: dict[frozenset[str], list[Runner]] = {}

    def evaluation_runner(self, plan: TrainingPlan) -> Runner:
        """The runner of the evaluation graph of the plan, or of one that weights other outputs."""
        return self.evaluation_runners(plan, 1)[0]

    def evaluation_runners(self, plan: TrainingPlan, count: int) -> list[Runner]:
        """At least this number of runners of the evaluation graph of the plan, or of one that weights other outputs."""
        runners = self._evaluation_runners.setdefault(plan.weighted_outputs, [])
        while len(runners) < count:
            runners.append(self.load_evaluation(plan))
        return runners

    def load_evaluation(self, plan: TrainingPlan) -> Runner:
        """A new runner of the evaluation graph of a plan of the same network."""
        return self._load_reader(with_outputs(plan.evaluate, plan.fetched_names), plan.fetched_names)

    @cached_property
    def prediction_runner(self) -> Runner:
        return self._load_reader(self._plan.predict, self._plan.predict.outputs)

    @cached_property
    def rate_runner(self) -> Runner | None:
        """The runner of the learning rate of the next step; None if it is a constant."""
        graph = self._plan.rate_graph
        return None if graph is None else self._load(graph, graph.outputs)

    def augmentation_runner(self, augmented: AugmentedInput) -> Runner:
        """The runner of the graph that comes before an augmentation layer."""
        if augmented.name not in self._augmentation_runners:
            assert augmented.graph is not None
            self._augmentation_runners[augmented.name] = self._load_reader(augmented.graph, [augmented.source])
        return self._augmentation_runners[augmented.name]

    def _load_reader(self, graph: Graph, fetched_names: Iterable[str]) -> Runner:
        """A runner of a graph that reads the weights of a step that may update some of them lazily."""
        lazy_tables = self._execution.lazy_tables
        return self.load_optimized(lazy_tables.with_current_rows(graph) if lazy_tables else graph, fetched_names)

    def load_optimized(self, graph: Graph, fetched_names: Iterable[str]) -> Runner:
        return self._load(self.optimize(graph), fetched_names)

    # -- training steps ----------------------------------------------------------------------------------------------

    def step_graphs(self, batch_size: int, sizes: Mapping[str, int] | None = None) -> list[StepGraph]:
        """The rewritten graphs of a training step, specialised for a batch size or computed by blocks for some sizes:
        one, or with data parallelism those of the shards and of the combiner."""
        sharded, batch_sizes = self._execution.sharded_graphs, {**(sizes or {}), str(BATCH): batch_size}
        if sharded is None:
            step_graph = self._execution.step_graph if sizes is None else self.sized_steps.build(sizes)
            graph = self.optimize(step_graph, batch_size, self._plan.training.remat, sizes=batch_sizes)
            return [StepGraph(graph, 1, batch_sizes)]
        samples = max(1, batch_size // sharded.shard_count)
        shard = self.optimize(sharded.shard, samples, self._plan.training.remat, threads=1)
        combiner = self.optimize(self._execution.step_graph)
        shard_sessions = sharded.shard_count if self._group is None else self._execution.shard_threads
        return [
            StepGraph(shard, shard_sessions, {**batch_sizes, str(BATCH): samples}),
            StepGraph(combiner, 1, batch_sizes),
        ]

    def plans_memory(self, step: StepGraph) -> bool:
        """Whether onnxruntime plans the memory of a step."""
        return (
            self._plan.training.remat is None
            and has_small_nodes(step.graph, self._execution.provider)
            and live_bytes(step.graph, ValueSizes(step.sizes)) <= MAX_PLANNED_BYTES
        )

    @gc_paused()
    def build_step(self, batch_size: int, own_arena: bool, sizes: Mapping[str, int] | None = None) -> StepRunner:
        """A runner of the training step, specialised for a batch size, or computed by blocks for some sizes."""
        execution = self._execution
        if execution.sharded_graphs:
            return self._build_sharded_step(execution.sharded_graphs, batch_size)
        (step,) = self.step_graphs(batch_size, sizes)
        graph = step.graph
        if needs_static_shapes(graph, execution.provider):
            fetched_names = self._plan.fetched_names
            return StaticShapeRunner(
                self._plan.inputs, lambda sizes: self._load(graph, fetched_names, sizes=sizes, step=step)
            )
        undo_outputs = execution.lazy_tables.undo_outputs if execution.lazy_tables else ()
        return self._load(graph, self._plan.fetched_names, undo_outputs, own_arena=own_arena, step=step)

    def _build_sharded_step(self, graphs: ShardedGraphs, batch_size: int) -> ShardedStep | VirtualShardStep:
        """Each shard has a session of its own: threads of one session would exchange memory that it caches."""
        outputs, fetched_names = graphs.shard.outputs, self._plan.fetched_names
        shard, combiner = self.step_graphs(batch_size)
        shard_runners = [self._load(shard.graph, outputs, threads=1, step=shard) for _ in range(shard.session_count)]
        combined_names = [name for name in fetched_names if name in combiner.graph.outputs]
        lazy_tables = self._execution.lazy_tables
        undo_outputs = lazy_tables.undo_outputs if lazy_tables else ()
        combiner_runner = self._load(combiner.graph, combined_names, undo_outputs, no_spinning=True, step=combiner)
        if self._group is not None:
            return VirtualShardStep(self._group, graphs, shard_runners, combiner_runner, fetched_names)
        return ShardedStep(graphs, shard_runners, combiner_runner, fetched_names)

    def _require_step_memory(self, step: StepGraph) -> None:
        """Raises CompileError `too-large` if the results of a step exceed the memory, even if all unknown sizes are
        1. Its variables are in memory already."""
        sizes = ValueSizes(step.sizes, assumed_size=1)
        if sum(sizes(value) for node in step.graph.nodes for value in node.outputs) < MIN_CHECKED_BYTES:
            return
        needed_bytes = step.session_count * live_bytes(step.graph, sizes)
        parts = {"gradients and activations": needed_bytes}
        require_memory("a training step", parts, self._plan.source.file, STEP_MEMORY_HELP)

    # -- any graph ---------------------------------------------------------------------------------------------------

    @gc_paused()
    def optimize(
        self,
        graph: Graph,
        batch_size: int | None = None,
        remat: str | None = None,
        threads: int | None = None,
        sizes: Mapping[str, int] = {},
    ) -> Graph:
        """The graph with its vocabularies, rewritten for the machine and, if given, for a batch size and the sizes of
        other symbols.

        Raises CompileError `not-learned`.
        """
        try:
            graph = with_vocabularies(graph, self._vocabularies)
        except VocabularyNotLearned as error:
            help = "`fit` learns the vocabulary if the data contain any token; the weights of such a run include it"
            raise CompileError(
                [Diagnostic("not-learned", str(error), file=self._plan.source.file, help=help)]
            ) from error
        usual_batch = batch_size or self._plan.training.batch_size
        # Larger batches than the first one may follow.
        sizes = {**sizes, str(BATCH): max(usual_batch, self._plan.training.batch_size)}
        if self._execution.optimizes_for_cpu:
            target = Target(
                block_size=nchwc_block_size(),
                has_gated_add=has_gated_add(),
                threads=threads or self._execution.threads,
                usual_batch=usual_batch,
                expected_batch=batch_size,
                keeps_order=self._execution.keeps_order,
                overwritten=self._execution.overwritten_inputs,
                remat=remat,
                sizes=sizes,
            )
            return recast_frozen_weights(optimize_for_cpu(graph, target))
        return recast_frozen_weights(rematerialize(graph, remat, ValueSizes(sizes)))

    @gc_paused()
    def _load(
        self,
        graph: Graph,
        fetched_names: Iterable[str],
        undo_outputs: Iterable[str] = (),
        threads: int | None = None,
        no_spinning: bool = False,
        own_arena: bool = False,
        step: StepGraph | None = None,
        sizes: Mapping[str, int] = {},
    ) -> Runner:
        execution, is_step = self._execution, step is not None
        if step is not None and execution.provider.is_cpu:
            self._require_step_memory(step)
        config = SessionConfig(
            flush_denormals=execution.flushes_denormals,
            no_spinning=no_spinning,
            own_arena=own_arena,
            keep_order=execution.keeps_order,
            keep_nodes=is_step and bool(execution.inplace_variables) and bool(graph.updates),
            keep_copies=is_step and self._plan.training.remat is not None,
            plan_memory=step is None or self.plans_memory(step),
            recorder=self._recorder if is_step else None,
        )
        arguments = graph, fetched_names, self._variables, execution.provider, threads or execution.threads
        if isinstance(self._variables, DeviceVariables):
            return DeviceRunner(*arguments, config, captures=is_step)
        return Runner(*arguments, undo_outputs, config, sizes)
