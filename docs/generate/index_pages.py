"""The pages that find others: the index of the reference, by task, and by names of Keras and PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jsonnx.layers.unsupported import NOT_EXPRESSIBLE, REPLACED_NAMES, UNSUPPORTED_OPS
from jsonnx.render.reference.component_reference import KINDS, kind_title

from .components.indexes import BLOCKS_TITLE, OPERATORS_TITLE
from .components.pytorch_differences import DIFFERENCES
from .components.pytorch_names import counterparts
from .components.records import Record, find_record, index_page, keras_names, records, records_of
from .components.tasks import TASKS, Task
from .guides import written_pages
from .markdown import Lines, front_matter, link, page_text, section, table, toctree

INDEX, BY_TASK = "reference/index.md", "reference/by-task.md"
KERAS_NAMES, PYTORCH_NAMES = "reference/keras-names.md", "reference/pytorch-names.md"

FINDERS = {
    BY_TASK: "By task",
    KERAS_NAMES: "Names of Keras",
    PYTORCH_NAMES: "Names of PyTorch",
}
PARTS = {
    "layer": ("Layers", "what networks consist of"),
    "operator": (OPERATORS_TITLE, "functions of tensors, without weights"),
    "block": (BLOCKS_TITLE, "parts of known networks, written in the language of specs"),
    **{kind: (kind_title(kind), "") for kind in KINDS},
    "error": ("Errors", "what each error and warning means, and what to do"),
    "rule": ("Rules of `jsonnx lint`", "what it advises, and why"),
    "command": ("Commands", "each command with its options"),
    "function": ("Python", "the public names of the package"),
}
"""The title of each kind, and what it contains if the kind has no registry that says it."""


def index_pages() -> dict[str, str]:
    """The Markdown of each page by its path in docs/: `reference/index.md`."""
    pages = {INDEX: _index(), BY_TASK: _by_task(), KERAS_NAMES: _keras_names(), PYTORCH_NAMES: _pytorch_names()}
    return {path: page_text(lines) for path, lines in pages.items()}


def _index() -> Iterator[str]:
    yield from ("# Reference", "", "Every name that a spec, a command line or a program may have.")
    finders = [f"- {link(title, page, INDEX)}" for page, title in FINDERS.items()]
    yield from section("Find a page", ["", *finders])
    rows = []
    for kind, (title, text) in PARTS.items():
        count = len(records_of(kind))
        meaning = text or KINDS[kind].doc.rstrip(".")
        rows.append((link(title, index_page(kind), INDEX), str(count or ""), f"{meaning[:1].lower()}{meaning[1:]}"))
    yield from section("Kinds", table(("pages", "number", "of"), rows))
    yield from toctree([*FINDERS, *map(index_page, PARTS)], INDEX)


# -- by task ---------------------------------------------------------------------------------------------------------


def _by_task() -> Iterator[str]:
    yield from front_matter(["classification", "regression", "computer vision", "NLP", "natural language", "tabular"])
    yield from ("# By task", "", "What serves a task: the usual layers, losses and metrics, guides and samples.")
    for task in TASKS:
        yield from section(task.title, ["", task.question, *table(("kind", "names"), _task_rows(task))])


def _task_rows(task: Task) -> Iterator[tuple[str, str]]:
    parts = {"layer": task.layers, "block": task.blocks, "loss": task.losses, "metric": task.metrics}
    for kind, names in parts.items():
        found = [find_record(kind, name) for name in names.split()]
        if found:
            yield PARTS[kind][0].partition(" ")[0], _links(found, BY_TASK)
    pages = [f"{page}.md" for page in task.pages.split()]
    samples = [f"gallery/{sample}.md" for sample in task.samples.split()]
    titles = {guide.path: guide.title for guide in written_pages()}
    for title, paths in {"Guides": pages, "Gallery": samples}.items():
        written = [path for path in paths if path in titles]
        if written:
            yield title, ", ".join(link(titles[path], path, BY_TASK) for path in written)


def _links(found: Iterable[Record], page: str) -> str:
    return ", ".join(link(record.name, record.page, page) for record in found)


# -- names of Keras and PyTorch --------------------------------------------------------------------------------------


def _keras_names() -> Iterator[str]:
    yield from front_matter(["keras names", "tensorflow names", "tf.keras"])
    yield from (
        "# Names of Keras",
        "",
        "A spec has the names, arguments and defaults of Keras 3, without modules: `Dense` is `keras.layers.Dense`,",
        "and a function of `keras.ops` is a layer whose type begins with `ops.`. [Keras",
        "files](../guides/deploy/keras-files.md) says how to read and write models of Keras.",
    )
    modules: dict[str, dict[str, Record]] = {}
    for record in records():
        for name in keras_names(record):
            modules.setdefault(name.rpartition(".")[0], {})[name] = record
    for module, named in modules.items():
        rows = [(f"`{name}`", _links([record], KERAS_NAMES)) for name, record in sorted(named.items())]
        yield from section(module, table(("in Keras", "here"), rows))
    yield from section("Not in Keras", _only_here())
    yield from section("Only in Keras", _only_in_keras())


def _only_here() -> Lines:
    found = [record for record in records() if record.component and not record.component.keras_name]
    return table(
        ("name", "kind", "is"),
        [(_links([record], KERAS_NAMES), record.kind.replace("_", " "), record.summary) for record in found],
    )


def _only_in_keras() -> Lines:
    reasons = NOT_EXPRESSIBLE | UNSUPPORTED_OPS | REPLACED_NAMES
    rows = [(f"`{name}`", why, instead) for name, (why, instead) in sorted(reasons.items())]
    text = "Functions of `keras.ops` that stand neither here nor above are missing, too."
    return ["", text, *table(("name", "why", "instead"), rows)]


def _pytorch_names() -> Iterator[str]:
    yield from front_matter(["pytorch names", "torch.nn", "pytorch to keras names"])
    yield from (
        "# Names of PyTorch",
        "",
        "What to write in a spec in place of a name of PyTorch; `...` stands for a value that you choose. Arguments",
        "have the names and defaults of Keras. The channels are the last axis of an image, and the batch is the first",
        "axis of everything, also of sequences. [From PyTorch](../start/from-pytorch.md) shows whole programs.",
    )
    modules: dict[str, list[tuple[str, str, str, str]]] = {}
    for name, (text, record) in counterparts().items():
        row = f"`{name}`", f"`{text}`", link(record.name, record.page, PYTORCH_NAMES), DIFFERENCES.get(name, "")
        modules.setdefault(name.rpartition(".")[0], []).append(row)
    for module, rows in modules.items():
        yield from section(module, table(("in PyTorch", "write", "page", "difference"), rows))
