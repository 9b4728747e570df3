"""Records outputs and losses of KerasHub and keras.applications for `test_library`: `run.sh keras_hub`."""

from __future__ import annotations

import json
from typing import Any

import library_oracle
import oracle
from cases import Network
from drawing import STEPS, digest, draw_batch, draw_weights, single_or_named
from jsonnx.pipeline.train.trainer import Trainer
from library_cases import FIXTURE, LIBRARY_NETWORKS, NOT_TRAINED
from record_networks import rounded
from recorded import fingerprint


def keras_results(case: Network) -> dict[str, Any]:
    """Returns the digest of the outputs of Keras, and its losses if the network is trained."""
    trainer, model = Trainer(case.spec), library_oracle.keras_model(case)
    library_oracle.set_weights(model, draw_weights(trainer.weights()))
    batches = [draw_batch(case, trainer.plan, step) for step in range(STEPS)]
    result = {"of": fingerprint(case), "output": digest(oracle.outputs(model, single_or_named(batches[0][0])))}
    if case.id not in NOT_TRAINED:
        oracle.compile(model, case.spec)
        result["losses"] = oracle.train(model, [(single_or_named(x), single_or_named(y)) for x, y in batches])
    return result


def main() -> None:
    results = {case.id: rounded(keras_results(case)) for case in LIBRARY_NETWORKS}
    lines = (f"{json.dumps(name)}: {json.dumps(result)}" for name, result in results.items())
    FIXTURE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
