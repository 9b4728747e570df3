"""Steps, measurements and predictions over one set of variables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.diagnostics import CompileError, Diagnostic
from ..core.types import BATCH
from ..ir import NotLearned, open_states, settled, uncollected
from ..passes.canonicalize import reshaped_once
from ..passes.training.remat import rematerialised
from ..training.reserved_names import RATE, SLOTS, target_name
from ..tuning.cpu.embeddings.lazy_updates import ByRows, by_rows
from ..tuning.cpu.embeddings.scatter_gradient import with_rows_once
from ..tuning.cpu.gated_add import with_scaled_sums
from ..tuning.cpu.matmul.fuse import with_fused_products
from ..tuning.cpu.matmul.partition_rows import has_few_to_sum, with_own_rows
from ..tuning.cpu.matmul.transpose_small import has_products_to_turn, with_turned_products
from ..tuning.cpu.memory.inplace_slots import renewed_in_place
from ..tuning.cpu.memory.pack_weights import packed
from ..tuning.cpu.nchwc.conv1d_as_conv2d import raised
from ..tuning.cpu.nchwc.conv3d_as_conv2d import planes
from ..tuning.cpu.nchwc.convert import blocked
from ..tuning.cpu.nchwc.copy_summands import with_copied_sums
from ..tuning.cpu.recurrent.convert import row_blocked
from ..tuning.cpu.schedule import ordered
from .adapt import adapted
from .cpu_count import thread_count
from .data_errors import FeedError
from .data_parallel import Shares, shared_out
from .dataset import Samples
from .flush_denormals import can_flush
from .history import History, Totals, Weights
from .kernel_probes import block_size, has_scaled_sums
from .lazy_embeddings import RowTables, has_rows
from .prefetch import Lane, Slot
from .providers import CPU, Manners, resolve
from .random import batch_sizes, generator, initial_weights, step_randoms
from .session import element_type, joined
from .training_plan import Augmented, Plan
from .variables import SETS, HostVariables, Runner, on_host, place, takes_text
from .weight_files import fitting
from .worker_thread import Helper

if TYPE_CHECKING:
    from ..ir import Graph


PATIENCE = 16
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

    @uncollected()
    def __init__(
        self, plan: Plan, provider: str, threads: int | None, fast: bool = True, given: Weights | None = None
    ) -> None:
        """`given` are weights that fit, in place of initial ones. They are taken over: nothing is left in the dict."""
        self.plan, self.provider, self.threads = plan, resolve(provider), threads or thread_count()
        self.steps = 0
        start = initial_weights(plan.train, plan.seed, given or {})
        if given is not None:
            given.clear()
        self.learned: Weights = {name: start.pop(name) for name in open_states(plan.train)}
        joins = fast and on_host(plan.train, self.provider) and plan.training.remat is None
        bound = joins and self.provider.full == CPU and not takes_text(plan.train)
        tables = self._by_rows() if bound else None
        self._shared = shared_out(plan, self.threads) if bound and not tables else None
        step = tables.graph if tables else self._shared.rest if self._shared else plan.train
        for name, state in tables.further.items() if tables else ():
            start[name] = np.zeros(state.shape, element_type(state.dtype))
        self._step, packs = packed(step) if joins else (step, {})
        # Tables by rows count steps for their rows, so the optimizer could not begin anew.
        self._in_place = renewed_in_place(self._step) if bound and not tables else frozenset()
        self._variables = place(step, start, self.provider, packs, tables, self._in_place)
        self._tables = RowTables(tables, self._variables, self._plain) if tables else None
        self._train: Runner | Shares | None = None
        self._suits_cpu = fast and self.provider.full == CPU
        self._in_order = self._suits_cpu and plan.training.remat is None
        self.flushes = self._suits_cpu and can_flush()
        """Whether denormals are zero in its runs."""
        work = self._shared.share if self._shared else self._step
        convolves = self._suits_cpu and any(told.op == "Conv" for told in work.gradients.values())
        few = has_products_to_turn(work) or has_few_to_sum(work, self.threads)
        self._depends = convolves or (self._suits_cpu and few)  # on how many samples come
        sizes = {size for value in work.inputs.values() for size in value.shape if not isinstance(size, int)}
        self._alike = convolves and sizes <= {BATCH}  # no size but that varies from step to step
        self._made_for = 0  # so many
        self._exact = False  # whether its memory is in pieces of their sizes
        self._more = 0  # steps in a row with more
        self._prepared: dict[str, Runner] = {}
        self._lanes: tuple[Lane, Lane] | None = None
        self.helper = Helper()
        """Makes batches ready while steps run."""
        self._trail = 0  # sets behind the current one that hold the values of earlier steps

    def _training(self, samples: int, *, fit: bool = False) -> Runner | Shares:
        """What runs a step of any number of samples, and is fastest with that for which it was made: a fit's, or the
        number of the first step, or a larger one that came some times in a row."""
        others = self._depends and samples != self._made_for
        self._more = self._more + 1 if others and samples > self._made_for else 0
        if self._train is None or self._more > PATIENCE or (others and fit):
            self._made_for, self._more, self._exact = samples, 0, self._alike and not self._shared
            self._train = self._made()
        elif self._exact and samples > self._made_for:
            # Pieces for ever larger sizes would come beside those that are there.
            self._exact = False
            self._train = self._made()
        return self._train

    def _made(self) -> Runner | Shares:
        self._train = self._lanes = None  # first the old one goes, with its memory, and lanes, which are bound to it
        return self._made_for_shares(self._made_for) if self._shared else self._made_whole(self._made_for)

    def _made_whole(self, samples: int) -> Runner:
        graph = self._suited(self._step, samples, self.plan.training.remat)
        kept = self._tables.step.kept if self._tables else ()
        return self._loaded(graph, self.plan.fetched, kept, exact=self._exact)

    def _made_for_shares(self, samples: int) -> Shares:
        assert self._shared is not None
        step, fetched = self._shared, self.plan.fetched
        graph = self._suited(step.share, max(1, samples // step.count), threads=1)
        # A session each: threads would hand each other memory of one that they share.
        shares = [self._loaded(graph, step.share.outputs, threads=1) for _ in range(step.count)]
        return Shares(step, shares, self._loaded(self._suited(self._step), fetched, rests=True), fetched)

    def _by_rows(self) -> ByRows | None:
        """The step with tables by rows, as the spec alone decides it."""
        plan = self.plan
        others = [plan.evaluate, plan.predict, *(made.graph for made in plan.augmented if made.graph)]
        return by_rows(plan.train, others, plan.training.batch_size)

    @cached_property
    def _evaluate(self) -> Runner:
        return self._runner(self.plan.evaluate, self.plan.fetched)

    @cached_property
    def _predict(self) -> Runner:
        return self._runner(self.plan.predict, self.plan.outputs)

    def _runner(self, graph: Graph, fetched: Iterable[str]) -> Runner:
        return self._plain(self._tables.step.reading(graph) if self._tables else graph, fetched)

    def _plain(self, graph: Graph, fetched: Iterable[str]) -> Runner:
        return self._loaded(self._suited(graph), fetched)

    @uncollected()
    def _suited(
        self, graph: Graph, samples: int | None = None, remat: str | None = None, threads: int | None = None
    ) -> Graph:
        """The graph with what was learned, in the form that suits the machine."""
        batch, threads = samples or self.plan.training.batch_size, threads or self.threads
        try:
            graph = settled(graph, self.learned)
        except NotLearned as error:
            help = "`fit` learns it from its data, if these have any token; weights of such a run have it"
            raise CompileError([Diagnostic("not-learned", str(error), file=self.plan.file, help=help)]) from error
        if self._suits_cpu:
            graph = with_rows_once(graph)
            if block_size() > 1:
                graph = blocked(planes(raised(graph), block_size()), block_size(), samples, threads)
                graph = row_blocked(graph, block_size(), batch)
            if has_scaled_sums():
                graph = with_scaled_sums(graph)
            graph = with_own_rows(with_turned_products(graph, samples), samples, threads)
            graph = with_fused_products(graph)
            if self._in_order:
                graph = ordered(reshaped_once(graph))
            graph = with_copied_sums(graph, batch)
        return rematerialised(graph, remat, self.plan.training.batch_size)

    @uncollected()
    def _loaded(
        self,
        graph: Graph,
        fetched: Iterable[str],
        kept: Iterable[str] = (),
        threads: int | None = None,
        rests: bool = False,
        exact: bool = False,
    ) -> Runner:
        manners = Manners(flushes=self.flushes, rests=rests, exact=exact, in_order=self._in_order)
        return Runner(graph, fetched, self._variables, self.provider, threads or self.threads, kept, manners)

    # -- variables ---------------------------------------------------------------------------------------------------

    def weights(self) -> Weights:
        """Copies of the network's weights, in Keras' order."""
        found = self._read(name for name in self.plan.weight_names if name not in self.learned) | self.learned
        return {name: found[name] for name in self.plan.weight_names}

    def variables(self) -> Weights:
        """Copies of everything that a step reads: weights, states and slots."""
        return self._read((*self.plan.train.parameters, *self.plan.train.states)) | self.learned

    def _read(self, names: Iterable[str]) -> Weights:
        """Copies of these variables as they are now."""
        wanted = [name for name in names if name not in self.learned]
        found = self._tables.now(wanted) if self._tables else {}
        placed = self._variables.read(name for name in wanted if name not in found) | found
        return {name: placed[name] for name in wanted}

    def stored(self, *, plain: bool = False) -> Weights:
        """Copies of everything as it is kept: to go on from it is to go on as if nothing had happened. What is plain
        is kept in every form of a step."""
        found = self._variables.read() | self.learned
        further = self._tables.step.further if self._tables and plain else ()
        return {name: array for name, array in found.items() if name not in further}

    def taken(self, arrays: Weights) -> Weights:
        """What `stored` gave, maybe elsewhere, as it can be written here."""
        tables = None if self._tables else self._by_rows()
        if tables is None or not has_rows(tables, arrays):
            return arrays
        before = HostVariables(dict(arrays), (), {})
        placed = RowTables(tables, before, lambda graph, names: Runner(graph, names, before, resolve("cpu"), None))
        plain = {name: array for name, array in arrays.items() if name not in tables.further}
        return plain | placed.now(plain)

    def adapt(self, samples: Samples) -> None:
        """Have layers learn from the samples what they have not learned yet."""
        if self.plan.lessons:
            start = initial_weights(self.plan.train, self.plan.seed)
            self.write(adapted(self.plan.lessons, samples, start, self.variables()))

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        """New values for some variables, which fit."""
        learned = {name: array for name, array in arrays.items() if name in self.learned}
        if any(not np.array_equal(self.learned[name], array) for name, array in learned.items()):
            self.learned |= learned
            self._prepared.clear()
            self._train = None
            for runner in ("_evaluate", "_predict"):
                self.__dict__.pop(runner, None)
        placed = {name: array for name, array in arrays.items() if name not in learned}
        settled = self._tables.settle(placed) - placed.keys() if self._tables else ()
        self._variables.write(placed)
        if self._tables and settled:
            self._variables.write(self._tables.counted(settled))
        self._trail = 0

    def fitting(self, weights: Mapping[str, Any], strict: bool) -> Weights:
        """The weights as the network wants them. Raises FeedError with every fault."""
        values = {**self.plan.train.parameters, **self.plan.train.states}
        arrays, faults = fitting(weights, {name: values[name].type for name in self.plan.weight_names}, strict=strict)
        if faults:
            raise FeedError(faults)
        return arrays

    # -- steps -------------------------------------------------------------------------------------------------------

    def feeds(self, samples: Samples, rows: np.ndarray | slice, step: int) -> dict[str, np.ndarray]:
        """All that a training step is fed, made of the samples and the number of the step alone."""
        feeds = samples.take(rows)
        for augmented in self.plan.augmented:
            self._augment(augmented, feeds, step)
        feeds[RATE] = self.rate(step)
        if self.plan.train.randoms:
            sizes = batch_sizes(self.plan.inputs, feeds)
            feeds |= step_randoms(self.plan.train.randoms, self.plan.seed, step, sizes)
        return feeds

    def rate(self, step: int) -> np.ndarray:
        """The step size of a step, as it is fed."""
        return np.array(self.plan.rate(step), np.float32)

    def _augment(self, augmented: Augmented, feeds: dict[str, np.ndarray], step: int) -> None:
        """Adds the images that a layer makes, and changes the targets where it mixes images."""
        layer, name = augmented.layer, augmented.name
        images = self._before(augmented)(feeds)[augmented.source] if augmented.graph else feeds[augmented.source]
        rng = generator(self.plan.seed if layer.seed is None else layer.seed, name, step)
        feeds[name], drawn = layer.augment(images, rng)
        for target in map(target_name, self.plan.targets) if layer.mixes else ():
            feeds[target] = layer.labels(feeds[target], **drawn).astype(feeds[target].dtype)

    def _before(self, augmented: Augmented) -> Runner:
        if augmented.name not in self._prepared:
            assert augmented.graph is not None
            self._prepared[augmented.name] = self._runner(augmented.graph, [augmented.source])
        return self._prepared[augmented.name]

    def lanes(self, samples: Samples, batch_size: int) -> tuple[Lane, Lane] | None:
        """Places for batches of these samples, to fill one while the other's steps run; None where a batch is made of
        more than samples, or nothing can stay bound."""
        # Bit for bit, a fit is that of its batches: whatever came before, and where it begins with an epoch's last one.
        runner = self._training(min(batch_size, len(samples)), fit=True)
        if self.plan.augmented or len(samples) < batch_size or not runner.stays:
            return None
        known = self._lanes
        if known is None or not all(lane.suits(runner, samples, batch_size) for lane in known):
            first, second = (Lane(self.plan, runner, samples, batch_size) for _ in range(2))
            known = first, second
        self._lanes = known if len(known[0].slots) > 1 else None  # one slot alone may be large
        for lane in known:
            lane.samples = samples
        return known

    @property
    def current_set(self) -> int:
        """Which of its `SETS` sets of variables the next step reads; the step behind it reads the next."""
        return self._variables.current

    def step(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Losses and statistics of one step, after which the variables are new. Raises Diverged."""
        return next(self.steps_of([feeds]))

    def steps_of(self, batches: Iterable[Mapping[str, np.ndarray] | Slot]) -> Iterator[dict[str, np.ndarray]]:
        """The same of one batch after the other, as they are asked for."""
        for batch in batches:
            slot = batch if isinstance(batch, Slot) and batch.runner is self._train else None
            if slot is None:
                feeds = batch.feeds | batch.further if isinstance(batch, Slot) else batch
                runner = self._training(len(feeds[next(iter(self.plan.inputs))]))
            try:
                if slot is None:
                    results = runner(feeds)
                else:
                    slot.run(slot.further)
                    results = slot.results
            except BaseException:  # Ctrl-C, too: what is renewed in place may be so by half, or beside older weights
                if self._in_place:
                    self._restart_optimizer()
                raise
            loss = results["loss"].item()
            if not isfinite(loss):
                raise self._diverged(loss)
            self.steps += 1
            if self._trail < SETS - 1:
                self._trail += 1
            yield results

    def _diverged(self, loss: float) -> Diverged:
        """Back to the variables from before the last step that was finite: what that step made gave this loss."""
        made = self._variables.read()
        back = min(self._trail, 1)
        self._variables.back(1 + back)
        if self._in_place:
            self._restart_optimizer()
        number, self.steps, self._trail = self.steps + 1, self.steps - back, 0
        bad = next((name for name, array in made.items() if not np.isfinite(array).all()), None)
        message = f"the loss became {loss} at step {number}" + (f"; {bad!r} is no longer finite" if bad else "")
        help = "a smaller learning rate, `clipnorm` or scaled inputs may help"
        return Diverged([Diagnostic("diverged", message, "$.training", self.plan.file, help=help)])

    def _restart_optimizer(self) -> None:
        """Its slots as they were before the first step: what is renewed in place does not go back."""
        slots = {name: state for name, state in self.plan.train.states.items() if name.startswith(SLOTS)}
        self.write(initial_weights(replace(self.plan.train, parameters={}, states=slots), self.plan.seed))

    # -- without training --------------------------------------------------------------------------------------------

    def measure(self, samples: Samples, batch_size: int, stopped: Callable[[], bool] = lambda: False) -> Totals:
        """Losses and statistics of all samples, or of those before it was stopped."""
        totals = Totals(self.plan)
        for rows in batches(len(samples), batch_size):
            if stopped():
                break
            totals.add(self._evaluate(samples.take(rows)), rows.stop - rows.start)
        return totals

    def predict(self, samples: Samples, batch_size: int) -> dict[str, np.ndarray]:
        """The network's outputs for all samples."""
        inputs = Samples(samples.inputs, {}, samples.wanted)
        parts = [self._predict(inputs.take(rows)) for rows in batches(len(samples), batch_size)]
        return joined(parts)


def batches(samples: int, size: int, first: int = 0) -> Iterator[slice]:
    """The samples in order from batch `first` on, the last batch smaller where need be."""
    return (slice(start, min(start + size, samples)) for start in range(first * size, samples, size))
