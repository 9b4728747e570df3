"""Formats of data files: separators, compression, Arrow's formats and safetensors, with the errors of each."""

from __future__ import annotations

import bz2
import datetime
import gzip
import importlib
import io
import lzma
import re
import sys
from contextlib import suppress
from decimal import Decimal

import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.core.types import BATCH, TensorType
from jsonnx.data.files.dataset_files import from_file
from jsonnx.data.samples import unpacked_size
from jsonnx.data.samples.data_spec import DataSpec, IndexRange
from jsonnx.sections.data_section import DataSection
from safetensors.numpy import save

pa = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")

FLOWERS = DataSpec(
    inputs={"size": TensorType("float32", (BATCH, 2))},
    targets={"kind": TensorType("int64", (BATCH,))},
    index_ranges={"kind": IndexRange(2)},
    labels={"kind": ("rose", "tulip")},
)
COLUMNS = {"train": "-", "x": ["length", "width"]}
CSV = "length,width,kind\n1,2,rose\n3.5,4,tulip\n"


def load(tmp_path, content, name, data_spec=FLOWERS, **section):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return from_file(path, DataSection(**(COLUMNS | section)), data_spec)


def errors(tmp_path, content, name, **options):
    with pytest.raises(CompileError) as error:
        load(tmp_path, content, name, **options)
    return error.value.diagnostics


def assert_flowers(samples):
    assert samples.inputs["size"].tolist() == [[1, 2], [3.5, 4]]
    assert samples.targets["kind"].tolist() == [0, 1]


# -- numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thousands", "decimal", "cells", "numbers"),
    [
        (",", ".", ["1,234.5", "-1,234,567", "12", "0.25"], [1234.5, -1234567, 12, 0.25]),
        (".", ",", ["1.234,5", "1234,5"], [1234.5, 1234.5]),
        ("'", ".", ["1'000"], [1000]),
        (" ", ".", ["1 000", " 7 "], [1000, 7]),
        (",", ".", ["1,23"], None),
        (".", ",", ["1.23"], None),
        (",", ".", ["1,0000"], None),
        (None, ".", ["true", "False", "TRUE"], [1, 0, 1]),
        (None, ".", ["yes", "no"], [1, 0]),
        (None, ".", ["true", "maybe"], None),
        (None, ".", ["true", "1"], None),
    ],
)
def test_thousands_and_booleans(tmp_path, thousands, decimal, cells, numbers):
    content = "length;width;kind\n" + "".join(f"{cell};1;rose\n" for cell in cells)
    options = {"separator": ";", "decimal": decimal, "thousands": thousands}
    if numbers is None:
        assert {error.code for error in errors(tmp_path, content, "a.csv", **options)} == {"bad-value"}
    else:
        assert load(tmp_path, content, "a.csv", **options).inputs["size"][:, 0].tolist() == numbers


# -- separators --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "name", "section"),
    [
        (CSV.replace(",", "\t"), "a.tsv", {}),
        (CSV.replace(",", ";"), "a.csv", {"separator": ";"}),
        (CSV.replace(",", "|"), "a.TSV", {"separator": "|"}),
        (CSV.replace(",", ";").replace(".", ","), "a.csv", {"separator": ";", "decimal": ","}),
        (CSV.replace("3.5", '"3,5"'), "a.csv", {"decimal": ","}),
    ],
)
def test_columns_may_be_separated_by_other_characters(tmp_path, content, name, section):
    assert_flowers(load(tmp_path, content, name, **section))


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_is_suggested(tmp_path, separator):
    (error,) = errors(tmp_path, CSV.replace(",", separator), "a.csv")
    assert error.code == "bad-data-file"
    assert f'set "separator": "{separator}" in `training.data`'.replace("\t", "\\t") in error.help


def test_a_value_in_a_table_with_another_separator_is_located(tmp_path):
    content = "length;width;kind\n1,5;2;rose\n1,5;2.5;tulip\n"
    (error,) = errors(tmp_path, content, "a.csv", separator=";", decimal=",")
    assert (error.code, error.line, error.column) == ("bad-value", 3, 5)
    assert "'width' holds '2.5', not a number: decimals are written with a comma" in error.message
    (length, _) = errors(tmp_path, content.replace("2;", "x;"), "a.csv", separator=";")
    assert '"decimal": ","' in length.message


# -- compression -------------------------------------------------------------------------------------------------------

