"""Compares networks with results of Keras that were recorded by `sh tests/environments/parity/run.sh record`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from cases import Network, all_networks, trainer_of
from drawing import STEPS, digest, draw_batch, draw_weights
from recorded import fingerprint, read_networks

from samples import FIXTURE, NAMES, TOLERANCE, our_losses

RECORDED = read_networks()


@pytest.mark.costly(2)
@pytest.mark.parametrize("name", NAMES)
def test_losses_of_the_first_steps_equal_those_of_keras(name: str) -> None:
    expected = np.array(json.loads(FIXTURE.read_text())[name])
    assert np.abs(np.array(our_losses(name)) / expected - 1).max() < TOLERANCE


@pytest.mark.costly(16)
@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in all_networks()])
def test_outputs_and_losses_equal_those_of_keras(case: Network) -> None:
    recorded = RECORDED.get(case.id)
    if recorded is None or recorded["of"] != fingerprint(case):
        pytest.skip("new or changed since the results of Keras were recorded")
    trainer = trainer_of(case.spec)
    trainer.set_weights(draw_weights(trainer.weights()))
    batches = [draw_batch(case, trainer.plan, step) for step in range(STEPS)]
    outputs = trainer.model().session().run(batches[0][0])
    assert digest(outputs) == pytest.approx(recorded["output"], rel=1e-5, abs=1e-5)
    if "losses" in recorded:
        assert [trainer.step(x, y)["loss"] for x, y in batches] == pytest.approx(recorded["losses"], rel=1e-5, abs=1e-5)
