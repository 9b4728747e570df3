"""Steps, measurements and predictions over one set of variables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.diagnostics import CompileError, Diagnostic
from ..core.reserved_names import LEARNING_RATE, is_slot_name, target_name
from ..core.types import BATCH
from ..ir import VocabularyNotLearned, gc_paused, unlearned_states, with_vocabularies
from ..passes.training.remat import rematerialize
from ..tuning.cpu.embeddings.lazy_updates import LazyTables, make_tables_lazy
from ..tuning.cpu.matmul.partition_rows import has_partitionable_matmuls
from ..tuning.cpu.matmul.transpose_small import has_transposable_matmuls
from ..tuning.cpu.memory.inplace_slots import inplace_slots
from ..tuning.cpu.memory.pack_weights import pack_weights
from ..tuning.cpu.pipeline import optimize_for_cpu
from ..tuning.cpu.target import Target
from .adapt import adapted_states
from .cpu_count import thread_count
from .data_errors import FeedError
from .data_parallel import ShardedStep, plan_shards
from .dataset import Dataset
from .flush_denormals import can_flush_denormals
from .history import History, MetricSums, Weights
from .kernel_probes import has_gated_add, nchwc_block_size
from .lazy_embeddings import LazyEmbeddings, has_lazy_state
from .prefetch import BatchSlot, PrefetchBuffer
from .providers import CPU_PROVIDER, SessionConfig, resolve_provider
from .random import draw_initial_weights, generator, step_randoms, symbol_sizes
from .session import concatenate_batches, numpy_dtype
from .training_plan import AugmentedInput, TrainingPlan
from .variables import SET_COUNT, HostVariables, Runner, allocate_variables, has_string_inputs, is_on_host
from .weight_files import validate_weights
from .worker_thread import WorkerThread

if TYPE_CHECKING:
    from ..ir import Graph


MAX_OVERSIZED_STEPS = 16
"""Steps in a row of more samples than the session was made for, before it is made anew: that takes as long as some."""


class Diverged(CompileError):
    """The loss is no number any more. The weights are those of the last step whose loss was one; the optimizer's slots
    are, too, unless large ones were written in place: then it begins anew."""

    history: History | None = None


class Engine:
    """The variables of a plan and the graphs that use them; a graph is loaded when it is first needed.

    What layers learn before training, and has no size before that, is a part of the graphs: these are made anew where
    it changes. `fast` has them run in the form that suits the machine best.
    """

    @gc_paused()
    def __init__(
        self,
        plan: TrainingPlan,
        provider: str,
        threads: int | None,
        fast: bool = True,
        donated_weights: Weights | None = None,
    ) -> None:
        """`donated_weights` are weights that fit, in place of initial ones. They are taken over: nothing is left in the dict."""
        self.plan, self.provider, self.threads = plan, resolve_provider(provider), threads or thread_count()
        self.steps = 0
        start = draw_initial_weights(plan.train, plan.seed, donated_weights or {})
        if donated_weights is not None:
            donated_weights.clear()
        self.vocabularies: Weights = {name: start.pop(name) for name in unlearned_states(plan.train)}
        joins = fast and is_on_host(plan.train, self.provider) and plan.training.remat is None
        bound = joins and self.provider.ort_name == CPU_PROVIDER and not has_string_inputs(plan.train)
        tables = self._choose_lazy_tables() if bound else None
        self._sharded_graphs = plan_shards(plan, self.threads) if bound and not tables else None
        step = tables.graph if tables else self._sharded_graphs.combiner if self._sharded_graphs else plan.train
        for name, state in tables.extra_states.items() if tables else ():
            start[name] = np.zeros(state.shape, numpy_dtype(state.dtype))
        self._step_graph, packs = pack_weights(step) if joins else (step, {})
        # Tables by rows count steps for their rows, so the optimizer could not begin anew.
        self._inplace_slots = inplace_slots(self._step_graph) if bound and not tables else frozenset()
        self._variables = allocate_variables(step, start, self.provider, packs, tables, self._inplace_slots)
        self._lazy_embeddings = LazyEmbeddings(tables, self._variables, self._optimize_and_load) if tables else None
        self._step_runner: Runner | ShardedStep | None = None
        self._optimizes_for_cpu = fast and self.provider.ort_name == CPU_PROVIDER
        self._keep_order = self._optimizes_for_cpu and plan.training.remat is None
        self.flushes_denormals = self._optimizes_for_cpu and can_flush_denormals()
        """Whether denormals are zero in its runs."""
        work = self._sharded_graphs.shard if self._sharded_graphs else self._step_graph
        convolves = self._optimizes_for_cpu and any(told.op == "Conv" for told in work.gradients.values())
        few = has_transposable_matmuls(work) or has_partitionable_matmuls(work, self.threads)
        self._batch_dependent = convolves or (self._optimizes_for_cpu and few)  # on how many samples come
        sizes = {size for value in work.inputs.values() for size in value.shape if not isinstance(size, int)}
        self._only_batch_varies = convolves and sizes <= {BATCH}  # no size but that varies from step to step
        self._built_for_batch = 0  # so many
        self._own_arena = False  # whether its memory is in pieces of their sizes
        self._oversized_steps = 0  # steps in a row with more
        self._augmentation_runners: dict[str, Runner] = {}
        self._prefetch_buffers: tuple[PrefetchBuffer, PrefetchBuffer] | None = None
        self.worker = WorkerThread()
        """Makes batches ready while steps run."""
        self._undo_depth = 0  # sets behind the current one that hold the values of earlier steps

    def _runner_for(self, samples: int, *, is_fit: bool = False) -> Runner | ShardedStep:
        """What runs a step of any number of samples, and is fastest with that for which it was made: a fit's, or the
        number of the first step, or a larger one that came some times in a row."""
        others = self._batch_dependent and samples != self._built_for_batch
        self._oversized_steps = self._oversized_steps + 1 if others and samples > self._built_for_batch else 0
        if self._step_runner is None or self._oversized_steps > MAX_OVERSIZED_STEPS or (others and is_fit):
            self._built_for_batch, self._oversized_steps, self._own_arena = (
                samples,
                0,
                self._only_batch_varies and not self._sharded_graphs,
            )
            self._step_runner = self._build()
        elif self._own_arena and samples > self._built_for_batch:
            # Pieces for ever larger sizes would come beside those that are there.
            self._own_arena = False
            self._step_runner = self._build()
        return self._step_runner

    def _build(self) -> Runner | ShardedStep:
        self._step_runner = self._prefetch_buffers = (
            None  # first the old one goes, with its memory, and lanes, which are bound to it
        )
        return (
            self._build_sharded(self._built_for_batch)
            if self._sharded_graphs
            else self._build_whole(self._built_for_batch)
        )

    def _build_whole(self, samples: int) -> Runner:
        graph = self._optimize(self._step_graph, samples, self.plan.training.remat)
        kept = self._lazy_embeddings.lazy_tables.undo_outputs if self._lazy_embeddings else ()
        return self._load(graph, self.plan.fetched_names, kept, own_arena=self._own_arena)

    def _build_sharded(self, samples: int) -> ShardedStep:
        assert self._sharded_graphs is not None
        step, fetched = self._sharded_graphs, self.plan.fetched_names
        graph = self._optimize(step.shard, max(1, samples // step.shard_count), threads=1)
        # A session each: threads would hand each other memory of one that they share.
        shares = [self._load(graph, step.shard.outputs, threads=1) for _ in range(step.shard_count)]
        return ShardedStep(
            step, shares, self._load(self._optimize(self._step_graph), fetched, no_spinning=True), fetched
        )

    def _choose_lazy_tables(self) -> LazyTables | None:
        """The step with tables by rows, as the spec alone decides it."""
        plan = self.plan
        others = [plan.evaluate, plan.predict, *(made.graph for made in plan.augmented_inputs if made.graph)]
        return make_tables_lazy(plan.train, others, plan.training.batch_size)

    @cached_property
    def _evaluation_runner(self) -> Runner:
        return self._load_reading_lazy_tables(self.plan.evaluate, self.plan.fetched_names)

    @cached_property
    def _prediction_runner(self) -> Runner:
        return self._load_reading_lazy_tables(self.plan.predict, self.plan.outputs)

    def _load_reading_lazy_tables(self, graph: Graph, fetched: Iterable[str]) -> Runner:
        return self._optimize_and_load(
            self._lazy_embeddings.lazy_tables.with_current_rows(graph) if self._lazy_embeddings else graph, fetched
        )

    def _optimize_and_load(self, graph: Graph, fetched: Iterable[str]) -> Runner:
        return self._load(self._optimize(graph), fetched)

    @gc_paused()
    def _optimize(
        self, graph: Graph, samples: int | None = None, remat: str | None = None, threads: int | None = None
    ) -> Graph:
        """The graph with what was learned, in the form that suits the machine."""
        try:
            graph = with_vocabularies(graph, self.vocabularies)
        except VocabularyNotLearned as error:
            help = "`fit` learns it from its data, if these have any token; weights of such a run have it"
            raise CompileError([Diagnostic("not-learned", str(error), file=self.plan.file, help=help)]) from error
        if self._optimizes_for_cpu:
            target = Target(
                block_size=nchwc_block_size(),
                has_gated_add=has_gated_add(),
                threads=threads or self.threads,
                usual_batch=samples or self.plan.training.batch_size,
                expected_batch=samples,
                keeps_order=self._keep_order,
            )
            graph = optimize_for_cpu(graph, target)
        return rematerialize(graph, remat, self.plan.training.batch_size)

    @gc_paused()
    def _load(
        self,
        graph: Graph,
        fetched: Iterable[str],
        undo_outputs: Iterable[str] = (),
        threads: int | None = None,
        no_spinning: bool = False,
        own_arena: bool = False,
    ) -> Runner:
        manners = SessionConfig(
            flush_denormals=self.flushes_denormals,
            no_spinning=no_spinning,
            own_arena=own_arena,
            keep_order=self._keep_order,
        )
        return Runner(graph, fetched, self._variables, self.provider, threads or self.threads, undo_outputs, manners)

    # -- variables ---------------------------------------------------------------------------------------------------

    def weights(self) -> Weights:
        """Copies of the network's weights, in Keras' order."""
        found = self._read(name for name in self.plan.weight_names if name not in self.vocabularies) | self.vocabularies
        return {name: found[name] for name in self.plan.weight_names}

    def variables(self) -> Weights:
        """Copies of everything that a step reads: weights, states and slots."""
        return self._read((*self.plan.train.parameters, *self.plan.train.states)) | self.vocabularies

    def _read(self, names: Iterable[str]) -> Weights:
        """Copies of these variables as they are now."""
        wanted = [name for name in names if name not in self.vocabularies]
        found = self._lazy_embeddings.current_values(wanted) if self._lazy_embeddings else {}
        placed = self._variables.read(name for name in wanted if name not in found) | found
        return {name: placed[name] for name in wanted}

    def state_dict(self, *, portable: bool = False) -> Weights:
        """Copies of everything as it is kept: to go on from it is to go on as if nothing had happened. What is plain
        is kept in every form of a step."""
        found = self._variables.read() | self.vocabularies
        further = self._lazy_embeddings.lazy_tables.extra_states if self._lazy_embeddings and portable else ()
        return {name: array for name, array in found.items() if name not in further}

    def convert_state(self, arrays: Weights) -> Weights:
        """What `state_dict` gave, maybe elsewhere, as it can be written here."""
        tables = None if self._lazy_embeddings else self._choose_lazy_tables()
        if tables is None or not has_lazy_state(tables, arrays):
            return arrays
        before = HostVariables(dict(arrays), (), {})
        placed = LazyEmbeddings(
            tables, before, lambda graph, names: Runner(graph, names, before, resolve_provider("cpu"), None)
        )
        plain = {name: array for name, array in arrays.items() if name not in tables.extra_states}
        return plain | placed.current_values(plain)

    def adapt(self, samples: Dataset) -> None:
        """Have layers learn from the samples what they have not learned yet."""
        if self.plan.adapt_tasks:
            start = draw_initial_weights(self.plan.train, self.plan.seed)
            self.write(adapted_states(self.plan.adapt_tasks, samples, start, self.variables()))

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        """New values for some variables, which fit."""
        learned = {name: array for name, array in arrays.items() if name in self.vocabularies}
        if any(not np.array_equal(self.vocabularies[name], array) for name, array in learned.items()):
            self.vocabularies |= learned
            self._augmentation_runners.clear()
            self._step_runner = None
            for runner in ("_evaluation_runner", "_prediction_runner"):
                self.__dict__.pop(runner, None)
        placed = {name: array for name, array in arrays.items() if name not in learned}
        settled = self._lazy_embeddings.catch_up(placed) - placed.keys() if self._lazy_embeddings else ()
        self._variables.write(placed)
        if self._lazy_embeddings and settled:
            self._variables.write(self._lazy_embeddings.step_counts(settled))
        self._undo_depth = 0

    def validate_weights(self, weights: Mapping[str, Any], strict: bool) -> Weights:
        """The weights as the network wants them. Raises FeedError with every fault."""
        values = {**self.plan.train.parameters, **self.plan.train.states}
        arrays, faults = validate_weights(
            weights, {name: values[name].type for name in self.plan.weight_names}, strict=strict
        )
        if faults:
            raise FeedError(faults)
        return arrays

    # -- steps -------------------------------------------------------------------------------------------------------

    def feeds(self, samples: Dataset, rows: np.ndarray | slice, step: int) -> dict[str, np.ndarray]:
        """All that a training step is fed, made of the samples and the number of the step alone."""
        feeds = samples.take(rows)
        for augmented in self.plan.augmented_inputs:
            self._augment(augmented, feeds, step)
        feeds[LEARNING_RATE] = self.rate(step)
        if self.plan.train.randoms:
            sizes = symbol_sizes(self.plan.inputs, feeds)
            feeds |= step_randoms(self.plan.train.randoms, self.plan.seed, step, sizes)
        return feeds

    def rate(self, step: int) -> np.ndarray:
        """The step size of a step, as it is fed."""
        return np.array(self.plan.rate(step), np.float32)

    def _augment(self, augmented: AugmentedInput, feeds: dict[str, np.ndarray], step: int) -> None:
        """Adds the images that a layer makes, and changes the targets where it mixes images."""
        layer, name = augmented.layer, augmented.name
        images = (
            self._augmentation_runner(augmented)(feeds)[augmented.source]
            if augmented.graph
            else feeds[augmented.source]
        )
        rng = generator(self.plan.seed if layer.seed is None else layer.seed, name, step)
        feeds[name], drawn = layer.augment(images, rng)
        for target in map(target_name, self.plan.targets) if layer.mixes_targets else ():
            feeds[target] = layer.transform_labels(feeds[target], **drawn).astype(feeds[target].dtype)

    def _augmentation_runner(self, augmented: AugmentedInput) -> Runner:
        if augmented.name not in self._augmentation_runners:
            assert augmented.graph is not None
            self._augmentation_runners[augmented.name] = self._load_reading_lazy_tables(
                augmented.graph, [augmented.source]
            )
        return self._augmentation_runners[augmented.name]

    def prefetch_buffers(self, samples: Dataset, batch_size: int) -> tuple[PrefetchBuffer, PrefetchBuffer] | None:
        """Places for batches of these samples, to fill one while the other's steps run; None where a batch is made of
        more than samples, or nothing can stay bound."""
        # Bit for bit, a fit is that of its batches: whatever came before, and where it begins with an epoch's last one.
        runner = self._runner_for(min(batch_size, len(samples)), is_fit=True)
        if self.plan.augmented_inputs or len(samples) < batch_size or not runner.keeps_bindings:
            return None
        known = self._prefetch_buffers
        if known is None or not all(lane.is_compatible(runner, samples, batch_size) for lane in known):
            first, second = (PrefetchBuffer(self.plan, runner, samples, batch_size) for _ in range(2))
            known = first, second
        self._prefetch_buffers = known if len(known[0].slots) > 1 else None  # one slot alone may be large
        for lane in known:
            lane.dataset = samples
        return known

    @property
    def current_set(self) -> int:
        """Which of its `SET_COUNT` sets of variables the next step reads; the step behind it reads the next."""
        return self._variables.current_set

    def step(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Losses and statistics of one step, after which the variables are new. Raises Diverged."""
        return next(self.run_steps([feeds]))

    def run_steps(self, batches: Iterable[Mapping[str, np.ndarray] | BatchSlot]) -> Iterator[dict[str, np.ndarray]]:
        """The same of one batch after the other, as they are asked for."""
        for batch in batches:
            slot = batch if isinstance(batch, BatchSlot) and batch.runner is self._step_runner else None
            if slot is None:
                feeds = batch.feeds | batch.extra_feeds if isinstance(batch, BatchSlot) else batch
                runner = self._runner_for(len(feeds[next(iter(self.plan.inputs))]))
            try:
                if slot is None:
                    results = runner(feeds)
                else:
                    slot.run(slot.extra_feeds)
                    results = slot.results
            except BaseException:  # Ctrl-C, too: what is renewed in place may be so by half, or beside older weights
                if self._inplace_slots:
                    self._reset_optimizer()
                raise
            loss = results["loss"].item()
            if not isfinite(loss):
                raise self._recover_from_divergence(loss)
            self.steps += 1
            if self._undo_depth < SET_COUNT - 1:
                self._undo_depth += 1
            yield results

    def _recover_from_divergence(self, loss: float) -> Diverged:
        """Back to the variables from before the last step that was finite: what that step made gave this loss."""
        made = self._variables.read()
        back = min(self._undo_depth, 1)
        self._variables.rollback(1 + back)
        if self._inplace_slots:
            self._reset_optimizer()
        number, self.steps, self._undo_depth = self.steps + 1, self.steps - back, 0
        bad = next((name for name, array in made.items() if not np.isfinite(array).all()), None)
        message = f"the loss became {loss} at step {number}" + (f"; {bad!r} is no longer finite" if bad else "")
        help = "a smaller learning rate, `clipnorm` or scaled inputs may help"
        return Diverged([Diagnostic("diverged", message, "$.training", self.plan.file, help=help)])

    def _reset_optimizer(self) -> None:
        """Its slots as they were before the first step: what is renewed in place does not go back."""
        slots = {name: state for name, state in self.plan.train.states.items() if is_slot_name(name)}
        self.write(draw_initial_weights(replace(self.plan.train, parameters={}, states=slots), self.plan.seed))

    # -- without training --------------------------------------------------------------------------------------------

    def measure(self, samples: Dataset, batch_size: int, should_stop: Callable[[], bool] = lambda: False) -> MetricSums:
        """Losses and statistics of all samples, or of those before it was stopped."""
        totals = MetricSums(self.plan)
        for rows in batch_slices(len(samples), batch_size):
            if should_stop():
                break
            totals.add(self._evaluation_runner(samples.take(rows)), rows.stop - rows.start)
        return totals

    def predict(self, samples: Dataset, batch_size: int) -> dict[str, np.ndarray]:
        """The network's outputs for all samples."""
        inputs = Dataset(samples.inputs, {}, samples.data_spec)
        parts = [self._prediction_runner(inputs.take(rows)) for rows in batch_slices(len(samples), batch_size)]
        return concatenate_batches(parts)


def batch_slices(samples: int, size: int, first: int = 0) -> Iterator[slice]:
    """The samples in order from batch `first` on, the last batch smaller where need be."""
    return (slice(start, min(start + size, samples)) for start in range(first * size, samples, size))
