"""Files that Keras 1.2.2, 2.2.4 and TensorFlow 2.12 wrote compute here what they computed there.

See parity/record_old_keras_files.
"""

from __future__ import annotations

from pathlib import Path

import jsonnx
import numpy as np
import pytest
from jsonnx.interop.keras.weight_layouts import Producer, upgrade_weights
from jsonnx.pipeline.keras_import import import_keras

FILES = Path(__file__).parent / "files"


def difference(spec: dict, weights: dict[str, np.ndarray], name: str) -> float:
    recorded = np.load(FILES / f"{name}.npz")
    (entry,) = spec["inputs"].values()
    x = recorded["x"].astype(entry.get("dtype", "float32"))
    (y,) = jsonnx.compile(spec, weights).session(provider="cpu").run(x).values()
    return float(np.abs(y - recorded["y"]).max() / np.abs(recorded["y"]).max())


@pytest.mark.parametrize(
    "file",
    ["keras1_recurrent.h5", "keras2_theano.h5", "keras2_recurrent.h5", "keras2_12.h5", "keras2_12_archive.keras"],
)
def test_an_old_model_computes_what_it_did(file: str) -> None:
    """Keras 1's gates in pieces, Theano's mirrored kernels, the dependencies of 2.12, lists of nested models."""
    spec, weights = jsonnx.from_keras(FILES / file)
    assert weights is not None
    assert difference(spec, dict(weights), Path(file).stem) < 1e-5


def test_branches_that_keras_1_joined_at_the_beginning_of_a_sequential() -> None:
    spec, weights = jsonnx.from_keras(FILES / "keras1_merge.h5")
    recorded = np.load(FILES / "keras1_merge.npz")
    given = [recorded[f"arr_{place}"] for place in range(3)]
    feeds = {
        name: x.astype(about.get("dtype", "float32"))
        for (name, about), x in zip(spec["inputs"].items(), given, strict=True)
    }
    (y,) = jsonnx.compile(spec, weights).session().run(feeds).values()
    np.testing.assert_allclose(y, recorded["y"], rtol=1e-5)


def test_a_file_of_keras_1_that_does_not_name_its_backend_is_told_of() -> None:
    """It was Theano, so the kernel is mirrored; the file says nothing of it."""
    found = import_keras(FILES / "keras1_conv.h5")
    assert found.weights is not None
    weights = dict(found.weights)
    (notice,) = [notice for notice in found.notices if notice.code == "weights-differ"]
    assert "mirrored" in notice.message
    assert difference(found.spec, weights, "keras1_conv") > 1e-4
    weights = {name: array[::-1, ::-1] if array.ndim == 4 else array for name, array in weights.items()}
    assert difference(found.spec, weights, "keras1_conv") < 1e-5


def test_a_kernel_of_keras_1_in_theanos_order_is_refused() -> None:
    with pytest.raises(jsonnx.CompileError, match="Theano's order of axes"):
        jsonnx.from_keras(FILES / "keras1_th.h5")


@pytest.mark.parametrize(("cell", "shapes"), [("lstm", [(4, 12), (3, 12), (12,)]), ("gru", [(4, 9), (3, 9), (2, 9)])])
def test_weights_of_cudnn_layers_are_those_that_keras_2_made_of_them(cell: str, shapes: list[tuple[int, ...]]) -> None:
    recorded = np.load(FILES / "keras2_cudnn.npz")
    given = [recorded[f"{cell}_in{index}"] for index in range(3)]
    names = ["a/kernel", "a/recurrent_kernel", "a/bias"]
    for index, array in enumerate(upgrade_weights(given, names, shapes, cell.upper(), Producer("2.2.4", "tensorflow"))):
        np.testing.assert_array_equal(array, recorded[f"{cell}_out{index}"])