COMPRESS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize(
    ("text", "format"), [(CSV, "csv"), ('{"length": 1, "width": 2, "kind": "rose"}\n', "jsonl"), ("[]", "json")]
)
def test_tables_of_text_may_be_compressed(tmp_path, suffix, text, format):
    if text == "[]":
        (error,) = errors(tmp_path, COMPRESS[suffix](b"[]"), f"a.json.{suffix}")
        assert error.code == "empty-data"
    else:
        samples = load(tmp_path, COMPRESS[suffix](text.encode()), f"a.{format}.{suffix}")
        assert samples.inputs["size"][0].tolist() == [1, 2]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_damaged_compressed_file_is_an_error(tmp_path, suffix):
    content = COMPRESS[suffix](CSV.encode() * 50)
    for damaged in (content[:-5], content[:20], b"not compressed", content[:10] + b"\0" * 20 + content[30:]):
        (error,) = errors(tmp_path, damaged, f"a.csv.{suffix}")
        assert (error.code, f"not a readable .{suffix} file" in error.message) == ("bad-data-file", True)


def test_a_compressed_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacked_size, "MAX_UNPACKED_BYTES", 1 << 20)
    (error,) = errors(tmp_path, gzip.compress(b"1,2,3\n" * 1_000_000), "a.csv.gz")
    assert (error.code, error.file.endswith("a.csv.gz"), "1,048,576 bytes" in error.message) == (
        "too-large",
        True,
        True,
    )


BOMB_ROWS = 1 << 18
DELTA = {"use_dictionary": False, "column_encoding": {"length": "PLAIN", "width": "PLAIN", "kind": "DELTA_BYTE_ARRAY"}}
BOMBS = [
    ("length", np.zeros(BOMB_ROWS), {}),
    ("kind", ["r" * 1000] * BOMB_ROWS, {}),
    ("kind", ["r" * 1000] * BOMB_ROWS, DELTA),
]
"""Columns of few bytes in a Parquet file that take megabytes in memory, and how they are written."""


@pytest.mark.parametrize("memory", ["load", "stream"])
@pytest.mark.parametrize(("name", "column", "options"), BOMBS)
def test_a_parquet_bomb_is_refused(tmp_path, monkeypatch, memory, name, column, options):
    monkeypatch.setattr(unpacked_size, "MAX_UNPACKED_BYTES", 1 << 20)
    columns = {"length": np.zeros(BOMB_ROWS, np.int8), "width": np.zeros(BOMB_ROWS, np.int8), "kind": ["r"] * BOMB_ROWS}
    table = pa.table(columns | {name: column})
    file = io.BytesIO()
    parquet.write_table(table, file, **options)
    found = errors(tmp_path, file.getvalue(), "a.parquet", memory=memory)
    assert {(error.code, error.file.endswith("a.parquet")) for error in found} == {("too-large", True)}
    assert "unpacks to more than" in found[0].message


def test_a_compressed_file_with_the_name_of_another_is_named(tmp_path):
    (error,) = errors(tmp_path, gzip.compress(CSV.encode()), "a.csv")
    assert error.help == "let its name end in .csv.gz"


def test_a_file_of_another_format_is_named(tmp_path):
    for content, name in ((encoded(pa.table(TABLE), "parquet"), "parquet"), (save({"a": np.ones(3)}), "safetensors")):
        (error,) = errors(tmp_path, content, "a.csv")
        assert (error.code, f"({name})" in error.message.replace(".", "")) == ("bad-data-file", True)


def test_zst_needs_a_new_python(tmp_path):
    if importlib.util.find_spec("compression"):
        zstd = importlib.import_module("compression.zstd")
        assert_flowers(load(tmp_path, zstd.compress(CSV.encode()), "a.csv.zst"))
        return
    with pytest.raises(UsageError) as error:
        load(tmp_path, b"\x28\xb5\x2f\xfd", "a.csv.zst")
    assert error.value.diagnostic.code == "missing-package"


def test_the_suffix_of_a_compressed_file_names_a_table_of_text(tmp_path):
    (error,) = errors(tmp_path, b"", "a.npz.gz")
    assert error.message == "the suffix of the file's name is '.npz.gz'"


# -- Arrow -------------------------------------------------------------------------------------------------------------


def encoded(table, format):
    file = io.BytesIO()
    if format == "parquet":
        parquet.write_table(table, file, row_group_size=1)
    elif format == "feather":
        feather.write_feather(table, file)
    else:
        with pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=1)
    return file.getvalue()


