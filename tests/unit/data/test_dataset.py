"""Data: every error of a file or an array, with its location."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.core.files.spec_source import SpecSource
from jsonnx.core.types import BATCH, Size, TensorType
from jsonnx.data.files.data_columns import similar_column
from jsonnx.data.files.dataset_files import from_file
from jsonnx.data.samples.array_samples import from_arrays
from jsonnx.data.samples.data_errors import FeedError
from jsonnx.data.samples.data_spec import DataSpec, IndexRange
from jsonnx.data.samples.sample_shapes import reshape_samples
from jsonnx.data.tables import array_tables, data_files
from jsonnx.pipeline.train.run_data import part_of_spec
from jsonnx.sections.data_section import DataSection
from unit.runtime.plans import classifier

TABLE = DataSpec(
    inputs={"flower": TensorType("float32", (BATCH, 2))},
    targets={"species": TensorType("int64", (BATCH,))},
    index_ranges={"species": IndexRange(3)},
    labels={"species": ("setosa", "versicolor", "virginica")},
)
COLUMNS = DataSection(train="-", x=["length", "width"], y="species")


def load(tmp_path, content, *, data_spec=TABLE, data=COLUMNS, name="iris.csv", **options):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return from_file(path, data, data_spec, **options)


def errors(tmp_path, content, **options):
    with pytest.raises(CompileError) as error:
        load(tmp_path, content, **options)
    return error.value.diagnostics


GOOD = "length,width,species\n1,2,0\n3,4.5,2\n"


def test_columns_become_inputs_and_targets(tmp_path):
    feeds = load(tmp_path, GOOD).take(slice(None))
    assert feeds["flower"].tolist() == [[1, 2], [3, 4.5]]
    assert feeds["flower"].dtype == np.float32
    assert feeds["species/target"].tolist() == [0, 2]
    assert feeds["species/target"].dtype == np.int64


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        GOOD.rstrip("\n"),
        GOOD.replace("3,", "\n\n3 , "),
        '"length",  width,"species"\n"1","2",0.0\n3,4.5e0,2\n',
        'note,species,width,length\n,0,2,1\n"a,\nb",2,4.5,3\n',
        GOOD.replace(",0\n", ",setosa\n").replace(",2\n", ",virginica\n"),
    ],
)
def test_variants_of_csv_are_read(tmp_path, content):
    feeds = load(tmp_path, content).take(slice(None))
    assert feeds["flower"].tolist() == [[1, 2], [3, 4.5]]
    assert feeds["species/target"].tolist() == [0, 2]


def test_a_header_may_begin_with_a_number_sign(tmp_path):
    content = GOOD.replace("length", "#length")
    assert load(tmp_path, content, data=DataSection(train="-", x=["#length", "width"])).inputs["flower"].shape == (2, 2)


@pytest.mark.parametrize(
    ("content", "code", "line", "column", "part"),
    [
        ("", "empty-data", 1, None, "empty"),
        ("\n\n", "empty-data", 1, None, "empty"),
        ("length,width,species\n", "empty-data", 1, None, "no rows"),
        (GOOD + "5,6\n", "ragged-row", 4, None, "2 values in a row, 3 in the header"),
        (GOOD + "5,6,1,\n", "ragged-row", 4, None, "4 values"),
        (GOOD + "5,6,7,1\n", "ragged-row", 4, None, "4 values"),
        (GOOD + '5,"6,1\n', "bad-data-file", 4, None, "ends within"),
        (GOOD + '5,"6"7,1\n', "bad-data-file", 4, None, "expected after"),
        (GOOD + "5,x,1\n", "bad-value", 4, 3, "'width' holds 'x', not a number"),
        (GOOD + "5,,1\n", "bad-value", 4, 3, "'width' is empty"),
        (GOOD + '5,"6,5",1\n', "bad-value", 4, 3, "with a point"),
        (GOOD + "5,1_000,1\n", "bad-value", 4, 3, "'1_000'"),
        (GOOD + "5,6,\n", "bad-value", 4, 5, "'species' is empty"),
        (GOOD + "nan,6,1\n", "not-finite", 4, 1, "input 'flower' is nan"),
        (GOOD + "5,1e999,1\n", "not-finite", 4, 3, "inf"),
        (GOOD + "5,1e39,1\n", "bad-value", 4, 3, "too large for float32"),
        (GOOD + "5,6,3\n", "label-out-of-range", 4, 5, "the target of 'species' is 3; valid are 0 to 2"),
        (GOOD + "5,6,-1\n", "label-out-of-range", 4, 5, "is -1"),
        (GOOD + "5,6,1.5\n", "bad-value", 4, 5, "not a whole number"),
        (GOOD + "5,6,99999999999999999999\n", "label-out-of-range", 4, 5, "valid are 0 to 2"),
        ("length,width,species\n1,2,setosa\n1,2,rosa\n", "bad-value", 3, 5, "none of the labels"),
        ('length,width,"a\nb",species\n1,2,"x\ny",1\n1,2,"x,\ny",9\n', "label-out-of-range", 6, 4, "is 9"),
        ("length,width,species,length\n1,2,0,1\n", "duplicate-column", 1, None, "2 columns"),
        ("length;width;species\n1;2;0\n", "bad-data-file", 1, None, "one column"),
        (GOOD.encode() + b"\xff,2,1\n", "bad-data-file", 4, None, "not UTF-8"),
        ("length,wide,species\n1,2,0\n", "missing-column", 1, None, "no column 'width' for input 'flower'"),
        ("a" + "," * 70_000, "empty-data", 1, None, "no rows"),
        ("a" + "," * 70_000 + "\n" + "1" + "," * 70_000, "too-large", 1, None, "70,001 columns"),
        ("length,width,species\n" + "1" * 200_000 + ",2,0\n", "bad-data-file", 2, None, "more than 131,072 characters"),
        (GOOD + '5,"6,1\n' + "5,6,1\n" * 30_000, "bad-data-file", 4, None, "more than 131,072 characters"),
        ("sep=,\n" + GOOD, "bad-data-file", 1, 1, "'sep=,', is a setting of Excel"),
        ('"sep=;"\r\nlength;width;species\r\n1;2;0\r\n', "bad-data-file", 1, 1, "is a setting of Excel"),
        ("# made by hand\n" + GOOD, "bad-data-file", 1, 1, "no header, but a comment: '# made by hand'"),
        (GOOD + "# the end\n", "ragged-row", 4, None, "comment lines are not read"),
        (GOOD + '5,"1,000",1\n', "bad-value", 4, 3, "marks of thousands need"),
        (GOOD + '5,"-1,234,567.5",1\n', "bad-value", 4, 3, "marks of thousands need"),
    ],
)  # fmt: skip
def test_a_error_in_a_csv_file_has_its_line_and_column(tmp_path, content, code, line, column, part):
    (error,) = errors(tmp_path, content)
    assert (error.code, error.line, error.column) == (code, line, column)
    assert part in error.message
    assert error.file.endswith("iris.csv")


def test_the_errors_of_a_column_are_one_diagnostic_with_their_number(tmp_path):
    rows = "".join(f"x{index},{index},5\n" for index in range(50))
    words, classes = errors(tmp_path, "length,width,species\n" + rows)
    assert (words.code, words.line, words.column) == ("bad-value", 2, 1)
    assert words.message.endswith(
        f"'x0', not a number, and 49 more like it in lines {', '.join(map(str, range(3, 22)))}, ..."
    )
    assert (classes.code, classes.line, classes.column) == ("label-out-of-range", 2, 6)
    assert classes.message.endswith(
        f"valid are 0 to 2, and 49 more like it in lines {', '.join(map(str, range(3, 22)))}, ..."
    )


def test_the_missing_numbers_of_a_column_are_one_diagnostic_with_their_number(tmp_path):
    rows = "".join(f"{index},{'' if index % 2 else 'NA'},1\n{index},2,1\n" for index in range(30)) + "7,wide,2\n"
    missing, word = errors(tmp_path, "length,width,species\n" + rows)
    assert missing.message == (
        f"column 'width' has no number in 30 of 61 rows, in lines {', '.join(map(str, range(2, 42, 2)))}, ..."
    )
    assert (missing.code, missing.line, missing.column) == ("bad-value", 2, 3)
    assert '"missing": "drop"' in missing.help
    assert "Imputation" in missing.help
    assert word.line == 62
    assert "Imputation" not in word.help


def test_numbers_that_are_not_finite_are_one_diagnostic_for_each_column(tmp_path):
    reported = errors(tmp_path, GOOD + "nan,inf,1\nNaN,5,1\nnan,5,0\n")
    assert [(error.code, error.line, error.column) for error in reported] == [
        ("not-finite", 4, 1),
        ("not-finite", 4, 5),
    ]
    assert reported[0].message.endswith("input 'flower' is nan, and 2 more like it in lines 5, 6")
    assert "Imputation" in reported[0].help
    assert "numbers are finite" in reported[1].help


@pytest.mark.parametrize(
    ("header", "column", "help"),
    [
        ("length,width,specis", 14, "did you mean 'specis'?"),
        ("length,width,kind", None, "columns: 'length', 'width' or 'kind'"),
        ("species_length,species_width,x", None, "columns: 'species_length', 'species_width' or 'x'"),
    ],
)
def test_a_missing_column_is_reported_at_the_header_with_the_place_in_the_spec(tmp_path, header, column, help):
    data = DataSection(train="-", x=header.split(",")[:2], y="species")
    (error,) = errors(tmp_path, f"\n{header}\n1,2,0\n", data=data)
    assert (error.path, error.line, error.column, error.help) == ("$", 2, column, help)
    assert [note.path for note in error.notes] == ["$.training.data.y"]


@pytest.mark.parametrize(
    ("name", "columns", "near"),
    [
        ("seats_missing", ["built_missing", "seats"], None),
        ("seats_missing", ["seat_missing", "built_missing"], "seat_missing"),
        ("Age", ["age", "wage"], "age"),
        ("pric", ["price", "pricy"], None),
        ("engine size", ["engine_size"], "engine_size"),
    ],
)
def test_only_a_misspelled_column_is_suggested(name, columns, near):
    assert similar_column(name, columns) == near


def test_a_column_without_a_setting_in_the_spec_says_where_to_name_it(tmp_path):
    (error,) = errors(tmp_path, "length,width,kind\n1,2,0\n", data=DataSection(train="-", x=["length", "width"]))
    assert error.help.endswith("without `training.data.y`, the column has the name 'species'")
    assert error.notes == ()


# -- names of classes ------------------------------------------------------------------------------------------------

UNLABELLED = replace(TABLE, labels={})


@pytest.mark.parametrize("name", ["d.csv", "d.npz"])
def test_names_of_classes_without_labels_are_listed_ready_to_be_pasted(tmp_path, name):
    rows = ["virginica", "setosa", "versicolor", "setosa"]
    content = "length,width,species\n" + "".join(f"1,2,{row}\n" for row in rows)
    if name == "d.npz":
        content = npz(length=[1.0] * 4, width=[2.0] * 4, species=rows)
    (error,) = errors(tmp_path, content, data_spec=UNLABELLED, name=name)
    assert error.code == "bad-value"
    assert error.help.endswith('in the order of the outputs: "labels": ["setosa", "versicolor", "virginica"]')


def test_many_texts_are_counted_and_texts_of_an_input_need_another_type(tmp_path):
    content = "length,width,species\n" + "".join(f"w{row},2,s{row}\n" for row in range(25))
    x, y = errors(tmp_path, content, data_spec=UNLABELLED)
    assert x.help == 'an input of texts has "dtype": "string", and a StringLookup or TextVectorization after it'
    assert y.help == '"labels" of the spec names the classes; the data has 25 different texts'


@pytest.mark.parametrize("date", ["2026-11-27", "27.11.2026", "11/27/26", "2026-11-27T08:30:00"])
def test_dates_in_an_input_of_numbers_are_recognised(tmp_path, date):
    (error,) = errors(tmp_path, f"length,width,species\n{date},2,setosa\n{date},2,setosa\n")
    assert "DateFeatures" in error.help


@pytest.mark.parametrize("dtype", [None, object])
def test_names_of_classes_in_arrays_become_class_indices(tmp_path, dtype):
    names = np.array(["versicolor", "setosa", "virginica "], dtype)
    samples = from_arrays(np.zeros((3, 2)), names, TABLE)
    assert samples.take(slice(None))["species/target"].tolist() == [1, 0, 2]
    if dtype is None:
        content = npz(length=np.zeros(3), width=np.zeros(3), species=names)
        assert load(tmp_path, content, name="d.npz").targets["species"].tolist() == [1, 0, 2]
    names[2] = "rosa"
    with pytest.raises(FeedError, match="sample 2: the target of 'species' is 'rosa', which is none of the labels"):
        from_arrays(np.zeros((3, 2)), names, TABLE)


# -- arrays in files -------------------------------------------------------------------------------------------------

IMAGES = DataSpec(
    inputs={"image": TensorType("float32", (BATCH, 4, 4, 1))},
    targets={"digit": TensorType("int64", (BATCH,))},
    index_ranges={"digit": IndexRange(10)},
)


def npz(compress=False, **arrays) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(file, **arrays)
    return file.getvalue()


def npy(array, **options) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), **options)
    return file.getvalue()


PIXELS = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)


@pytest.mark.parametrize(
    "image", [PIXELS, PIXELS[..., None], PIXELS.reshape(3, 16), PIXELS.astype(">f8"), np.asfortranarray(PIXELS)]
)
@pytest.mark.parametrize("label", [np.array([0, 9, 5], np.uint8), np.array([[0], [9], [5]]), np.array([0.0, 9.0, 5.0])])
def test_flattened_samples_and_unit_axes_are_accepted(tmp_path, image, label):
    samples = load(tmp_path, npz(image=image, digit=label), data_spec=IMAGES, data=None, name="d.npz")
    feeds = samples.take(np.array([2, 0]))
    assert (feeds["image"] == PIXELS[[2, 0], :, :, None]).all()
    assert feeds["image"].dtype == np.float32
    assert feeds["image"].flags.c_contiguous
    assert feeds["digit/target"].tolist() == [5, 0]


@pytest.mark.parametrize(
    ("arrays", "code", "part"),
    [
        ({"image": PIXELS}, "missing-column", "no column 'digit'"),
        ({"image": PIXELS[:2], "digit": [1, 2, 3]}, "data-shape", "input 'image' has 2, the target of 'digit' has 3"),
        ({"image": PIXELS[:0], "digit": np.zeros(0, int)}, "empty-data", "no samples"),
        ({"image": PIXELS.reshape(3, 2, 8), "digit": [1, 2, 3]}, "data-shape", "[samples, 2, 8]"),
        ({"image": np.uint8(1), "digit": [1, 2, 3]}, "data-shape", "shape []"),
        ({"image": PIXELS, "digit": [1, 10, 3]}, "label-out-of-range", "sample 1: the target of 'digit' is 10"),
        ({"image": np.full((3, 4, 4), "a"), "digit": [1, 2, 3]}, "bad-value", "holds texts, such as 'a'"),
        ({"image": np.where(PIXELS == 20, np.inf, 1), "digit": [1, 2, 3]}, "not-finite", "sample 1, element [1, 0]"),
        ({"image": PIXELS, "digit": np.array([1, 2, 3], object)}, "bad-data-file", "object"),
        ({"image": PIXELS.astype(complex), "digit": [1, 2, 3]}, "bad-data-file", "complex"),
    ],
)  # fmt: skip
def test_a_error_in_arrays_names_the_sample(tmp_path, arrays, code, part):
    (error,) = errors(tmp_path, npz(**arrays), data_spec=IMAGES, data=None, name="d.npz")
    assert error.code == code
    assert part in error.message


def test_one_npy_array_is_the_input(tmp_path):
    data_spec = replace(IMAGES, targets={})
    assert len(load(tmp_path, npy(PIXELS), data_spec=data_spec, data=None, name="d.npy")) == 3
    assert (
        len(
            load(
                tmp_path,
                npy(PIXELS),
                data_spec=IMAGES,
                data=DataSection(train="-", x="pixels"),
                name="d.npy",
                targets=False,
            )
        )
        == 3
    )
    (error,) = errors(tmp_path, npy(PIXELS), data_spec=IMAGES, data=None, name="d.npy")
    assert error.code == "missing-column"


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        npy(PIXELS)[:-1],
        npy(PIXELS) + b"x",
        npy(PIXELS)[:20],
        npy(np.zeros(2, [("a", int)])),
        npy(np.array([None]), allow_pickle=True),
        npy(PIXELS, version=(3, 0)),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n"),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n"),
        header("{'descr': '|S0', 'fortran_order': False, 'shape': (1000000000000,), }\n"),
        header("__import__('os').system('true')\n"),
        header("{'descr': '<f8'" + " " * 20_000 + "}\n"),
    ],
)
def test_a_damaged_or_hostile_npy_file_is_refused(tmp_path, content):
    (error,) = errors(tmp_path, content, data_spec=replace(IMAGES, targets={}), data=None, name="d.npy")
    assert error.code == "bad-data-file"


def test_a_damaged_npz_file_is_refused(tmp_path):
    archive = npz(compress=True, image=PIXELS, digit=[1, 2, 3])
    damaged = bytearray(archive)
    damaged[80] ^= 255
    for content in (
        b"",
        archive[:-30],
        archive[: len(archive) // 2],
        bytes(damaged),
        b"PK\x05\x06" + bytes(18),
    ):
        assert errors(tmp_path, content, data_spec=IMAGES, data=None, name="d.npz")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_bombs_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as archive:
        archive.writestr("image.npy", npy(PIXELS))
        archive.writestr("image.npy", npy(PIXELS))
    (error,) = errors(tmp_path, twice.getvalue(), data_spec=IMAGES, data=None, name="d.npz")
    assert (error.code, "two members" in error.message) == ("unsafe-file", True)
    for module in (array_tables, data_files):
        monkeypatch.setattr(module, "MAX_DATA_FILE_BYTES", 10_000)
    bomb = npz(compress=True, image=np.zeros((3, 100, 100)), digit=[1, 2, 3])
    assert len(bomb) < 2000
    (error,) = errors(tmp_path, bomb, data_spec=IMAGES, data=None, name="d.npz")
    assert (error.code, "240,128 bytes" in error.message) == ("too-large", True)
    (error,) = errors(tmp_path, b"x" * 10_001)
    assert error.code == "too-large"


def test_an_unknown_suffix_is_an_error(tmp_path):
    (error,) = errors(tmp_path, GOOD, name="iris.xlsx")
    assert error.help.startswith("data files end in .npz, .npy, .csv, .tsv,")


# -- which column is what --------------------------------------------------------------------------------------------

TWO = DataSpec(
    inputs={"left": TensorType("float32", (BATCH, 1)), "right": TensorType("float32", (BATCH, 2))},
    targets={"sum": TensorType("float32", (BATCH, 1))},
)
SUMS = "left,r1,r2,total,sum\n1,2,3,6,0\n4,5,6,15,0\n"


def test_columns_are_assigned_by_name(tmp_path):
    data = DataSection(train="-", x={"right": ["r1", "r2"]}, y={"sum": "total"})
    feeds = load(tmp_path, SUMS, data_spec=TWO, data=data).take(slice(None))
    assert feeds["left"].tolist() == [[1], [4]]
    assert feeds["right"].tolist() == [[2, 3], [5, 6]]
    assert feeds["sum/target"].tolist() == [[6], [15]]


@pytest.mark.parametrize(
    ("data", "code", "path"),
    [
        ({"x": "left"}, "ambiguous-columns", "$.training.data.x"),
        ({"x": {"rigth": "r1"}}, "unknown-name", "$.training.data.x.rigth"),
        ({"x": {"right": "r1"}}, "data-shape", "$"),
        ({"x": {"right": ["r1", "r2"]}, "y": {"total": "sum"}}, "unknown-name", "$.training.data.y.total"),
        ({"x": {"right": []}}, "missing-column", "$.training.data.x.right"),
    ],
)
def test_a_wrong_assignment_of_columns_is_reported(tmp_path, data, code, path):
    reported = errors(tmp_path, SUMS, data_spec=TWO, data=DataSection(train="-", **data))
    assert (reported[0].code, reported[0].path) == (code, path)


def test_columns_of_an_archive_are_stacked(tmp_path):
    data = DataSection(train="-", x={"right": ["r1", "r2"]})
    content = npz(left=[1, 2], r1=[1.0, 2.0], r2=[3, 4], sum=[1, 2])
    assert load(tmp_path, content, data_spec=TWO, data=data, name="d.npz").inputs["right"].tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize("dtype", ["i1", "i2", "<i4", ">i8", "u1", "u2"])
@pytest.mark.parametrize("size", [3, 128, 129, 300, 50_000])
def test_indices_of_any_integer_type_are_checked(dtype, size):
    data_spec = DataSpec({"ids": TensorType("int64", (BATCH, 2))}, {}, {"ids": IndexRange(size)})
    limits = np.iinfo(dtype)
    for value in sorted({limits.min, -1, 0, size - 1, size, limits.max}):
        if limits.min <= value <= limits.max:
            ids = np.array([[0, 1], [value, 2]]).astype(dtype)
            if 0 <= value < size:
                assert from_arrays(ids, None, data_spec, targets=False).take(slice(None))["ids"].tolist() == [
                    [0, 1],
                    [value, 2],
                ]
            else:
                with pytest.raises(FeedError, match="valid are 0 to"):
                    from_arrays(ids, None, data_spec, targets=False)


def test_indices_and_ignored_labels_have_a_valid_range():
    data_spec = DataSpec(
        {"ids": TensorType("int32", (BATCH, Size.named("time")))},
        {"tag": TensorType("int64", (BATCH, Size.named("time")))},
        {"ids": IndexRange(5), "tag": IndexRange(3, -1)},
    )
    from_arrays([[0, 4]], [[-1, 2]], data_spec)
    with pytest.raises(FeedError) as error:
        from_arrays([[0, 5]], [[-2, 2]], data_spec)
    assert [diagnostic.code for diagnostic in error.value.diagnostics] == ["index-out-of-range", "label-out-of-range"]
    assert "valid are 0 to 2 and -1" in str(error.value)
    with pytest.raises(FeedError, match="time is 2"):
        from_arrays([[0, 1, 2]], [[0, 1]], data_spec)


@pytest.mark.parametrize(
    ("stored_shape", "sample_shape", "is_accepted"),
    [
        ((), (1,), True), ((1,), (), True), ((28, 28), (28, 28, 1), True), ((28, 28, 1), (28, 28), True),
        ((28, 28), (784,), True), ((784,), (28, 28), True), ((784,), (28, 28, 1), True), ((28, 28, 1), (784,), True),
        ((5, 4, 3), (5, 12), True), ((3, 28, 28), (28, 28, 3), False), ((28, 28), (14, 56), False),
        ((2, 3), (3, 2), False),
        ((), (2,), False), ((5,), (Size.named("time"),), True), ((5,), (Size.named("time"), 1), True),
        ((6,), (Size.named("time"), 3), False), ((12,), (2, 6, 1), True),
    ],
)  # fmt: skip
def test_reshaping_samples(stored_shape, sample_shape, is_accepted):
    reshaped = reshape_samples(np.arange(2 * int(np.prod(stored_shape))).reshape(2, *stored_shape), sample_shape)
    assert (reshaped is not None) == is_accepted
    if is_accepted:
        assert reshaped.ravel().tolist() == list(range(2 * int(np.prod(stored_shape))))
        assert len(reshaped.shape) == 1 + len(sample_shape)


# -- files that a spec names -----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "spec" / "data").mkdir(parents=True)
    (tmp_path / "spec" / "data" / "t.csv").write_text("flower,species\n")
    (tmp_path / "secret.csv").write_text("secret")
    (tmp_path / "spec" / "out.csv").symlink_to(tmp_path / "secret.csv")
    (tmp_path / "spec" / "up").symlink_to(tmp_path)
    (tmp_path / "spec" / "self").symlink_to("self")
    os.mkfifo(tmp_path / "spec" / "pipe.csv")
    return tmp_path / "spec"


def spec(folder, path):
    plan = classifier({"data": {"train": path}})
    return part_of_spec(replace(plan, source=SpecSource(str(folder / "spec.json"))), "train")


CLIMBING = ["../secret.csv", "data/../../secret.csv", "/etc/passwd", "~/x.csv"]


@pytest.mark.parametrize("path", [*CLIMBING, "out.csv", "up/secret.csv", "self", "", ".", "a\0b"])
def test_a_spec_cannot_name_a_file_outside_its_folder(folder, path):
    with pytest.raises(CompileError) as error:
        spec(folder, path)
    (diagnostic,) = error.value.diagnostics
    assert (diagnostic.code, diagnostic.path) == ("unsafe-path", "$.training.data.train")


@pytest.mark.parametrize("path", ["none.csv", "data", "pipe.csv", "%2e%2e/secret.csv", "$HOME/x.csv", "x" * 5000])
def test_a_file_that_cannot_be_read_is_an_error(folder, path):
    with pytest.raises(UsageError) as error:
        spec(folder, path)
    assert error.value.diagnostic.code == "unreadable-file"


def test_a_data_path_is_relative_to_the_spec(folder, monkeypatch):
    monkeypatch.chdir("/")
    with pytest.raises(CompileError, match="no rows below its header"):
        spec(folder, "./data//t.csv")


def test_data_that_the_spec_does_not_name_are_none(folder):
    plan = replace(classifier({"data": {"train": "data/t.csv"}}), source=SpecSource(str(folder / "spec.json")))
    assert part_of_spec(plan, "validation") is None
    assert part_of_spec(classifier(), "train") is None


# -- arrays ----------------------------------------------------------------------------------------------------------


def test_the_last_samples_are_split_off():
    data_spec = replace(TABLE, index_ranges={})
    samples = from_arrays(np.arange(20.0).reshape(10, 2), np.arange(10), data_spec)
    train, validation = samples.split(0.25)
    assert train.targets["species"].tolist() == list(range(7))
    assert validation.targets["species"].tolist() == [7, 8, 9]
    with pytest.raises(FeedError, match="cannot be split"):
        samples.split(0.99)


def test_the_digest_depends_on_the_samples():
    x, y = np.zeros((4, 2)), np.array([0, 1, 2, 0])
    digests = {
        from_arrays(x, y, TABLE).digest,
        from_arrays(x, y, TABLE).digest,
        from_arrays(x + 1, y, TABLE).digest,
        from_arrays(x, y[::-1], TABLE).digest,
    }
    assert len(digests) == 3


@pytest.mark.parametrize("labels", [[0, 3], [1, 4], [-1, 2]])
def test_other_labels_out_of_range_are_not_said_to_count_from_1(labels):
    with pytest.raises(FeedError) as error:
        from_arrays(np.zeros((2, 2)), labels, TABLE)
    assert "subtract 1" not in error.value.diagnostics[0].help


@pytest.mark.parametrize(
    ("x", "y", "part"),
    [
        (np.zeros((2, 3)), [0, 1], "the network wants float32[batch, 2]"),
        (np.zeros((2, 2)), None, "the target is missing"),
        (np.zeros((2, 2)), [0, 3], "valid are 0 to 2"),
        ([[1.0], [1.0, 2.0]], [0, 1], "ragged"),
        ((np.zeros((2, 2)), np.zeros(2)), None, "pass them as two arguments"),
        (np.zeros((2, 2)), [1, 3], "classes count from 0: subtract 1"),
        (np.zeros((2, 2)), [[0, 1, 0], [1, 0, 0]], "categorical_crossentropy"),
        (np.zeros((0, 2), "U1"), [0, 1], "the network wants float32"),
        ({"flwer": np.zeros((2, 2))}, [0, 1], "did you mean 'flower'?"),
        ([[np.nan, 1.0]], [0], "sample 0, element [0]: input 'flower' is nan"),
    ],
)
def test_arrays_are_validated_like_files(x, y, part):
    with pytest.raises(FeedError) as error:
        from_arrays(x, y, TABLE)
    assert part in str(error.value)
