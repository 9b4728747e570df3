"""`jsonnx data --preview`: images beside versions that the augmentation layers of the spec make of them."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx.data.samples.sample_order import generator
from jsonnx.layers.image.geometric_augmentation import RandomFlip
from jsonnx.pipeline.report.augmentation_preview import GAP, IMAGE_COUNT, ORIGINAL_GAP, VERSION_COUNT
from support.commands import jsonnx as command

Image = pytest.importorskip("PIL.Image")

SIDE, CELL_SIDE = 16, 64
FLIP = {"type": "RandomFlip", "name": "flip", "mode": "horizontal"}


@pytest.fixture(autouse=True)
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Images whose halves differ, in a file of arrays."""
    monkeypatch.chdir(tmp_path)
    images = np.zeros((10, SIDE, SIDE, 3), np.uint8)
    images[:, :, : SIDE // 2] = np.arange(10, 250, 24, np.uint8)[:, None, None, None]
    images[:, :, SIDE // 2 :, 0] = 255
    np.savez("images.npz", image=images, kind=np.arange(10) % 2)
    return images


def write_spec(*augmentation: dict[str, Any], **inputs: Any) -> str:
    document = {
        "inputs": inputs or {"image": {"shape": [SIDE, SIDE, 3]}},
        "layers": [*augmentation, {"type": "Flatten"}, {"type": "Dense", "name": "kind", "units": 2}],
        "labels": ["cat", "dog"],
        "training": {
            "loss": {"type": "sparse_categorical_crossentropy", "from_logits": True},
            "data": {"train": "images.npz"},
            "seed": 3,
        },
    }
    Path("spec.json").write_text(json.dumps(document))
    return "spec.json"


def cells(name: str) -> np.ndarray:
    """The pictures of a contact sheet, [images, 1 + versions, height, width, 3]."""
    sheet = np.asarray(Image.open(name))
    rows = [sheet[row * (CELL_SIDE + GAP) :][:CELL_SIDE] for row in range(IMAGE_COUNT)]
    starts = [0, *(CELL_SIDE + ORIGINAL_GAP + version * (CELL_SIDE + GAP) for version in range(VERSION_COUNT))]
    return np.array([[row[:, start : start + CELL_SIDE] for start in starts] for row in rows])


@pytest.mark.parametrize("before", [[], [{"type": "Rescaling", "scale": 1 / 255}]])
def test_versions_are_those_of_the_training_steps(before: list[dict[str, Any]], images: np.ndarray) -> None:
    command("data", write_spec(*before, FLIP), "--preview", "sheet.png")
    scale = CELL_SIDE // SIDE
    drawn = cells("sheet.png")[:, :, ::scale, ::scale]
    originals = images[:IMAGE_COUNT]
    np.testing.assert_array_equal(drawn[:, 0], originals)
    layer = RandomFlip(mode="horizontal")
    for step in range(VERSION_COUNT):
        expected, _ = layer.augment(originals.astype(np.float32), generator(3, "flip/augmented", step))
        np.testing.assert_array_equal(drawn[:, 1 + step], expected)
    assert len(np.unique(drawn.reshape(-1, SIDE * SIDE * 3), axis=0)) == 2 * IMAGE_COUNT


def test_the_page_needs_no_network_and_names_classes_and_layers() -> None:
    command("data", write_spec(FLIP, {"type": "RandomBrightness", "factor": 0.2}), "--preview", "page.html")
    page = Path("page.html").read_text()
    assert page.count("<img ") == IMAGE_COUNT
    assert page.count("<figcaption>cat<") == page.count("<figcaption>dog<") == IMAGE_COUNT // 2
    assert "RandomFlip (flip), RandomBrightness" in page
    assert "http" not in page.replace("http-equiv", "")
    assert len(page) < 1 << 20


def test_what_cannot_be_previewed_is_an_error() -> None:
    result = command("data", write_spec(), "--preview", "sheet.png", status=2)
    assert "the network has no layer that augments images" in result.stderr
    result = command("data", write_spec(FLIP), "--preview", "sheet.gif", status=2)
    assert "ends in .html or .png" in result.stderr


def test_columns_of_images_have_their_sizes(tmp_path: Path) -> None:
    for number, (height, width, mode) in enumerate([(16, 16, "RGB"), (16, 16, "RGB"), (8, 16, "L")]):
        content = BytesIO()
        Image.new(mode, (width, height)).save(content, "png")
        Path("photos", ("cat", "dog")[number % 2]).mkdir(parents=True, exist_ok=True)
        Path("photos", ("cat", "dog")[number % 2], f"{number}.png").write_bytes(content.getvalue())
    Path("photos", "dog", "3.png").write_bytes(b"no image")
    spec = json.loads(Path(write_spec()).read_text())
    spec["training"]["data"] = {"train": "photos", "images": {"resize": "bilinear", "damaged": "skip"}}
    Path("spec.json").write_text(json.dumps(spec))
    result = command("data", "spec.json", "--format", "json")
    column = json.loads(result.stdout)["files"]["train"]["columns"][0]
    assert (column["name"], column["type"]) == ("image", "image")
    assert column["most_frequent"] == [
        {"value": "16 x 16 RGB", "count": 2},
        {"value": "8 x 16 gray", "count": 1},
        {"value": "not readable", "count": 1},
    ]
