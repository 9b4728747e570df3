"""Weight files with anything but plain numbers are refused before they take time or memory."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.core.types import TensorType
from jsonnx.interop import safetensors_file
from jsonnx.runtime.session.weight_files import match_weights, read_weight_file


def npz(path: Path, **members: bytes | np.ndarray) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            if isinstance(data, np.ndarray):
                file = io.BytesIO()
                np.save(file, data)
                data = file.getvalue()
            archive.writestr(f"{name}.npy", data)
    return path


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n"


def refused(path: Path) -> list[str]:
    with pytest.raises(CompileError) as caught:
        read_weight_file(path)
    return [error.code for error in caught.value.diagnostics]


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return (Path(tmp_path / "owned").touch, ())

    data = header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }") + pickle.dumps(Bomb())
    assert refused(npz(tmp_path / "a.npz", x=data)) == ["bad-data-file"]
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<M8[s]', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f4', 'shape': (1,), }",
        "__import__('os').system('true')",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1," * 3000 + "), }",
        "(" * 5000,
        "{'a': (",
        "  x\n y",
        "",
    ],
)
def test_a_forged_npy_header_is_refused(text: str, tmp_path: Path) -> None:
    assert refused(npz(tmp_path / "a.npz", x=header(text) + bytes(4))) == ["bad-data-file"]


def test_any_order_and_byte_order_of_plain_numbers_is_read(tmp_path: Path) -> None:
    array = np.arange(6, dtype=">f4").reshape(2, 3)
    weights = read_weight_file(
        npz(tmp_path / "a.npz", c=array, f=np.asfortranarray(array), none=np.zeros((0, 2), "f4"))
    )
    np.testing.assert_array_equal(weights["c"], array)
    np.testing.assert_array_equal(weights["f"], array)
    assert weights["none"].shape == (0, 2)


def test_a_large_array_is_read_in_chunks(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(700_001,)).astype("f4")
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=array)
    np.testing.assert_array_equal(read_weight_file(path)["x"], array)


def tensors(path: Path, header: object, data: bytes = bytes(16)) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(shape: list[int], start: int, end: int, kind: str = "F32") -> dict[str, object]:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "header",
    [
        {"a": entry([4], 0, 12)},
        {"a": entry([1 << 62, 4], 0, 16)},
        {"a": entry([2], 0, 8), "b": entry([2], 4, 12)},
        {"a": entry([2], 0, 8), "b": entry([2], 0, 8)},
        {"a": entry([2], 8, 16)},
        {"a": entry([4], 0, 16), "b": entry([4], 16, 32)},
        {"a": entry([4], 0, 16, "OBJECT")},
        {"a": {"dtype": "F32"}},
        b"[" * 100_000,
        b"{",
        b"",
        [],
    ],
)
def test_a_forged_safetensors_header_is_refused(header: object, tmp_path: Path) -> None:
    assert refused(tensors(tmp_path / "a.safetensors", header)) == ["damaged-file"]


@pytest.mark.parametrize("length", [1 << 62, 1 << 40, (1 << 64) - 1, 200 << 20])
def test_a_safetensors_header_longer_than_the_file_is_refused(length: int, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"{}")
    assert refused(path) == ["damaged-file"]


def test_safetensors_arrays_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    """The library returns them in an order that differs between processes."""
    names = [f"layer_{number:02}/kernel" for number in range(30)]
    path = tensors(
        tmp_path / "a.safetensors", {name: entry([1], 4 * at, 4 * at + 4) for at, name in enumerate(names)}, bytes(120)
    )
    assert list(read_weight_file(path)) == names


@pytest.mark.parametrize("is_mapped", [False, True])
def test_bfloat16_becomes_the_type_of_the_weight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_mapped: bool
) -> None:
    if is_mapped:
        monkeypatch.setattr(safetensors_file, "MIN_MAPPED_BYTES", 1)
    numbers = np.array([[1.5, -2], [0, 3]], "<f4")
    data = (numbers.view("<u4") >> 16).astype("<u2").tobytes()
    arrays = read_weight_file(tensors(tmp_path / "a.safetensors", {"w": entry([2, 2], 0, 8, "BF16")}, data))
    for dtype in ("float32", "float16"):
        weights, report = match_weights(arrays, {"w": TensorType(dtype, (2, 2))})
        assert report.complete
        assert weights["w"].dtype == dtype
        np.testing.assert_array_equal(weights["w"], numbers)
    infinite = np.array([0x3F80, 0x7F80], "<u2").tobytes()
    assert refused(tensors(tmp_path / "b.safetensors", {"w": entry([2], 0, 4, "BF16")}, infinite)) == ["not-finite"]


def test_a_file_with_holes_takes_no_memory(tmp_path: Path) -> None:
    """Its header asks for more than any machine has, its network for one number."""
    size = 1 << 42
    path = tensors(tmp_path / "a.safetensors", {"a": entry([1], 0, 4), "b": entry([size >> 2], 4, size + 4)}, b"")
    try:
        os.truncate(path, path.stat().st_size + size + 4)
    except OSError:
        pytest.skip("the file system has no files of this size")
    with path.open("rb") as file:
        arrays = safetensors_file.SafetensorsFile(file).arrays()
    assert match_weights(arrays, {"a": TensorType("float32", (1,))}, copies=False)[0]["a"] == 0


def test_weights_of_another_network_are_one_error_for_the_unknown_and_one_for_the_missing() -> None:
    expected = {f"dense_{number}/kernel": TensorType("float32", (1,)) for number in range(9)}
    given = {f"conv_{number}/bias": np.zeros(1) for number in range(9)}
    unknown, missing = match_weights(given, expected)[1].diagnostics()
    assert unknown.message.startswith("the network has no weight 'conv_0/bias', 'conv_1/bias'")
    assert str(unknown.help).startswith("known: 'dense_0/kernel'")
    assert missing.message.startswith("9 weights are missing: 'dense_0/kernel'")
    similar, missing = match_weights({"dense_0/kernal": np.zeros(1)}, {"dense_0/kernel": expected["dense_0/kernel"]})[
        1
    ].diagnostics()
    assert (similar.message, similar.help) == (
        "the network has no weight 'dense_0/kernal'",
        "did you mean 'dense_0/kernel'?",
    )
    assert missing.message == "the weight 'dense_0/kernel' is missing"
