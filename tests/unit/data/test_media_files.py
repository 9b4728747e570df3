"""Images, recordings and texts: in folders by class, and as names in a column of a table."""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.core.types import BATCH, Size, TensorType
from jsonnx.data.files.dataset_files import from_file
from jsonnx.data.media import image_files, media_files
from jsonnx.data.samples.data_spec import DataSpec, IndexRange
from jsonnx.data.samples.sequences import Sequences
from jsonnx.sections.data_section import DataSection

Image = pytest.importorskip("PIL.Image")


def data_spec(*shape, dtype="float32", labels=(), size=2):
    return DataSpec(
        inputs={"photo": TensorType(dtype, (BATCH, *shape))},
        targets={"kind": TensorType("int64", (BATCH,))},
        index_ranges={"kind": IndexRange(size)},
        labels={"kind": labels} if labels else {},
    )


def encoded(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def image(color=(200, 100, 50), size=(4, 3), mode="RGB"):
    return Image.new(mode, size, color)


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def load(folder, spec, targets=True, **section):
    return from_file(folder, DataSection(**({"train": "-"} | section)), spec, targets=targets)


def errors(folder, spec, **section):
    with pytest.raises(CompileError) as error:
        load(folder, spec, **section)
    return error.value.diagnostics


ANIMALS = {
    "cat/1.png": encoded(image((10, 20, 30))),
    "cat/deep/2.JPG": encoded(image(), "JPEG"),
    "dog/3.webp": encoded(image((1, 2, 3)), "WEBP", lossless=True),
    "dog/notes.csv": "not an image",
    "dog/.hidden.png": "hidden",
}
"""Images of 3 x 4 pixels (height x width)."""


# -- folders -----------------------------------------------------------------------------------------------------------


def test_the_folders_of_images_are_classes(tmp_path):
    samples = load(write(tmp_path, ANIMALS), data_spec(3, 4, 3))
    assert samples.inputs["photo"].dtype == np.uint8
    assert sorted(samples.targets["kind"].tolist()) == [0, 0, 1]
    row = samples.targets["kind"].tolist().index(1)
    assert (samples.inputs["photo"][row] == [1, 2, 3]).all()
    assert load(tmp_path, data_spec(3, 4, 3)).digest == samples.digest


def test_labels_of_the_spec_order_the_classes(tmp_path):
    samples = load(write(tmp_path, ANIMALS), data_spec(3, 4, 3, labels=("dog", "cat")))
    assert sorted(samples.targets["kind"].tolist()) == [0, 1, 1]
    (error,) = errors(tmp_path, data_spec(3, 4, 3, labels=("cat", "bird")))
    assert "file 'dog/3.webp': the target of 'kind' is 'dog', which is none of the labels" in error.message
    (error,) = errors(tmp_path, data_spec(3, 4, 3, size=3))
    assert error.message == "the folder has 2 classes, the network 3"


def test_the_order_of_samples_mixes_the_classes_and_that_of_inputs_is_sorted(tmp_path):
    files = {f"{kind}/{number}.png": encoded(image(number)) for kind in "ab" for number in range(20)}
    kinds = load(write(tmp_path, files), data_spec(3, 4, 3)).targets["kind"]
    assert set(kinds[-8:].tolist()) == {0, 1}
    inputs = load(tmp_path / "a", data_spec(3, 4, 3), targets=False).inputs["photo"]
    assert inputs[:, 0, 0, 0].tolist() == [int(name) for name in sorted(map(str, range(20)))]


@pytest.mark.parametrize(
    ("files", "message", "code"),
    [
        ({"1.png": encoded(image())}, "there is no column 'label' for the target of 'kind'", "missing-column"),
        ({"1.png": "x", "cat/2.png": "x"}, "file '1.png' is in none of the folders of classes", "bad-data-file"),
        ({"cat/1.png": "x", "cat/2.gif": "x"}, "file 'cat/2.gif' is in a format that is not read", "bad-data-file"),
    ],
)
def test_a_folder_without_classes_is_an_error(tmp_path, files, message, code):
    (error,) = errors(write(tmp_path, files), data_spec(3, 4, 3))
    assert (error.code, error.message) == (code, message)


def test_a_folder_without_samples_is_an_error(tmp_path):
    with pytest.raises(UsageError, match=r"without files that end in \.png"):
        load(write(tmp_path, {"cat/1.txt": "x"}), data_spec(3, 4, 3))


def test_colors_for_printing_are_converted_as_pillow_does(tmp_path):
    content = encoded(image((10, 200, 30, 40), mode="CMYK"), "JPEG")
    write(tmp_path, {"cat/1.jpg": content, "dog/2.png": encoded(image())})
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    samples = load(tmp_path, data_spec(3, 4, 3))
    np.testing.assert_array_equal(samples.inputs["photo"][samples.targets["kind"].tolist().index(0)], expected)


def test_images_named_one_by_one_are_those_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(write(tmp_path, ANIMALS))
    assert len(load("cat/deep/2.JPG", data_spec(3, 4, 3), targets=False)) == 1
    samples = load("*/*.*p*", data_spec(3, 4, 3))
    assert sorted(samples.targets["kind"].tolist()) == [0, 1]


def test_links_in_a_folder_are_refused(tmp_path):
    write(tmp_path / "images", ANIMALS)
    write(tmp_path, {"outside/1.png": encoded(image())})
    os.symlink("../../outside/1.png", tmp_path / "images" / "cat" / "link.png")
    (error,) = errors(tmp_path / "images", data_spec(3, 4, 3))
    assert (error.code, error.message) == ("unsafe-path", "'cat/link.png' is a symbolic link")
    (tmp_path / "images" / "cat" / "link.png").unlink()
    os.symlink("../outside", tmp_path / "images" / "bird")
    (error,) = errors(tmp_path / "images", data_spec(3, 4, 3))
    assert (error.code, error.message) == ("unsafe-path", "'bird' is a symbolic link")


def test_texts_by_folder(tmp_path):
    files = {"neg/1.txt": "bad\n", "pos/1.txt": "\ufeffgood", "pos/2.txt": ""}
    samples = load(write(tmp_path, files), data_spec(dtype="string"))
    assert sorted(zip(samples.inputs["photo"], samples.targets["kind"], strict=True)) == [
        ("", 1),
        ("bad\n", 0),
        ("good", 1),
    ]
    write(tmp_path, {"pos/3.txt": b"\xff"})
    (error,) = errors(tmp_path, data_spec(dtype="string"))
    assert error.message == "file 'pos/3.txt': byte 0 is not UTF-8"


# -- tables ------------------------------------------------------------------------------------------------------------

TABLE = "file,kind\ncat/1.png,0\ndog/3.webp,1\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("table.csv", TABLE),
        ("table.json", '[{"file": "cat/1.png", "kind": 0}, {"file": "dog/3.webp", "kind": 1}]'),
    ],
)
def test_a_column_may_name_images(tmp_path, name, content):
    write(tmp_path, ANIMALS | {name: content})
    samples = load(tmp_path / name, data_spec(3, 4, 3), x="file")
    assert samples.inputs["photo"][:, 0, 0].tolist() == [[10, 20, 30], [1, 2, 3]]
    assert samples.targets["kind"].tolist() == [0, 1]


