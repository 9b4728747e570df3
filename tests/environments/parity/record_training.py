"""Records results of Keras for the cases in tests/unit/training/cases.py, as tests/unit/training/fixtures/*.json.

    KERAS_BACKEND=jax PYTHONPATH=tests:tests/environments/parity python tests/environments/parity/record_training.py

Runs with the same versions write the same bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import keras
import numpy as np
import oracle
from keras.src.trainers.compile_utils import CompileMetrics
from unit.training import cases

FOLDER = Path(__file__).parents[2] / "unit" / "training" / "fixtures"


def record() -> None:
    write("losses", [loss(*case) for case in cases.LOSSES])
    write("activated", [loss(*case) for case in cases.ACTIVATED])
    write("metrics", [metric(*case) for case in cases.METRICS])
    write("optimizers", [optimizer(case) for case in cases.OPTIMIZERS])
    write("schedules", [schedule(case) for case in cases.SCHEDULES])
    write("regularizers", [regularizer(case) for case in cases.REGULARIZERS])
    write("constraints", [constraint(case) for case in cases.CONSTRAINTS])


def write(name: str, results: list[Any]) -> None:
    """Writes one line per case."""
    lines = ",\n".join(json.dumps(plain(result)) for result in results)
    (FOLDER / f"{name}.json").write_text(f"[\n{lines}\n]\n")


def plain(value: Any) -> Any:
    """Converts arrays and numbers to JSON values with the digits of float32."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (str, int)):
        return value
    if np.ndim(value):
        return [plain(item) for item in np.asarray(value)]
    return int(value) if np.issubdtype(np.asarray(value).dtype, np.integer) else float(f"{float(value):.9g}")


def drawn(pair: cases.Pair, seed: int = 0, *, batch: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, *pair.shape])
    shape = pair.shape if batch is None else (batch, *pair.shape[1:])
    output = cases.draw(pair.output, shape, rng)
    return cases.draw(pair.target, shape, rng, output), output


def loss(spec: cases.Spec, pair: cases.Pair, activation: str = "linear") -> dict[str, Any]:
    target, output = drawn(pair)
    measure, activate = oracle.of_kind(keras.losses, spec), keras.activations.get(activation)
    if not isinstance(measure, keras.Loss):
        measure = keras.src.losses.losses.LossFunctionWrapper(measure)
    value, gradient = jax.value_and_grad(lambda x: measure(target, activate(x)))(output)
    return {"target": target, "output": output, "value": value, "gradient": gradient}


def metric(spec: cases.Spec, loss: str, pair: cases.Pair) -> dict[str, Any]:
    keras.utils.clear_session(free_memory=False)  # else a second metric of a class is called `auc_1`
    compiled = CompileMetrics(oracle.metrics([spec]), None, output_names=["output"])
    batches = [drawn(pair, seed, batch=size) for seed, size in enumerate((4, 4, 1))]
    for target, output in batches:
        compiled.update_state(target, output)
    ((name, value),) = compiled.result().items()
    return {"batches": batches, "name": name, "value": value}


def optimizer(spec: cases.Spec) -> dict[str, Any]:
    """Returns two weights after some of the steps."""
    keras_optimizer = oracle.optimizer(spec)
    weights = {name: keras.Variable(value, name=name) for name, value in cases.first_weights().items()}
    keras_optimizer.build([*weights.values()])
    steps = {}
    for number, gradients in enumerate(cases.gradients(), 1):
        keras_optimizer.apply([gradients[name] for name in weights], [*weights.values()])
        if number in cases.RECORDED_STEPS:
            steps[str(number)] = {name: np.asarray(weight) for name, weight in weights.items()}
    is_multi = isinstance(keras_optimizer, keras.optimizers.MultiOptimizer)
    rate = (keras_optimizer.optimizers[-1] if is_multi else keras_optimizer).learning_rate
    return {"learning_rate": float(rate), "steps": steps}


def schedule(spec: cases.Spec) -> list[float]:
    """Returns learning rates."""
    measure = oracle.of_kind(keras.optimizers.schedules, spec)
    return [float(measure(step)) for step in cases.SCHEDULE_STEPS]


def regularizer(spec: cases.Spec) -> dict[str, Any]:
    weight = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    penalty = oracle.of_kind(keras.regularizers, spec)
    value, gradient = jax.value_and_grad(lambda x: keras.ops.convert_to_tensor(penalty(x)))(weight)
    return {"weight": weight, "value": value, "gradient": gradient}


def constraint(spec: cases.Spec) -> dict[str, Any]:
    weight = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    weight[:, 0] = 0
    return {"weight": weight, "value": np.asarray(oracle.of_kind(keras.constraints, spec)(weight))}


if __name__ == "__main__":
    record()
