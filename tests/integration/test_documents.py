"""The documents: links, anchors, paths and names exist, examples run, and the guiding pages stay short."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from textwrap import dedent

import pytest
from support.commands import SOURCE
from support.commands import jsonnx as command
from test_architecture import MAY_IMPORT, ROOMS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "compiler/jsonnx"

NOT_OURS = {"build", "dist", "node_modules", "runs"}
"""Folders that tools write."""

FOLDERS = (".ci", "benchmarks", "compiler", "docs", "samples", "schemas", "tests")
"""Where a path in a document may begin, relative to the repository."""

FENCED = re.compile(r"^( *)```(?:\{\w+\})?(\w*)(?: [^\n]*)?\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
"""A fenced block: its indentation, its language (a directive has none) and its text. `document_blocks` reads the words
after the language."""


def documents() -> list[Path]:
    """Every Markdown file of the repository, without the pages that Sphinx generates."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "." and path.name not in NOT_OURS]
    found = [*ROOT.glob("*.md"), *(path for folder in folders for path in folder.rglob("*.md"))]
    generated = (ROOT / "docs/reference", ROOT / "docs/project")  # Sphinx checks their links
    found = [path for path in found if not any(map(path.is_relative_to, generated))]
    return sorted(path for path in found if "node_modules" not in path.parts)


DOCUMENTS = documents()
GUIDES = [path for path in DOCUMENTS if path.parent == ROOT or path.is_relative_to(ROOT / "docs")]

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])
each_guide = pytest.mark.parametrize("document", GUIDES, ids=[str(path.relative_to(ROOT)) for path in GUIDES])


@cache
def text_of(document: Path) -> str:
    return document.read_text("utf-8")


# -- links -------------------------------------------------------------------------------------------------------------


