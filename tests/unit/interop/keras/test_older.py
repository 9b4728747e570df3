"""Import of files written by Keras 1.2.2, 2.2.4 and TensorFlow 2.12, compared with their recorded outputs.

See parity/record_old_keras_files.
"""

from __future__ import annotations

from pathlib import Path

import jsonnx
import numpy as np
import pytest
from jsonnx.interop.keras.weights.weight_layouts import Producer, upgrade_weights
from jsonnx.pipeline.compile.keras_import import import_keras

FILES = Path(__file__).parent / "files"


def difference(spec: dict, weights: dict[str, np.ndarray], name: str) -> float:
    recorded = np.load(FILES / f"{name}.npz")
    (entry,) = spec["inputs"].values()
    x = recorded["x"].astype(entry.get("dtype", "float32"))
    (y,) = jsonnx.compile(spec, weights).session(provider="cpu").run(x).values()
    return float(np.abs(y - recorded["y"]).max() / np.abs(recorded["y"]).max())


@pytest.mark.costly(2)
@pytest.mark.parametrize(
    "file",
    ["keras1_recurrent.h5", "keras2_theano.h5", "keras2_recurrent.h5", "keras2_12.h5", "keras2_12_archive.keras"],
)
def test_imported_model_gives_the_recorded_outputs(file: str) -> None:
    """Covers separate gates of Keras 1, mirrored kernels of Theano, groups of 2.12, and lists of nested models."""
    spec, weights = jsonnx.from_keras(FILES / file)
    assert weights is not None
    assert difference(spec, dict(weights), Path(file).stem) < 1e-5


def test_keras_1_merge_at_the_start_of_a_sequential() -> None:
    spec, weights = jsonnx.from_keras(FILES / "keras1_merge.h5")
    recorded = np.load(FILES / "keras1_merge.npz")
    inputs = [recorded[f"arr_{index}"] for index in range(3)]
    feeds = {
        name: x.astype(entry.get("dtype", "float32"))
        for (name, entry), x in zip(spec["inputs"].items(), inputs, strict=True)
    }
    (y,) = jsonnx.compile(spec, weights).session().run(feeds).values()
    np.testing.assert_allclose(y, recorded["y"], rtol=1e-5)


def test_unknown_backend_of_keras_1_causes_a_warning() -> None:
    """The backend was Theano, so the kernel is mirrored, but the file does not state it."""
    imported = import_keras(FILES / "keras1_conv.h5")
    assert imported.weights is not None
    weights = dict(imported.weights)
    (notice,) = [notice for notice in imported.notices if notice.code == "weights-differ"]
    assert "mirrored" in notice.message
    assert difference(imported.spec, weights, "keras1_conv") > 1e-4
    weights = {name: array[::-1, ::-1] if array.ndim == 4 else array for name, array in weights.items()}
    assert difference(imported.spec, weights, "keras1_conv") < 1e-5


def test_keras_1_kernel_in_theano_order_is_rejected() -> None:
    with pytest.raises(jsonnx.CompileError, match="Theano's order of axes"):
        jsonnx.from_keras(FILES / "keras1_th.h5")


@pytest.mark.parametrize(("cell", "shapes"), [("lstm", [(4, 12), (3, 12), (12,)]), ("gru", [(4, 9), (3, 9), (2, 9)])])
def test_cudnn_weights_are_converted_as_in_keras_2(cell: str, shapes: list[tuple[int, ...]]) -> None:
    recorded = np.load(FILES / "keras2_cudnn.npz")
    arrays = [recorded[f"{cell}_in{index}"] for index in range(3)]
    names = ["a/kernel", "a/recurrent_kernel", "a/bias"]
    for index, array in enumerate(
        upgrade_weights(arrays, names, shapes, cell.upper(), Producer("2.2.4", "tensorflow"))
    ):
        np.testing.assert_array_equal(array, recorded[f"{cell}_out{index}"])
