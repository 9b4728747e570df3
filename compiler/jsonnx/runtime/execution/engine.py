"""Training steps, evaluation and prediction over one set of variables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile
from math import isfinite
from typing import Any

import numpy as np

from ...collective.protocol import Collective
from ...core.numpy_types import as_network_weight
from ...core.reserved_names import AVERAGE_SLOT, LAST_LEARNING_RATE, LEARNING_RATE, LOSS, is_slot_name, slot_scope
from ...core.system.cpu_count import checked_thread_count
from ...core.system.gc_pause import gc_paused
from ...data.samples.batch_stream import BatchStream
from ...data.samples.data_errors import FeedError
from ...data.samples.dataset import Dataset
from ...ir import unlearned_states
from ..providers.provider_options import ProviderOptions
from ..providers.providers import Provider, resolve_provider
from ..providers.random import InferenceRandoms, draw_initial_weights
from ..providers.session_recorder import SessionRecorder
from ..session.session import concatenate_batches
from ..session.weight_files import validate_weights
from ..sharding.rank_evaluation import gathered, measured_batches, own_batches
from ..sharding.shard_group import shard_group
from ..training_plan import Teacher, TrainingPlan, VectorTask
from .adapt import adapted_states
from .device_variables import DeviceVariables
from .divergence import Diverged, diverged, find_origin
from .execution_plan import allocate_variables, plan_execution
from .graph_loader import GraphLoader
from .history import MetricSums, Weights
from .lazy_embeddings import LazyEmbeddings
from .prefetch import BatchSlot, PrefetchBuffer, PrefetchBuffers
from .runner import LossNotFinite
from .step_feeds import StepFeeds
from .step_runners import StepRunnerCache
from .stored_weights import initial_variables, network_weights, stored_names, with_network_weights, with_stored_types
from .variables import SET_COUNT, DonatedArrays, HostVariables
from .worker_thread import WorkerThread


class Engine:
    """The variables of a training plan, and the runners that read and update them.

    With `fast`, graphs are rewritten for this machine. `donated_weights` replace initial weights, and must fit.
    """

    @gc_paused()
    def __init__(
        self,
        plan: TrainingPlan,
        provider: str | Provider,
        threads: int | None,
        fast: bool = True,
        donated_weights: DonatedArrays | None = None,
        provider_options: ProviderOptions | None = None,
        collective: Collective | None = None,
    ) -> None:
        self.plan = plan
        resolved_provider = resolve_provider(provider, provider_options)
        self.group = shard_group(plan, resolved_provider, collective)
        """The workers of a distributed training; None if the spec asks for none."""
        self.execution = plan_execution(plan, resolved_provider, checked_thread_count(threads), fast)
        self.steps = 0
        self.constant_rate = np.array(plan.constant_rate, np.float32)
        """Fed to every step without a copy, so that a change also reaches batches that are prepared already."""
        self._replaced_rate, self._rate_set_at = self.constant_rate, -1
        """The constant learning rate before it was last set, and the number of steps done by then."""
        variables = initial_variables(plan.train, plan.seed, donated_weights or DonatedArrays({}))
        initial = DonatedArrays(variables.take_all() | self.execution.zero_states())
        vocabularies = {name: initial.take(name) for name in unlearned_states(plan.train)}
        self._variables = allocate_variables(self.execution, initial)
        self._prefetch_buffers = PrefetchBuffers(plan, self.constant_rate)
        self.worker = WorkerThread()
        """Prepares batches while steps run."""
        self._undo_depth = 0
        """The number of earlier steps that the sets of variables still hold."""
        self._is_on_device = isinstance(self._variables, DeviceVariables)
        self._unchecked_steps = 0
        """Steps on a device whose losses are not read yet."""
        self._kept_steps = 0
        """The steps before the set of variables that a device keeps."""
        self.vector_counts: dict[str, tuple[int, int]] = {}
        """The tokens that have a vector in a file, and all tokens, by the embedding that starts with them."""
        self.teacher: Teacher | None = None
        """The teacher whose outputs steps are fed; None until it is opened, or if there is none."""
        self.recorder: SessionRecorder | None = None
        """Records when the nodes of training steps run."""
        self._use_vocabularies(vocabularies)

    def _use_vocabularies(self, vocabularies: Weights) -> None:
        """Sets the vocabularies, and discards all runners, since vocabularies are constants of their graphs."""
        self.vocabularies = vocabularies
        self.loader = GraphLoader(self.plan, self.execution, self._variables, vocabularies, self.recorder, self.group)
        self.step_feeds = StepFeeds(self.plan, self.loader, self.constant_rate, self.group)
        self.step_runners = StepRunnerCache(
            self.loader.build_step,
            self._prefetch_buffers.release,
            depends_on_batch=self.execution.depends_on_batch,
            can_own_arena=self.execution.can_own_arena,
        )
        self._prefetch_buffers.release()
        lazy_tables = self.execution.lazy_tables
        self._lazy_embeddings = (
            LazyEmbeddings(lazy_tables, self._variables, self.loader.load_optimized) if lazy_tables else None
        )

    def record_steps(self, recorder: SessionRecorder | None) -> None:
        """Lets a recorder record the training steps from now on; None ends this."""
        self.recorder = recorder
        self._use_vocabularies(self.vocabularies)

    # -- variables ---------------------------------------------------------------------------------------------------

    def weights(self) -> Weights:
        """Copies of the network's weights, in Keras' order."""
        names = self.plan.weight_names
        values = self._read(stored_names(self.plan.train, names)) | self.vocabularies
        return network_weights(self.plan.train, names, values)

    def current_weights(self) -> Mapping[str, np.ndarray]:
        """The network's weights, in Keras' order, until a step or `write` replaces them: not to be changed.

        Only those of lazily updated embeddings, of a device, and those that are stored in other types are copies.
        """
        names = self.plan.weight_names
        return network_weights(self.plan.train, names, self._current(names))

    def current_variables(self) -> Mapping[str, np.ndarray]:
        """Everything that a step reads, as `current_weights`."""
        return self._current((*self.plan.train.parameters, *self.plan.train.states))

    def _current(self, names: Iterable[str]) -> Mapping[str, np.ndarray]:
        """These variables, as `current_weights`, and others."""
        return {**self._variables.views(), **self._current_lazy_values(names), **self.vocabularies}

    def variables(self) -> Weights:
        """Copies of everything that a step reads: weights, states and optimizer slots."""
        return self._read((*self.plan.train.parameters, *self.plan.train.states)) | self.vocabularies

    def _read(self, names: Iterable[str]) -> Weights:
        """Copies of the current values of these variables, without vocabularies."""
        variable_names = [name for name in names if name not in self.vocabularies]
        lazy_values = self._current_lazy_values(variable_names)
        values = lazy_values | self._variables.read(name for name in variable_names if name not in lazy_values)
        return {name: values[name] for name in variable_names}

    def _current_lazy_values(self, names: Iterable[str]) -> Weights:
        return self._lazy_embeddings.current_values(names) if self._lazy_embeddings else {}

    def state_dict(self) -> Mapping[str, np.ndarray]:
        """The stored values of all variables, which a run needs to resume bit for bit, as `current_weights`."""
        return {**self._variables.views(), **self.vocabularies}

    def state_types(self) -> Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]:
        """Element types and shapes of the variables in `state_dict`."""
        return {**self._variables.types(), **{name: (a.dtype, a.shape) for name, a in self.vocabularies.items()}}

    def adapt(self, samples: Dataset | BatchStream) -> None:
        """Sets the states that layers learn from the samples, unless they are learned already."""
        if self.plan.adapt_tasks:
            initial = draw_initial_weights(with_network_weights(self.plan.train), self.plan.seed)
            variables, seed = self.variables(), self.plan.seed
            learned = adapted_states(self.plan.adapt_tasks, samples, initial, variables, seed)
            self.write(learned)
            for task in self.plan.vector_tasks:
                if task.vocabulary in learned and np.array_equal(initial[task.weight], variables[task.weight]):
                    self._start_with_vectors(task, learned[task.vocabulary].tolist())

    def _start_with_vectors(self, task: VectorTask, tokens: list[str]) -> None:
        """Gives the tokens of an embedding the vectors of a file."""
        indices, vectors = task.read(tokens, self.plan.source)
        self.write_rows(task.weight, indices, vectors, len(tokens))

    def write_rows(self, weight: str, indices: np.ndarray, vectors: np.ndarray, token_count: int) -> None:
        """Replaces the vectors of some of the tokens of an embedding."""
        self.vector_counts[weight] = (len(indices), token_count)
        array = np.array(as_network_weight(self._read([weight])[weight]))
        array[indices] = vectors
        self.write({weight: array})

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Replaces the values of some variables by arrays that fit."""
        vocabularies = {name: array for name, array in arrays.items() if name in self.vocabularies}
        if any(not np.array_equal(self.vocabularies[name], array) for name, array in vocabularies.items()):
            self._use_vocabularies(self.vocabularies | vocabularies)
        values = with_stored_types(
            self.plan.train, {name: array for name, array in arrays.items() if name not in vocabularies}
        )
        outdated_counts = self._lazy_embeddings.catch_up(values) - values.keys() if self._lazy_embeddings else ()
        self._variables.write(values)
        if self._lazy_embeddings and outdated_counts:
            self._variables.write(self._lazy_embeddings.step_counts(outdated_counts))
        self._undo_depth = self._unchecked_steps = 0
        self._kept_steps = self.steps

    def validate_weights(self, weights: Mapping[str, Any], strict: bool) -> Weights:
        """The weights in the types of the network. Raises FeedError with every error."""
        arrays, errors = validate_weights(weights, self.plan.weight_types, strict=strict)
        if errors:
            raise FeedError(errors)
        return arrays

    def use_average_weights(self) -> None:
        """Replaces the weights by their exponential moving averages, if the optimizer keeps any."""
        averages = {f"{slot_scope(weight)}/{AVERAGE_SLOT}": weight for weight in self.plan.train.parameters}
        names = [name for name in averages if name in self.plan.train.states]
        if names and self.steps:
            self.write({averages[name]: array for name, array in self._read(names).items()})

    # -- batches -----------------------------------------------------------------------------------------------------

    def feeds(self, samples: Dataset, rows: np.ndarray | slice, step: int) -> dict[str, np.ndarray]:
        """All feeds of a training step."""
        feeds = self.step_feeds.of(samples, rows, step)
        return feeds if self.teacher is None else self.teacher.with_outputs(feeds)

    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        runner = self.loader.rate_runner
        return float(self.constant_rate if runner is None else runner({})[LEARNING_RATE])

    def last_learning_rate(self) -> float:
        """The learning rate of the last step, with no more digits than a float32 has."""
        runner = self.loader.rate_runner
        constant = self._replaced_rate if self._rate_set_at == self.steps else self.constant_rate
        return float(str(constant if runner is None else runner({})[LAST_LEARNING_RATE]))

    def set_learning_rate(self, rate: float) -> None:
        """Replaces the constant learning rate, from the next step on."""
        if self._rate_set_at != self.steps:
            self._replaced_rate, self._rate_set_at = self.constant_rate.copy(), self.steps
        self.constant_rate[...] = rate

    def prefetch_buffers(self, samples: Dataset, batch_size: int) -> tuple[PrefetchBuffer, PrefetchBuffer] | None:
        """Two buffers for the batches of a fit: one is filled while the steps of the other run; None if the
        fit must prepare its batches one by one.

        The step runner is built for the batch size, even if an earlier runner exists or a resumed fit begins with an
        incomplete batch: a fit must give the same bits every time.
        """
        largest_batch = min(batch_size, len(samples))
        feeds = {name: np.broadcast_to(0, (largest_batch, *samples.sample_shape(name))) for name in samples.fed_inputs}
        sizes = self.loader.sized_steps.sizes_for(feeds)
        runner = self.step_runners.for_batch(largest_batch, sizes, is_fit=True)
        return self._prefetch_buffers.for_fit(runner, samples, batch_size)

    @property
    def current_set(self) -> int:
        """The index, below `SET_COUNT`, of the set of variables that the next step reads."""
        return self._variables.current_set

    # -- steps -------------------------------------------------------------------------------------------------------

    def step(self, feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Runs one training step and returns its losses and metric sums. Raises Diverged."""
        return next(self.run_steps([feeds]))

    def run_steps(self, batches: Iterable[Mapping[str, np.ndarray] | BatchSlot]) -> Iterator[Mapping[str, np.ndarray]]:
        """Runs a training step for each batch and yields its losses and metric sums. Raises Diverged.

        Results that stay on a device are not checked here, but by `check_losses`.
        """
        for batch in batches:
            slot = batch if isinstance(batch, BatchSlot) and batch.runner is self.step_runners.runner else None
            if slot is None:
                feeds = batch.feeds | batch.extra_feeds if isinstance(batch, BatchSlot) else batch
                sizes = self.loader.sized_steps.sizes_for(feeds)
                runner = self.step_runners.for_batch(self.step_feeds.batch_samples(feeds), sizes)
            results: Mapping[str, np.ndarray]
            try:
                if slot is None:
                    results = runner(feeds)
                else:
                    slot.run(slot.extra_feeds)
                    results = slot.results
                    if slot.defers_results:
                        self.steps, self._unchecked_steps = self.steps + 1, self._unchecked_steps + 1
                        yield results
                        continue
            except LossNotFinite:
                raise self._diverged_before_update(batch) from None
            except BaseException:  # also Ctrl-C: slots overwritten in place may be newer than the weights
                if self.execution.inplace_slots:
                    self._reset_optimizer()
                raise
            loss = results[LOSS].item()
            if not isfinite(loss):
                raise self._recover_from_divergence(loss, self.steps + 1, batch)
            self.steps += 1
            if self._is_on_device:
                self._confirm_variables()
            if self._undo_depth < SET_COUNT - 1:
                self._undo_depth += 1
            yield results

    def check_losses(self, results: Iterable[Mapping[str, np.ndarray]]) -> None:
        """Checks the losses of the steps since the last check, if their results stay on a device. Raises Diverged."""
        if not self._unchecked_steps:
            return
        first_step = self.steps - self._unchecked_steps + 1
        for step, losses in enumerate(results, first_step):
            loss = losses[LOSS].item()
            if not isfinite(loss):
                raise self._recover_from_divergence(loss, step)
        self._confirm_variables()

    def _confirm_variables(self) -> None:
        """Lets a divergence return to the variables that the last step has read: its loss is finite."""
        self._unchecked_steps = 0
        assert isinstance(self._variables, DeviceVariables)
        self._variables.confirm()
        self._kept_steps = self.steps - 1

    def _recover_from_divergence(
        self, loss: float, step: int, batch: Mapping[str, np.ndarray] | BatchSlot | None = None
    ) -> Diverged:
        """To the variables before the last step with a finite loss, whose update led to this loss; on a device,
        to those before the last steps whose losses were read together."""
        undone_steps = min(self._undo_depth, 1)
        origin = None
        if batch is None or self._is_on_device:  # whose variables before the step are not kept
            self._variables.rollback(1 + undone_steps)
        else:
            self._variables.rollback(1)
            feeds = batch.feeds | batch.extra_feeds if isinstance(batch, BatchSlot) else batch
            with suppress(Exception):  # such as too little memory: the divergence is told without its origin
                origin = find_origin(self.plan.train, self.current_variables(), self.vocabularies, feeds)
            self._variables.rollback(undone_steps)
        if self.execution.inplace_slots:
            self._reset_optimizer()
        self.steps = self._kept_steps if self._is_on_device else self.steps - undone_steps
        self._undo_depth = self._unchecked_steps = 0
        return diverged(self.plan, f"the loss became {loss} at step {step}", origin)

    def _diverged_before_update(self, batch: Mapping[str, np.ndarray] | BatchSlot) -> Diverged:
        """The error of a step that found its loss not finite before it overwrote variables.

        If the weights that it read are not finite either, they are unusable, since the update that led to them cannot
        be undone.
        """
        assert isinstance(self._variables, HostVariables)
        origin, feeds = None, batch.feeds | batch.extra_feeds if isinstance(batch, BatchSlot) else batch
        with suppress(Exception):  # such as too little memory: the divergence is told without its origin
            origin = find_origin(self.plan.train, self.current_variables(), self.vocabularies, feeds)
        message = f"the loss or the norm of the gradients is not finite at step {self.steps + 1}"
        error = diverged(self.plan, message, origin)
        weights = self._variables.views(self.plan.train.parameters)
        if not all(np.isfinite(array).all() for array in weights.values() if array.dtype.kind == "f"):
            self._variables.damage = "the last step made weights NaN or infinite, which cannot be undone"
        return error

    def _reset_optimizer(self) -> None:
        """Resets the optimizer's slots to their initial values, since overwritten slots cannot be rolled back."""
        kept, states = self.plan.schedule_states, self.plan.train.states.items()
        slots = {name: state for name, state in states if is_slot_name(name) and name not in kept}
        self.write(draw_initial_weights(replace(self.plan.train, parameters={}, states=slots), self.plan.seed))

    # -- without training --------------------------------------------------------------------------------------------

    def measure(
        self,
        samples: Dataset | BatchStream,
        batch_size: int,
        should_stop: Callable[[], bool] = lambda: False,
        begin_hooks: Sequence[Callable[[int, dict[str, float]], None]] = (),
        end_hooks: Sequence[Callable[[int, dict[str, float]], None]] = (),
        plan: TrainingPlan | None = None,
    ) -> MetricSums:
        """Losses and metric sums over all samples, or over those before `should_stop` returned true.

        Hooks are called before and after each batch, with its number and the losses and metrics so far.
        Samples with weights for outputs that the plan does not weight get an evaluation graph of their own. `plan`
        replaces the engine's: one of the same network, with other metrics.
        """
        measured = self.plan if plan is None else plan
        plan = measured.weighting(measured.weighted_outputs.union(samples.weights))
        run = self.loader.evaluation_runner(plan) if measured is self.plan else self.loader.load_evaluation(plan)
        samples = samples.for_graphs(plan.data_spec)
        metric_sums, randoms = MetricSums(measured), InferenceRandoms.of(plan.evaluate, plan.seed)
        for number, (feeds, count) in enumerate(samples.batches(batch_size)):
            if should_stop():
                break
            for begin in begin_hooks:
                begin(number, {})
            metric_sums.add(run(randoms.fed(feeds, plan.inputs)), count)
            logs = metric_sums.results() if end_hooks else {}
            for end in end_hooks:
                end(number, logs)
        return metric_sums

    def measure_by_ranks(
        self, samples: Dataset | BatchStream, batch_size: int, should_stop: Callable[[], bool]
    ) -> MetricSums:
        """Losses and metric sums over all samples, whose batches all ranks of a distributed training divide."""
        assert self.group is not None
        collective, plan = self.group.collective, self.plan.weighting(self.plan.weighted_outputs.union(samples.weights))
        runners = self.loader.evaluation_runners(plan, self.execution.shard_threads)
        batches = own_batches(samples.for_graphs(plan.data_spec), batch_size, collective, plan)
        own = list(measured_batches(takewhile(lambda _: not should_stop(), batches), runners))
        metric_sums = MetricSums(self.plan)
        for batch in gathered(collective, own):
            metric_sums.add(batch.results, batch.sample_count)
        return metric_sums

    def predict(self, samples: Dataset, batch_size: int) -> dict[str, np.ndarray]:
        """The network's outputs for all samples."""
        inputs = samples.select_inputs(self.plan.predict.inputs)
        slices = batch_slices(len(samples), batch_size)
        randoms = InferenceRandoms.of(self.plan.predict, self.plan.seed)
        batches = (randoms.fed(inputs.take(rows), self.plan.inputs) for rows in slices)
        return concatenate_batches([self.loader.prediction_runner(feeds) for feeds in batches])


def batch_slices(samples: int, batch_size: int) -> Iterator[slice]:
    """Slices of consecutive batches; the last may be smaller."""
    return (slice(start, min(start + batch_size, samples)) for start in range(0, samples, batch_size))
