"""Compares the providers of this machine: the same inputs through the same model, and the same steps of training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...core.callback import Callback, Logs
from ...core.diagnostics import CompileError, UsageError
from ...core.files.loadable_model import LoadableModel
from ...core.providers.known_providers import PROVIDERS
from ...data.samples.data_errors import FeedError
from ...placement import MissingKernel
from ...runtime.fit.fit_data import dataset_of
from ...runtime.fit.trainer import PlanTrainer
from ...runtime.fit_arguments import fit_settings
from ...runtime.parity.example_feeds import draw_inputs, draw_targets
from ...runtime.parity.output_differences import OutputDifference, output_differences
from ...runtime.parity.parity_report import CpuNode, ParityOptions, ParityReport, ProviderParity
from ...runtime.parity.provider_runs import ProviderSession, cpu_outputs, float64_outputs
from ...runtime.parity.worst_node import NodeSearch, WorstNode
from ...runtime.providers.assignment import usable_provider
from ...runtime.providers.providers import Provider, find_provider, how_to_get, resolve_provider, runtime_version
from ...runtime.session.load_model import loadable_model, model_file
from ...runtime.session.session import Session
from ...sections.monitor import monitors_validation
from ..check.check import CheckedSpec, check_spec
from ..check.data_spec import index_limits, input_vocabularies
from ..compile.compile import compile_checked
from ..run.place_nodes import placement_of_model
from ..train.trainer import Trainer

STEP_SAMPLES = 8
"""Samples in each step of training."""


def compare_providers(spec_or_model: str, options: ParityOptions) -> ParityReport:
    """Runs a model, or a spec's with drawn weights, on each provider, and compares with the unoptimized CPU provider.

    Raises CompileError for an invalid spec or model, UsageError for an unknown provider, and if no provider that is
    named starts here.
    """
    names = _present_providers(options.providers)
    subject = _Subject.of(spec_or_model, options)
    reference = cpu_outputs(subject.model, subject.feeds)
    exact = float64_outputs(subject.model, subject.feeds)
    losses, message = subject.losses("cpu", fast=False)
    comparison = _Comparison(subject, options, reference, exact, losses)
    return ParityReport(
        spec_or_model,
        options,
        runtime_version(),
        _float64_error(exact, reference),
        losses,
        message,
        tuple(comparison.of(name) for name in names),
    )


def _present_providers(named: Sequence[str]) -> list[str]:
    """The providers to compare. Raises UsageError if none of the named ones starts here."""
    if not named:
        return [name for name in PROVIDERS if usable_provider(name) is not None]
    present = [name for name in named if usable_provider(name) is not None]
    if not present:
        provider = resolve_provider(named[0])  # raises the error of a provider that is not installed
        message = f"the {named[0]!r} provider is installed but does not start here"
        raise UsageError("provider-failed", message, how_to_get(provider.record))
    return list(dict.fromkeys(named))


@dataclass(frozen=True)
class _Subject:
    """The subject of a comparison: a model and its feeds, and the spec if training is compared, too."""

    model: LoadableModel
    feeds: Mapping[str, np.ndarray]
    options: ParityOptions
    checked: CheckedSpec | None = None

    @staticmethod
    def of(spec_or_model: str, options: ParityOptions) -> _Subject:
        path = Path(model_file(spec_or_model))
        if path.suffix.lower() == ".onnx":
            model = loadable_model(path, verify=False)
            session = Session(model)
            inputs = session.inputs | session.random_inputs
            return _Subject(model, draw_inputs(inputs, options.seed, options.batch_size), options)
        checked = check_spec(spec_or_model, changes=options.changes, scale=options.scale)
        typed = checked.require()
        subject = _Subject(LoadableModel(b""), {}, options, checked)
        model = subject.spec_model()
        sizes, vocabularies = index_limits(typed), input_vocabularies(typed)
        inputs = typed.network.inference_inputs
        if typed.network.random_calls:
            inputs = inputs | Session(model).random_inputs
        feeds = draw_inputs(inputs, options.seed, options.batch_size, sizes, vocabularies)
        return replace(subject, model=model, feeds=feeds)

    def spec_model(self) -> LoadableModel:
        """The spec's model. What layers learn from the data is learned from the drawn samples."""
        assert self.checked is not None
        try:
            return compile_checked(self.checked, seed=self.options.seed).to_loadable()
        except CompileError as error:
            if self.checked.objective is None or all(
                diagnostic.code != "not-learned" for diagnostic in error.diagnostics
            ):
                raise
        trainer = Trainer(self.checked, seed=self.options.seed)
        self._fit(trainer.plan_trainer, steps=1)
        return trainer.model().to_loadable()

    def losses(self, provider: str, *, fast: bool = True) -> tuple[tuple[float, ...], str]:
        """The losses of the steps of a training, and why there are none. Raises what the provider raises."""
        training = self.checked.network.training if self.checked is not None else None
        if self.checked is None or training is None:
            return (), "the model has no training section"
        precision = training.precision
        if precision != "float32":
            return (), f"the CPU has no {precision}; --set training.precision=float32 compares training in float32"
        if not self.options.steps:
            return (), "the number of steps is 0"
        try:
            trainer = Trainer(self.checked, provider, seed=self.options.seed, fast=fast, verify=False)
            return tuple(self._fit(trainer.plan_trainer, self.options.steps)), ""
        except FeedError as error:
            return (), f"no samples can be drawn for it: {error.diagnostics[0].message}"

    def _fit(self, trainer: PlanTrainer, steps: int) -> list[float]:
        """Trains one epoch of some steps on drawn samples. Returns the loss of each step."""
        plan, count = trainer.plan, steps * STEP_SAMPLES
        x = draw_inputs(plan.inputs, self.options.seed, count, plan.index_sizes, plan.input_vocabularies)
        y: Any = draw_targets(plan.targets, plan.outputs, self.options.seed, count)
        samples = dataset_of(plan, x, y or None, learns_labels=True)
        validation = samples if monitors_validation(plan.training) else None
        recorder = _LossRecorder()
        settings = fit_settings(plan.training, batch_size=STEP_SAMPLES, epochs=1, shuffle=False)
        history = trainer.fit(samples, validation, settings, (recorder,))
        if history.signal is not None:
            raise KeyboardInterrupt
        return recorder.losses