def test_a_column_may_contain_encoded_images(tmp_path):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pictures = [ANIMALS["cat/1.png"], ANIMALS["dog/3.webp"]]
    for column in (pictures, [{"bytes": picture, "path": None} for picture in pictures]):
        parquet.write_table(pa.table({"photo": column, "kind": [0, 1]}), tmp_path / "a.parquet")
        samples = load(tmp_path / "a.parquet", data_spec(3, 4, 3))
        assert samples.inputs["photo"][:, 0, 0].tolist() == [[10, 20, 30], [1, 2, 3]]


def test_errors_of_files_in_a_table_name_the_row(tmp_path):
    os.symlink("/etc/passwd", tmp_path / "link.png")
    rows = ["cat/1.png", "../x.png", "/etc/passwd", "none.png", "link.png", "", "cat/none.png"]
    write(tmp_path, ANIMALS | {"table.csv": "file,kind\n" + "".join(f"{row},0\n" for row in rows)})
    found = {error.code: error for error in errors(tmp_path / "table.csv", data_spec(3, 4, 3), x="file")}
    assert {code: (error.line, error.column) for code, error in found.items()} == {
        "unsafe-path": (3, 1), "unreadable-file": (5, 1), "bad-value": (7, 1)}  # fmt: skip
    assert found["unsafe-path"].message.endswith("and 2 more like it in lines 4, 6")


