"""The command evaluate."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.diagnostics import UsageError
from ..core.files.user_files import UserFiles
from ..core.invisible_characters import escape_invisible
from ..sections.data_section import DATA_PARTS
from .common import (
    ALL_OPTION,
    DATA_ROOT_OPTION,
    EXIT_INVALID_INPUT,
    FORMAT_OPTION,
    PROVIDER_OPTION,
    PROVIDER_OPTIONS_OPTION,
    UNVERIFIED_OPTION,
    handles_errors,
    print_diagnostics,
    print_provider_choice,
    print_result,
    print_status,
)
from .options import data_option

if TYPE_CHECKING:
    from ..pipeline.baselines.compare_baselines import Comparison
    from ..pipeline.run.evaluate_folds import FoldsEvaluation
    from ..pipeline.run.trained_model import Evaluation, TrainedModel
    from ..pipeline.train.evaluated_part import EvaluatedPart

_print_notes = partial(print_diagnostics, format_="text")

OpenModel = Callable[[Path], "TrainedModel"]


@click.command(short_help="Compute loss and metrics of trained models on data.")
@click.argument("runs", metavar="RUN_OR_MODEL...", nargs=-1, required=True)
@data_option("Data to evaluate on; if omitted, the test data of each run's spec, or else its validation data.")
@click.option(
    "--split",
    type=click.Choice(DATA_PARTS),
    help="Part of the data of each run's spec to evaluate on; in a folder of folds, the validation data if omitted.",
)
@DATA_ROOT_OPTION
@PROVIDER_OPTION
@PROVIDER_OPTIONS_OPTION
@UNVERIFIED_OPTION
@click.option(
    "--require",
    "requirements",
    multiple=True,
    metavar="METRIC>=NUMBER",
    help="Exit with status 1 unless a metric keeps this bound, in quotes: 'accuracy>=0.97' or 'loss<0.1'. May be "
    "repeated.",
)
@click.option(
    "--baseline",
    is_flag=True,
    help="Compare with simple models, fitted on the training data: majority class or mean, last value or season of "
    "series and, with scikit-learn, regression and gradient boosting.",
)
@click.option(
    "--season",
    type=click.IntRange(1),
    metavar="STEPS",
    help="With --baseline, the length of a season in rows; by default, it follows from the spacing of the times.",
)
@FORMAT_OPTION
@ALL_OPTION
@handles_errors
def evaluate(
    runs: tuple[str, ...],
    data: UserFiles | None,
    split: str | None,
    data_roots: tuple[str, ...],
    provider: str,
    provider_options: tuple[str, ...],
    unverified: bool,
    requirements: tuple[str, ...],
    baseline: bool,
    season: int | None,
    format_: str,
) -> None:
    """Compute loss and metrics of trained models on data; a table for several.

    For the folder of `train --fold all`, the table has all folds, their mean and standard deviation, and the metrics on
    the validation data of all folds together, each sample predicted by the run that was not trained on it.
    """
    from ..pipeline.run.evaluate_folds import evaluate_folds, has_folds
    from ..pipeline.run.required_metrics import MetricBound, check_metrics
    from ..pipeline.run.trained_model import TrainedModel
    from ..runtime.providers.provider_options import parse_assignments

    if data is not None and split is not None:
        message = "--split is a part of the data that the spec names, which --data replaces"
        raise UsageError("bad-option", message, "leave out one of both")
    if season is not None and not baseline:
        raise UsageError("bad-option", "--season has no effect without --baseline")
    bounds = [MetricBound.parse(text) for text in requirements]
    print_provider_choice(provider)
    options = parse_assignments(provider_options)

    def open_model(run: Path) -> TrainedModel:
        return TrainedModel.open(run, provider, not unverified, data_roots, options)

    baselines = _Baselines(baseline, season)
    if len(runs) == 1 and has_folds(Path(runs[0])):
        folds = evaluate_folds(Path(runs[0]), open_model, data, split, _print_notes, baselines.add_fold)
        _print_folds(folds, baselines, format_)
        failures = check_metrics(runs[0], folds.estimate, bounds)
    else:
        results = _evaluate_runs(runs, open_model, data, split, baselines, format_)
        failures = [failure for run, own in results for failure in check_metrics(run, own.metrics, bounds)]
    if failures:
        print_diagnostics(failures, "text")
        sys.exit(EXIT_INVALID_INPUT)


@dataclass
class _Baselines:
    """The comparisons of the evaluated runs with baselines, if the user wants them."""

    is_wanted: bool
    season: int | None
    comparisons: list[Comparison] = field(default_factory=list)

    def add(self, model: TrainedModel, evaluated: EvaluatedPart) -> None:
        """Compares a run."""
        if self.is_wanted:
            from ..pipeline.baselines.compare_baselines import compare

            self.comparisons.append(compare(model, evaluated.samples, self.season))

    def add_fold(self, model: TrainedModel, evaluated: EvaluatedPart) -> None:
        """Compares a fold; all folds are one comparison."""
        self.add(model, evaluated)
        if len(self.comparisons) > 1:
            self.comparisons[0].add(self.comparisons.pop())

    def values(self) -> list[list[dict[str, Any]]]:
        return [comparison.values() for comparison in self.comparisons]

    def print(self, titles: Sequence[str]) -> None:
        from ..render.results.baseline_text import baselines_text
        from ..render.text.terminal import line_width, shows_color

        for title, values in zip(titles, self.values(), strict=False):  # no values unless they are wanted
            heading = f"{escape_invisible(title)}: " if len(titles) > 1 else ""
            print_result(f"\n{heading}{baselines_text(values, shows_color(sys.stdout), line_width(sys.stdout))}")


def _evaluate_runs(
    runs: Sequence[str],
    open_model: OpenModel,
    data: UserFiles | None,
    split: str | None,
    baselines: _Baselines,
    format_: str,
) -> list[tuple[str, Evaluation]]:
    """Evaluates and prints the metrics."""
    import json

    from ..render.results.evaluation_text import evaluation_json, evaluation_text

    results, labels = [], {}
    for run in runs:  # one model is open at a time
        model = open_model(Path(run))
        results.append((run, model.evaluate(data, _print_notes, split)))
        labels = model.figure_labels()
        baselines.add(model, results[-1][1].evaluated)
    if format_ == "json":
        parts = [(run, own.evaluated.to_json(), own.metrics) for run, own in results]
        print_result(json.dumps(evaluation_json(parts, baselines.values())))
    elif len(runs) == 1:
        own = results[0][1]
        print_status(f"on {escape_invisible(own.evaluated.text())}:")
        print_result(evaluation_text(own.metrics, labels))
    else:
        _print_parts(results)
        _print_table([(run, own.metrics) for run, own in results])
    if format_ == "text":
        baselines.print(runs)
    return results


def _print_folds(folds: FoldsEvaluation, baselines: _Baselines, format_: str) -> None:
    import json

    from ..render.results.evaluation_text import evaluation_text

    if format_ == "json":
        compared = [{"baselines": values} for values in baselines.values()]
        print_result(json.dumps(folds.to_json() | (compared[0] if compared else {})))
        return
    _print_parts([(f"fold {number}", own) for number, own in enumerate(folds.folds)])
    _print_table(folds.rows())
    if lists := {name: metric for name, metric in (folds.pooled or {}).items() if isinstance(metric, list)}:
        print_result(f"\nout of fold:\n{evaluation_text(lists, folds.labels)}")
    baselines.print(["all folds"])


def _print_parts(results: Sequence[tuple[str, Evaluation]]) -> None:
    """Prints what each run was evaluated on; once, if it is the same for all."""
    texts = [f"on {escape_invisible(own.evaluated.text())}" for _, own in results]
    if len({*texts}) == 1:
        print_status(f"{texts[0]}:")
        return
    for (title, _), text in zip(results, texts, strict=True):
        print_status(f"{title} {text}")


def _print_table(rows: Sequence[tuple[str, Mapping[str, object]]]) -> None:
    from ..core.metric_values import numbers_only
    from ..render.results.runs_table import metrics_text
    from ..render.text.terminal import line_width, shows_color

    numbers = [(title, numbers_only(metrics)) for title, metrics in rows]
    print_result(metrics_text(numbers, shows_color(sys.stdout), line_width(sys.stdout)))
