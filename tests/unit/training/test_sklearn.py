"""Metrics of deployed models, compared with recorded values of scikit-learn on their predictions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from jsonnx.pipeline.run.trained_model import TrainedModel

from . import deployed

RECORDED = json.loads((Path(__file__).parent / "fixtures" / "sklearn.json").read_text())


@pytest.mark.parametrize("case", deployed.CASES)
def test_the_metrics_of_a_deployed_model_equal_those_of_scikit_learn(case: str, tmp_path: Path) -> None:
    model, table = deployed.save(case, tmp_path)
    metrics = dict(TrainedModel.open(model).evaluate(str(table)).metrics)
    del metrics["loss"]
    assert metrics.keys() == RECORDED[case].keys()
    for name, expected in RECORDED[case].items():
        np.testing.assert_allclose(metrics[name], expected, rtol=1e-6, atol=1e-6, err_msg=name)
