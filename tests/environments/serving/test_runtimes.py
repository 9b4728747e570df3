"""The examples of docs/guides/deploy/in-your-program.md in JavaScript and C++, in onnxruntime's packages.

`run.sh` installs onnxruntime-node. For C++, Debian's libonnxruntime-dev and nlohmann-json3-dev are needed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx.pipeline.compile.output_classes import ClassKind, OutputClasses
from support.document_blocks import blocks_of

ROOT = Path(__file__).parents[3]
NODE_MODULES = ROOT / ".venv-serving/node/node_modules"
CXX_HEADERS = [Path("/usr/include/onnxruntime"), Path("/usr/include/nlohmann")]

CASES = [
    ({"kind": "one_of_many", "labels": ["a", "b", "c"]}, 3),
    ({"kind": "binary", "labels": ["no", "yes"], "threshold": float(np.float32(0.3))}, 1),
    ({"kind": "multi_label", "labels": ["a", "b", "c"], "threshold": 0.5}, 3),
]
"""Entries of a labels file, and the units of their outputs."""


def block_of(language: str) -> str:
    """The code of the page in a language."""
    page = (ROOT / "docs/guides/deploy/in-your-program.md").read_text("utf-8")
    return next(block.text for block in blocks_of(page) if block.language == language)


def run(*command: str, folder: Path) -> str:
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "NODE_PATH": str(NODE_MODULES)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def expected(entry: dict[str, Any], array: np.ndarray) -> list[Any]:
    """The classes that `jsonnx predict` tells."""
    kind = ClassKind(entry["kind"])
    return OutputClasses(tuple(entry["labels"]), kind, entry.get("threshold", 0.5)).predicted(array)


def numbers(units: int, entry: dict[str, Any]) -> np.ndarray:
    """Numbers of 40 rows; one is the threshold itself."""
    array = np.random.default_rng(2).random((40, units)).astype(np.float32)
    array[3] = entry.get("threshold", 0.5)
    return array


@pytest.fixture
def folder(runs: Path, tmp_path: Path) -> Path:
    """A folder with a RUN folder of the penguins, as the page makes it."""
    shutil.copytree(runs / "penguins", tmp_path / "runs/penguins")
    return tmp_path


needs_node = pytest.mark.skipif(not NODE_MODULES.exists(), reason="needs npm")


@needs_node
def test_the_example_for_node_names_the_class(folder: Path) -> None:
    (folder / "example.js").write_text(block_of("js"))
    assert run("node", "example.js", folder=folder) in {f"[ '{name}' ]" for name in ("Adelie", "Chinstrap", "Gentoo")}


@needs_node
@pytest.mark.parametrize(("entry", "units"), CASES, ids=[str(case[0]["kind"]) for case in CASES])
def test_the_function_for_javascript_decides_as_predict_does(entry: Any, units: int, tmp_path: Path) -> None:
    array = numbers(units, entry)
    function = block_of("js").partition("async function main")[0]
    tensor = f"new ort.Tensor('float32', Float32Array.from({array.ravel().tolist()}), {list(array.shape)})"
    script = f"{function}\nconsole.log(JSON.stringify(classes({json.dumps(entry)}, {tensor})));"
    (tmp_path / "decide.js").write_text(script)
    assert json.loads(run("node", "decide.js", folder=tmp_path)) == expected(entry, array)


needs_cxx = pytest.mark.skipif(
    not all(map(Path.exists, CXX_HEADERS)), reason="needs libonnxruntime-dev and nlohmann-json3-dev"
)


def compile_cxx(code: str, folder: Path) -> None:
    (folder / "example.cpp").write_text(code)
    includes = ["-I", str(CXX_HEADERS[0])]
    run(
        "g++",
        "-std=c++17",
        "-Wall",
        "-Werror",
        "example.cpp",
        *includes,
        "-lonnxruntime",
        "-o",
        "example",
        folder=folder,
    )


@needs_cxx
def test_the_example_for_cxx_names_the_class(folder: Path) -> None:
    compile_cxx(block_of("cpp"), folder)
    assert run("./example", folder=folder) in {"Adelie", "Chinstrap", "Gentoo"}


@needs_cxx
@pytest.mark.parametrize(("entry", "units"), CASES, ids=[str(case[0]["kind"]) for case in CASES])
def test_the_function_for_cxx_decides_as_predict_does(entry: Any, units: int, tmp_path: Path) -> None:
    array = numbers(units, entry)
    function = block_of("cpp").partition("int main()")[0]
    rows = ", ".join(f"{number!r}f" for number in array.ravel().tolist())
    main = f"""
    int main() {{
      const auto output = nlohmann::json::parse(R"({json.dumps(entry)})");
      const float rows[] = {{{rows}}};
      nlohmann::json all;
      for (int i = 0; i < {len(array)}; ++i) all.push_back(classes(output, rows + i * {units}, {units}));
      std::cout << all << std::endl;
    }}
    """
    compile_cxx(function + main, tmp_path)
    found = json.loads(run("./example", folder=tmp_path))
    assert (found if entry["kind"] == "multi_label" else [row[0] for row in found]) == expected(entry, array)