def links(text: str) -> list[str]:
    """The targets of links and images that lead to no other site."""
    text = re.sub(r"(?<=\n\n)(?: {4}.*\n)+|`[^`]+`", "", FENCED.sub("", text))  # no code
    targets = re.findall(r"\]\(([^)\s]+)[^)]*\)|^\[[^\]]+\]: *(\S+)", text, re.MULTILINE)
    return [target for target in map("".join, targets) if not re.match(r"[a-z]+:", target)]


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    counts: dict[str, int] = defaultdict(int)
    names = set()
    for heading in re.findall(r"^#+ +(.*?) *#*$", FENCED.sub("", text_of(document)), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        names.add(f"{slug}-{counts[slug]}" if counts[slug] else slug)
        counts[slug] += 1
    return names


def broken_links(document: Path, text: str) -> list[str]:
    targets = []
    for target in links(text):
        name, _, anchor = target.partition("#")
        file = document.parent / name if name else document
        if file.resolve().is_relative_to(ROOT / "docs/reference"):
            continue  # a page that Sphinx generates, and whose links it checks
        if not file.exists() or (anchor and anchor not in anchors(file)):
            targets.append(target)
    return targets


@each_document
def test_every_link_and_anchor_resolves(document: Path) -> None:
    assert broken_links(document, text_of(document)) == []


def test_a_broken_link_is_found() -> None:
    document = ROOT / "README.md"
    text = (
        "[a](docs/absent.md) [`b`](docs/language/index.md#absent) ![c](absent.svg) "
        "[d](docs/guides/deploy/keras-files.md#export) [e](#install)"
    )
    assert broken_links(document, text) == ["docs/absent.md", "docs/language/index.md#absent", "absent.svg"]


# -- paths and names ---------------------------------------------------------------------------------------------------


def spans(text: str) -> list[str]:
    """What stands in backquotes."""
    return [re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", FENCED.sub("", text))]


def is_path(span: str) -> bool:
    """Whether a span names a file or a folder of the repository: `passes/`, `cli/common.py`, `specs.py`."""
    folder = span.partition("/")[0]
    is_known = folder in ROOMS or folder in FOLDERS
    return bool(re.fullmatch(r"\.?[\w.*-]+(/[\w.*-]+)*/?", span)) and (
        span.endswith((".py", ".md", ".sh")) or (is_known and span.endswith("/")) or (folder in FOLDERS and "/" in span)
    )


def exists(path: str, document: Path) -> bool:
    """Whether a path is there: from the repository, the package, the document, or, of a bare name, anywhere."""
    if path.endswith(".py") and "/" not in path:
        return any(PACKAGE.rglob(path))
    return any(any(base.glob(path.rstrip("/"))) for base in (ROOT, PACKAGE, document.parent))


def named_paths(text: str) -> Iterator[str]:
    """Paths in backquotes, and, in commands and code as well, those that begin with a folder of the repository.

    Those of pages that are generated when the site is built are left out.
    """
    yield from filter(is_path, spans(text))
    for match in re.finditer(rf"(?<![\w./*-])(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./*-]*", text):
        if not match[0].startswith("docs/reference/"):
            yield match[0].rstrip(".")


def missing_paths(document: Path, text: str) -> list[str]:
    """Named paths that are not there, except of files that a block of the page is saved as, or that a diff adds."""
    saved = {*re.findall(r"^(?:```\w*.* file=|\+\+\+ b/)(\S+)", text, re.MULTILINE)}
    return sorted({path for path in named_paths(text) if path not in saved and not exists(path, document)})


@each_guide
def test_every_path_that_is_named_exists(document: Path) -> None:
    assert missing_paths(document, text_of(document)) == []


def test_a_missing_path_is_found() -> None:
    text = "`passes/canonicalize.py` `passes/absent.py` `absent.py` `rules/` sh tests/absent.sh and `layers/absent/`."
    assert missing_paths(ROOT / "README.md", text) == [
        "absent.py",
        "layers/absent/",
        "passes/absent.py",
        "tests/absent.sh",
    ]


@cache
def words_of_the_code() -> set[str]:
    files = [file for folder in (PACKAGE, ROOT / "tests", ROOT / "benchmarks") for file in folder.rglob("*.py")]
    return set().union(*(words(file.read_text("utf-8")) for file in files if file != Path(__file__)))


def words(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", text))


@cache
def members_by_class() -> dict[str, set[str]]:
    """The methods, attributes and fields of each class and its bases, those of other classes of the same name
    included."""
    members: dict[str, set[str]] = defaultdict(set)
    bases: dict[str, set[str]] = defaultdict(set)
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                members[node.name] |= words("\n".join(_own_names(node)))
                bases[node.name] |= {base.id for base in node.bases if isinstance(base, ast.Name)}

    def ancestors(name: str) -> set[str]:
        return {name}.union(*(ancestors(base) for base in bases.get(name, set()) - {name}))

    return {name: set().union(*(members.get(each, set()) for each in ancestors(name))) for name in members}


def _own_names(node: ast.ClassDef) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.FunctionDef):
            yield part.name
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            yield part.id
        elif isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store):
            yield part.attr


def unknown_names(text: str) -> list[str]:
    """Identifiers in backquotes that the code does not have; `g` is a builder."""
    words_of_examples = words("".join(block[3] for block in FENCED.finditer(text)))
    unknown = set()
    for span in spans(text):
        match = re.fullmatch(r"@?([A-Za-z_][\w.]*\w)(\(.*\))?", span)
        if not match or is_path(span) or span.startswith("jsonnx."):
            continue
        name, *attributes = match[1].split(".")
        members = members_by_class().get({"g": "Builder"}.get(name, name))
        if members and attributes and not attributes[0][0].isupper():
            if attributes[0] not in members:
                unknown.add(span)
        elif not {name, *attributes} <= words_of_the_code() | words_of_examples | {*ROOMS}:
            unknown.add(span)
    return sorted(unknown)


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md", "docs/internals/decisions.md"])
def test_every_name_of_the_code_exists(name: str) -> None:
    assert unknown_names(text_of(ROOT / name)) == []


def test_an_unknown_name_is_found() -> None:
    text = "`Report.add` `Report.absent` `g.detached()` `g.absent_too()` `absent_function` `lower(outputs=...)`"
    assert unknown_names(text) == ["Report.absent", "absent_function", "g.absent_too()"]


# -- length and picture ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "limit"), [("docs/architecture.md", 2200), ("docs/internals/performance.md", 2000)])
def test_a_page_is_short_enough_to_be_read(name: str, limit: int) -> None:
    assert len(text_of(ROOT / name).split()) < limit


def test_the_architecture_page_names_each_folder_once() -> None:
    rows = re.findall(r"^`([a-z_/0-9]+)` \|", text_of(ROOT / "docs/architecture.md"), re.MULTILINE)
    assert sorted(rows) == sorted({*MAY_IMPORT, *ROOMS})


def test_the_architecture_page_names_each_room_once_in_its_table() -> None:
    table = re.search(
        r"^room \| in \| out\n(.*?)\n\n", text_of(ROOT / "docs/architecture.md"), re.DOTALL | re.MULTILINE
    )
    assert table
    assert re.findall(r"^`(\w+)` \|", table[1], re.MULTILINE) == list(ROOMS)


# -- examples ----------------------------------------------------------------------------------------------------------


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of a document in one language."""
    return [dedent(block[3]) for block in FENCED.finditer(text_of(ROOT / name)) if block[2] == language]


def transcript(name: str, line: str) -> list[str]:
    """The lines that a document shows below a command."""
    (block,) = (block for block in blocks(name, "") if block.startswith(f"$ {line}\n"))
    return block.splitlines()[1:]


def test_the_readme_shows_what_validate_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = transcript("README.md", "jsonnx validate spec.json")
    (line,) = (line.partition("| ")[2] for line in shown if line.startswith("5 |"))
    spec = ["{", '  "inputs": {"x": {"shape": [784]}},', '  "layers": [', '    {"type": "Rescaling", "scale": 1},']
    spec += [line, '    {"type": "Dense", "units": 10}', "  ]", "}"]
    monkeypatch.chdir(tmp_path)
    Path("spec.json").write_text("\n".join(spec))
    printed = command("validate", "spec.json", status=1).stderr.splitlines()
    assert [line.strip() for line in shown] == [line.strip() for line in printed[: len(shown)]]


def test_the_readme_shows_what_summary_prints() -> None:
    shown = transcript("README.md", "jsonnx summary samples/mnist_cnn.json")
    printed = command("summary", str(ROOT / "samples/mnist_cnn.json")).output
    assert "\n".join(shown) in printed


IMPORTS = """
import jsonnx
import numpy as np
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Value
from jsonnx.passes.rewrite import Match, RuleSet
from jsonnx.training.optimizers.optimizer import OPTIMIZERS, Optimizer, Slots, Update
"""

USES = """
g = Builder()
x = g.input("x", TensorType("float32", (BATCH, 2)))
graph = double_negation.apply(g.graph({"y": g.Abs(g.Neg(g.Neg(x)))}))
assert [node.op for node in graph.nodes] == ["Abs"]
assert graph.nodes[0].inputs == (x,)

spec = {
    "inputs": {"x": {"shape": [2]}},
    "layers": [{"type": "Dense", "name": "dense", "units": 1, "kernel_initializer": "ones", "use_bias": False}],
    "training": {"loss": "mse", "optimizer": "SignSGD"},
}
trainer = jsonnx.Trainer(spec)
x, y = np.float32([[1, 0], [0, 1], [1, 1], [2, 0]]), np.float32([[1], [2], [3.5], [5]])
trainer.fit(x, y, epochs=1, batch_size=4)
np.testing.assert_allclose(trainer.weights()["dense/kernel"], 1.001, rtol=1e-6)
"""


def examples(section: str) -> list[str]:
    """The blocks of Python in a section for contributors."""
    text = text_of(ROOT / "CONTRIBUTING.md").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return [dedent(block[3]) for block in FENCED.finditer(text) if block[2] == "python"]


def test_the_examples_for_contributors_run() -> None:
    """In a process of its own, since the examples register components."""
    optimizer, rule, rewrite = (
        code for name in ("a metric", "a gradient rule", "a pass") for code in examples(f"Add {name}")
    )
    code = IMPORTS + optimizer + rewrite + USES
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=SOURCE)
    assert process.returncode == 0, process.stderr
    assert any(rule in file.read_text("utf-8") for file in (PACKAGE / "gradient/rules").glob("*.py"))
