"""Which rooms a room imports, and rules for all components and gradient rules."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "compiler" / "jsonnx"

ARROWS = """
callbacks: pipeline runtime
cli:       language_server mcp_server pipeline render runtime data lint lowering interop frontend layers backend
           library core
language_server: pipeline render lowering frontend layers ir library core
mcp_server: render frontend backend core
pipeline:  report render trackers runtime data tuning diff lint lowering gradient passes interop analysis frontend
           layers search training targets backend ir core
render:    runtime data diff lint lowering interop analysis frontend layers search targets ir library core
trackers:  core
runtime:   data tuning passes interop training backend ir core
data:      interop training core
tuning:    gradient passes training ir core
diff:      analysis frontend training core
lint:      analysis frontend layers training core
lowering:  analysis frontend layers training ir core
gradient:  training ir core
passes:    ir core
analysis:  frontend layers training core
interop:   frontend layers training backend core
frontend:  layers search training library core
layers:    training ir core
search:    training core
training:  ir core
targets:   ir
backend:   ir core
ir:        core
library:
report:
core:
"""
"""Which rooms each room may import. Rooms stand from top to bottom: every arrow points downwards."""

ROOMS = {
    room: set(below.split())
    for room, below in (line.split(":") for line in re.sub(r"\n +", " ", ARROWS).strip().splitlines())
}

FOR_TYPES_ONLY = {
    ("language_server", "ir"),
    ("layers", "ir"),
    ("training", "ir"),
    ("render", "data"),
    ("render", "runtime"),
    ("render", "targets"),
}
"""Arrows that only type checkers follow: a layer and a loss are given the builder that they emit operators with."""

OWNERS = {
    "onnx": {"ir", "backend", "targets", "runtime", "pipeline"},
    "h5py": {"interop"},
    "onnxruntime": {"runtime"},
    "jsonschema": {"frontend"},
    "safetensors": {"data", "interop", "runtime"},
    "pyarrow": {"data"},
    "PIL": {"data"},
    "optuna": {"search"},
    "cmaes": {"search"},
    "lsprotocol": {"language_server"},
    "pygls": {"language_server"},
    "click": {"cli"},
    "rich": {"render"},
    "mcp": {"mcp_server"},
    "mcp_types": {"mcp_server"},
    "pydantic": {"mcp_server"},
    "anyio": {"mcp_server"},
}
"""The rooms that may import a third-party package."""

LIGHT = [
    "core.components",
    "core.diagnostics",
    "core.types",
    "layers",
    "training",
    "search.section",
    "search.space",
    "frontend",
    "frontend.formatter",
    "analysis.shape_inference",
    "analysis.objective",
    "diff",
    "lint.lint_network",
    "pipeline.check",
    "pipeline.format_file",
    "pipeline.lint_spec",
    "pipeline.validate",
]
"""Modules that are imported without NumPy, onnx and onnxruntime, so that `validate` starts at once."""

FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {file.relative_to(PACKAGE).with_suffix("").parts: file for file in FILES}


class Import(NamedTuple):
    """An import of a file of the package, or of another package."""

    file: Path | None
    package: str
    for_types_only: bool


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def file_of(module: tuple[str, ...], name: str) -> Path | None:
    """The file that `from module import name` reads: the submodule of that name, or else the module."""
    candidates = [(*module, name), (*module, name, "__init__"), module, (*module, "__init__")]
    return next((MODULES[parts] for parts in candidates if parts in MODULES), None)


@cache
def imports(file: Path) -> list[Import]:
    found: list[Import] = []
    folder = file.relative_to(PACKAGE).parts[:-1]

    def visit(node: ast.AST, for_types_only: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for_types_only = True
        if isinstance(node, ast.Import):
            found.extend(Import(None, alias.name.split(".")[0], for_types_only) for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append(Import(None, (node.module or "").split(".")[0], for_types_only))
        elif isinstance(node, ast.ImportFrom):
            module = (*folder[: len(folder) - node.level + 1], *(node.module or "").split("."))
            module = tuple(part for part in module if part)
            found.extend(Import(file_of(module, alias.name), "jsonnx", for_types_only) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child, for_types_only)

    visit(ast.parse(file.read_text()), False)
    return found


def test_every_file_stands_in_a_room() -> None:
    assert {room_of(file) for file in FILES} - {"__init__", "__main__"} == set(ROOMS)


def test_every_file_of_tuning_has_a_test_file() -> None:
    files = [file.relative_to(PACKAGE) for file in FILES if room_of(file) == "tuning" and file.stem != "__init__"]
    missing = [file for file in files if not (TESTS / file.parent / f"test_{file.name}").exists()]
    assert not missing


def test_every_arrow_points_downwards() -> None:
    order = list(ROOMS)
    for room, below in ROOMS.items():
        assert below <= set(order[order.index(room) + 1 :]), room


def test_every_arrow_is_used() -> None:
    used = {(room_of(file), room_of(i.file)) for file in FILES for i in imports(file) if i.file is not None}
    assert {(room, other) for room, below in ROOMS.items() for other in below} <= used


@pytest.mark.parametrize("file", FILES, ids=[str(f.relative_to(PACKAGE)) for f in FILES])
def test_a_room_imports_only_what_it_may(file: Path) -> None:
    room = room_of(file)
    for imported in imports(file):
        if imported.file is not None and room in ROOMS and room_of(imported.file) not in (room, "__init__"):
            arrow = (room, room_of(imported.file))
            assert arrow[1] in ROOMS[room], f"{room} may not import {arrow[1]}"
            assert imported.for_types_only or arrow not in FOR_TYPES_ONLY, f"{arrow} is for type checkers only"
        if imported.package in OWNERS and not imported.for_types_only:
            assert room in OWNERS[imported.package], f"{room} may not import {imported.package}"


def test_no_files_import_each_other_in_a_ring() -> None:
    """Type-only imports count, too. A package's own `__init__` counts as a file."""
    below = {file: {i.file for i in imports(file) if i.file not in (None, file)} for file in FILES}
    done: set[Path] = set()

    def visit(file: Path, above: tuple[Path, ...]) -> None:
        ring = [str(f.relative_to(PACKAGE)) for f in above[above.index(file) :]] if file in above else []
        assert not ring, f"these files import each other: {ring}"
        if file not in done:
            for other in sorted(below[file]):
                visit(other, (*above, file))
            done.add(file)

    for file in FILES:
        visit(file, ())


