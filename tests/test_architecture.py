"""The arrows between the rooms, and what must hold of all bricks and rules."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "compiler" / "jsonnx"

ARROWS = {
    "types": set(),
    "diagnostics": set(),
    "files": {"diagnostics"},
    "bricks": set(),
    "training": {"bricks", "types"},
    "layers": {"bricks", "types", "training"},
    "frontend": {"bricks", "types", "diagnostics", "layers", "training"},
    "graph": {"types"},
    "gradient": {"graph", "types", "training", "diagnostics"},
    "passes": {"graph", "bricks", "types", "diagnostics", "frontend", "layers", "training"},
    "backend": {"graph", "types"},
    "interop": {"bricks", "types", "diagnostics", "files", "frontend", "layers", "training"},
    "runtime": {
        "graph",
        "backend",
        "types",
        "diagnostics",
        "training",
        "files",
        "interop",
        "passes",
    },  # over graphs alone
    "render": {
        "comparison",
        "diagnostics",
        "types",
        "bricks",
        "layers",
        "training",
        "frontend",
        "passes",
        "graph",
        "runtime",
    },
    "comparison": {"frontend", "passes", "types", "training", "bricks"},  # of passes, shapes alone
    "validation": {"diagnostics", "files", "frontend", "passes", "training"},
}
"""What each room may import. The files that join them (driver, model, cli, ...) may import anything but one another's
callers."""

OWNERS = {
    "onnx": {"graph", "backend", "runtime", "model"},
    "h5py": {"interop"},
    "onnxruntime": {"runtime"},
    "jsonschema": {"frontend"},
    "safetensors": {"interop", "runtime"},
    "click": {"cli"},
    "rich": {"render"},
}

LIGHT = [
    "types",
    "diagnostics",
    "bricks",
    "layers",
    "training",
    "frontend",
    "frontend.format",
    "validation",
    "formatting",
    "comparison",
    "passes.shapes",
    "passes.objective",
]


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path) -> list[tuple[str, bool]]:
    """Names of our rooms (True) and of other packages (False) that a file imports, but for type checking only."""
    depth = len(file.relative_to(PACKAGE).parts)
    found: list[tuple[str, bool]] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append(((node.module or "").split(".")[0], False))
        elif isinstance(node, ast.ImportFrom) and node.level == depth:
            names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
            found.extend((name, True) for name in names)
        elif isinstance(node, ast.Import):
            found.extend((alias.name.split(".")[0], False) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(file.read_text()))
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=[str(f.relative_to(PACKAGE)) for f in FILES])
def test_a_room_imports_only_what_it_may(file: Path) -> None:
    room = room_of(file)
    for name, ours in imports(file):
        if ours and room in ARROWS and name != room:
            assert name in ARROWS[room], f"{room} may not import {name}"
        if not ours and name in OWNERS:
            assert room in OWNERS[name], f"{room} may not import {name}"


def test_the_light_rooms_bring_in_nothing_heavy() -> None:
    code = "import sys\n" + "".join(f"import jsonnx.{room}\n" for room in LIGHT)
    code += "print([m for m in ('numpy', 'onnx', 'onnx_ir', 'onnxruntime', 'rich') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["jsonnx", "jsonnx.cli"])
def test_what_starts_a_command_brings_in_no_language(module: str) -> None:
    """`--help` and the names alone need neither the bricks nor what checks specs."""
    code = f"import sys, {module}\n"
    code += "print([m for m in ('jsonschema', 'jsonnx.layers', 'jsonnx.frontend', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    assert done.stdout.strip() == "[]"


def test_a_class_is_abstract_or_final() -> None:
    """A registered brick is never the base of another."""
    from jsonnx.frontend.schema import FAMILIES
    from jsonnx.layers import LAYERS

    bricks = {brick for family in (LAYERS, *FAMILIES) for brick in family}
    for brick in bricks:
        assert not (set(brick.__mro__[1:]) & bricks), brick


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


NEVER = {"pickle", "marshal", "shelve", "runpy", "code", "yaml", "tarfile", "urllib", "http", "socket"}
"""Modules that make code, or a connection, of data."""

GUARDED = {
    "eval": {"bricks.py"},  # of the annotations of our own classes
    "exec": set(),
    "compile": set(),
    "__import__": set(),
    "import_module": {"__init__.py"},  # of names in a table of ours
    "subprocess": {"interop/hdf5.py"},  # the reader of HDF5, with no argument from a file
    "ctypes": {"runtime/denormals.py"},  # two functions of C's library that set a thread's state, of constants
    "multiprocessing": set(),
    "system": set(),
    "popen": set(),
}
"""What could execute data, and the files that may use it, none of them on what a spec or a model says."""


def test_nothing_that_a_file_says_can_be_executed() -> None:
    found: dict[str, set[str]] = {}
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name.partition(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [(node.module or "").partition(".")[0], *(alias.name for alias in node.names)]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names = [node.func.id]
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
                names = [node.attr]
            for name in {*names} & {*NEVER, *GUARDED}:
                found.setdefault(name, set()).add(file.relative_to(PACKAGE).as_posix())
    assert found == {name: files for name, files in GUARDED.items() if files}
