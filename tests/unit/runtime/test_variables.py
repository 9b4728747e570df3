"""Variables: donated arrays are freed one by one, and sets rotate and roll back."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from jsonnx.ir import Builder
from jsonnx.runtime.execution.stored_weights import initial_variables
from jsonnx.runtime.execution.variables import DonatedArrays, HostVariables
from jsonnx.runtime.providers.aligned_arrays import AlignedArrays
from jsonnx.training.weights.initializers import INITIALIZERS


def arrays() -> dict[str, np.ndarray]:
    return {"a": np.ones((2, 3), np.float32), "b": np.full(4, 2.0, np.float32), "c": np.zeros(2, np.int64)}


def test_donated_arrays_are_freed_once_they_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    originals = arrays()
    references = {name: weakref.ref(array) for name, array in originals.items()}
    donated = DonatedArrays(originals)
    del originals
    alive: list[int] = []
    copy = AlignedArrays.copy

    def counting_copy(memory: AlignedArrays, array: np.ndarray) -> np.ndarray:
        alive.append(sum(reference() is not None for reference in references.values()))
        return copy(memory, array)

    monkeypatch.setattr(AlignedArrays, "copy", counting_copy)
    g = Builder()
    for name, array in arrays().items():
        with g.scope(name):
            g.state("value", array.shape, INITIALIZERS.by_name["zeros"](), array.dtype.name)
    initial_variables(g.graph({}), 0, donated)
    assert alive == [3, 2, 1]
    assert donated.names == []


def test_aligned_arrays_are_the_variables_themselves() -> None:
    array = AlignedArrays().copy(np.ones(5, np.float32))
    host = HostVariables(DonatedArrays({"a": array}), ["a"], {})
    host.write({"a": np.full(5, 2.0, np.float32)})
    assert array.tolist() == [2.0] * 5


def test_the_mapping_of_donated_arrays_is_not_changed() -> None:
    originals = arrays()
    donated = DonatedArrays(originals)
    donated.take("a")
    donated.take_all()
    assert originals.keys() == {"a", "b", "c"}


def test_members_of_a_packed_vector_are_views_of_it() -> None:
    host = HostVariables(DonatedArrays(arrays()), ["vector"], {"vector": ["a", "b"]})
    host.write({"b": np.full(4, 5.0, np.float32)})
    assert host.read(["vector"])["vector"].tolist() == [1.0] * 6 + [5.0] * 4
    assert list(host.read()) == ["a", "b", "c"]


def test_only_variables_that_are_updated_elsewhere_have_several_copies() -> None:
    host = HostVariables(DonatedArrays(arrays()), ["a", "b"], {}, inplace_names=["b"])
    copies = {name: len({values[name].data_ptr() for values in host.sets}) for name in ("a", "b", "c")}
    assert copies == {"a": 3, "b": 1, "c": 1}


def test_a_rollback_returns_to_the_set_before() -> None:
    host = HostVariables(DonatedArrays(arrays()), ["b"], {})
    before = host.read()
    host.current_set = 1
    host.write({"b": np.zeros(4, np.float32)})
    host.rollback(1)
    assert host.current_set == 0
    assert all(np.array_equal(array, before[name]) for name, array in host.read().items())