def test_the_light_rooms_bring_in_nothing_heavy() -> None:
    code = "import sys\n" + "".join(f"import jsonnx.{room}\n" for room in LIGHT)
    code += "print([m for m in ('numpy', 'onnx', 'onnx_ir', 'onnxruntime', 'rich') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["jsonnx", "jsonnx.cli"])
def test_starting_the_command_line_imports_no_layers(module: str) -> None:
    """`--help` and the public names need neither components nor the checks of specs."""
    code = f"import sys, {module}\n"
    code += "print([m for m in ('jsonschema', 'jsonnx.layers', 'jsonnx.frontend', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    assert done.stdout.strip() == "[]"


def test_a_spec_without_a_search_is_checked_without_its_modules() -> None:
    code = "import sys\nfrom jsonnx.pipeline.validate import validate\n"
    code += "validate({'inputs': {'x': {'shape': [2]}}, 'layers': ['Flatten']})\n"
    code += "print([m for m in ('numpy', 'jsonnx.search.space', 'jsonnx.report') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    assert done.stdout.strip() == "[]"


def test_a_class_is_abstract_or_final() -> None:
    """A registered component is never the base class of another one."""
    from jsonnx.frontend.schema.schema import REGISTRIES
    from jsonnx.layers import LAYERS

    components = {component for registry in (LAYERS, *REGISTRIES) for component in registry}
    for component in components:
        assert not (set(component.__mro__[1:]) & components), component


def test_every_layer_has_a_case() -> None:
    from jsonnx.layers import LAYERS
    from layers.cases import all_cases

    assert set(LAYERS.members) <= {case.layer["type"] for case in all_cases()}


def test_every_operator_has_one_rule_or_none_by_intention() -> None:
    from jsonnx.gradient import NOT_DIFFERENTIABLE, RULES

    assert not NOT_DIFFERENTIABLE & set(RULES)


def test_every_emitted_operator_has_a_rule() -> None:
    from harness import lower, one_layer
    from jsonnx.gradient import NOT_DIFFERENTIABLE, RULES
    from layers.cases import all_cases

    emitted = set()
    for case in all_cases():
        typed = one_layer(case.layer, *case.inputs, dtype=case.dtype)
        emitted |= {node.op for node in lower(typed, training=True).nodes}
    assert emitted <= set(RULES) | NOT_DIFFERENTIABLE


def test_the_public_names_are_those_promised() -> None:
    import jsonnx

    assert set(jsonnx._LAZY) == set(jsonnx.__all__) <= set(dir(jsonnx))
    for name in jsonnx.__all__:
        assert getattr(jsonnx, name).__name__ == name
