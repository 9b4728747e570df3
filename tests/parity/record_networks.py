"""Records what Keras says of the networks of `cases` that are new or changed, for the ordinary suite.

It can be interrupted and goes on where it was; without `fixtures/networks.json` it begins anew.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import oracle
from cases import Network, all_networks
from drawing import STEPS, alone, digest, draw_batch, draw_weights, learns
from jsonnx.pipeline.trainer import Trainer
from recorded import NETWORKS, fingerprint, read_networks


def said(case: Network) -> dict[str, Any]:
    """The digest of Keras' outputs, and its losses."""
    trainer, model = Trainer(case.spec), oracle.keras_model(case.spec, initial=False)
    oracle.set_weights(model, draw_weights(trainer.weights()))
    batches = [draw_batch(case, trainer.plan, step) for step in range(STEPS)]
    result = {"of": fingerprint(case), "output": digest(oracle.outputs(model, alone(batches[0][0])))}
    if learns(case, trainer.plan):
        oracle.compile(model, case.spec)
        result["losses"] = oracle.train(model, [(alone(x), alone(y)) for x, y in batches])
    return result


def record() -> None:
    """Add what is missing, and drop what is no longer there."""
    found, known = {}, read_networks() if NETWORKS.exists() else {}
    cases = all_networks()
    for number, case in enumerate(cases):
        old = known.get(case.id)
        found[case.id] = old if old is not None and old["of"] == fingerprint(case) else said(case)
        if number % 20 == 0 or number == len(cases) - 1:
            write({**known, **found} if number < len(cases) - 1 else found)


def write(networks: dict[str, Any]) -> None:
    """A line for each network, numbers with the digits that a float32 has."""
    lines = [f"{json.dumps(name)}: {json.dumps(rounded(value))}" for name, value in networks.items()]
    NETWORKS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.8g}") if isinstance(value, (float, np.floating)) else value


if __name__ == "__main__":
    record()
