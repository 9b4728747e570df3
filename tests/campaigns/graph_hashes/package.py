"""Every use of private names of the package, so that a rename there needs a change in this file only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from jsonnx import Trainer


def session_makers(trainer: Trainer, samples: Iterable[int]) -> dict[str, Callable[[], object]]:
    """Returns functions that make a trainer create its sessions, by the name of the graph: a step for each batch size
    in `samples`, evaluation, prediction, the update of lazy weights, and the layers before each augmentation layer."""
    engine = trainer.plan_trainer.engine
    calls: dict[str, Callable[[], object]] = {
        f"step-{count}": partial(engine.step_runners.for_batch, count, is_fit=True) for count in samples
    }
    calls |= {
        "evaluate": partial(engine.loader.evaluation_runner, engine.plan),
        "predict": lambda: engine.loader.prediction_runner,
        "weights": trainer.weights,
    }
    for augmented in trainer.plan.augmented_inputs:
        if augmented.graph:
            calls[f"augmented-{augmented.name}"] = partial(engine.loader.augmentation_runner, augmented)
    return calls


def block_size() -> int:
    """Returns the number of channels in an NCHWc block on this CPU, or 1 if there are no NCHWc kernels."""
    from jsonnx.runtime.providers.kernel_probes import nchwc_block_size

    return nchwc_block_size()


def command(arguments: list[str]) -> tuple[int, str]:
    """Runs the command line in this process; returns the exit status and the output."""
    from click.testing import CliRunner
    from jsonnx.cli import main

    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.output