FORMATS = ["parquet", "feather", "arrow"]
TABLE = {"length": [1.0, 3.5], "width": [2, 4], "kind": ["rose", "tulip"]}


@pytest.mark.parametrize("format", FORMATS)
def test_arrow_tables_are_read(tmp_path, format):
    assert_flowers(load(tmp_path, encoded(pa.table(TABLE), format), f"a.{format}"))


def column(tmp_path, array, type, format="parquet"):
    """The input that is read from a column of an Arrow table."""
    table = pa.table({"size": array})
    data_spec = DataSpec(inputs={"size": type}, targets={})
    return load(tmp_path, encoded(table, format), f"a.{format}", data_spec=data_spec, x=None).inputs["size"]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (pa.array([1, 2], pa.int8()), "float32"),
        (pa.array([1, 2], pa.uint64()), "int64"),
        (pa.array(np.array([0.5, 1], np.float16)), "float32"),
        (pa.array([True, False]), "float32"),
        (pa.array([Decimal("1.5"), Decimal("2.25")]), "float32"),
        (pa.array(["a", "b"]), "string"),
        (pa.array(["a", "b"], pa.large_string()), "string"),
        (pa.array(["a", "b"]).dictionary_encode(), "string"),
        (pa.array([7, 8]).dictionary_encode(), "int64"),
    ],
)
def test_types_of_arrow_are_read(tmp_path, format, array, dtype):
    read = column(tmp_path, array, TensorType(dtype, (BATCH,)), format)
    assert read.tolist() == [float(v) if isinstance(v, Decimal) else v for v in array.to_pylist()]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "type",
    [pa.list_(pa.float32(), 4), pa.list_(pa.int16()), pa.large_list(pa.float64()), pa.list_(pa.list_(pa.int8()))],
)
def test_lists_of_equal_length_become_axes(tmp_path, format, type):
    values = np.arange(8.0).reshape(2, 2, 2) if pa.types.is_nested(type.value_type) else np.arange(8.0).reshape(2, 4)
    array = pa.array(values.tolist(), type)
    read = column(tmp_path, array, TensorType("float32", (BATCH, *values.shape[1:])), format)
    assert read.tolist() == values.tolist()


def test_tensors_of_a_fixed_shape_are_read(tmp_path):
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(12, dtype=np.float32).reshape(2, 6))
    assert column(tmp_path, tensors, TensorType("float32", (BATCH, 6))).tolist() == [[*range(6)], [*range(6, 12)]]


@pytest.mark.parametrize(
    ("columns", "code", "part"),
    [
        (TABLE | {"width": [None, 4]}, "bad-value", "'width' has no value in 1 of 2 rows, (row 1, column 'width')"),
        (TABLE | {"kind": ["rose", None]}, "bad-value", "'kind' has no value in 1 of 2 rows, (row 2, column 'kind')"),
        (TABLE | {"width": [1.0, float("nan")]}, "not-finite", "row 2, column 'width': input 'size' is nan"),
        (TABLE | {"width": [datetime.date(2026, 1, 2)] * 2}, "bad-value", "column 'width' holds times (date32[day])"),
        (TABLE | {"width": [{"a": 1}, {"a": 2}]}, "bad-value", "values of the type struct<a: int64>"),
        (TABLE | {"width": [b"a", b"b"]}, "bad-value", "elements"),
        (TABLE | {"width": ["a", "b"]}, "bad-value", "stacks the column 'width', which holds texts"),
        (
            TABLE | {"width": [[1, 2], [3]]},
            "data-shape",
            "row 2, column 'width': 'width' has 1 elements, in row 1 it has 2",
        ),
        (TABLE | {"width": [[1, 2], [3, None]]}, "bad-value", "(row 2, column 'width')"),
        (TABLE | {"kind": [0, 2]}, "label-out-of-range", "row 2, column 'kind': the target of 'kind' is 2"),
        (TABLE | {"kind": ["rose", "lily"]}, "bad-value", "row 2, column 'kind': the target of 'kind' is 'lily'"),
        ({"length": [1.0], "width": [2]}, "missing-column", "no column 'kind'"),
        ({"length": [], "width": [], "kind": []}, "empty-data", "no rows"),
    ],
)
def test_errors_of_arrow_tables_name_the_row_and_the_column(tmp_path, columns, code, part):
    found = errors(tmp_path, encoded(pa.table(columns), "parquet"), "a.parquet")
    assert (found[0].code, part in found[0].message) == (code, True), found[0].message


