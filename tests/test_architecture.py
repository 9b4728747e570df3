"""Which folders a folder imports, and rules for all components and gradient rules."""

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
callbacks: pipeline runtime core
cli/servers: cli server conformance language_server mcp_server pipeline render runtime core
cli: ray pipeline render runtime data lint lowering interop frontend layers sections backend library core
ray: server pipeline hyperparameter_search render runtime collective data frontend sections backend core
conformance/cases: conformance
conformance: core
server/http: server/page server/grpc server/http/middleware server/models server/monitoring server/protocol server
    pipeline runtime backend core
server/http/middleware: server/monitoring server/protocol
server/page: server/models server/protocol server pipeline html_report data layers backend core
server/grpc: server/monitoring server/protocol server core
server: server/rows server/models server/batching server/monitoring server/protocol backend data core
server/deployment: server/protocol server/batching pipeline runtime data backend core
server/rows: server/models server/monitoring server/protocol pipeline data core
server/models: server/batching server/monitoring server/protocol pipeline runtime data backend core
server/batching: server/monitoring server/protocol pipeline passes analysis ir core
server/monitoring: pipeline runtime data core
server/protocol: render data core
language_server: language_server/features language_server/checks language_server/documents frontend core
language_server/features: language_server/checks language_server/documents pipeline render frontend layers sections
    library core
language_server/checks: language_server/documents pipeline render lowering frontend sections ir library core
language_server/documents: frontend layers core
mcp_server: render hyperparameter_search frontend backend core
client: core
pipeline/compare: pipeline/run pipeline/run_folder pipeline/git pipeline/compile pipeline/check diff lowering
    analysis interop frontend core
pipeline/quantize: pipeline/run pipeline/train pipeline/compile pipeline/check runtime data lowering passes analysis
    frontend sections backend ir core
pipeline/edit: frontend core
pipeline/first_spec: pipeline/train pipeline/check data frontend sections core
pipeline/inspect: pipeline/run pipeline/run_folder pipeline/train pipeline/compile pipeline/check runtime
    collective data lowering passes frontend sections placement ir core
pipeline/keras_export: pipeline/run pipeline/compile pipeline/check runtime interop training core
pipeline/lora_export: pipeline/run pipeline/compile pipeline/check runtime passes frontend backend ir core
pipeline/ort_export: pipeline/train pipeline/compile runtime interop backend core
pipeline/report: pipeline/baselines pipeline/run pipeline/run_folder pipeline/train pipeline/compile pipeline/check
    render runtime data lowering gradient passes analysis frontend sections training backend ir html_report core
pipeline/baselines: pipeline/run pipeline/train pipeline/compile pipeline/check runtime data analysis sections training
    backend html_report core
pipeline/sweep: pipeline/run pipeline/run_folder pipeline/train pipeline/check render runtime data frontend
    hyperparameter_search sections backend core
pipeline/validate: pipeline/run pipeline/train pipeline/compile pipeline/check lint frontend sections placement
    backend ir core
pipeline/serving: pipeline/run pipeline/compile pipeline/check render runtime data analysis layers sections backend core
pipeline/predict: pipeline/run pipeline/run_folder pipeline/train pipeline/compile pipeline/check runtime data frontend
    backend sections core
pipeline/run: pipeline/run_folder pipeline/train pipeline/git pipeline/compile pipeline/check render trackers runtime
    collective data passes lowering analysis frontend sections placement backend ir core
pipeline/run_folder: pipeline/check runtime interop frontend backend core
pipeline/train: pipeline/compile pipeline/check render runtime collective data tuning lowering gradient passes
    analysis interop frontend layers sections training backend ir core
pipeline/git: core
pipeline/compile: pipeline/check render runtime data lowering gradient passes analysis interop frontend layers
    foreign sections training placement backend ir core
pipeline/check: data lowering analysis interop frontend hyperparameter_search layers foreign sections training ir core
render/reference: render/diagnostics render/explanations render/schemas render/text lint lowering analysis frontend
    layers ir library core
render/results: render/networks render/diagnostics render/text runtime data diff frontend hyperparameter_search
    placement core
render/networks: render/diagnostics render/text runtime diff lowering analysis interop frontend ir core
render/diagnostics: render/explanations core
render/clients: core
render/explanations: render/text lint layers sections core
render/schemas: core
render/text: core
trackers: core
html_report: training core
runtime/profile: collective
runtime/fit: runtime/execution runtime/distillation runtime/callbacks runtime/session runtime/sharding
    runtime/providers runtime collective data interop sections training backend ir core
runtime/execution: runtime/callbacks runtime/session runtime/sharding runtime/providers runtime collective data tuning
    passes backend ir core
