"""The reader and the writer of FlatBuffers, on models in ORT format, and on damaged ones."""

from __future__ import annotations

import random
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from jsonnx import compile
from jsonnx.core.files.file_kinds import ORT_FORMAT_IDENTIFIER
from jsonnx.interop import flatbuffers
from jsonnx.interop.flatbuffers import BYTES_ALIGNMENT, UnknownField, read_flatbuffer, write_flatbuffer
from jsonnx.interop.ort_format import in_fixed_order, read_ort_format
from jsonnx.interop.ort_schema import ROOT, SCHEMA
from jsonnx.interop.protobuf_reader import DecodeError
from jsonnx.runtime.session.ort_format import to_ort_format
from support.commands import jsonnx

SPEC = {
    "inputs": {"place": {"shape": [], "dtype": "string"}, "size": {"shape": ["n", 2]}},
    "layers": [
        {"type": "StringLookup", "name": "word", "from": "place", "vocabulary": ["é", "b"], "output_mode": "one_hot"},
        {"type": "LSTM", "name": "read", "from": "size", "units": 3},
        {"type": "Concatenate", "from": ["word", "read"]},
        {"type": "Dense", "units": 3},
    ],
}


@pytest.fixture(scope="module")
def data() -> bytes:
    return to_ort_format(compile(SPEC).to_loadable(), "m.ort")


def test_onnxruntime_reads_what_is_written(data: bytes) -> None:
    session = onnxruntime.InferenceSession(data)
    assert [value.name for value in session.get_inputs()] == ["place", "size"]


def test_what_is_written_is_read_again(data: bytes) -> None:
    root = read_flatbuffer(data, SCHEMA, ROOT)
    assert write_flatbuffer(root, SCHEMA, ROOT, ORT_FORMAT_IDENTIFIER) == data
    assert in_fixed_order(data) == data


def test_parts_in_another_order_give_the_same_bytes(data: bytes) -> None:
    root = read_flatbuffer(data, SCHEMA, ROOT)
    graph = root["model"]["graph"]
    for parts in (graph["initializers"], graph["node_args"], root["model"]["metadata_props"]):
        parts.reverse()
    other = write_flatbuffer(root, SCHEMA, ROOT, ORT_FORMAT_IDENTIFIER)
    assert other != data
    assert in_fixed_order(other) == data


def test_weights_are_aligned(data: bytes) -> None:
    tensors = read_flatbuffer(data, SCHEMA, ROOT)["model"]["graph"]["initializers"]
    weights = [bytes(tensor["raw_data"]) for tensor in tensors if len(tensor.get("raw_data", b"")) > 32]
    assert weights
    assert all(data.index(weight) % BYTES_ALIGNMENT == 0 for weight in weights)


def test_keys_of_the_metadata_are_left_out(data: bytes) -> None:
    assert "jsonnx.spec" in read_ort_format(data).metadata
    shorter = read_ort_format(in_fixed_order(data, ["jsonnx.spec"]))
    assert {"jsonnx.spec", *shorter.metadata} == {*read_ort_format(data).metadata}


def test_fields_of_a_later_schema_are_kept(data: bytes) -> None:
    later = {**SCHEMA, ROOT: {**SCHEMA[ROOT], "later": "string"}}
    root = {**read_flatbuffer(data, SCHEMA, ROOT), "later": "x"}
    other = write_flatbuffer(root, later, ROOT, ORT_FORMAT_IDENTIFIER)
    assert in_fixed_order(other) == other
    with pytest.raises(UnknownField):
        read_ort_format(other)


@pytest.mark.parametrize("seed", range(200))
def test_damaged_files_are_read_or_refused(data: bytes, seed: int) -> None:
    rng = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 4, 16))):
        damaged[rng.randrange(len(data))] = rng.choice((0, 1, 127, 128, 255))
    if seed % 4 == 0:
        del damaged[rng.randrange(len(data)) :]
    for read in (read_ort_format, in_fixed_order):
        with suppress(DecodeError):
            read(bytes(damaged))


def test_shared_parts_do_not_expand_without_end() -> None:
    """A vector of offsets that all lead to one table, which has such a vector, and so on."""
    schema = {"T": {"items": "[T]"}}
    table = struct.pack("<HHH", 6, 8, 4)
    levels, width = 12, 100
    out = bytearray(struct.pack("<I", 16) + b"TEST" + table + bytes(2))
    for level in range(levels):
        out += struct.pack("<iI", len(out) - 8, 4) + struct.pack("<I", width)
        end = len(out) + 4 * width
        for _ in range(width):
            out += struct.pack("<I", end - len(out))
        assert len(out) == end, level
    out += struct.pack("<iI", len(out) - 8, 4) + struct.pack("<I", 0)
    with pytest.raises(DecodeError, match="its parts are more than its bytes"):
        read_flatbuffer(bytes(out), schema, "T")


def test_a_long_vtable_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that share a vtable of many empty slots cost no more than they have bytes."""
    slots, tables, read = 1000, 5000, []
    out = bytearray(struct.pack("<HHH", 6, 8, 4) + struct.pack(f"<HH{slots}H", 4 + 2 * slots, 4, *[0] * slots))
    start = 12 + len(out)
    out += struct.pack("<iII", start - 12, 4, tables)
    empty = start + 12 + 4 * tables
    out += b"".join(struct.pack("<I", empty - position) for position in range(start + 12, empty, 4))
    out += struct.pack("<i", empty - 18)
    data = struct.pack("<I", start) + b"TEST" + bytes(4) + out
    numbers = flatbuffers._Reader._numbers

    def counted(self: Any, format: str, position: int) -> tuple[Any, ...]:
        read.extend(found := numbers(self, format, position))
        return found

    monkeypatch.setattr(flatbuffers._Reader, "_numbers", counted)
    assert read_flatbuffer(data, {"T": {"items": "[T]"}}, "T") == {"items": [{}] * tables}
    assert len(read) < len(data)


def test_inspect_refuses_a_damaged_file(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "m.ort"
    file.write_bytes(data[: len(data) // 2])
    assert "error[damaged-file]: not a readable model" in jsonnx("inspect", str(file), status=1).stderr
