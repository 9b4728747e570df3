"""`sequences`: lists of different lengths, padded to the longest one of a batch, in batches of similar lengths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.files.spec_source import SpecSource
from jsonnx.data.samples.dataset import Dataset
from jsonnx.data.samples.sequences import bucketed_order
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.check.data_spec import data_spec_of
from jsonnx.pipeline.train.run_data import SPEC_FILES, read_part
from safetensors.numpy import save_file
from support.commands import jsonnx as command

NO_SEQUENCES = "none"
LENGTHS = [3, 1, 7, 2, 2, 5, 0, 4, 6, 3]


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("train.json").write_text(json.dumps(rows()))
    return tmp_path


def rows() -> list[dict[str, Any]]:
    return [
        {
            "x": [[row + 1, step + 1] for step in range(length)],
            "y": float(row),
            "tags": [step % 3 for step in range(length)],
        }
        for row, length in enumerate(LENGTHS)
    ]


def spec(train: Any = "train.json", sequences: Any = None, tags: bool = False, **training: Any) -> str:
    head: list[dict[str, Any]] = [{"type": "Masking"}, {"type": "LSTM", "units": 3, "return_sequences": tags}]
    output = {"type": "Dense", "name": "y", "units": 3 if tags else 1, **({"activation": "softmax"} if tags else {})}
    document = {
        "inputs": {"x": {"shape": ["time", 2]}},
        "layers": [*head, output],
        "training": {
            "loss": "sparse_categorical_crossentropy" if tags else "mse",
            "data": {
                "train": train,
                **({"y": "tags"} if tags else {}),
                **({} if sequences == NO_SEQUENCES else {"sequences": sequences or {}}),
            },
            "batch_size": 4,
            "epochs": 2,
            **training,
        },
    }
    Path("spec.json").write_text(json.dumps(document))
    return "spec.json"


def read(path: str) -> Dataset:
    checked = check_spec(path)
    assert checked.objective is not None
    data = checked.network.training.data  # type: ignore[union-attr]
    spec_of_data = data_spec_of(checked.require(), checked.objective)
    samples = read_part("train", data, SPEC_FILES, spec_of_data, SpecSource(path, checked.locate))
    assert samples is not None
    return samples


def padded(count: int | None = None, width: int = 7, pad_value: float = 0) -> np.ndarray:
    array = np.full((len(LENGTHS), width, 2), pad_value, np.float32)
    for sequence, row in zip(array, rows(), strict=True):
        sequence[: len(row["x"])] = np.reshape(row["x"], (-1, 2))
    return array[:count]


def write_as(format: str) -> str:
    name = f"train.{format}"
    if format == "jsonl":
        Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows()))
    if format == "parquet":
        pa = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(rows()), name)
    if format == "npz":
        np.savez(name, **arrays())
    if format == "safetensors":
        save_file(arrays(), name)
    return name


def arrays() -> dict[str, np.ndarray]:
    """The samples as arrays of steps with lengths."""
    return {
        "x": np.concatenate([np.reshape(row["x"], (-1, 2)) for row in rows()]).astype(np.float32),
        "x_lengths": np.array(LENGTHS),
        "tags": np.concatenate([row["tags"] for row in rows()]).astype(np.int64),
        "tags_lengths": np.array(LENGTHS),
        "y": np.array([row["y"] for row in rows()], np.float32),
    }


@pytest.mark.parametrize("format", ["json", "jsonl", "parquet", "npz", "safetensors"])
@pytest.mark.parametrize("pad_value", [0, -1])
def test_a_batch_is_padded_to_its_longest_sequence(format: str, pad_value: float) -> None:
    dataset = read(spec(write_as(format), {"pad_value": pad_value}))
    assert len(dataset) == len(LENGTHS)
    for taken in (np.array([0, 1, 3]), slice(1, 2), slice(6, 7), np.arange(10)):
        width = max(1, max(np.array(LENGTHS)[taken]))
        x = dataset.take(taken)["x"]
        assert x.dtype == np.float32
        assert (x == padded(pad_value=pad_value)[taken, :width]).all()
    later = dataset.subset(slice(3, None))
    assert (later.take(slice(0, 2))["x"] == padded()[3:5, :2]).all()
    assert dataset.digest != later.digest == dataset.subset(np.arange(3, 10)).digest


@pytest.mark.parametrize("shuffle", [False, True])
def test_training_equals_training_on_padded_arrays(shuffle: bool) -> None:
    trainers = [jsonnx.Trainer(spec(shuffle=shuffle)) for _ in range(2)]
    losses = [
        trainers[0].fit().history["loss"],
        trainers[1].fit(padded(), np.arange(len(LENGTHS), dtype=np.float32)).history["loss"],
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)
    np.testing.assert_allclose(
        trainers[0].evaluate(read("spec.json"))["loss"],
        trainers[1].evaluate(padded(), np.arange(len(LENGTHS), dtype=np.float32))["loss"],
        rtol=1e-6,
    )


def test_targets_of_steps_are_padded_with_their_inputs_and_masked() -> None:
    dataset = read(spec(tags=True))
    feeds = dataset.take(np.array([0, 3, 1]))
    assert feeds["y/target"].tolist() == [[0, 1, 2], [0, 1, 0], [0, 0, 0]]
    command("train", "spec.json", "-o", "run", "--quiet")
    command("predict", "run", "--data", "train.json", "-o", "out.npz")
    with np.load("out.npz") as out:
        assert out[out.files[0]].shape[:2] == (len(LENGTHS), 7)


def test_several_files_and_a_split_have_sequences() -> None:
    Path("more.json").write_text(json.dumps(rows()[:2] * 30))
    path = spec(["train.json", "more.json"])
    assert len(read(path)) == 70
    command("train", path, "-o", "run", "--quiet", "--set", 'training.data.split={"test": 0.3}')
    assert "loss" in command("evaluate", "run").stdout


def test_buckets_have_similar_lengths_and_depend_on_seed_and_epoch_alone() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 100, 1003)
    orders = [bucketed_order(rng.permutation(1003), lengths, 10, 0, epoch) for epoch in range(2)]
    assert all(sorted(order) == list(range(1003)) for order in orders)
    spread = [np.ptp(lengths[order[start : start + 10]]) for order in orders for start in range(0, 1000, 10)]
    assert np.mean(spread) < 5
    assert (orders[0] != orders[1]).any()
    order = np.arange(1003)
    assert (bucketed_order(order, lengths, 10, 0, 1) == bucketed_order(order, lengths, 10, 0, 1)).all()
    assert (bucketed_order(order, lengths, 10, 0, 1) != bucketed_order(order, lengths, 10, 1, 1)).any()
    assert (bucketed_order(order[:5], lengths, 10, 0, 1) == order[:5][np.argsort(lengths[:5], kind="stable")]).all()


def test_a_bucketed_fit_takes_every_sample_once_per_epoch() -> None:
    seen: list[int] = []
    trainer = jsonnx.Trainer(spec(sequences={"bucket_by_length": True}))
    original = trainer.plan_trainer.engine.feeds

    def feeds(samples: Dataset, taken: Any, step: int) -> dict[str, np.ndarray]:
        seen.extend(np.asarray(taken).tolist())
        return original(samples, taken, step)

    trainer.plan_trainer.engine.feeds = feeds  # type: ignore[method-assign]
    trainer.fit()
    assert sorted(seen) == sorted([*range(10), *range(10)])
    assert max(LENGTHS[row] for row in seen[:4]) <= min(LENGTHS[row] for row in seen[4:8]) or max(
        LENGTHS[row] for row in seen[4:8]
    ) <= min(LENGTHS[row] for row in seen[:4])


def test_a_run_is_not_resumed_with_other_batches() -> None:
    command("train", spec(), "-o", "run", "--quiet")
    changed = spec(sequences={"bucket_by_length": True}, epochs=3)
    assert "sequences" in command("train", changed, "-o", "run", "--resume", status=1).stderr
    command("train", spec(epochs=3), "-o", "run", "--resume")


@pytest.mark.parametrize(
    ("row", "code", "text"),
    [
        ({"x": [[1, 2], [3, "a"]]}, "bad-value", "row 2, column 'x', element [1"),
        ({"x": [[1, 2], [None, 4]]}, "bad-value", "row 2, column 'x'"),
        ({"x": [[1, 2], [3]]}, "data-shape", "row 2, column 'x'"),
        ({"x": 5}, "data-shape", "row 2, column 'x'"),
    ],
)
def test_invalid_steps_are_located(row: dict[str, Any], code: str, text: str) -> None:
    Path("train.json").write_text(json.dumps([{"x": [[1, 2]], "y": 1}, {"y": 2} | row]))
    (error,) = jsonnx.validate(spec(), data=True)
    assert (error.code, error.file) == (code, "train.json")
    assert text in error.message


def test_steps_in_arrays_train_the_weights_that_lists_train() -> None:
    write_as("npz")
    of_lists, of_arrays = (jsonnx.Trainer(spec(file, tags=True)) for file in ("train.json", "train.npz"))
    histories = [trainer.fit(verbose=0).history["loss"] for trainer in (of_lists, of_arrays)]
    assert histories[0] == histories[1]


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"x_lengths": np.array([*LENGTHS, 1])}, "data-shape", "'x_lengths' add up to 34, and 'x' has 33 steps"),
        ({"x_lengths": np.array([3.0])}, "data-shape", "'x_lengths' does not have one length for each sequence"),
        ({"x_lengths": np.array([34, -1])}, "data-shape", "'x_lengths' does not have one length for each sequence"),
        ({"x": np.where(np.arange(33) == 4, np.nan, 1)[:, None] * [1.0, 1.0]}, "not-finite", "sample 2, element [0"),
        ({"x": np.array([[1], [1, 2]], object)}, "bad-data-file", "np.concatenate one array of sequences"),
    ],
)
def test_errors_of_steps_in_arrays_say_what_does_not_fit(changes: dict[str, Any], code: str, text: str) -> None:
    np.savez("train.npz", **{**arrays(), **changes})
    error = jsonnx.validate(spec("train.npz"), data=True)[0]
    assert (error.code, error.file) == (code, "train.npz")
    assert text in error.message


def test_lists_of_different_lengths_name_the_key() -> None:
    (error,) = jsonnx.validate(spec(sequences=NO_SEQUENCES), data=True)
    assert error.code == "data-shape"
    assert '"sequences": {}' in str(error.help)


@pytest.mark.parametrize(
    ("value", "help"),
    [
        ("cab", 'write a list of class indices, [3, 1, 20], or of texts that `labels` names: ["c", "a", "t"]'),
        (["c", "a"], 'name the classes in the spec, beside "layers", the blank first: "labels": ["-", "a", "c"]'),
    ],
)
def test_texts_as_targets_of_ctc_name_what_trains(value: Any, help: str) -> None:
    document = json.loads(Path(spec()).read_text())
    document["layers"] = [{"type": "SequenceMask"}, {"type": "Dense", "name": "y", "units": 4}]
    document["training"] |= {"loss": "ctc", "epochs": 1}
    samples = [{"x": [[1, 2]] * 5, "y": value}, {"x": [[1, 2]] * 4, "y": value[:1]}]
    Path("train.json").write_text(json.dumps(samples))
    (error,) = jsonnx.validate(document, data=True)
    assert (error.file, error.help) == ("train.json", help)
    Path("train.json").write_text(json.dumps([{**sample, "y": [*sample["y"]]} for sample in samples]))
    labelled = {**document, "labels": ["-", "a", "b", "c"]}
    assert jsonnx.validate(labelled, data=True) == []
    Path("labelled.json").write_text(json.dumps(labelled))
    command("train", "labelled.json", "-o", "run")
    Path("train.json").write_text(json.dumps([{**sample, "y": [3, 1]} for sample in samples]))
    assert jsonnx.validate(document, data=True) == []


def test_texts_as_targets_of_steps_need_labels() -> None:
    samples = [{"x": [[1, 2]] * len(tags), "tags": tags} for tags in (["b", "a"], ["c"])]
    Path("train.json").write_text(json.dumps(samples))
    document = json.loads(Path(spec(tags=True)).read_text())
    (error,) = jsonnx.validate(document, data=True)
    assert (error.code, error.line) == ("bad-value", 1)
    assert str(error.help).endswith('in the order of the outputs: "labels": ["a", "b", "c"]')
    assert jsonnx.validate({**document, "labels": ["a", "b", "c"]}, data=True) == []
