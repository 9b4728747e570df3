"""Sessions run valid feeds, and report invalid ones."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.backend import serialize, to_model_proto
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.core.types import BATCH, Size, TensorType
from jsonnx.data.samples.array_samples import from_arrays
from jsonnx.data.samples.data_errors import FeedError
from jsonnx.data.samples.data_spec import DataSpec
from jsonnx.ir import Builder, Graph
from jsonnx.runtime.session.session import Session

TIME = Size.named("time")


def model(**inputs: TensorType) -> Graph:
    g = Builder()
    return g.graph({f"{name}_out": g.Identity(g.input(name, type)) for name, type in inputs.items()})


@pytest.fixture(scope="module")
def session() -> Session:
    types = {
        "x": TensorType("float32", (BATCH, TIME, 2)),
        "ids": TensorType("int64", (BATCH, TIME)),
        "text": TensorType("string", (BATCH,)),
    }
    return Session(to_model_proto(model(**types), metadata={"made by": "a test"}))


GOOD = {"x": np.ones((3, 5, 2), np.float32), "ids": np.ones((3, 5), np.int64), "text": np.array(["a", "b", "ç"])}


def test_types_and_metadata_are_known(session):
    assert str(session.inputs["x"]) == "float32[batch, time, 2]"
    assert str(session.outputs["text_out"]) == "string[batch]"
    assert session.metadata == {"made by": "a test"}


def test_outputs_come_by_name(session):
    outputs = session.run(GOOD)
    assert list(outputs) == ["x_out", "ids_out", "text_out"]
    assert outputs["text_out"].tolist() == ["a", "b", "ç"]


@pytest.mark.parametrize(
    "x", [np.ones((3, 5, 2)), np.ones((3, 5, 2), np.uint8), np.ones((3, 5, 2)).tolist(), np.ones((2, 5, 3)).T]
)
def test_numbers_are_cast_to_the_inputs_type(session, x):
    assert session.run({**GOOD, "x": x})["x_out"].dtype == np.float32


def test_one_input_needs_no_name():
    session = Session(serialize(to_model_proto(model(x=TensorType("float32", (BATCH, 2))))))
    assert session.run([[1, 2]])["x_out"].tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"x": np.ones((3, 5))},
            "input 'x' has shape [3, 5], rank 2; the model wants float32[batch, time, 2]",
        ),
        ({"x": np.ones((3, 5, 4))}, "axis 2 is 4, not 2"),
        ({"ids": np.ones((3, 6), np.int64)}, "input 'ids' has time = 6 on axis 1, but 'x' has time = 5"),
        ({"ids": np.ones((2, 5), np.int64)}, "has batch = 2 on axis 0, but 'x' has batch = 3"),
        ({"ids": np.ones((3, 5))}, "input 'ids' has float64 elements, the model wants int64"),
        ({"ids": np.full((3, 5), 2**63, np.uint64)}, "values beyond the range of int64"),
        ({"x": np.full((3, 5, 2), "a")}, "input 'x' has <U1 elements, the model wants float32"),
        ({"x": [[1.0], [1.0, 2.0]]}, "input 'x' is ragged"),
        ({"text": [1, 2, 3]}, "the model wants strings"),
        ({"y": 1}, "there is no input 'y'"),
        ({"txt": 1}, "did you mean 'text'?"),
    ],
)
def test_feeds_that_do_not_fit_are_reported(session, changed, message):
    with pytest.raises(FeedError) as error:
        session.run({**GOOD, **changed})
    assert message in str(error.value)
    assert isinstance(error.value, ValueError)


IMAGE = TensorType("float32", (BATCH, 4, 3, 1))


@pytest.fixture(scope="module")
def image_session() -> Session:
    return Session(to_model_proto(model(x=IMAGE)))


@pytest.mark.parametrize("shape", [(2, 4, 3), (2, 12), (2, 4, 3, 1, 1)])
def test_the_shape_of_a_sample_may_differ_as_in_data_files(image_session, shape):
    x = np.arange(24, dtype=np.float32).reshape(shape)
    assert (image_session.run(x)["x_out"] == x.reshape(2, 4, 3, 1)).all()
    assert (from_arrays(x, None, DataSpec({"x": IMAGE}, {}), targets=False).inputs["x"] == x.reshape(2, 4, 3, 1)).all()


@pytest.mark.parametrize("shape", [(4, 3, 1), (4, 3)])
def test_a_hint_works_when_it_is_obeyed(image_session, shape):
    """The batch axis is never added: [4, 3] could also be 4 samples of a wrong shape."""
    x = np.arange(12, dtype=np.float32).reshape(shape)
    for run in (image_session.run, lambda x: from_arrays(x, None, DataSpec({"x": IMAGE}, {}), targets=False)):
        with pytest.raises(FeedError, match=r"a single sample needs a batch axis: x\[None\]"):
            run(x)
        run(x[None])
        run(x[None][..., None])


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (3, 4, 1)])
def test_no_hint_is_given_that_would_not_help(image_session, shape):
    with pytest.raises(FeedError) as error:
        image_session.run(np.ones(shape))
    assert "x[None]" not in str(error.value)


def test_every_error_is_reported_at_once(session):
    with pytest.raises(FeedError) as error:
        session.run({"z": 1})
    assert len(error.value.diagnostics) == 4


def test_one_array_for_several_inputs_is_refused(session):
    with pytest.raises(FeedError, match="3 inputs"):
        session.run(np.ones(3))


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"{}", b"PK\x03\x04"])
def test_an_invalid_model_file_is_an_error(tmp_path, content):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(CompileError) as error:
        Session(path)
    assert error.value.diagnostics[0].code in {"bad-model", "damaged-file", "other-format"}


def test_a_missing_file_is_an_error(tmp_path):
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(UsageError) as error:
            Session(path)
        assert error.value.diagnostic.code == "unreadable-file"


def test_a_run_folder_stands_for_its_model(tmp_path):
    (tmp_path / "model.onnx").write_bytes(serialize(to_model_proto(model(x=TensorType("float32", (BATCH,))))))
    assert list(Session(tmp_path).run([1.0])) == ["x_out"]


@pytest.mark.parametrize("value", [3, None, [1]])
def test_anything_else_than_a_model_is_a_type_error(value):
    with pytest.raises(TypeError, match="a model is a path"):
        Session(value)


def test_an_unknown_attribute_cannot_be_set(session):
    with pytest.raises(AttributeError, match="thread"):
        session.thread = 1


def test_a_failure_of_onnxruntime_is_a_compile_error():
    g = Builder()
    x = g.input("x", TensorType("int64", (BATCH,)))
    session = Session(to_model_proto(g.graph({"y": g.Gather(g.const([1.0, 2.0]), x)})))
    with pytest.raises(CompileError) as error:
        session.run([5])
    assert error.value.diagnostics[0].code == "runtime-failure"
