"""Records trainings of Keras with weights, the cases in tests/unit/training/weight_cases.py.

KERAS_BACKEND=jax PYTHONPATH=compiler:tests:tests/environments/parity python tests/environments/parity/record_weights.py
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jsonnx
import keras
import oracle
from record_training import FOLDER, plain
from unit.training import weight_cases
from unit.training.weight_cases import Case


def main() -> None:
    lines = ",\n".join(json.dumps(plain(train(case))) for case in weight_cases.CASES)
    (FOLDER / "sample_weights.json").write_text(f"[\n{lines}\n]\n")


def train(case: Case) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        file = Path(folder, "model.keras")
        jsonnx.to_keras(case.spec).save(file)
        model = keras.models.load_model(file, compile=False)
    start = weight_cases.initial_weights({weight.path: tuple(weight.shape) for weight in model.weights})
    for weight in model.weights:
        weight.assign(start[weight.path])
    compile_model(model, case)
    x, *others = weight_cases.data_of(case)
    y, weights = (list(array.values()) if isinstance(array, dict) else array for array in others)
    arguments = dict(case.fit)
    if "sample_weight" in arguments:
        arguments["sample_weight"] = weights
    arguments |= {"batch_size": weight_cases.BATCH_SIZE, "epochs": weight_cases.EPOCHS, "shuffle": False, "verbose": 0}
    history = model.fit(x, y, **arguments)
    final = {"/".join(weight.path.split("/")[-2:]): weight.numpy() for weight in model.trainable_weights}
    return {"name": case.name, "history": history.history, "weights": final}


def compile_model(model: keras.Model, case: Case) -> None:
    training = case.spec["training"]
    loss = training["loss"]
    if isinstance(loss, dict) and "type" in loss:
        loss = oracle.of_kind(keras.losses, loss)
    model.compile(
        optimizer=oracle.optimizer(training["optimizer"]),
        loss=loss,
        loss_weights=training.get("loss_weights"),
        metrics=training.get("metrics"),
        weighted_metrics=training.get("weighted_metrics"),
    )


if __name__ == "__main__":
    main()