# -- images ------------------------------------------------------------------------------------------------------------


def one(tmp_path, content, *shape, name="1.png", **section):
    folder = write(tmp_path, {name: content})
    return load(folder, data_spec(*shape), targets=False, **section).inputs["photo"][0]


def test_the_channels_of_the_input_are_those_of_the_array(tmp_path):
    gray = [int(value) for value in np.array(image().convert("L"))[0, 0].reshape(-1)]
    assert one(tmp_path, encoded(image()), 3, 4, 1)[0, 0].tolist() == gray
    assert one(tmp_path, encoded(image()), 3, 4)[0, 0] == gray[0]
    assert one(tmp_path, encoded(image()), 3, 4, 4)[0, 0].tolist() == [200, 100, 50, 255]
    assert one(tmp_path, encoded(image(7, mode="L")), 3, 4, 3)[0, 0].tolist() == [7, 7, 7]
    assert one(tmp_path, encoded(image().quantize(4)), 3, 4, 3)[0, 0].tolist() == [200, 100, 50]
    assert one(tmp_path, encoded(image()), Size("h"), Size("w"), 3).shape == (3, 4, 3)


def test_images_are_turned_as_their_metadata_say(tmp_path):
    picture = image((0, 0, 0))
    picture.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is on the right
    turned = one(tmp_path, encoded(picture, exif=exif), 4, 3, 3)
    assert turned[0, 2].tolist() == [255, 255, 255]


def test_images_are_resized_if_the_spec_says_so(tmp_path):
    picture = Image.fromarray(np.repeat(np.arange(0, 240, 60, np.uint8)[None], 2, 0))  # 2 x 4
    content = encoded(picture)
    assert one(tmp_path, content, 1, 2, images={"resize": "area"}).tolist() == [[30, 150]]
    assert one(tmp_path, content, 2, 2, images={"resize": "nearest", "crop_to_aspect_ratio": True})[0].tolist() == [
        60,
        120,
    ]
    padded = one(tmp_path, content, 4, 4, images={"resize": "nearest", "pad_to_aspect_ratio": True})
    assert padded.tolist() == [[0] * 4, [0, 60, 120, 180], [0, 60, 120, 180], [0] * 4]


@pytest.mark.parametrize(
    ("content", "code", "part"),
    [
        (encoded(image())[:50], "bad-data-file", "not a readable image"),
        (encoded(image(), "JPEG")[:300], "bad-data-file", "not a readable image"),
        (b"", "bad-data-file", "not a PNG, JPEG or WebP image"),
        (encoded(image(), "BMP"), "bad-data-file", "not a PNG, JPEG or WebP image"),
        (encoded(Image.fromarray(np.zeros((3, 4), np.uint16))), "bad-data-file", "16 bits a channel"),
        (encoded(image(), "WEBP", save_all=True, append_images=[image(0)]), "bad-data-file", "animated: 2 frames"),
        (encoded(image(size=(5, 3))), "data-shape", "the image is 3 x 5 (height x width), wanted 3 x 4"),
        (encoded(image(1, (200, 100), "L")), "too-large", "more than 10,000 pixels"),
    ],
    ids=range(8),
)
def test_an_image_that_cannot_be_used_is_named(tmp_path, monkeypatch, content, code, part):
    monkeypatch.setattr(image_files, "_TOO_MANY_PIXELS", "the image has more than 10,000 pixels")
    monkeypatch.setattr(image_files, "MAX_IMAGE_PIXELS", 10_000)
    folder = write(tmp_path, ANIMALS | {f"dog/{number}.png": content for number in range(30)})
    (error,) = errors(folder, data_spec(3, 4, 3))
    assert (error.code, part in error.message) == (code, True), error.message
    assert "and 29 more like it (file 'dog/" in error.message
    assert error.message.count("file 'dog/") == 20


