"""The metrics of an output by the network and by its baselines, added up over the same samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...data.rows.windows import WindowedDataset
from ...data.samples.dataset import Dataset
from ...runtime.session.session import Session
from ...runtime.training_plan import TrainingPlan
from ..run.trained_model import batch_slices, evaluation_batch_size
from .baseline import Baseline
from .bootstrap import MIN_GROUPS, SEED, group_size
from .naive_forecasts import ScaledErrors
from .output_scorer import OutputScorer, ScoreSums
from .season import Season
from .training_targets import TrainingTargets

NETWORK, MASE = "network", "mase"


@dataclass
class ComparedOutput:
    """An output, its baselines, and the sums of the metrics of each."""

    targets: TrainingTargets
    baselines: list[Baseline]
    scorer: OutputScorer
    own_scorers: Mapping[str, OutputScorer]
    """The scorers of baselines with thresholds of their own, by title."""
    season: Season | None
    scaled_errors: ScaledErrors | None
    notes: list[str]
    reservation: str
    """Why the best baseline says little; empty if scikit-learn is installed."""
    sums: dict[str, ScoreSums] = field(default_factory=dict)
    """By the title of a model, the network first."""

    @property
    def name(self) -> str:
        return self.targets.scale.name

    def add_sums(self, other: ComparedOutput) -> None:
        """Adds the metrics of other samples, by the models that are fitted for them."""
        self.sums = {title: sums.plus(other.sums[title]) for title, sums in self.sums.items() if title in other.sums}
        self.baselines = [baseline for baseline in self.baselines if baseline.title in self.sums]

    def add(self, samples: Dataset, feeds: dict[str, np.ndarray], groups: Sequence[np.ndarray]) -> None:
        """Adds the metrics of a batch; `feeds` are its inputs, targets, weights, and outputs of the network."""
        network = feeds[self.name]
        self._add_model(NETWORK, samples, feeds, groups)
        for baseline in self.baselines:
            scores = baseline.scores(samples, network.shape)
            numbers = self.targets.scale.numbers(self.targets.kind, scores).astype(network.dtype)
            self._add_model(baseline.title, samples, feeds | {self.name: numbers}, groups)

    def _add_model(
        self, title: str, samples: Dataset, feeds: dict[str, np.ndarray], groups: Sequence[np.ndarray]
    ) -> None:
        scorer = self.own_scorers.get(title, self.scorer)
        sums = self.sums.setdefault(title, ScoreSums(scorer.metrics, scorer.has_loss))
        scored = {name: feeds[name] for name in scorer.session.inputs}
        sums.add(scorer.statistics(scored), len(samples))
        for group in groups:
            sums.add_group(scorer.statistics({name: array[group] for name, array in scored.items()}), len(group))
        if self.scaled_errors is not None and isinstance(samples, WindowedDataset):
            sums.add_errors(MASE, self.scaled_errors.of_samples(samples, feeds[self.name]), groups)


def measure(session: Session, plan: TrainingPlan, outputs: Sequence[ComparedOutput], samples: Dataset) -> None:
    """Adds up the metrics of the network and of all baselines."""
    samples = samples.for_graphs(plan.data_spec_weighting(plan.weighted_outputs.union(samples.weights)))
    is_series = isinstance(samples, WindowedDataset)
    size = group_size(len(samples))
    if isinstance(samples, WindowedDataset):  # windows that overlap are drawn together
        size = max(size, min(samples.windows.horizon, len(samples) // MIN_GROUPS))
    rng = np.random.default_rng(SEED)
    for rows in batch_slices(len(samples), evaluation_batch_size(plan)):
        part = samples.subset(rows)
        feeds = part.take(slice(None))
        feeds |= session.run({name: feeds[name] for name in session.inputs})
        order = np.arange(len(part)) if is_series else rng.permutation(len(part))
        groups = [order[start : start + size] for start in range(0, len(order), size)]
        for output in outputs:
            output.add(part, feeds, groups)
