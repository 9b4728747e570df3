"""Masks of a segmentation: images in a column of a table whose pixels are the target."""

from __future__ import annotations

import io
import json

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.sections.data_section import ImagesSection

Image = pytest.importorskip("PIL.Image")

from jsonnx.data.media.mask_files import MaskClasses, MaskDecoder  # noqa: E402
from jsonnx.data.samples.data_errors import MediaError  # noqa: E402

PIXELS = np.array([[0, 1, 2], [2, 2, 0]], np.uint8)


def encoded(pixels, format="PNG", mode=None, palette=None):
    image = Image.fromarray(pixels) if mode is None else Image.fromarray(pixels).convert(mode)
    if palette is not None:
        image = Image.fromarray(pixels, "L")
        image.putpalette(palette)
    file = io.BytesIO()
    image.save(file, format)
    return file.getvalue()


def decoded(content, dims=(2, 3), size=3, ignored=None, **section):
    return MaskDecoder(dims, ImagesSection(**section), MaskClasses(size, ignored)).decode(content, None)


@pytest.mark.parametrize(
    ("content", "section"),
    [
        (encoded(PIXELS), {}),
        (encoded(PIXELS, palette=[9, 9, 9, 200, 0, 0, 0, 200, 0]), {}),
        (encoded(PIXELS, mode="RGB"), {}),
        (encoded(PIXELS * 100), {"mask_values": [0, 100, 200]}),
        (encoded(200 - PIXELS * 100), {"mask_values": [200, 100, 0]}),
    ],
    ids=["gray", "palette", "equal colors", "values", "values in another order"],
)
def test_pixels_are_classes(content, section):
    classes = decoded(content, **section)
    assert classes.dtype == np.uint8
    assert classes.tolist() == PIXELS.tolist()