def test_a_small_file_of_many_pixels_is_refused_before_it_is_decoded(tmp_path):
    folder = write(tmp_path, {"a/1.png": encoded(Image.new("1", (20_000, 20_000))), "b/1.png": ANIMALS["cat/1.png"]})
    (error,) = errors(folder, data_spec(3, 4, 3))
    assert (error.code, "67,108,864 pixels" in error.message) == ("too-large", True)


def test_decoded_images_have_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(media_files, "MAX_DATA_FILE_BYTES", 100)
    (error,) = errors(write(tmp_path, ANIMALS), data_spec(3, 4, 3))
    assert error.message == "input 'photo' has 3 samples of [3, 4, 3]: 108 bytes, the limit is 100"


def test_an_input_of_another_rank_takes_no_images(tmp_path):
    (error,) = errors(write(tmp_path, ANIMALS), data_spec(36))
    assert error.message.endswith("and images are [height, width] or [height, width, channels]")


def test_pillow_is_named_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(UsageError) as error:
        load(write(tmp_path, ANIMALS), data_spec(3, 4, 3))
    assert error.value.diagnostic.code == "missing-package"
    assert "reading images needs the package pillow" in error.value.diagnostic.message


# -- recordings --------------------------------------------------------------------------------------------------------


def wav(data, channels=1, width=2, rate=8000):
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((channels, width, rate, 0, "NONE", ""))
        writer.writeframes(data)
    return file.getvalue()


def float_wav(samples, bits=32):
    data = np.asarray(samples, f"<f{bits // 8}").tobytes()
    body = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 3, 1, 8000, 8000 * bits // 8, bits // 8, bits)
    body += b"odd \x01\x00\x00\x00x\x00" + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    "content",
    [
        wav(np.array([64, 128, 192], np.uint8).tobytes(), width=1),
        wav(np.array([-16384, 0, 16384], "<i2").tobytes()),
        wav(b"\x00\x00\xc0" + b"\x00\x00\x00" + b"\x00\x00\x40", width=3),
        wav(np.array([-(1 << 30), 0, 1 << 30], "<i4").tobytes(), width=4),
        float_wav([-0.5, 0, 0.5]),
        float_wav([-0.5, 0, 0.5], 64),
    ],
    ids=["8", "16", "24", "32", "float32", "float64"],
)
def test_recordings_become_floats(tmp_path, content):
    assert one(tmp_path, content, 3, name="1.wav").tolist() == [-0.5, 0, 0.5]
    assert one(tmp_path, content, Size("time"), 1, name="1.wav").tolist() == [[-0.5], [0], [0.5]]
    fit = {"audio": {"pad_or_truncate": True}}
    assert one(tmp_path, content, 4, name="1.wav", **fit).tolist() == [-0.5, 0, 0.5, 0]
    assert one(tmp_path, content, 2, name="1.wav", **fit).tolist() == [-0.5, 0]


SOUND = np.zeros(4, "<i2").tobytes()


