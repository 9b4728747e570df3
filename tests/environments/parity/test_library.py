"""Compares the library's blocks with results of KerasHub and keras.applications, recorded by `run.sh keras_hub`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from cases import Network
from drawing import STEPS, digest, draw_batch, draw_weights
from jsonnx.pipeline.train.trainer import Trainer
from library_cases import FIXTURE, LIBRARY_NETWORKS
from recorded import fingerprint

RECORDED = json.loads(FIXTURE.read_text())


@pytest.mark.costly(6)
@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in LIBRARY_NETWORKS])
def test_outputs_and_losses_equal_those_of_keras(case: Network) -> None:
    recorded = RECORDED[case.id]
    assert recorded["of"] == fingerprint(case), "the case was changed: record it again"
    trainer = Trainer(case.spec)
    trainer.set_weights(draw_weights(trainer.weights()))
    batches = [draw_batch(case, trainer.plan, step) for step in range(STEPS)]
    assert digest(trainer.model().session().run(batches[0][0])) == pytest.approx(recorded["output"], rel=1e-5, abs=1e-5)
    if "losses" not in recorded:
        return
    assert [trainer.step(x, y)["loss"] for x, y in batches] == pytest.approx(recorded["losses"], rel=1e-5, abs=1e-5)
