"""Trainings with a teacher: `training.distill` in commands and in Python."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonnx as library
import numpy as np
import onnx
import pytest
from jsonnx.collective.local import local_collectives
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.pipeline.run import checkpoint_schedule
from jsonnx.runtime.distillation import teacher_outputs
from jsonnx.runtime.distillation.teacher import TeacherModel
from jsonnx.runtime.fit.trainer import PlanTrainer
from support.commands import jsonnx

FEATURES, CLASSES, SAMPLES, BATCH = 6, 3, 50, 16
LABELS = ["ash", "birch", "cedar"]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(SAMPLES, FEATURES)).astype(np.float32)
Y = (X @ RNG.normal(size=(FEATURES, CLASSES))).argmax(1)
DISTILL = {"teacher": "teacher", "temperature": 4, "alpha": 0.25}


def network(units: int, **training: Any) -> dict[str, Any]:
    data = {"train": "data.npz", "x": "x", "y": "y"}
    section = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], "epochs": 3, "batch_size": BATCH}
    return {
        "inputs": {"x": {"shape": [FEATURES]}},
        "layers": [
            {"type": "Dense", "units": units, "activation": "relu"},
            {"type": "Dense", "name": "tree", "units": CLASSES, "activation": "softmax"},
        ],
        "labels": LABELS,
        "training": {"data": data, **section, "optimizer": "adam", **training},
    }


TEACHER, STUDENT = network(32, epochs=10), network(4, distill=DISTILL)


@pytest.fixture(scope="module")
def teacher_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    np.savez(folder / "data.npz", x=X, y=Y)
    (folder / "spec.json").write_text(json.dumps(TEACHER))
    jsonnx("train", str(folder / "spec.json"), "-o", str(folder / "run"))
    return folder / "run"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, teacher_run: Path) -> Path:
    """A folder with a teacher's RUN folder, a spec of a student, and data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint_schedule, "EPOCH_CHECKPOINT_SECONDS", 0.0)
    shutil.copytree(teacher_run, "teacher")
    np.savez("data.npz", x=X, y=Y)
    write(STUDENT)
    return tmp_path


def write(spec: dict[str, Any], path: str = "spec.json") -> None:
    Path(path).write_text(json.dumps(spec))


def changed(spec: dict[str, Any] = STUDENT, **training: Any) -> dict[str, Any]:
    spec = copy.deepcopy(spec)
    spec["training"] |= training
    return spec


def weights_of(spec: dict[str, Any], *data: Any, threads: int = 1, **arguments: Any) -> dict[str, bytes]:
    trainer = library.Trainer(spec, threads=threads)
    trainer.fit(*(data or (X, Y)), verbose=0, **arguments)
    return {name: array.tobytes() for name, array in trainer.weights().items()}


def codes(error: pytest.ExceptionInfo[CompileError]) -> list[tuple[str, str]]:
    return [(item.code, item.path) for item in error.value.diagnostics]


def refused(spec: dict[str, Any], *data: Any) -> str:
    """The message of a teacher that does not fit, which is at the teacher's name."""
    with pytest.raises(CompileError) as error:
        library.Trainer(spec, threads=1).fit(*(data or (X, Y)), verbose=0)
    assert codes(error) == [("teacher-mismatch", "$.training.distill.teacher")]
    return error.value.diagnostics[0].message


# -- what is learned ---------------------------------------------------------------------------------------------------


def test_the_first_step_has_the_loss_of_the_formula_and_evaluation_that_of_the_targets() -> None:
    trainer = library.Trainer(STUDENT, threads=1)
    p, q = library.Session("teacher").run(X)["tree"], trainer.predict(X)
    target_loss = -np.log(q[np.arange(SAMPLES), Y]).mean()
    softened = [np.exp(np.log(each) / 4) / np.exp(np.log(each) / 4).sum(1, keepdims=True) for each in (p, q)]
    divergence = (softened[0] * np.log(softened[0] / softened[1])).sum(1).mean()
    assert trainer.evaluate(X, Y)["loss"] == pytest.approx(target_loss, rel=1e-5)
    assert trainer.step(X, Y)["loss"] == pytest.approx(0.25 * target_loss + 0.75 * 16 * divergence, rel=1e-4)


