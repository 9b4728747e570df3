"""`"damaged": "skip"`: damaged images and recordings are left out, counted and named."""

from __future__ import annotations

import csv
import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import jsonnx as command

pytest.importorskip("PIL")
from PIL import Image

COUNT = 6


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_images(damaged: int = 1) -> None:
    """Two folders of images, of which the last ones of the first folder are cut off."""
    for number, name in enumerate(("cat", "dog")):
        Path("pets", name).mkdir(parents=True)
        for index in range(COUNT):
            pixels = np.full((8, 8, 3), 20 * index + 100 * number, np.uint8)
            Image.fromarray(pixels).save(f"pets/{name}/{index}.png")
    for index in range(COUNT - damaged, COUNT):
        path = Path("pets", "cat", f"{index}.png")
        path.write_bytes(path.read_bytes()[:40])


def write_spec(train: str = "pets", damaged: str = "skip", inputs: Any = None, **data: Any) -> str:
    document = {
        "inputs": inputs or {"photo": {"shape": [8, 8, 3]}},
        "layers": [{"type": "Flatten"}, {"type": "Dense", "name": "kind", "units": 2, "activation": "softmax"}],
        "training": {
            "loss": "sparse_categorical_crossentropy",
            "optimizer": {"type": "sgd", "learning_rate": 1e-9},
            "metrics": ["accuracy"],
            "data": {"train": train, "images": {"damaged": damaged}, "audio": {"damaged": damaged}} | data,
        },
    }
    Path("spec.json").write_text(json.dumps(document))
    return "spec.json"


def test_damaged_files_are_errors_that_name_the_remedy() -> None:
    write_images()
    result = command("train", write_spec(damaged="error"), "-o", "run", status=1)
    assert "file 'cat/5.png': not a " in result.stderr
    assert '"images": {"damaged": "skip"}' in result.stderr


