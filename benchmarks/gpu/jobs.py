"""The jobs on a machine with a GPU. Each runs in a process of its own and prints its result as one line of JSON.

- `environment`: the machine, its GPU and the versions.
- `sample/NAME`: trains a sample, and compares its first losses with those of the CPU.
- `layers`: computes every test case of every layer and its gradients, and compares them with the CPU.
- `time/WORKLOAD/CONTESTANT`: milliseconds per step, and the first losses.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

RESULT_MARK = "result: "
ROOT = Path(__file__).parents[2]
WORKLOADS = ("mlp", "cnn", "lstm", "transformer", "resnet")
CONTESTANTS = ("jsonnx", "jsonnx-mixed", "torch", "torch-compile", "torch-mixed")
COMPARED_STEPS = 5
LOSS_TOLERANCE = 1e-3
"""Of float32 losses in the first steps: sums in another order differ by 1e-6, and a few steps amplify that."""
MIXED_TOLERANCE = 3e-2


@dataclass(frozen=True)
class Settings:
    provider: str
    options: tuple[str, ...] = ()
    seconds: float = 3.0
    steps: int = 200

    @staticmethod
    def of(arguments: argparse.Namespace) -> Settings:
        return Settings(arguments.provider, tuple(arguments.options), arguments.seconds, arguments.steps)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "options": list(self.options)}

    def as_arguments(self) -> list[str]:
        options = [word for option in self.options for word in ("--provider-option", option)]
        numbers = ["--seconds", str(self.seconds), "--steps", str(self.steps)]
        return ["--provider", self.provider, *options, *numbers]

    @property
    def provider_options(self) -> dict[str, str]:
        return dict(option.partition("=")[::2] for option in self.options)


def all_names(*, with_layers: bool = True) -> list[str]:
    """The names of all jobs, those that matter most first."""
    samples = sorted(path.stem for path in (ROOT / "samples").glob("*.json") if _trains(path))
    times = [f"time/{workload}/{contestant}" for workload in WORKLOADS for contestant in CONTESTANTS]
    layers = ["layers"] if with_layers else []
    return ["environment", *(f"sample/{name}" for name in samples), *times, *layers]


def _trains(path: Path) -> bool:
    return "data" in json.loads(path.read_text("utf-8")).get("training", {})


def print_result(name: str, settings: Settings) -> None:
    kind, _, rest = name.partition("/")
    run = {"environment": environment, "sample": partial(sample, rest), "layers": layers, "time": partial(timing, rest)}
    print(RESULT_MARK + json.dumps(run[kind](settings)), flush=True)


def failed(name: str, result: dict[str, Any]) -> bool:
    """Whether a job found an error. That a peer is not installed is none."""
    if "/torch" in name:
        return False
    return "error" in result or not result.get("agrees", True)


# -- what is measured --------------------------------------------------------------------------------------------------


def environment(settings: Settings) -> dict[str, Any]:
    import platform
    import shutil
    import subprocess

    import jsonnx
    import onnxruntime

    result: dict[str, Any] = {
        "machine": platform.platform(),
        "python": platform.python_version(),
        "jsonnx": jsonnx.__version__,
        "onnxruntime": onnxruntime.__version__,
        "providers": onnxruntime.get_available_providers(),
    }
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        result["gpus"] = subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
    try:
        import torch

        result["torch"], result["torch_cuda"] = torch.__version__, torch.version.cuda
    except ImportError:
        result["torch"] = None
    return result


def sample(name: str, settings: Settings) -> dict[str, Any]:
    """Trains a sample for an epoch, at most `steps` steps, after its first losses were compared with the CPU's."""
    from jsonnx.data.samples.dataset import Dataset
    from jsonnx.pipeline.train.run_data import part_of_spec

    spec = ROOT / "samples" / f"{name}.json"
    trainers = [_trainer(spec, "cpu", {}), _trainer(spec, settings.provider, settings.provider_options)]
    samples = part_of_spec(trainers[1].plan, "train")
    assert samples is not None
    size = trainers[1].plan.training.batch_size

    def batch(step: int, count: int = 1) -> Dataset:
        rows = slice(step * size, (step + count) * size)
        arrays = ({key: array[rows] for key, array in part.items()} for part in (samples.inputs, samples.targets))
        return Dataset(*arrays, samples.data_spec)

    for trainer in trainers:
        trainer.plan_trainer.engine.adapt(samples)
    compared = min(COMPARED_STEPS, max(1, len(samples) // size))
    losses = [[_step_loss(trainer, batch(step), step) for step in range(compared)] for trainer in trainers]
    start = perf_counter()
    rows = batch(0, settings.steps)
    history = trainers[1].fit(rows.inputs, rows.targets or None, epochs=1, verbose=0)
    seconds = perf_counter() - start
    steps = -(-min(len(samples), settings.steps * size) // size)
    return {
        "losses": losses[1],
        "cpu_losses": losses[0],
        "agrees": agrees(losses[1], losses[0], LOSS_TOLERANCE),
        "fit_loss": history.history["loss"][-1],
        "ms_per_step": 1e3 * seconds / steps,
        **_placement(trainers[1]),
    }


def _trainer(spec: Any, provider: str, options: dict[str, str], **more: Any) -> Any:
    """A trainer without early stopping, since a short run has no validation data."""
    import jsonnx

    training = (json.loads(spec.read_text("utf-8")) if isinstance(spec, Path) else spec)["training"]
    none = {"early_stopping": "null", "restore_best_weights": "false"}
    changes = [f"training.{key}={value}" for key, value in none.items() if key in training]
    return jsonnx.Trainer(spec, provider, provider_options=options, changes=changes, **more)


def _step_loss(trainer: Any, samples: Any, step: int) -> float:
    engine = trainer.plan_trainer.engine
    return float(engine.step(engine.feeds(samples, slice(None), step))["loss"])


def _placement(trainer: Any) -> dict[str, Any]:
    """Whether steps are captured, and how many of their inputs and outputs a node on the CPU uses."""
    runner = trainer.plan_trainer.engine.step_runners.runner
    host_names = getattr(runner, "_host_names", None)
    return {
        "captured": getattr(runner, "captures", False),
        "on_host": sorted(host_names)[:20] if host_names is not None else None,
    }


def layers(settings: Settings) -> dict[str, Any]:
    """Compares every layer and its gradients with the CPU."""
    from layers.cases import all_cases
    from layers.provider_agreement import disagreement

    errors: dict[str, str] = {}
    count = 0
    for case in all_cases():
        count += 1
        try:
            diagnostic = disagreement(case, settings.provider, settings.provider_options)
        except Exception as error:
            diagnostic = f"{type(error).__name__}: {error}"
        if diagnostic:
            errors[case.id] = diagnostic[:300]
    return {"cases": count, "faults": errors, "agrees": not errors}


def timing(name: str, settings: Settings) -> dict[str, Any]:
    """The milliseconds of a step: the median of turns, after the first steps, which compile and capture."""
    from jsonnx import CompileError

    from ..materials import Materials, write
    from ..workloads import TRAINING

    workload, _, contestant = name.partition("/")
    with tempfile.TemporaryDirectory() as folder:
        write(TRAINING[workload], Path(folder))
        materials = Materials(Path(folder))
        try:
            made = _contestant(contestant, materials, settings)
        except CompileError as error:
            if error.diagnostics[0].code != "unsupported-precision":
                raise
            return {"refused": error.diagnostics[0].message}
        losses = made.proof(COMPARED_STEPS)
        turns = timed_turns(made.steps, settings.seconds)
        result = {"ms": sorted(turns)[len(turns) // 2], "turns": turns, "losses": losses}
        if contestant.startswith("jsonnx"):
            expected = _contestant("jsonnx", materials, Settings("cpu")).proof(COMPARED_STEPS)
            tolerance = MIXED_TOLERANCE if contestant == "jsonnx-mixed" else LOSS_TOLERANCE
            result |= {"cpu_losses": expected, "agrees": agrees(losses, expected, tolerance)}
            result |= _placement(made.trainer)
        return result


def _contestant(name: str, materials: Any, settings: Settings) -> Any:
    if name.startswith("torch"):
        from . import torch_training

        return torch_training.CONTESTANTS[name](materials, settings.provider)
    return OnProvider(materials, settings, precision="mixed_float16" if name == "jsonnx-mixed" else None)


class OnProvider:
    """jsonnx, by `Trainer.step` for the first losses and `Trainer.fit` for the time."""

    def __init__(self, materials: Any, settings: Settings, precision: str | None) -> None:
        spec = json.loads(materials.spec.read_text("utf-8"))
        if precision is not None:
            spec["training"]["precision"] = precision
        self.trainer = _trainer(spec, settings.provider, settings.provider_options, weights=materials.weights)
        self.x, self.y, self.batch = materials.x, materials.y, materials.batch

    def proof(self, count: int) -> list[float]:
        rows = [slice(step * self.batch, (step + 1) * self.batch) for step in range(count)]
        return [self.trainer.step(self.x[part], self.y[part])["loss"] for part in rows]

    def steps(self, count: int) -> None:
        import numpy as np

        rows = count * self.batch
        if rows > len(self.x):
            self.x, self.y = (np.concatenate([a] * -(-rows // len(a))) for a in (self.x, self.y))
        self.trainer.fit(self.x[:rows], self.y[:rows], batch_size=self.batch, epochs=1, shuffle=False, verbose=0)


def timed_turns(run: Any, seconds: float) -> list[float]:
    """Milliseconds per step in each of some turns that take about this many seconds together."""
    run(32)  # compiles, captures and fills buffers
    start = perf_counter()
    run(32)
    per_step = (perf_counter() - start) / 32
    turn_count = 5
    count = max(1, min(10_000, int(seconds / turn_count / per_step)))
    turns = []
    for _ in range(turn_count):
        start = perf_counter()
        run(count)
        turns.append(1e3 * (perf_counter() - start) / count)
    return turns


def agrees(actual: list[float], expected: list[float], tolerance: float) -> bool:
    pairs = zip(actual, expected, strict=True)
    return all(math.isfinite(a) and abs(a - b) <= tolerance * max(1.0, abs(b)) for a, b in pairs)