@pytest.mark.parametrize("section", [{}, {"mask_values": [0, 255]}])
def test_pixels_of_one_bit_are_two_classes(section):
    pixels = np.array([[0, 255, 255], [0, 0, 255]], np.uint8)
    assert decoded(encoded(pixels, mode="1"), size=2, **section).tolist() == (pixels // 255).tolist()


def test_masks_have_the_axes_of_the_target():
    assert decoded(encoded(PIXELS[:1] * 0 + 1), dims=(1, 3, 1), size=2).tolist() == [[[1], [1], [1]]]
    assert (decoded(encoded(PIXELS), dims=(2, 3, 3)) == np.eye(3)[PIXELS]).all()


def test_a_value_may_mark_pixels_without_a_class():
    pixels = np.where(PIXELS == 1, 255, PIXELS).astype(np.uint8)
    assert decoded(encoded(pixels), ignored=255).tolist() == pixels.tolist()
    padded = decoded(encoded(pixels), dims=(4, 3), ignored=255, resize="nearest", pad_to_aspect_ratio=True)
    assert padded[0].tolist() == [255] * 3


def test_masks_are_resized_to_the_nearest_pixel():
    resized = decoded(encoded(PIXELS * 100), dims=(4, 6), resize="bilinear", mask_values=[0, 100, 200])
    assert resized.tolist() == PIXELS.repeat(2, 0).repeat(2, 1).tolist()


@pytest.mark.parametrize(
    ("content", "section", "code", "message", "help"),
    [
        (
            encoded(PIXELS * 127),
            {},
            "label-out-of-range",
            "a pixel of the mask is 127; valid are 0, 1 or 2",
            "[0, 255]",
        ),
        (encoded(PIXELS), {"mask_values": [0, 2, 4]}, "label-out-of-range", "is 1; valid are 0, 2 or 4", "JPEG"),
        (
            encoded(np.stack([PIXELS, PIXELS, PIXELS * 0], -1)),
            {},
            "bad-data-file",
            "the mask has colors, not classes",
            "PNG",
        ),
        (encoded(PIXELS[:1]), {}, "data-shape", "the image is 1 x 3 (height x width), wanted 2 x 3", "resize"),
    ],
    ids=["value", "value that is not listed", "colors", "size"],
)
def test_errors_of_masks(content, section, code, message, help):
    with pytest.raises(MediaError) as error:
        decoded(content, **section)
    assert error.value.code == code
    assert message in str(error.value)
    assert help in error.value.help


# -- in a spec ---------------------------------------------------------------------------------------------------------


def spec(loss="sparse_categorical_crossentropy", units=3, activation="softmax", **data):
    return {
        "inputs": {"image": {"shape": [2, 3, 1]}},
        "layers": [{"type": "Conv2D", "name": "mask", "filters": units, "kernel_size": 1, "activation": activation}],
        "training": {"data": {"train": "table.csv", **data}, "loss": loss, "optimizer": "sgd", "epochs": 1},
    }


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table of two images and their masks, which have the same pixels."""
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(encoded(PIXELS))
    (tmp_path / "table.csv").write_text("image,mask\n0.png,0.png\n1.png,1.png\n")
    return tmp_path


def fitted(table, spec):
    (table / "spec.json").write_text(json.dumps(spec))
    return jsonnx.Trainer("spec.json").fit().history["loss"][0]


@pytest.mark.parametrize(
    ("loss", "target"),
    [("sparse_categorical_crossentropy", PIXELS), ("categorical_crossentropy", np.eye(3)[PIXELS])],
)
@pytest.mark.parametrize("memory", ["load", "stream"])
def test_a_spec_is_trained_on_masks(table, loss, target, memory):
    """The loss is the one of arrays with the same classes."""
    both = np.stack([PIXELS, PIXELS]).astype(np.float32)[..., None]
    expected = jsonnx.Trainer(spec(loss)).fit(both, np.stack([target, target]), epochs=1).history["loss"][0]
    assert fitted(table, spec(loss, memory=memory)) == pytest.approx(expected, rel=1e-6)


def test_images_are_the_target_of_a_regression(table):
    """The network must return the image that it gets: its loss is the one of arrays."""
    both = np.stack([PIXELS, PIXELS]).astype(np.float32)[..., None]
    section = spec("mse", 1, "linear")
    expected = jsonnx.Trainer(section).fit(both, both, epochs=1).history["loss"][0]
    assert fitted(table, section) == pytest.approx(expected, rel=1e-6)


def test_a_error_names_the_row_and_the_file(table):
    with pytest.raises(CompileError) as error:
        fitted(table, spec("binary_crossentropy", 1, "sigmoid"))
    (diagnostic,) = error.value.diagnostics
    assert (diagnostic.code, diagnostic.line) == ("label-out-of-range", 2)
    assert "0.png" in diagnostic.message
    assert "a pixel of the mask is 2; valid are 0 or 1" in diagnostic.message


@pytest.mark.parametrize(
    ("values", "loss", "message"),
    [
        ([0, 255], "sparse_categorical_crossentropy", "there are 2 values, and the masks of 'mask' have 3 classes"),
        ([0, 9, 9], "sparse_categorical_crossentropy", "9 is the value of several classes"),
        ([0, 1, 2], "mse", "no output takes masks as its target"),
    ],
)
def test_values_that_do_not_fit_the_classes(values, loss, message):
    errors = [error for error in jsonnx.validate(spec(loss, images={"mask_values": values})) if "mask" in error.path]
    assert [(error.code, error.message) for error in errors] == [("invalid-value", message)]


@pytest.mark.parametrize(
    ("layer", "moves"),
    [
        ({"type": "RandomFlip"}, True),
        ({"type": "RandomRotation", "factor": 0.1, "data_format": "channels_last"}, True),
        ({"type": "Pipeline", "layers": [{"type": "RandomBrightness", "factor": 0.1}, {"type": "RandomFlip"}]}, True),
        ({"type": "RandomBrightness", "factor": 0.1}, False),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_augmentation_that_moves_pixels_is_an_error(layer, moves):
    section = spec()
    section["layers"].insert(0, {"name": "augmented", **layer})
    errors = [error for error in jsonnx.validate(section) if error.code == "not-supported"]
    assert len(errors) == moves
    assert all("moves the pixels" in error.message for error in errors)
