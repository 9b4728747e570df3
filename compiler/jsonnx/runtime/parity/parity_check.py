"""A small comparison with the CPU before a provider is trusted with a model: once for each model, provider and version.

Providers have computed some operators wrongly without a word. Drawn inputs go through the model on the provider and on
the CPU without optimizations; results that differ are an error. What has passed is remembered in the user's cache.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...backend import package_version, serialize, to_model_proto
from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...core.files.files import write_atomically
from ...core.files.loadable_model import LoadableModel
from ...core.reserved_names import LEARNING_RATE, next_name, target_name
from ...core.types import BATCH, TensorType
from ...ir import unlearned_states
from ..providers.providers import Provider, known_provider, runtime_version
from ..providers.random import draw_initial_weights, step_randoms, symbol_sizes
from ..providers.static_shapes import needs_static_shapes, set_sizes
from .example_feeds import draw_inputs, draw_targets
from .output_differences import OutputDifference, output_differences
from .provider_runs import ProviderSession, cpu_outputs

if TYPE_CHECKING:
    from ..training_plan import TrainingPlan

TOLERANCE = 0.02
"""The largest difference, relative to the largest element, that the precision of a device explains."""
SAMPLES, STEPS = 2, 3
MAX_MODEL_BYTES = 512 << 20
"""Maximum size of a checked model, in bytes: loading a larger one once more takes long."""
MAX_REMEMBERED = 1000

Run = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


def check_session(model: LoadableModel, run: Run, inputs: Mapping[str, TensorType], provider: Provider) -> None:
    """Checks a model in a session, which `run` runs, unless it is large. Raises CompileError `provider-mismatch`."""
    if provider.is_cpu or model.weights is not None or len(model.data) > MAX_MODEL_BYTES:
        return

    def differences() -> list[OutputDifference] | None:
        try:
            feeds = draw_inputs(inputs, 0, SAMPLES)
            reference = cpu_outputs(model, feeds)
        except (CompileError, ValueError):  # the drawn values do not fit the model
            return None
        return _float_differences(reference, run(feeds))

    _check(_key(model.data, provider), differences, "the model", provider, None)


def check_step(plan: TrainingPlan, provider: Provider) -> None:
    """Checks the losses and metrics of some training steps. Raises CompileError `provider-mismatch`."""
    step = plan.train
    if provider.is_cpu or unlearned_states(step):
        return
    if provider.record.builds_engines:  # another session takes minutes
        return
    proto = to_model_proto(step)
    if needs_static_shapes(step, provider):
        set_sizes(proto, {str(BATCH): SAMPLES})
    model = serialize(proto)
    if len(model) > MAX_MODEL_BYTES:
        return

    def differences() -> list[OutputDifference] | None:
        try:
            feeds = _step_feeds(plan)
            loadable = LoadableModel(model)
            cpu = ProviderSession(loadable, known_provider("cpu"), unoptimized=True)
            reference = _run_steps(plan, feeds, cpu.run)
        except (CompileError, ValueError):
            return None
        return _float_differences(reference, _run_steps(plan, feeds, ProviderSession(loadable, provider).run))

    _check(_key(model, provider), differences, "the training step", provider, plan.source.file)


def _step_feeds(plan: TrainingPlan) -> dict[str, np.ndarray]:
    targets = draw_targets(plan.targets, plan.outputs, 0, SAMPLES)
    fed = {target_name(name): array for name, array in targets.items()}
    fed[LEARNING_RATE] = np.array(plan.constant_rate, np.float32)
    types = {name: value.type for name, value in plan.train.inputs.items() if name not in fed}
    feeds = draw_inputs(types, 0, SAMPLES, plan.index_sizes, plan.input_vocabularies)
    sizes = symbol_sizes(types, feeds)
    randoms = step_randoms(plan.train.randoms, 0, 0, sizes)
    return {**feeds, **fed, **randoms, **draw_initial_weights(plan.train, 0)}


def _run_steps(plan: TrainingPlan, feeds: Mapping[str, np.ndarray], run: Run) -> dict[str, np.ndarray]:
    """Losses and metrics of some steps on the same batch, by name and step."""
    known = {*plan.train.inputs, *plan.train.randoms, *plan.train.parameters, *plan.train.states}
    current = {name: array for name, array in feeds.items() if name in known}
    results: dict[str, np.ndarray] = {}
    for step in range(STEPS):
        outputs = run(current)
        results |= {f"{name} of step {step + 1}": outputs[name] for name in plan.train.outputs}
        current |= {name: outputs[next_name(name)] for name in plan.train.updates}
    return results


def _float_differences(reference: Mapping[str, np.ndarray], actual: Mapping[str, np.ndarray]) -> list[OutputDifference]:
    """The differences of the outputs that are numbers: classes and tokens may differ by rounding."""
    floats = {name: array for name, array in reference.items() if array.dtype.kind == "f"}
    return output_differences(floats, actual)


def _check(
    key: str,
    differences: Callable[[], list[OutputDifference] | None],
    subject: str,
    provider: Provider,
    file: str | None,
) -> None:
    if key in _passed() or key in _read_passed():
        return
    found = differences()
    beyond = [difference for difference in found or () if difference.relative > TOLERANCE]
    if beyond:
        worst = max(beyond, key=lambda difference: difference.relative)
        message = (
            f"{provider.name} of onnxruntime {runtime_version()} computes {subject} otherwise than the CPU: "
            f"{worst.name!r} differs by {worst.absolute:.3g}, {worst.relative:.1%} of its largest element"
        )
        help = (
            "`jsonnx parity SPEC_OR_MODEL --providers NAME` names the node; use --provider cpu, or --unverified "
            "(in Python `verify=False`) if that is precise enough"
        )
        raise CompileError([Diagnostic("provider-mismatch", message, file=file, help=help)])
    _passed().add(key)
    if found is not None:
        _remember(key)


def _key(model: bytes, provider: Provider) -> str:
    digest = blake2b(model, digest_size=16).hexdigest()
    settings = [provider.ort_name, provider.options, runtime_version(), package_version()]
    return f"{digest} {blake2b(repr(settings).encode(), digest_size=8).hexdigest()}"


# -- what has passed ---------------------------------------------------------------------------------------------------


@cache
def _passed() -> set[str]:
    """The keys of this process, also of models for which no inputs can be drawn."""
    return set()


def cache_file() -> Path:
    """The file that remembers what has passed, in the user's folder for caches."""
    folder = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(folder) / "jsonnx" / "parity.json"


def _read_passed() -> list[str]:
    with suppress(OSError, ValueError, RuntimeError):  # a cache that cannot be read is empty
        keys: Any = json.loads(cache_file().read_text(encoding="utf-8"))
        return [key for key in keys if isinstance(key, str)] if isinstance(keys, list) else []
    return []


def _remember(key: str) -> None:
    keys = [*_read_passed(), key][-MAX_REMEMBERED:]
    with suppress(OSError, UsageError, RuntimeError):  # without a cache the check is done again
        cache_file().parent.mkdir(parents=True, exist_ok=True)
        write_atomically(str(cache_file()), json.dumps(keys, indent=0).encode())