def test_a_command_trains_and_the_model_needs_no_teacher() -> None:
    text = jsonnx("train", "spec.json", "-o", "run").stderr
    assert f"computes the outputs of the teacher for {SAMPLES} samples" in text
    shutil.rmtree("teacher")
    jsonnx("evaluate", "run", "--data", "data.npz")
    jsonnx("predict", "run", "--data", "data.npz", "-o", "predictions.csv")
    assert len(Path("predictions.csv").read_text().splitlines()) == SAMPLES + 1


def test_the_validation_loss_is_that_of_the_targets() -> None:
    trainer = library.Trainer(changed(optimizer={"type": "sgd", "learning_rate": 1e-12}, epochs=1))
    history = trainer.fit(X, Y, validation_data=(X, Y), verbose=0).history
    assert history["val_loss"][0] == pytest.approx(trainer.evaluate(X, Y)["loss"], rel=1e-6)
    assert history["loss"][0] != pytest.approx(history["val_loss"][0], rel=0.01)


def test_a_teacher_with_logits_and_one_of_another_program_teach_the_same() -> None:
    expected = weights_of(changed(distill=DISTILL | {"teacher": "teacher/model.onnx"}))
    assert expected == weights_of(STUDENT)
    model = onnx.load("teacher/model.onnx")
    del model.metadata_props[:]
    onnx.save(model, "other.onnx")
    assert weights_of(changed(distill=DISTILL | {"teacher": "other.onnx"})) == expected
    logits = copy.deepcopy(TEACHER)
    logits["layers"][-1] |= {"activation": None}
    logits["training"]["loss"] = {"type": "sparse_categorical_crossentropy", "from_logits": True}
    library.compile(logits, weights="teacher/weights.safetensors").save("logits.onnx")
    by_logits = library.Trainer(changed(distill=DISTILL | {"teacher": "logits.onnx"}), threads=1)
    by_logits.fit(X, Y, verbose=0)
    for name, array in by_logits.weights().items():
        np.testing.assert_allclose(array.ravel(), np.frombuffer(expected[name], np.float32), atol=1e-4)


def test_a_teacher_of_numbers() -> None:
    def regression(units: int, **training: Any) -> dict[str, Any]:
        layers = [{"type": "Dense", "units": units, "activation": "relu"}, {"type": "Dense", "units": 1}]
        training = {"loss": "mae", "batch_size": BATCH, "target": {"normalize": True}, **training}
        return {"inputs": {"x": {"shape": [FEATURES]}}, "layers": layers, "training": training}

    y = (100 + 20 * X[:, :1]).astype(np.float32)
    teacher = library.Trainer(regression(16, epochs=5))
    teacher.fit(X, y, verbose=0)
    teacher.model().save("teacher.onnx")
    student = library.Trainer(regression(4, distill={"teacher": "teacher.onnx", "alpha": 0.5}), threads=1)
    student.fit(X, y, epochs=1, verbose=0)
    own, its = student.predict(X), teacher.predict(X)
    deviation = y.std()
    expected = 0.5 * np.abs(own - y).mean() / deviation + 0.5 * (((own - its) / deviation) ** 2).mean()
    assert student.step(X, y)["loss"] == pytest.approx(expected, rel=1e-4)