@pytest.mark.parametrize("format", FORMATS)
def test_damaged_arrow_files_are_errors(tmp_path, format):
    content = encoded(pa.table({name: values * 500 for name, values in TABLE.items()}), format)
    rng = np.random.default_rng(0)
    damaged = [b"", b"PAR1", content[: len(content) // 2], content[:-9], b"x" * 100]
    for _ in range(40):
        changed = bytearray(content)
        for position in rng.integers(0, len(content), 8):
            changed[position] = rng.integers(256)
        damaged.append(bytes(changed))
    for item in damaged:
        with suppress(CompileError):
            load(tmp_path, item, f"a.{format}")


def test_a_text_that_is_not_utf_8_is_an_error(tmp_path):
    buffers = [None, pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"a\xff")]
    kind = pa.Array.from_buffers(pa.string(), 2, buffers)
    (error,) = errors(tmp_path, encoded(pa.table(TABLE | {"kind": kind}), "parquet"), "a.parquet")
    assert error.code == "bad-data-file"
    assert "the column 'kind' cannot be read" in error.message


def test_a_missing_package_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError) as error:
        load(tmp_path, b"PAR1", "a.parquet")
    diagnostic = error.value.diagnostic
    assert diagnostic.code == "missing-package"
    assert diagnostic.message == "reading .parquet files needs the package pyarrow, which is not installed"
    assert diagnostic.help.startswith("pip install ")


def test_a_binary_column_is_no_input_of_numbers(tmp_path):
    found = errors(tmp_path, encoded(pa.table(TABLE | {"kind": [b"a", b"b"]}), "parquet"), "a.parquet")
    assert found[0].message == "column 'kind' holds binary values"


# -- safetensors -------------------------------------------------------------------------------------------------------


def test_arrays_of_safetensors_are_columns(tmp_path):
    arrays = {"size": np.array([[1, 2], [3.5, 4]], np.float32), "kind": np.array([0, 1])}
    assert_flowers(load(tmp_path, save(arrays), "a.safetensors", x=None))
    (error,) = errors(tmp_path, save(arrays)[:-3], "a.safetensors", x=None)
    assert (error.code, "not a readable .safetensors file" in error.message) == ("bad-data-file", True)


def safetensors_file(header, content):
    text = header.encode()
    return len(text).to_bytes(8, "little") + text + content


def test_bfloat16_is_read_as_float32(tmp_path):
    numbers = np.array([[1, 2], [-3.5, 4]], "<f4")
    content = np.right_shift(numbers.view("<u4"), 16).astype("<u2").tobytes() + bytes([0, 1])
    header = (
        '{"size": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}, '
        '"kind": {"dtype": "U8", "shape": [2], "data_offsets": [8, 10]}}'
    )
    samples = load(tmp_path, safetensors_file(header, content), "a.safetensors", x=None)
    assert samples.inputs["size"].tolist() == numbers.tolist()


ONE_ARRAY = '{"size": {"dtype": "%s", "shape": [1], "data_offsets": [0, 1]}%s}'
SAME_ARRAY = ', "size": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}'


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (ONE_ARRAY % ("F8_E4M3", ""), "elements of type F8_E4M3"),
        (ONE_ARRAY % ("U8", SAME_ARRAY), "the key 'size' is twice in its header"),
    ],
)
def test_a_header_of_safetensors_that_is_refused(tmp_path, header, message):
    (error,) = errors(tmp_path, safetensors_file(header, b"a"), "a.safetensors", x=None)
    assert error.code == "bad-data-file"
    assert re.search(message, error.message)


# -- messages ----------------------------------------------------------------------------------------------------------


def test_code_in_the_header_of_an_array_is_named_without_an_address(tmp_path):
    header = b"{'descr': '<f4', 'fortran_order': open('x'), 'shape': (1,), }".ljust(117) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(4)
    (error,) = errors(tmp_path, content, "a.npy", x=None)
    assert error.message == "not a readable .npy file: its header is damaged: it contains code"


def test_an_integer_of_many_digits_is_an_error_without_advice_about_python(tmp_path):
    (error,) = errors(tmp_path, '{"length": ' + "1" * 5000 + "}\n", "a.jsonl")
    assert (error.code, error.message) == ("bad-data-file", "an integer has more than 4,300 digits")
