"""A fast end-to-end test of one sample: the first test to look at when many fail."""

from __future__ import annotations

from pathlib import Path

import jsonnx
import numpy as np

SAMPLE = Path(__file__).parents[2] / "samples" / "diabetes.json"


def test_a_spec_is_checked_trained_saved_and_run(tmp_path: Path) -> None:
    assert jsonnx.validate(SAMPLE) == []
    trainer = jsonnx.Trainer(SAMPLE)
    history = trainer.fit(epochs=5).history
    assert history["loss"][-1] < history["loss"][0] / 1.2
    model = trainer.model()
    model.save(tmp_path / "model.onnx")
    x = np.random.default_rng(0).normal(50, 10, (3, 10)).astype(np.float32)
    (result,) = jsonnx.Session(tmp_path / "model.onnx").run({"patient": x}).values()
    np.testing.assert_allclose(result, trainer.predict(x), rtol=1e-5)