@pytest.mark.parametrize("memory", ["load", "stream"])
def test_damaged_images_are_left_out_and_named(memory: str) -> None:
    write_images(damaged=2)
    spec = write_spec(memory=memory)
    result = command("validate", spec, "--data")
    assert "damaged files are left out: 2 of 12 of `train`" in result.stderr
    assert "'cat/4.png'" in result.stderr
    assert "'cat/5.png'" in result.stderr
    result = command("train", spec, "-o", "run", "--quiet")
    assert "2 of 12" in result.stderr
    result = command("evaluate", "run", "--data", "pets", "--format", "json")
    assert "2 of 12" in result.stderr
    result = command("predict", "run", "--data", "pets", "-o", "out.csv")
    assert "damaged files are left out: 2 of 12 ('cat/4.png'" in result.stderr
    with open("out.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = [f"{name}/{index}.png" for name in ("cat", "dog") for index in range(COUNT)]
    assert [row["file"] for row in rows] == [name for name in names if name not in ("cat/4.png", "cat/5.png")]


@pytest.mark.parametrize("memory", ["load", "stream"])
def test_the_first_image_is_left_out(memory: str) -> None:
    write_images(damaged=0)
    for index in range(2):
        Path(f"pets/cat/{index}.png").write_bytes(b"no image")
    rows = [f"pets/{name}/{index}.png,{name}" for name in ("cat", "dog") for index in range(COUNT)]
    Path("pets.csv").write_text("\n".join(["photo,kind", *rows]))
    result = command("train", write_spec("pets.csv", memory=memory), "-o", "run", "--quiet")
    assert "2 of 12 of `train` ('pets/cat/0.png'" in result.stderr


@pytest.mark.parametrize("memory", ["load", "stream"])
def test_damaged_files_of_two_inputs_leave_out_every_row(memory: str) -> None:
    write_images(damaged=COUNT)
    rows = [
        f"pets/{one}/{index}.png,pets/{other}/{index}.png"
        for one, other in (("cat", "dog"), ("dog", "cat"))
        for index in range(COUNT)
    ]
    Path("pairs.csv").write_text(
        "\n".join(["left,right,kind", *(f"{row},{number % 2}" for number, row in enumerate(rows))])
    )
    write_spec("pairs.csv", inputs={name: {"shape": [8, 8, 3]} for name in ("left", "right")}, memory=memory)
    document = json.loads(Path("spec.json").read_text())
    document["layers"] = [
        {"type": "Flatten", "name": "l", "from": "left"},
        {"type": "Flatten", "name": "r", "from": "right"},
        {"type": "Concatenate", "from": ["l", "r"]},
        document["layers"][1],
    ]
    Path("spec.json").write_text(json.dumps(document))
    assert "every row has a damaged file" in command("train", "spec.json", "-o", "run", status=1).stderr


def test_the_predictions_of_the_others_do_not_change() -> None:
    write_images(damaged=0)
    command("train", write_spec(), "-o", "run", "--quiet")
    command("predict", "run", "--data", "pets", "-o", "whole.csv")
    Path("pets/cat/2.png").write_bytes(b"no image")
    command("predict", "run", "--data", "pets", "-o", "others.csv")
    whole, others = (Path(name).read_text().splitlines() for name in ("whole.csv", "others.csv"))
    assert others == [line for line in whole if not line.startswith("cat/2.png")]


@pytest.mark.parametrize("suffix", ["npy", "jsonl"])
def test_pixels_in_place_of_files_have_no_names(suffix: str) -> None:
    write_images(damaged=0)
    command("train", write_spec(), "-o", "run", "--quiet")
    pixels = np.zeros((3, 8, 8, 3), np.float32)
    np.save("photo.npy", pixels)
    Path("photo.jsonl").write_text("\n".join(json.dumps({"photo": sample.tolist()}) for sample in pixels))
    result = command("predict", "run", "--data", f"photo.{suffix}")
    assert len(result.stdout.splitlines()) == 4


def test_a_picture_is_predicted_by_its_name() -> None:
    write_images(damaged=0)
    command("train", write_spec(), "-o", "run", "--quiet")
    result = command("predict", "run", "pets/dog/3.png")
    assert result.stdout == command("predict", "run", "--data", "pets/dog/3.png").stdout
    assert result.stdout.splitlines()[1].startswith("3.png,")
    assert "no data to predict" in command("predict", "run", status=2).stderr
    result = command("predict", "run", "pets/dog/3.png", "pets/dog/4.png", status=2)
    assert "a pattern in quotes" in result.stderr


def test_if_all_files_are_damaged_the_help_does_not_name_what_is_set() -> None:
    write_images()
    command("train", write_spec(), "-o", "run", "--quiet")
    result = command("predict", "run", "--data", "pets/cat/5.png", status=1)
    assert "or remove the file" in result.stderr
    assert "damaged" not in result.stderr


def test_rows_of_a_table_are_left_out_together_with_their_missing_values() -> None:
    write_images()
    rows = [(f"pets/cat/{index}.png", "" if index == 1 else "cat", index) for index in range(COUNT)]
    rows += [(f"pets/dog/{index}.png", "dog", index) for index in range(COUNT)]
    with open("pets.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([("photo", "kind", "id"), *rows])
    spec = write_spec("pets.csv", missing="drop", split={"validation": 0.3, "key": "id"})
    result = command("train", spec, "-o", "run", "--quiet")
    assert "1 of 12 of `train` (1 row without a class in 'kind')" in result.stderr
    assert "damaged files are left out: 1 of 11 of `train` ('pets/cat/5.png'" in result.stderr
    command("predict", "run", "--data", "pets.csv", "--id", "id", "-o", "out.csv")
    with open("out.csv", newline="") as stream:
        written = [(row["photo"], row["id"]) for row in csv.DictReader(stream)]
    assert written == [(name, str(index)) for name, _, index in rows if name != "pets/cat/5.png"]


def test_only_damaged_files_are_left_out() -> None:
    write_images()
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save("pets/dog/0.png")
    result = command("train", write_spec(), "-o", "run", status=1)
    assert "the image is 9 x 9" in result.stderr
    assert "cat/5.png" not in result.stderr


def test_files_that_are_all_damaged_are_errors() -> None:
    Path("pets/cat").mkdir(parents=True)
    Path("pets/dog").mkdir()
    for name in ("cat", "dog"):
        Path("pets", name, "1.png").write_bytes(b"no image")
    result = command("train", write_spec(), "-o", "run", status=1)
    assert "not a PNG, JPEG or WebP image" in result.stderr


@pytest.mark.parametrize("is_ragged", [False, True])
def test_damaged_recordings_are_left_out(is_ragged: bool) -> None:
    for number, name in enumerate(("hum", "tick")):
        Path("sounds", name).mkdir(parents=True)
        for index in range(COUNT):
            with wave.open(f"sounds/{name}/{index}.wav", "wb") as file:
                file.setparams((1, 2, 8000, 0, "NONE", ""))
                count = 16 + (index if is_ragged else 0)
                file.writeframes(np.full(count, 1000 * number + index, "<i2").tobytes())
    for path in ("sounds/hum/0.wav", "sounds/tick/3.wav"):
        Path(path).write_bytes(Path(path).read_bytes()[:50])
    inputs = {"sound": {"shape": ["time" if is_ragged else 16]}}
    spec = write_spec("sounds", inputs=inputs, **({"sequences": {}} if is_ragged else {}))
    if is_ragged:
        document = json.loads(Path(spec).read_text())
        document["layers"][0] = {"type": "Reshape", "target_shape": [-1, 1]}
        document["layers"].insert(1, {"type": "GlobalAveragePooling1D"})
        Path(spec).write_text(json.dumps(document))
    result = command("train", spec, "-o", "run", "--quiet")
    assert "damaged files are left out: 2 of 12 of `train`" in result.stderr
    assert "the recording is cut off" in result.stderr
    command("predict", "run", "--data", "sounds", "-o", "out.csv")
    with open("out.csv", newline="") as stream:
        names = [row["file"] for row in csv.DictReader(stream)]
    assert len(names) == 10
    assert "hum/0.wav" not in names