def test_several_outputs_are_compared_by_name() -> None:
    def pair(units: int, **training: Any) -> dict[str, Any]:
        layers = [
            {"type": "Dense", "name": "code", "units": units},
            {"type": "Dense", "name": "tree", "units": CLASSES, "activation": "softmax", "from": "code"},
            {"type": "Dense", "name": "size", "units": 1, "from": "code"},
        ]
        loss = {"tree": "sparse_categorical_crossentropy", "size": "mse"}
        section = {"loss": loss, "batch_size": BATCH, **training}
        spec = {"inputs": {"x": {"shape": [FEATURES]}}, "layers": layers, "outputs": ["tree", "size"]}
        return spec | {"training": section}

    y = {"tree": Y, "size": X[:, :1]}
    library.compile(pair(8)).save("teacher.onnx")
    trainer = library.Trainer(pair(4, distill={"teacher": "teacher.onnx"}))
    history = trainer.fit(X, y, epochs=2, verbose=0).history
    assert history["loss"][0] == pytest.approx(history["tree_loss"][0] + history["size_loss"][0], rel=1e-5)
    assert "'size'" in refused(pair(4, distill=DISTILL), X, y)


def test_a_network_that_is_trained_for_integers_has_a_teacher() -> None:
    spec = changed(quantize="int8", epochs=20)
    trainer = library.Trainer(spec, threads=1)
    history = trainer.fit(X, Y, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    model = trainer.model()
    operators = {node.op_type for node in model.proto.graph.node}
    assert "QuantizeLinear" in operators
    np.testing.assert_allclose(model.session().run(X)["tree"], trainer.predict(X), atol=0.02)
    assert weights_of(spec) != weights_of(changed(quantize="int8", epochs=20, distill=None))


def test_a_small_network_learns_better_from_few_samples_with_a_teacher() -> None:
    folder = Path(__file__).parents[3] / "samples" / "data"
    few, train, test = (np.load(folder / f"digits_{part}.npz") for part in ("few", "train", "test"))
    convolution = [{"type": "Conv2D", "filters": 32, "kernel_size": 3, "activation": "relu"}, {"type": "MaxPooling2D"}]
    dense = [{"type": "Flatten"}, {"type": "Dense", "units": 32, "activation": "relu"}]

    def digits(layers: list[dict[str, Any]], seed: int, **training: Any) -> library.Trainer:
        last = {"type": "Dense", "name": "digit", "units": 10, "activation": "softmax"}
        layers = [{"type": "Rescaling", "scale": 0.0625}, *layers, {"type": "Flatten"}, last]
        section = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], "seed": seed, **training}
        section |= {"optimizer": {"type": "adam", "learning_rate": 0.005}}
        spec = {"inputs": {"image": {"shape": [8, 8, 1]}}, "layers": layers, "training": section}
        return library.Trainer(spec, threads=1)

    teacher = digits(convolution, 1)
    teacher.fit(train["image"], train["label"], epochs=15, verbose=0)
    teacher.model().save("digits.onnx")
    accuracy: dict[str, list[float]] = {"alone": [], "taught": []}
    for name, keys in {"alone": {}, "taught": {"distill": DISTILL | {"teacher": "digits.onnx"}}}.items():
        for seed in (1, 2, 3):
            student = digits(dense, seed, **keys)
            student.fit(few["image"], few["label"], epochs=100, verbose=0)
            accuracy[name].append(student.evaluate(test["image"], test["label"])["accuracy"])
    assert all(taught > alone for alone, taught in zip(*accuracy.values(), strict=True))
    assert np.mean(accuracy["taught"]) > np.mean(accuracy["alone"]) + 0.02


# -- when the teacher runs ---------------------------------------------------------------------------------------------


