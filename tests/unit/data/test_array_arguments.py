"""What programs pass as data: masked arrays, sparse matrices, tensors and iterables are refused with a reason."""

from __future__ import annotations

import array
from collections.abc import Callable, Iterator
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.data.samples.array_arguments import to_array
from jsonnx.data.samples.data_errors import FeedError

SPEC = {
    "inputs": {"x": {"shape": [2]}},
    "layers": [{"type": "Dense", "name": "y", "units": 1}],
    "training": {"loss": "mse"},
}
X, Y = np.arange(8.0).reshape(4, 2), np.arange(4.0)


class Sparse:
    """As a matrix of SciPy, which NumPy makes an array of objects of."""

    nnz, shape = 3, (4, 2)

    def toarray(self) -> np.ndarray:
        return X


class Tensor:
    """As a tensor of PyTorch."""

    def __init__(self, requires_grad: bool = False, device: str = "cpu") -> None:
        self.requires_grad, self.device = requires_grad, device

    def cpu(self) -> Tensor:
        return Tensor(self.requires_grad)

    def __array__(self, *arguments: Any, **options: Any) -> np.ndarray:
        if self.requires_grad or self.device != "cpu":
            raise RuntimeError("Can't call numpy() on this Tensor.")
        return X


class Loader:
    """As a data loader or a Keras PyDataset: batches by iteration or by index."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return X, Y


class Broken:
    def __array__(self, *arguments: Any, **options: Any) -> np.ndarray:
        raise KeyError("no such column")


def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    yield X, Y


MASKED = np.ma.masked_array(X, X > 6)
VALUES = [
    (MASKED, "masked array, 1 of its 8 values masked: replace them, x.filled"),
    ([MASKED[0], MASKED[3]], "masked array, 1 of its 2 values masked"),
    (Sparse(), r"sparse matrix \(Sparse\), which is not taken: pass x.toarray"),
    (Tensor(requires_grad=True), "requires a gradient: pass x.detach"),
    (Tensor(device="cuda:0"), "on the device 'cuda:0': pass x.cpu"),
    (batches(), r"iterable \(generator\): pass arrays"),
    (Loader(), r"iterable \(Loader\)"),
    ([(X, Y), (X, Y)], r"iterable \(list\)"),
    ([{"x": X}, {"x": X}], r"iterable \(list\)"),
    (Broken(), "cannot be converted to an array: 'no such column'"),
]


@pytest.mark.parametrize(("value", "message"), VALUES)
@pytest.mark.parametrize(
    "use",
    [
        lambda trainer, value: trainer.fit(value, Y),
        lambda trainer, value: trainer.fit({"x": value}, Y),
        lambda trainer, value: trainer.fit(X, Y, validation_data=(value, Y)),
        lambda trainer, value: trainer.evaluate(value, Y),
        lambda trainer, value: trainer.predict({"x": value}),
        lambda trainer, value: trainer.step(value, Y),
        lambda trainer, value: trainer.model().session().run(value),
    ],
)
def test_a_value_that_is_no_array_is_refused_with_a_reason(value: Any, message: str, use: Callable) -> None:
    with pytest.raises(FeedError, match=message) as error:
        use(jsonnx.Trainer(SPEC), value)
    assert len(error.value.diagnostics) == 1


def test_masked_targets_and_weights_are_refused() -> None:
    with pytest.raises(FeedError, match="the target 'y' is a masked array"):
        jsonnx.Trainer(SPEC).fit(X, np.ma.masked_array(Y, Y > 2))
    weights = jsonnx.Trainer(SPEC).weights()
    weights["y/kernel"] = np.ma.masked_array(weights["y/kernel"], [[True], [False]])
    with pytest.raises(jsonnx.CompileError, match="is a masked array"):
        jsonnx.compile(SPEC, weights=weights)


@pytest.mark.parametrize(
    "value",
    [
        X,
        X.tolist(),
        tuple(map(tuple, X)),
        range(4),
        memoryview(X),
        bytearray(b"ab"),
        array.array("d", [1.0, 2.0]),
        np.ma.masked_array(X),
        Tensor(),
        np.float32(3),
        5,
        [X[0], X[1]],
        ["a", "b"],
        [],
    ],
)
def test_arrays_and_what_numpy_converts_are_taken(value: Any) -> None:
    expected = X if isinstance(value, Tensor) else np.asarray(value)
    assert np.array_equal(to_array(value), expected)


def test_objects_that_are_all_numbers_are_taken_as_numbers() -> None:
    """A pandas frame with columns of several types is an array of objects."""
    rows = np.array([[1.5, True], [2, False]], object)
    assert to_array(rows).dtype == np.float64
    assert to_array(rows).tolist() == [[1.5, 1.0], [2.0, 0.0]]
    samples = np.empty(2, object)
    samples[:] = [X[0], X[1]]
    assert np.array_equal(to_array(samples), X[:2])
    trainer = jsonnx.Trainer(SPEC)
    losses = [trainer.step(x, y)["loss"] for x, y in ((X.astype(object), Y.astype(object)), (X + 1, Y))]
    trainer = jsonnx.Trainer(SPEC)
    assert losses == [trainer.step(x, y)["loss"] for x, y in ((X, Y), (X + 1, Y))]


@pytest.mark.parametrize("values", [["a", "b"], [1, "a"], [None, 1.0], [1.0, None], [float("nan"), "a"], [1j, 2]])
def test_other_objects_are_unchanged(values: list[Any]) -> None:
    objects = np.array(values, object)
    assert to_array(objects) is objects