class _LossRecorder(Callback):
    """A callback that derives the loss of each step from the mean over the steps so far."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        self.losses.append(logs["loss"] * (batch + 1) - sum(self.losses))


@dataclass(frozen=True)
class _Comparison:
    subject: _Subject
    options: ParityOptions
    reference: Mapping[str, np.ndarray]
    exact: Mapping[str, np.ndarray] | None
    losses: Sequence[float]

    def of(self, name: str) -> ProviderParity:
        """The results of a provider; an error of the provider is a message."""
        provider = usable_provider(name)
        if provider is None:
            return ProviderParity(name, how_to_get(find_provider(name).record), compared=False)
        try:
            parity = self._trained(self._compared(provider), name)
        except (CompileError, UsageError) as error:
            diagnostic = error.diagnostics[0] if isinstance(error, CompileError) else error.diagnostic
            return ProviderParity(name, diagnostic.message, compared=False, failed=True)
        beyond = [output for output in parity.outputs if output.relative > self.options.tolerance]
        failed = bool(beyond) or (parity.loss_error or 0.0) > self.options.tolerance
        worst = self._worst_node(provider, max(beyond, key=lambda output: output.relative)) if beyond else None
        return replace(parity, failed=failed, worst_node=worst)

    def _compared(self, provider: Provider) -> ProviderParity:
        model, feeds = self.subject.model, self.subject.feeds
        session = ProviderSession(model, provider)
        outputs = session.run(feeds)
        placement = placement_of_model(model, provider)
        return ProviderParity(
            provider.name,
            outputs=tuple(output_differences(self.reference, outputs)),
            float64_error=_float64_error(self.exact, outputs),
            on_cpu=None if placement is None else tuple(map(_cpu_node, placement.missing)),
            latency_ms=session.latency_ms(feeds),
        )

    def _trained(self, parity: ProviderParity, name: str) -> ProviderParity:
        if not self.losses:
            return parity
        losses, _ = self.subject.losses(name)
        errors = [abs(loss - other) / max(abs(other), 1e-12) for loss, other in zip(losses, self.losses, strict=True)]
        return replace(parity, losses=losses, loss_error=float(np.max(errors)))

    def _worst_node(self, provider: Provider, output: OutputDifference) -> WorstNode | None:
        feeds = self.subject.feeds
        search = NodeSearch(
            self.subject.model,
            lambda model: cpu_outputs(model, feeds),
            lambda model: ProviderSession(model, provider).run(feeds),
            self.options.tolerance,
        )
        return search.behind(output.name)


def _cpu_node(missing: MissingKernel) -> CpuNode:
    return CpuNode(missing.name, missing.path, missing.op, missing.reason)


def _float64_error(exact: Mapping[str, np.ndarray] | None, outputs: Mapping[str, np.ndarray]) -> float | None:
    if exact is None:
        return None
    floats: Iterable[str] = [name for name, array in exact.items() if array.dtype.kind == "f"]
    differences = output_differences({name: exact[name] for name in floats}, outputs)
    return max((difference.relative for difference in differences), default=None)
