"""The samples' networks against what Keras gave for them, recorded by `sh tests/parity/run.sh record`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from samples import FIXTURE, NAMES, TOLERANCE, our_losses


@pytest.mark.parametrize("name", NAMES)
def test_the_losses_of_the_first_steps_are_those_that_keras_gave(name: str) -> None:
    wanted = np.array(json.loads(FIXTURE.read_text())[name])
    assert np.abs(np.array(our_losses(name)) / wanted - 1).max() < TOLERANCE