runtime/distillation: runtime/session runtime data core
runtime/sharding: runtime/providers runtime collective data ir core
runtime/callbacks: runtime data core
runtime/quantization: runtime/session passes core
runtime/session: runtime/parity runtime/providers data interop core
runtime/parity: runtime/providers runtime data backend ir core
runtime/providers: data tuning backend ir core
runtime: data sections training ir core
data/describe: data/files data/tables data/media data/samples core
data/drift: data/samples core
data/files: data/rows data/tables data/media data/samples sections core
data/rows: data/tables data/samples sections core
data/tables: data/media data/samples interop sections core
data/media: data/samples sections core
data/samples: data/texts sections training core
data/texts: core
tuning/cpu/pipeline: tuning/cpu/matmul tuning/cpu/embeddings tuning/cpu/recurrent tuning/cpu/nchwc tuning/cpu ir
tuning/cpu/matmul: tuning/cpu passes ir core
tuning/cpu/embeddings: tuning/cpu passes training ir core
tuning/cpu/recurrent: tuning/cpu/nchwc tuning/cpu passes ir core
tuning/cpu/nchwc: tuning/cpu passes ir core
tuning/cpu: tuning/cpu/memory gradient passes ir
tuning/cpu/memory: passes ir core
functions: lowering frontend layers training ir core
diff: analysis frontend sections core
lint/lint_network: lint/rules lint core
lint/rules: lint analysis frontend layers sections training core
lint: analysis frontend layers sections training core
lowering: analysis frontend layers sections training ir core
gradient/rules: gradient ir core
gradient: sections training ir core
passes/inference: passes/layout passes ir core
passes/legalization: passes ir
passes/quantization: passes/training_steps passes ir core
passes/training_steps: passes/layout passes ir core
passes/layout: ir core
passes: ir core
analysis: frontend layers sections training core
interop/keras_hub: interop/keras/weights interop/keras/translation interop/hugging_face/families interop/hugging_face
    interop frontend core
interop/keras: interop/keras/folding interop/keras/weights interop/keras/translation interop frontend layers core
interop/keras/export: interop/keras/weights interop/keras/translation frontend layers core
interop/keras/folding: interop/keras/translation frontend layers core
interop/keras/weights: interop/keras/translation interop frontend core
interop/keras/translation: frontend layers sections training core
interop/hugging_face/read_folder: interop/hugging_face/families interop/hugging_face frontend core
interop/hugging_face/families: interop/hugging_face frontend
interop/hugging_face: interop frontend core
interop: frontend backend core
frontend/names: frontend/expansion frontend/schema frontend layers core
frontend/expansion: frontend/json frontend/schema frontend/foreign frontend layers sections training library core
frontend/networks: frontend/schema frontend layers sections training core
frontend/text: frontend/json frontend/schema layers sections core
frontend/json: frontend/schema core
frontend/schema: frontend/foreign frontend layers sections training library core
frontend/foreign: core
frontend: layers sections training library core
hyperparameter_search: sections core
layers/ops: layers/image layers/attention layers/normalization layers/convolution layers training ir core
layers/image: layers/preprocessing layers training ir core
layers/attention: layers/normalization layers training ir core
layers/preprocessing: layers/convolution layers training ir core
layers/rnn: layers/normalization layers/convolution layers training ir core
layers/onnx_files: layers/normalization layers foreign training ir core
layers/normalization: layers/convolution layers training ir core
layers/convolution: layers training ir core
layers: training ir core
sections: training ir core
training/metrics: training/losses training ir core
training/losses: training ir core
training/optimizers: training/weights training ir core
training/weights: training ir core
training: ir core
collective: core
foreign: ir core
placement: ir core
backend: ir core
ir: core
library:
core/signature:
core/files: core
core/system: core/providers core
core/providers:
core:
"""
"""What the files of each folder may import, folders inside rooms and the modules above them included. They stand from
top to bottom: every arrow points downwards. A room's name stands for all that is inside it."""

MAY_IMPORT = {
    place: below.split()
    for place, below in (line.split(":") for line in re.sub(r"\n +", " ", ARROWS).strip().splitlines())
}
ROOMS = list(dict.fromkeys(place.partition("/")[0] for place in MAY_IMPORT))
MAX_MODULES = 24
"""The largest number of modules in a folder, `__init__.py` aside."""

FOR_TYPES_ONLY = {
    ("language_server", "ir"),
    ("layers", "ir"),
    ("sections", "ir"),
    ("training", "ir"),
    ("render", "data"),
    ("render", "placement"),
    ("render", "runtime"),
}
"""Arrows between rooms that only type checkers follow: a layer and a loss are given the builder that they emit
operators with."""

OWNERS = {
    "onnx": {"ir", "foreign", "backend", "placement", "runtime", "pipeline"},
    "h5py": {"interop"},
    "onnxruntime": {"runtime"},
    "jsonschema": {"frontend"},
    "pyarrow": {"data"},
    "duckdb": {"data"},
    "fsspec": {"data"},
    "tokenizers": {"data"},
    "PIL": {"data"},
    "ray": {"ray"},
    "optuna": {"hyperparameter_search"},
    "cmaes": {"hyperparameter_search"},
    "lsprotocol": {"language_server"},
    "pygls": {"language_server"},
    "click": {"cli"},
    "rich": {"render"},
    "mcp": {"mcp_server"},
    "mcp_types": {"mcp_server"},
    "pydantic": {"mcp_server"},
    "grpc": {"conformance", "server"},
    "google": {"server"},
    "anyio": {"mcp_server"},
    "opentelemetry": {"server"},
    "prometheus_client": {"server"},
    "starlette": {"server"},
    "uvicorn": {"server"},
}
"""The rooms that may import a third-party package."""