def count_runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of samples of the calls of a teacher."""
    counts, run = [], TeacherModel.run

    def counted(self: TeacherModel, feeds: Any) -> Any:
        results = run(self, feeds)
        counts.append(len(next(iter(results.values()))))
        return results

    monkeypatch.setattr(TeacherModel, "run", counted)
    return counts


def test_outputs_that_are_kept_are_those_of_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = count_runs(monkeypatch)
    kept = weights_of(STUDENT)
    assert counts == [SAMPLES]
    counts.clear()
    monkeypatch.setattr(PlanTrainer, "_keeps_teacher_outputs", lambda self, samples: False)
    assert weights_of(STUDENT) == kept
    assert counts == [16, 16, 16, 2] * 3


def test_many_outputs_are_kept_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = weights_of(STUDENT)
    monkeypatch.setattr(teacher_outputs, "MAX_BYTES_IN_MEMORY", 0)
    monkeypatch.setattr(teacher_outputs, "MIN_BATCH_SAMPLES", 1)
    assert weights_of(STUDENT) == kept
    jsonnx("train", "spec.json", "-o", "run")
    assert not [path for path in Path("run").iterdir() if "tmp" in path.name]


def test_batches_of_a_program_and_single_steps_equal_arrays() -> None:
    expected = weights_of(STUDENT, shuffle=False)

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return ((X[start : start + BATCH], Y[start : start + BATCH]) for start in range(0, SAMPLES, BATCH))

    assert weights_of(STUDENT, batches) == expected
    trainer = library.Trainer(STUDENT, threads=1)
    for _ in range(3):
        for x, y in batches():
            trainer.step(x, y)
    for name, array in trainer.weights().items():
        np.testing.assert_allclose(array.ravel(), np.frombuffer(expected[name], np.float32), atol=1e-6)


def test_weights_of_samples_and_classes_replace_the_step() -> None:
    ones = weights_of(STUDENT)
    assert weights_of(STUDENT, sample_weight=np.ones(SAMPLES)) != weights_of(STUDENT, sample_weight=np.arange(SAMPLES))
    balanced = weights_of(changed(class_weight="balanced"))
    assert balanced != ones


def test_the_teacher_sees_augmented_images(monkeypatch: pytest.MonkeyPatch) -> None:
    def images(**training: Any) -> dict[str, Any]:
        layers = [
            {"type": "RandomFlip", "name": "flip"},
            {"type": "RandomTranslation", "height_factor": 0.3, "width_factor": 0.3},
            {"type": "Flatten"},
            {"type": "Dense", "name": "y", "units": 1},
        ]
        training = {"loss": "mse", "batch_size": BATCH, "epochs": 2, **training}
        return {"inputs": {"image": {"shape": [4, 4, 1]}}, "layers": layers, "training": training}

    x, y = RNG.normal(size=(SAMPLES, 4, 4, 1)).astype(np.float32), X[:, :1]
    library.compile(images()).save("teacher.onnx")
    spec = images(distill={"teacher": "teacher.onnx"})
    trainer = library.Trainer(spec, threads=1)
    seen: list[dict[str, np.ndarray]] = []
    with_outputs = TeacherModel.with_outputs

    def recorded(self: TeacherModel, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        seen.append(with_outputs(self, feeds))
        return seen[-1]

    monkeypatch.setattr(TeacherModel, "with_outputs", recorded)
    trainer.fit(x, y, verbose=0)
    assert len(seen) == 8
    (last,) = [augmented.name for augmented in trainer.plan.augmented_inputs[-1:]]
    session = library.Session("teacher.onnx")
    for feeds in seen:
        assert not np.array_equal(feeds[last], feeds["image"])
        np.testing.assert_allclose(feeds["y/teacher"], session.run(feeds[last])["y"], rtol=1e-5, atol=1e-6)
    spec["layers"].insert(0, {"type": "Rescaling", "name": "scaled", "scale": 2})
    assert "'scaled' is computed from 'image' before images are augmented" in refused(spec, x, y)


def test_sequences_of_several_lengths() -> None:
    def words(units: int, **training: Any) -> dict[str, Any]:
        layers = [
            {"type": "Embedding", "input_dim": 9, "output_dim": units, "mask_zero": True},
            {"type": "LSTM", "units": units, "return_sequences": True},
            {"type": "Dense", "name": "tag", "units": CLASSES, "activation": "softmax"},
        ]
        data = {"train": "words.jsonl", "x": "words", "y": "tags", "sequences": {}}
        training = {"loss": "sparse_categorical_crossentropy", "batch_size": 4, "data": data, **training}
        return {"inputs": {"words": {"shape": [None], "dtype": "int64"}}, "layers": layers, "training": training}

    rng = np.random.default_rng(3)
    rows = [(rng.integers(1, 9, count), rng.integers(0, CLASSES, count)) for count in rng.integers(1, 7, 12)]
    lines = [json.dumps({"words": words.tolist(), "tags": tags.tolist()}) for words, tags in rows]
    Path("words.jsonl").write_text("\n".join(lines))
    library.compile(words(6)).save("teacher.onnx")
    trainer = library.Trainer(words(3, distill={"teacher": "teacher.onnx"}), threads=1)
    history = trainer.fit(epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_texts_whose_tokens_are_compared_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of tokens, and so the shape of the output, is that of the longest text in a batch."""

    def texts(units: int, **training: Any) -> dict[str, Any]:
        layers = [
            {"type": "TextVectorization", "vocabulary": ["a", "b", "c"]},
            {"type": "Embedding", "input_dim": 5, "output_dim": units},
            {"type": "Dense", "name": "y", "units": 2},
        ]
        training = {"loss": "mse", "batch_size": 4, "epochs": 2, **training}
        return {"inputs": {"text": {"shape": [], "dtype": "string"}}, "layers": layers, "training": training}

    library.compile(texts(8)).save("teacher.onnx")
    x, y = np.array(["a b", "c", "b a", "c a"] * 2), np.zeros((8, 2, 2), np.float32)
    counts = count_runs(monkeypatch)
    trainer = library.Trainer(texts(3, distill={"teacher": "teacher.onnx"}), threads=1)
    trainer.fit(x, y, shuffle=False, verbose=0)
    assert counts == [4] * 4


