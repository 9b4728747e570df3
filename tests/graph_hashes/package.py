"""All that is used of the package besides its public names. What is renamed there is renamed here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from jsonnx import Trainer


def makers(trainer: Trainer, samples: Iterable[int]) -> dict[str, Callable[[], object]]:
    """What has a trainer make its sessions, by the name of the graph: of a step for so many samples, of an evaluation,
    a prediction, up-to-date weights, and what comes before an augmentation layer."""
    engine = trainer._engine
    found: dict[str, Callable[[], object]] = {
        f"step-{count}": partial(engine.step_runners.for_batch, count, is_fit=True) for count in samples
    }
    found |= {
        "evaluate": lambda: engine.loader.evaluation_runner,
        "predict": lambda: engine.loader.prediction_runner,
        "weights": trainer.weights,
    }
    for augmented in trainer.plan.augmented_inputs:
        if augmented.graph:
            found[f"augmented-{augmented.name}"] = partial(engine.loader.augmentation_runner, augmented)
    return found


def block_size() -> int:
    """Channels in a block of onnxruntime's convolutions on this CPU; 1 where these have no blocks."""
    from jsonnx.runtime.kernel_probes import nchwc_block_size

    return nchwc_block_size()


def command(arguments: list[str]) -> tuple[int, str]:
    """Runs the command line in this process: its exit status, and what it prints."""
    from click.testing import CliRunner
    from jsonnx.cli import main

    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.output