@pytest.mark.parametrize(
    ("content", "code", "part"),
    [
        (b"RIFF", "bad-data-file", "not a WAV file"),
        (wav(SOUND)[:30], "bad-data-file", "it has no format or no data"),
        (wav(SOUND)[:-2], "bad-data-file", "cut off: 6 of 8 bytes"),
        (wav(b""), "empty-data", "no samples"),
        (wav(SOUND, rate=16000), "data-shape", "16,000 samples per second, wanted 8,000"),
        (wav(SOUND, channels=2), "data-shape", "2 channels, wanted 1"),
        (wav(SOUND * 2), "data-shape", "has 8 samples, wanted 4"),
        (wav(SOUND)[:20] + b"\x55" + wav(SOUND)[21:], "bad-data-file", "encoded in another way (format 85, 16 bits)"),
    ],
    ids=range(8),
)
def test_a_recording_that_cannot_be_used_is_named(tmp_path, content, code, part):
    folder = write(tmp_path, {"a/1.wav": wav(SOUND), "b/2.wav": content})
    (error,) = errors(folder, data_spec(4), audio={"sampling_rate": 8000})
    assert (error.code, part in error.message) == (code, True), error.message
    assert error.message.startswith("file 'b/2.wav': ")


LONG = np.array([-16384, 0, 16384], "<i2").tobytes()


@pytest.mark.parametrize("table", ["folder", "names.csv", "names.jsonl", "bytes.parquet"])
def test_recordings_of_any_length_are_sequences(tmp_path, table):
    write(tmp_path, {"cat/1.wav": wav(LONG), "dog/2.wav": wav(LONG[:4])})
    names, kinds, path = ["cat/1.wav", "dog/2.wav"], ["cat", "dog"], tmp_path / table
    if table == "folder":
        path = tmp_path
    elif table == "names.csv":
        path.write_text("photo,kind\ncat/1.wav,cat\ndog/2.wav,dog\n")
    elif table == "names.jsonl":
        rows = [{"photo": name, "kind": kind} for name, kind in zip(names, kinds, strict=True)]
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        contents = [(tmp_path / name).read_bytes() for name in names]
        parquet.write_table(pytest.importorskip("pyarrow").table({"photo": contents, "kind": kinds}), path)
    for shape, expected in (
        ([Size.named("time")], [[-0.5, 0, 0.5], [-0.5, 0, 7]]),
        ([Size.named("time"), 1], [[[-0.5], [0], [0.5]], [[-0.5], [0], [7]]]),
    ):
        samples = load(path, data_spec(*shape, labels=kinds), sequences={"pad_value": 7})
        sounds = samples.inputs["photo"][np.argsort(samples.targets["kind"])]
        assert isinstance(sounds, Sequences)
        assert (sounds.lengths.tolist(), sounds.padded().tolist()) == ([3, 2], expected)
        assert sounds[1:].padded().tolist() == [row[:2] for row in expected[1:]]


@pytest.mark.parametrize(
    ("content", "section", "code", "part", "help"),
    [
        (wav(LONG[:4]), {}, "data-shape", "samples, wanted", '"sequences": {}'),
        (wav(LONG)[:-2], {"sequences": {}}, "bad-data-file", "file 'b/2.wav': the recording is cut off", "replace"),
        (wav(LONG, rate=9), {"sequences": {}}, "data-shape", "samples per second, wanted", "one sampling rate"),
        (float_wav([0, np.nan]), {"sequences": {}}, "not-finite", "file 'b/2.wav': input 'photo' is nan", ""),
    ],
    ids=range(4),
)
def test_recordings_of_any_length_that_cannot_be_used_are_named(tmp_path, content, section, code, part, help):
    folder = write(tmp_path, {"a/1.wav": wav(LONG), "b/2.wav": content})
    (error,) = errors(folder, data_spec(Size.named("time")), **section)
    assert (error.code, part in error.message, help in (error.help or "")) == (code, True, True), str(error)


def test_recordings_of_any_length_agree_in_their_channels(tmp_path):
    folder = write(tmp_path, {"a/1.wav": wav(LONG), "b/2.wav": wav(LONG + LONG, channels=2)})
    (error,) = errors(folder, data_spec(Size.named("time"), Size.named("channels")), sequences={})
    assert (error.code, "have 1 and 2 channels" in error.message) == ("data-shape", True)


def test_the_path_of_a_folder_may_be_absolute(tmp_path):
    assert len(load(Path(os.path.abspath(write(tmp_path, ANIMALS))), data_spec(3, 4, 3))) == 3
