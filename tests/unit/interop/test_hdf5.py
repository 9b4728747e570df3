"""Malicious and damaged HDF5 files, and a worker process that crashes, hangs or writes invalid output."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import jsonnx
import numpy as np
import pytest
from jsonnx.interop import hdf5
from jsonnx.interop.file_slice import FileSlice
from jsonnx.interop.hdf5 import Hdf5Weights, read_hdf5
from jsonnx.interop.read_budget import ReadBudget

HERE = Path(__file__).parent
MUTATIONS = HERE.parents[1] / "campaigns" / "damaged_files" / "run.py"
SOURCE = HERE.parents[2] / "compiler"


def h5_file(path: Path, fill: Callable[[h5py.File], object], **options: str) -> Path:
    with h5py.File(path, "w", **options) as file:
        fill(file)
    return path


def read(path: Path, **budget: float) -> Hdf5Weights:
    with path.open("rb") as file:
        return read_hdf5(FileSlice(file.fileno(), 0, path.stat().st_size), ReadBudget(str(path), **budget))


def rejection(path: Path, **budget: float) -> tuple[str, str]:
    with pytest.raises(jsonnx.CompileError) as caught:
        read(path, **budget)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.file == str(path)
    return diagnostic.code, diagnostic.message


@pytest.mark.parametrize("is_mapped", [False, True])
def test_arrays_of_all_layouts_and_attributes_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_mapped: bool
) -> None:
    """Contiguous, compact, chunked, compressed, empty and scalar arrays, of either byte order."""
    if is_mapped:
        monkeypatch.setattr(hdf5, "MIN_MAPPED_BYTES", 1)
    rng = np.random.default_rng(0)
    arrays = {kind: rng.integers(0, 99, (3, 2)).astype(kind) for kind in ("<f4", ">f4", "<f8", "<f2", ">i8", "u1", "?")}

    def fill(file: h5py.File) -> None:
        for name, array in arrays.items():
            file.create_dataset(f"layers/{name}", data=array)
        file.create_dataset(
            "packed", data=arrays["<f4"].repeat(100, 0), chunks=(7, 2), compression="gzip", shuffle=True
        )
        file.create_dataset("summed", data=arrays["<f4"], chunks=(3, 2), fletcher32=True)
        file.create_dataset("scalar", data=np.float32(3))
        file.create_dataset("none", data=np.zeros((0, 5), "f4"))
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((3, 2))
        h5py.h5d.create(file.id, b"compact", h5py.h5t.IEEE_F32LE, space, properties).write(
            h5py.h5s.ALL, h5py.h5s.ALL, arrays["<f4"]
        )
        file.create_dataset("optimizer/vars/0", data=arrays["<f4"])
        file["layers"].attrs["name"] = "grün"
        file.attrs["layer_names"] = [b"a", b"bb"]
        for piece in range(2):
            file["layers"].attrs[f"weight_names{piece}"] = [f"w{piece}"]

    stored = read(h5_file(tmp_path / "a.h5", fill))
    for name, array in arrays.items():
        np.testing.assert_array_equal(stored.arrays[f"layers/{name}"], array)
        assert stored.arrays[f"layers/{name}"].dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(stored.arrays["packed"], arrays["<f4"].repeat(100, 0))
    np.testing.assert_array_equal(stored.arrays["compact"], arrays["<f4"])
    np.testing.assert_array_equal(stored.arrays["summed"], arrays["<f4"])
    assert stored.arrays["scalar"] == 3
    assert stored.arrays["none"].shape == (0, 5)
    assert stored.skipped_groups == ["optimizer"]
    assert not any("optimizer" in path for path in stored.arrays)
    assert stored.text_attribute("layers", "name") == "grün"
    assert stored.text_list_attribute("layers", "weight_names") == ["w0", "w1"]
    assert stored.text_list_attribute("", "layer_names") == ["a", "bb"]


def test_subnormal_numbers_keep_their_bits(tmp_path: Path) -> None:
    tiny = np.array([1e-45, -1e-40, np.nan, np.inf, 0.0, -0.0], "f4")
    stored = read(h5_file(tmp_path / "a.h5", lambda file: file.create_dataset("x", data=tiny)))
    assert stored.arrays["x"].tobytes() == tiny.tobytes()


# -- sizes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"chunks": (1 << 20,)}, {"chunks": (1 << 20,), "compression": "gzip"}])
def test_shape_larger_than_the_stored_data_is_unsafe(options: dict, tmp_path: Path) -> None:
    path = h5_file(tmp_path / "a.h5", lambda file: file.create_dataset("x", (1 << 41,), "f4", **options))
    assert path.stat().st_size < 100_000
    code, message = rejection(path)
    assert code == "unsafe-file"
    assert "'x'" in message


def test_arrays_share_one_budget(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        for index in range(20):
            file.create_dataset(f"x{index}", data=np.zeros(1000, "f4"))

    path = h5_file(tmp_path / "a.h5", fill)
    assert len(read(path, bytes_left=80_000).arrays) == 20
    assert rejection(path, bytes_left=79_999)[0] == "too-large"
    assert rejection(path, objects_left=10)[0] == "too-large"


def test_arrays_of_a_mapped_file_take_no_memory_unless_they_are_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5, "MIN_MAPPED_BYTES", 1)
    numbers = np.arange(1000, dtype="f4")
    plain = h5_file(tmp_path / "plain.h5", lambda file: file.create_dataset("x", data=numbers))
    array = read(plain, bytes_left=0).arrays["x"]
    np.testing.assert_array_equal(array, numbers)
    assert not array.flags.writeable
    swapped = h5_file(tmp_path / "swapped.h5", lambda file: file.create_dataset("x", data=numbers.astype(">f4")))
    packed = h5_file(tmp_path / "packed.h5", lambda file: file.create_dataset("x", data=numbers, compression="gzip"))
    for path in (swapped, packed):
        np.testing.assert_array_equal(read(path, bytes_left=4000).arrays["x"], numbers)
        assert rejection(path, bytes_left=3999)[0] == "too-large"


def test_long_attribute_is_read_within_the_budget(tmp_path: Path) -> None:
    path = h5_file(tmp_path / "a.h5", lambda file: file.attrs.__setitem__("model_config", "x" * 200_000))
    assert read(path).text_attribute("", "model_config") == "x" * 200_000
    assert rejection(path, text_bytes_left=100_000)[0] == "too-large"


# -- other files -------------------------------------------------------------------------------------------------------


def other(path: Path) -> Path:
    return h5_file(path.with_name("other.h5"), lambda file: file.create_dataset("x", data=np.ones(3, "f4")))


def external_link(file: h5py.File) -> None:
    file["layers"] = h5py.ExternalLink("other.h5", "/x")


def soft_link(file: h5py.File) -> None:
    file.create_dataset("y", data=np.ones(2, "f4"))
    file["x"] = h5py.SoftLink("/y")


def cycle(file: h5py.File) -> None:
    file.create_group("a/b")
    file["a/b/c"] = file["a"]


def cycle_of_the_root(file: h5py.File) -> None:
    file["a"] = file["/"]


def external_storage(file: h5py.File) -> None:
    file.create_dataset("x", (3,), "f4", external=[("/etc/passwd", 0, 12)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (3,))
    file.create_virtual_dataset("x", layout)


@pytest.mark.costly(2)
@pytest.mark.parametrize("fill", [external_link, soft_link, cycle, cycle_of_the_root, external_storage, virtual])
def test_links_and_external_data_are_unsafe(fill: Callable[[h5py.File], None], tmp_path: Path) -> None:
    other(tmp_path / "a.h5")
    code, message = rejection(h5_file(tmp_path / "a.h5", fill, libver="latest"))
    assert code == "unsafe-file"
    assert "'" in message


def test_deeply_nested_groups_are_unsafe(tmp_path: Path) -> None:
    path = h5_file(tmp_path / "a.h5", lambda file: file.create_group("/".join(["g"] * 60)))
    assert rejection(path)[0] == "unsafe-file"


# -- types -------------------------------------------------------------------------------------------------------------

TYPES = {
    "a compound": np.dtype([("a", "f4"), ("b", "i4")]),
    "texts": h5py.string_dtype(),
    "lists": h5py.vlen_dtype(np.dtype("f4")),
    "references": h5py.ref_dtype,
    "an enumeration": h5py.enum_dtype({"a": 0, "b": 1}, "i4"),
    "opaque bytes": np.dtype("V7"),
    "complex numbers": np.dtype("c8"),
    "arrays": np.dtype(("f4", (3,))),
}


@pytest.mark.costly(2)
@pytest.mark.parametrize("name", TYPES)
def test_unsupported_element_types_are_rejected(name: str, tmp_path: Path) -> None:
    code, message = rejection(h5_file(tmp_path / "a.h5", lambda file: file.create_dataset("x", (2,), TYPES[name])))
    assert (code, "'x'" in message) == ("not-supported", True)


def test_non_standard_float_format_is_rejected(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        odd = h5py.h5t.IEEE_F32LE.copy()
        odd.set_fields(31, 24, 7, 0, 24)
        h5py.h5d.create(file.id, b"x", odd, h5py.h5s.create_simple((2,)))

    assert rejection(h5_file(tmp_path / "a.h5", fill))[0] == "not-supported"


def test_plugin_filter_is_rejected(tmp_path: Path) -> None:
    path = h5_file(tmp_path / "a.h5", lambda file: file.create_dataset("x", data=np.ones((9, 9)), compression="lzf"))
    code, message = rejection(path)
    assert (code, "filter 32000" in message) == ("not-supported", True)


def test_environment_variables_of_plugins_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HDF5_PLUGIN_PATH", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "h5py.py").write_text("raise SystemExit(3)")
    assert read(h5_file(tmp_path / "a.h5", lambda file: file.create_dataset("x", data=np.ones(2)))).arrays


@pytest.mark.parametrize("name", [b"\xff\xfe", b"a\nb", "\u202e".encode()])
def test_unprintable_or_invalid_name_is_rejected(name: bytes, tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        h5py.h5g.create(file.id, name)

    assert rejection(h5_file(tmp_path / "a.h5", fill))[0] in ("unsafe-file", "damaged-file")


@pytest.mark.parametrize("value", [np.bytes_(b"\xff\xfe"), np.float32(3), [1, 2]])
def test_attribute_that_is_not_text_is_damaged(value: object, tmp_path: Path) -> None:
    path = h5_file(tmp_path / "a.h5", lambda file: file.attrs.__setitem__("model_config", value))
    code, message = rejection(path)
    assert (code, "'model_config'" in message) == ("damaged-file", True)


# -- the worker process ------------------------------------------------------------------------------------------------


def file_with_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> Path:
    script = tmp_path / "child.py"
    script.write_text(code)
    monkeypatch.setattr(hdf5, "WORKER_SCRIPT", script)
    return h5_file(tmp_path / "a.h5", lambda file: file.create_dataset("x", data=np.ones(2)))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os; os.kill(os.getpid(), 11)", "the process that reads it stopped (signal 11)"),
        ("import os; os.kill(os.getpid(), 8)", "the process that reads it stopped (signal 8)"),
        ("raise SystemExit(1)", "the process that reads it stopped (early)"),
        ("print('{')", "the process that reads it stopped"),
        ("print('[' * 100000)", "the process that reads it stopped"),
        ("print('[]')", "the process that reads it stopped"),
        ("print('null')", "the process that reads it stopped"),
        ("print('{\"group\": 3}')", "wrote invalid output"),
        ('print(\'{"array": "x", "shape": [-1], "type": "<f4", "at": 0}\')', "wrote invalid output"),
        ('print(\'{"array": "x", "shape": [true], "type": "<f4", "at": 0}\')', "wrote invalid output"),
        ('print(\'{"array": "x", "shape": [1], "type": "O", "at": 0}\')', "wrote invalid output"),
        ('print(\'{"array": ["x"], "shape": [1], "type": "<f4", "at": 0}\')', "wrote invalid output"),
        ('print(\'{"array": "x", "shape": [1], "type": ["<f4"], "at": 0}\')', "wrote invalid output"),
        ('print(\'{"array": "x", "shape": [1], "type": "<f4", "at": -4}\')', "beyond the end"),
        ('print(\'{"array": "x", "shape": [1], "type": "<f4", "at": 1000000}\')', "beyond the end"),
        ('print(\'{"array": "x", "shape": [4], "type": "<f4"}\\n12345\')', "the process that reads it stopped"),
        ('print(\'{"array": "x", "shape": [99999999999999999999], "type": "<f4", "at": 0}\')', "are left"),
        ("print('{\"error\": 3}')", "not readable"),
        ('print(\'{"error": ["no-code", "words"]}\')', "words"),
        ("print('{\"end\": 1}')", "wrote invalid output"),
    ],
)
def test_crash_and_invalid_output_of_the_worker_are_reported(
    code: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert message in rejection(file_with_worker(tmp_path, monkeypatch, code))[1]


@pytest.mark.parametrize("code", ["while True: pass", 'while True: print(\'{"group": "", "attributes": {}}\')'])
def test_hanging_worker_is_killed(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_with_worker(tmp_path, monkeypatch, code)
    code, message = rejection(path, max_seconds=1.0)
    assert (code, message.startswith("the file is damaged: the process that reads it stopped")) in (
        ("damaged-file", True),
        ("too-large", False),
    )


def test_worker_cannot_open_or_write_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (HERE / "forbidden.py").read_text().replace("WORKER_FOLDER", repr(str(hdf5.WORKER_SCRIPT.parent)))
    assert "OSError OSError OSError" in rejection(file_with_worker(tmp_path, monkeypatch, script))[1]


def test_worker_leaves_no_open_files(tmp_path: Path) -> None:
    path = h5_file(tmp_path / "a.h5", lambda file: file.create_dataset("x", data=np.ones(2)))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        read(path)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_invalid_hdf5_data_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(500))
    assert rejection(path)[0] == "damaged-file"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_mutated_files_neither_crash_nor_block_the_reader() -> None:
    """Reads 250 files and archives with changed bytes; the campaign `damaged_files` reads more of them."""
    command = [sys.executable, str(MUTATIONS), "--count", "250", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(SOURCE)})
    assert done.returncode == 0, done.stderr[-2000:]
    assert "250 read or rejected" in done.stdout


def test_parent_process_does_not_import_h5py(tmp_path: Path) -> None:
    path = h5_file(tmp_path / "a.h5", lambda file: file.create_dataset("x", data=np.ones(2)))
    code = f"import sys, jsonnx.interop.keras as k; k.open_keras({str(path)!r}); print('h5py' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=SOURCE)
    assert done.stdout.strip() == "False", done.stderr


def test_compressed_archive_member_is_spooled_to_memory() -> None:
    with hdf5.spool_to_temporary_file(iter([b"abc", b"def"]), budget := ReadBudget()) as file:
        assert isinstance(file, io.IOBase)
        assert file.seek(0, 2) == 6
        assert budget.bytes_left == ReadBudget().bytes_left - 6
