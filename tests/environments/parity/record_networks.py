"""Records outputs and losses of Keras for new and changed networks of `cases`, for the ordinary suite.

An interrupted run is continued by the next one; without `fixtures/networks.json` all networks are recorded.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import oracle
from cases import Network, all_networks, trainer_of
from drawing import STEPS, digest, draw_batch, draw_weights, is_trained, single_or_named
from recorded import NETWORKS, fingerprint, read_networks


def keras_results(case: Network) -> dict[str, Any]:
    """Returns the digest of the outputs of Keras, and its losses."""
    trainer, model = trainer_of(case.spec), oracle.keras_model(case.spec, initial=False)
    oracle.set_weights(model, draw_weights(trainer.weights()))
    batches = [draw_batch(case, trainer.plan, step) for step in range(STEPS)]
    result = {"of": fingerprint(case), "output": digest(oracle.outputs(model, single_or_named(batches[0][0])))}
    if is_trained(case, trainer.plan):
        oracle.compile(model, case.spec)
        result["losses"] = oracle.train(model, [(single_or_named(x), single_or_named(y)) for x, y in batches])
    return result


def record() -> None:
    """Adds missing networks to the fixture and removes those that no longer exist."""
    results, recorded = {}, read_networks() if NETWORKS.exists() else {}
    cases = all_networks()
    for number, case in enumerate(cases):
        earlier = recorded.get(case.id)
        results[case.id] = (
            earlier if earlier is not None and earlier["of"] == fingerprint(case) else keras_results(case)
        )
        if number % 20 == 0 or number == len(cases) - 1:
            write({**recorded, **results} if number < len(cases) - 1 else results)


def write(networks: dict[str, Any]) -> None:
    """Writes one line per network, with the digits of float32."""
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