@pytest.mark.parametrize("size", [1, 2, 3])
def test_distributed_training_has_equal_bits_for_all_numbers_of_workers(size: int) -> None:
    spec = changed(distributed={"shards": 4})
    alone = weights_of(spec)

    def run(collective: Any) -> dict[str, bytes]:
        trainer = library.Trainer(spec, threads=1, collective=collective)
        trainer.fit(X, Y, verbose=0)
        return {name: array.tobytes() for name, array in trainer.weights().items()}

    with ThreadPoolExecutor(size) as executor:
        for weights in executor.map(run, local_collectives(size, 4, timeout=30)):
            assert weights == alone


def test_a_step_on_several_threads_learns_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from jsonnx.runtime.execution import data_parallel

    monkeypatch.setattr(data_parallel, "MIN_BATCH_MACS", 0)
    monkeypatch.setattr(data_parallel, "MIN_WEIGHT_REUSE", 0)
    monkeypatch.setattr(data_parallel, "MIN_SHARD_SAMPLES", 1)
    one, two = weights_of(STUDENT), weights_of(STUDENT, threads=2)
    for name, array in one.items():
        np.testing.assert_allclose(*(np.frombuffer(each, np.float32) for each in (array, two[name])), atol=1e-5)


# -- runs --------------------------------------------------------------------------------------------------------------


def test_a_killed_run_is_resumed_bit_for_bit() -> None:
    write(changed(epochs=60, checkpoint={"every_steps": 1}))
    command = [sys.executable, "-m", "jsonnx", "train", "spec.json", "--threads", "1", "-o"]
    killed = subprocess.Popen([*command, "killed"], stderr=subprocess.DEVNULL)
    while len([*Path("killed").glob("checkpoints/step-*")]) < 2 and killed.poll() is None:
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert json.loads(Path("killed/run.json").read_text())["state"] == "running", (
        "the run has ended before it was killed"
    )
    jsonnx("train", "spec.json", "--threads", "1", "-o", "killed", "--resume")
    jsonnx("train", "spec.json", "--threads", "1", "-o", "whole")
    for file in ("weights.safetensors", "model.onnx"):
        assert Path("killed", file).read_bytes() == Path("whole", file).read_bytes()