LIGHT = [
    "core.components",
    "core.diagnostics",
    "core.types",
    "layers",
    "training",
    "sections.sweep_section",
    "hyperparameter_search.space",
    "frontend",
    "frontend.text.formatter",
    "analysis.shape_inference",
    "analysis.objective",
    "diff",
    "lint.lint_network",
    "pipeline.check.check",
    "pipeline.edit.format_file",
    "pipeline.validate.lint_spec",
    "pipeline.validate.validate",
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


def place_of(file: Path) -> str:
    """The longest path in MAY_IMPORT that the file's own path begins with."""
    path = file.relative_to(PACKAGE).with_suffix("")
    return next((str(place) for place in (path, *path.parents) if str(place) in MAY_IMPORT), room_of(file))


def arrows(file: Path) -> set[tuple[str, str]]:
    """The arrows of a file to other places. A package's `__init__` may import all that is inside the package."""
    place = place_of(file)
    others = {place_of(i.file) for i in imports(file) if i.file is not None} - {place, "__init__", "__main__"}
    return {(place, other) for other in others if not (file.stem == "__init__" and other.startswith(f"{place}/"))}


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


def test_every_folder_has_its_arrows() -> None:
    modules = [file for file in FILES if file.stem != "__init__" and room_of(file) != "__main__"]
    for file in modules:
        path = file.relative_to(PACKAGE).with_suffix("")
        assert place_of(file) in (str(path), str(path.parent)), f"{path.parent} is missing in ARROWS"
    assert set(MAY_IMPORT) <= {place_of(file) for file in FILES}


@pytest.mark.parametrize("folder", sorted({file.parent for file in FILES}), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_a_folder_has_few_modules_and_a_docstring(folder: Path) -> None:
    assert len([file for file in folder.glob("*.py") if file.stem != "__init__"]) <= MAX_MODULES
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))


def test_every_file_of_tuning_has_a_test_file() -> None:
    files = [file.relative_to(PACKAGE) for file in FILES if room_of(file) == "tuning" and file.stem != "__init__"]
    missing = [file for file in files if not (TESTS / "unit" / file.parent / f"test_{file.name}").exists()]
    assert not missing


def test_every_arrow_points_downwards() -> None:
    order = list(MAY_IMPORT)
    for place, below in MAY_IMPORT.items():
        for other in below:
            inside = [name for name in order if name == other or name.startswith(f"{other}/")]
            if other.partition("/")[0] == place.partition("/")[0]:
                inside = [other]
            assert set(inside) <= set(order[order.index(place) + 1 :]), (place, other)


def test_every_arrow_is_used() -> None:
    used = set().union(*(arrows(file) for file in FILES))
    used |= {(place, room) for place, other in used for room in [other.partition("/")[0]] if room not in place}
    assert {(place, other) for place, below in MAY_IMPORT.items() for other in below} <= used


@pytest.mark.parametrize("file", FILES, ids=[str(f.relative_to(PACKAGE)) for f in FILES])
def test_a_file_imports_only_what_it_may(file: Path) -> None:
    room = room_of(file)
    if room in ROOMS:
        for place, other in arrows(file):
            other_room = other.partition("/")[0]
            allowed = other if other_room == room else other_room
            assert allowed in MAY_IMPORT[place], f"{place} may not import {other}"
    for imported in imports(file):
        if imported.file is not None and not imported.for_types_only:
            arrow = (room, room_of(imported.file))
            assert arrow not in FOR_TYPES_ONLY, f"{arrow} is for type checkers only"
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
    code = "import sys\nfrom jsonnx.pipeline.validate.validate import validate\n"
    code += "validate({'inputs': {'x': {'shape': [2]}}, 'layers': ['Flatten']})\n"
    unneeded = (
        "numpy",
        "gzip",
        "jsonnx.hyperparameter_search.space",
        "jsonnx.html_report",
        "jsonnx.interop.hugging_face",
    )
    code += f"print([m for m in {unneeded} if m in sys.modules])"
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
    from unit.layers.cases import all_cases

    # A Tokenizer computes outside of graphs; tests/unit/pipeline/test_tokenizer.py is about it.
    assert set(LAYERS.members) - {"Tokenizer"} <= {case.layer["type"] for case in all_cases()}


def test_every_operator_has_one_rule_or_none_by_intention() -> None:
    from jsonnx.gradient import NOT_DIFFERENTIABLE, RULES

    assert not NOT_DIFFERENTIABLE & set(RULES)


def test_every_emitted_operator_has_a_rule() -> None:
    from jsonnx.gradient import NOT_DIFFERENTIABLE, RULES
    from support.harness import lower, one_layer
    from unit.layers.cases import all_cases

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
