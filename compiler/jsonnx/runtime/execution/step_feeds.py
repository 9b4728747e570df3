"""What a training step is fed: samples, augmented images, random numbers and the learning rate."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...core.reserved_names import BATCH_SAMPLES, LEARNING_RATE, target_name
from ...core.types import BATCH
from ...data.samples.dataset import Dataset
from ...data.samples.sample_order import generator
from ..providers.random import step_random_rows, step_randoms, symbol_sizes
from ..sharding.shard_group import RankBatch, ShardGroup
from ..training_plan import AugmentedInput, TrainingPlan
from .graph_loader import GraphLoader


class StepFeeds:
    """Makes the feeds of training steps."""

    def __init__(
        self, plan: TrainingPlan, loader: GraphLoader, constant_rate: np.ndarray, group: ShardGroup | None
    ) -> None:
        self._plan, self._loader, self._constant_rate, self._group = plan, loader, constant_rate, group

    def of(self, samples: Dataset, rows: np.ndarray | slice, step: int) -> dict[str, np.ndarray]:
        """All feeds of a training step, a function of the samples and the step's number alone."""
        if self._group is not None:
            return self._rank_feeds(self._group, samples, rows, step)
        feeds = samples.take(rows)
        for augmented in self._plan.augmented_inputs:
            self._augment(augmented, feeds, step)
        feeds[LEARNING_RATE] = self._constant_rate
        if self._plan.train.randoms:
            sizes = symbol_sizes(self._plan.inputs, feeds)
            feeds |= step_randoms(self._loader.sized_steps.randoms_for(feeds), self._plan.seed, step, sizes)
        return feeds

    def _rank_feeds(
        self, group: ShardGroup, samples: Dataset, rows: np.ndarray | slice, step: int
    ) -> dict[str, np.ndarray]:
        """The feeds of the samples of a batch that this rank has. Images are augmented by the seeds of their shards."""
        batch = RankBatch.of(group, samples, rows)
        feeds = batch.feeds()
        for augmented in self._plan.augmented_inputs:
            self._augment(augmented, feeds, step, batch.shard_rows())
        feeds[LEARNING_RATE] = self._constant_rate
        if self._plan.train.randoms:
            sizes = symbol_sizes(self._plan.inputs, feeds) | {str(BATCH): batch.samples}
            feeds |= step_random_rows(self._plan.train.randoms, self._plan.seed, step, sizes, batch.rows)
        return feeds

    def batch_samples(self, feeds: Mapping[str, np.ndarray]) -> int:
        """The number of samples of the batch that has these feeds, of all ranks together."""
        return len(feeds[next(iter(self._plan.inputs))]) if self._group is None else int(feeds[BATCH_SAMPLES])

    def _augment(
        self,
        augmented: AugmentedInput,
        feeds: dict[str, np.ndarray],
        step: int,
        shards: Mapping[int | None, slice] = {None: slice(None)},
    ) -> None:
        """Adds the images of an augmentation layer, and transforms the targets if the layer mixes images. `shards` are
        the rows of virtual shards, by their numbers."""
        layer, name, source = augmented.layer, augmented.name, augmented.source
        images = self._loader.augmentation_runner(augmented)(feeds)[source] if augmented.graph else feeds[source]
        seed = self._plan.seed if layer.seed is None else layer.seed
        targets = [*map(target_name, self._plan.targets)] if layer.mixes_targets else []
        parts: dict[str, list[np.ndarray]] = {key: [] for key in (name, *targets)}
        for shard, rows in shards.items():
            rng = generator(seed, name, step) if shard is None else generator(seed, name, step, shard)
            augmented_images, drawn = layer.augment(images[rows], rng)
            parts[name].append(augmented_images)
            for target in targets:
                parts[target].append(layer.transform_labels(feeds[target][rows], **drawn).astype(feeds[target].dtype))
        feeds |= {
            key: arrays[0] if len(arrays) == 1 else np.concatenate(arrays) for key, arrays in parts.items() if arrays
        }