def test_another_teacher_resumes_no_run_and_a_moved_one_does() -> None:
    jsonnx("train", "spec.json", "-o", "run", "--set", "training.epochs=2")
    digest = json.loads(Path("run/run.json").read_text())["teacher"]
    assert re.fullmatch("[0-9a-f]{64}", digest)
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    library.compile(TEACHER, seed=7).save("other.onnx")
    Path("teacher").rename("moved")
    write(changed(distill=DISTILL | {"teacher": "other.onnx"}))
    errors = jsonnx("train", "spec.json", "-o", "run", "--resume", status=1).stderr
    assert "error[checkpoint-mismatch]" in errors
    assert "the teacher is another model" in errors
    write(changed(distill=DISTILL | {"teacher": "moved", "alpha": 0.5}))
    errors = jsonnx("train", "spec.json", "-o", "run", "--resume", status=1).stderr
    assert "`training.distill` of the spec has changed" in errors
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before
    write(changed(distill=DISTILL | {"teacher": "moved"}))
    jsonnx("train", "spec.json", "-o", "run", "--resume")
    assert json.loads(Path("run/run.json").read_text())["epochs"] == 3


def test_a_lock_file_has_the_teacher() -> None:
    jsonnx("train", "spec.json", "-o", "run")
    jsonnx("lock", "run")
    jsonnx("train", "spec.json", "-o", "again", "--locked")
    library.compile(TEACHER, seed=7).save("teacher/model.onnx")
    errors = jsonnx("train", "spec.json", "-o", "third", "--locked", status=1).stderr
    assert "the teacher is another model" in errors


def test_a_sweep_of_temperatures() -> None:
    spec = changed(epochs=1, distill=DISTILL | {"temperature": "${temperature}"})
    spec["training"]["data"]["validation_split"] = 0.2
    sweep = {"parameters": {"temperature": {"choice": [1, 4]}}, "sampler": "grid"}
    write({"parameters": {"temperature": 2}, **spec, "sweep": sweep})
    jsonnx("sweep", "spec.json", "-o", "out")
    trials = [json.loads(Path(f"out/trials/000{number}.json").read_text()) for number in (1, 2)]
    assert [trial["state"] for trial in trials] == ["finished"] * 2
    (best,) = Path("out/trials").glob("*/run.json")  # those of other trials are removed
    assert json.loads(best.read_text())["teacher"]


def test_an_exported_step_takes_the_output_of_the_teacher() -> None:
    jsonnx("compile", "spec.json", "--training", "-o", "step")
    manifest = json.loads(Path("step/manifest.json").read_text())
    entry = {"dtype": "float32", "shape": ["batch", CLASSES], "output": "tree"}
    assert manifest["teacher_outputs"] == {"tree/teacher": entry}
    assert "logits" in manifest["how"]["teacher_outputs"]


# -- teachers that do not fit ------------------------------------------------------------------------------------------


def test_labels_in_another_order_are_refused() -> None:
    spec = copy.deepcopy(STUDENT) | {"labels": ["birch", "ash", "cedar"]}
    message = refused(spec)
    assert message == (
        "the teacher has the labels 'ash', 'birch' and 'cedar'; 'tree' has them in another order: 'birch', 'ash' and "
        "'cedar'"
    )
    assert "'tree' has others: 'oak'" in refused(copy.deepcopy(STUDENT) | {"labels": ["oak", "ash", "cedar"]})


