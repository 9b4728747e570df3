"""Forecasts that repeat past values, and errors relative to theirs (MASE)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...core.reserved_names import target_name
from ...data.rows.windows import WindowedDataset
from ...data.samples.dataset import Dataset
from ...html_report.outputs import OutputKind
from .output_scale import OutputScale
from .season import InSample, Season, runs_of
from .training_targets import TrainingTargets


@dataclass(frozen=True)
class NaiveForecast:
    """The target's value some steps before: of the last season, or the last value of all (a season of one step).

    Where a series has no value a season before, its last value. Values that the data lack are not repeated, unless the
    series has none before.
    """

    title: str
    scale: OutputScale
    kind: OutputKind
    season: int
    fitted_rows: int = 0

    def scores(self, samples: Dataset, shape: tuple[int, ...]) -> np.ndarray:
        if not isinstance(samples, WindowedDataset):
            raise ValueError("a forecast of samples that are not windows")
        array, output = np.asarray(samples.targets[self.scale.name]), self.scale.name
        last, horizon = samples.starts + (samples.windows.length - 1), samples.windows.horizon
        steps = np.arange(1, horizon + 1) if output in samples.all_steps else np.array([horizon])
        back = self.season * -(-steps // self.season)
        rows = last[:, None] + steps - back
        run = runs_of(samples)
        is_known = (rows >= 0) & (run[rows.clip(0)] == run[last][:, None]) & ~samples.lacks_target[rows.clip(0)]
        repeated = array[np.where(is_known, rows, _last_known(samples)[last][:, None])]
        if output not in samples.all_steps:
            repeated = repeated[:, 0]
        true = self.scale.true_values(self.kind, repeated)
        if self.kind is OutputKind.EXCLUSIVE:
            true = true[..., None] == np.arange(shape[-1])
        repeats = len(self.scale.quantiles) or 1
        return true.repeat(repeats, axis=-1).reshape(shape).astype(np.float64)


def _last_known(samples: WindowedDataset) -> np.ndarray:
    """For each row the last one up to it whose series has a target there; itself if there is none."""
    rows = np.arange(len(samples.series))
    known = np.maximum.accumulate(np.where(samples.lacks_target, -1, rows))
    return np.where((known >= 0) & (samples.series[known] == samples.series), known, rows)


def naive_forecasts(targets: TrainingTargets, season: Season) -> Iterator[NaiveForecast]:
    """The last value, and the value of the last season if that is longer than a step."""
    yield NaiveForecast("last value", targets.scale, targets.kind, 1)
    if season.length > 1:
        yield NaiveForecast("seasonal naive", targets.scale, targets.kind, season.length)


@dataclass(frozen=True)
class ScaledErrors:
    """Absolute errors divided by the error that repeating the last season has in the training data, by series.

    A series that the training data lack, or in which it has no error, gets the mean of all others.
    """

    scale: OutputScale
    by_series: dict[str, np.ndarray]
    """The error of each unit by the name of the series."""
    mean: np.ndarray

    @staticmethod
    def of(targets: TrainingTargets, season: Season) -> ScaledErrors | None:
        """None if the training data have no two seasons, or no errors."""
        train = targets.samples
        if not isinstance(train, WindowedDataset) or targets.kind is not OutputKind.NUMBERS:
            return None
        differences, series = InSample.of(train, targets.scale.name).differences(season.length)
        by_series = {
            train.series_names[number]: differences[series == number].mean(0) for number in np.unique(series).tolist()
        }
        usable = {name: errors for name, errors in by_series.items() if (errors > 0).all()}
        if not usable:
            return None
        return ScaledErrors(targets.scale, usable, np.mean(list(usable.values()), 0))

    def of_samples(self, samples: WindowedDataset, predictions: np.ndarray) -> np.ndarray:
        """The scaled error of each sample [samples]: the mean over its steps and units."""
        predictions = self.scale.scores(OutputKind.NUMBERS, predictions)
        target = samples.samples_of(target_name(self.scale.name), slice(None))
        errors = np.abs(
            target.reshape(len(target), -1, len(self.mean)) - predictions.reshape(len(target), -1, len(self.mean))
        )
        names = [samples.series_names[number] for number in samples.series[samples.starts].tolist()]
        scales = np.array([self.by_series.get(name, self.mean) for name in names])
        return np.asarray((errors / scales[:, None, :]).mean((1, 2)))