def test_labels_that_data_give_are_compared() -> None:
    spec = {key: value for key, value in STUDENT.items() if key != "labels"}
    weights_of(spec, X, np.array(LABELS)[Y])
    assert "in another order" not in refused(spec, X, np.array(["fir", *LABELS[1:]])[Y])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda spec: spec["inputs"].update({"z": spec["inputs"].pop("x")}), "the teacher has the input 'x'"),
        (lambda spec: spec["inputs"]["x"].update(shape=[5]), "the teacher's input 'x' is float32[batch, 6]"),
        (
            lambda spec: (
                spec["inputs"]["x"].update(dtype="int64"),
                spec["layers"].insert(0, {"type": "ops.cast", "dtype": "float32"}),
            ),
            "the teacher's input 'x' is float32[batch, 6], and that of the network int64",
        ),
        (lambda spec: spec["layers"][-1].update(units=4), "the teacher's output 'tree' is float32[batch, 3]"),
    ],
)
def test_other_inputs_and_outputs_are_refused(change: Callable[[dict[str, Any]], Any], message: str) -> None:
    spec = copy.deepcopy(STUDENT)
    del spec["labels"]
    change(spec)
    (name, type) = next(iter(spec["inputs"].items()))
    x = np.zeros((SAMPLES, *type["shape"]), type.get("dtype", "float32"))
    assert message in refused(spec, {name: x}, Y)


def test_a_teacher_may_take_fewer_inputs() -> None:
    spec = copy.deepcopy(STUDENT)
    spec["inputs"]["z"] = {"shape": [2]}
    spec["layers"].insert(0, {"type": "Concatenate", "from": ["x", "z"]})
    assert weights_of(spec, {"x": X, "z": X[:, :2]}, Y)


def test_files_are_checked(home: Path) -> None:
    def found(teacher: str, **options: Any) -> list[tuple[str, str]]:
        write(changed(distill={"teacher": teacher}))
        diagnostics = library.validate("spec.json", **options)
        assert {item.path for item in diagnostics} <= {"$.training.distill.teacher"}
        return [(item.severity, item.code) for item in diagnostics]

    assert found("teacher") == found("teacher/model.onnx") == []
    assert found("missing") == [("warning", "unreadable-file")]
    assert found("../elsewhere") == [("error", "unsafe-path")]
    assert found("data.npz") == [("error", "bad-model")]
    with pytest.raises(UsageError) as missing:
        library.Trainer(changed(distill={"teacher": "missing"})).fit(X, Y, verbose=0)
    assert missing.value.diagnostic.path == "$.training.distill.teacher"
    with pytest.raises(CompileError) as unsafe:
        library.Trainer(changed(distill={"teacher": "../elsewhere"})).fit(X, Y, verbose=0)
    assert codes(unsafe) == [("unsafe-path", "$.training.distill.teacher")]
    (home.parent / "outside").mkdir(exist_ok=True)
    shutil.copytree("teacher", home.parent / "outside" / "teacher", dirs_exist_ok=True)
    write(changed(distill=DISTILL | {"teacher": str(home.parent / "outside" / "teacher")}))
    jsonnx("train", "spec.json", "-o", "no", status=1)
    assert not Path("no").exists()
    jsonnx("train", "spec.json", "-o", "run", "--data-root", str(home.parent / "outside"))


def test_outputs_that_are_not_finite_are_refused() -> None:
    teacher = onnx.load("teacher/model.onnx")
    (name,) = {output.name for output in teacher.graph.output}
    for node in teacher.graph.node:
        node.output[:] = ["finite" if output == name else output for output in node.output]
    teacher.graph.node.append(onnx.helper.make_node("Div", ["finite", "zero"], [name]))
    teacher.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0), "zero"))
    del teacher.metadata_props[:]
    onnx.save(teacher, "infinite.onnx")
    message = refused(changed(distill=DISTILL | {"teacher": "infinite.onnx"}))
    assert message == f"the teacher's output {name!r} is not finite for some samples"


def test_a_damaged_teacher_is_refused() -> None:
    content = bytearray(Path("teacher/model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    Path("teacher/model.onnx").write_bytes(content)
    with pytest.raises(CompileError):
        library.Trainer(STUDENT).fit(X, Y, verbose=0)
    jsonnx("train", "spec.json", "-o", "run", status=1)
    assert not Path("run").exists()
