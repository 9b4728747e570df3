"""The pages of the public names of the Python package."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from typing import Any

import jsonnx
from jsonnx.core.system.documentation import page_path

from ..guides import guide_lines
from .example_scripts import example_names, examples_of
from .signatures import signature_lines

SUBJECTS = {
    "Check and compile": ("validate", "compile", "Model"),
    "Train": ("Trainer", "loss", "metric", "ops", "Callback", "callbacks", "sweep", "ray"),
    "Use models": ("Session", "quantize", "Run", "Client"),
    "Models of other programs": ("from_keras", "to_keras", "from_onnx", "from_hugging_face"),
    "Errors": ("Diagnostic", "Note", "CompileError", "FeedError", "UsageError", "ServerError"),
    "Types of tensors": ("TensorType", "Size"),
}
"""The public names and modules by subject; the pages of a subject link to one another."""

PIPE = r"\|"
"""A vertical bar within a cell of a table."""

MODULES = ("callbacks", "ops", "ray")

RETURNED_ONLY = {"Model", "Size"}
"""Classes that users do not construct: their signatures are left out."""

INTRODUCTION = """\
`import jsonnx` gives a name for every task; parts are imported when they are first used.
[In Python](../../guides/tools/python.md) shows the tasks.

In signatures, a `Spec` is a path, a JSON text or a dict; `Weights` are a path, or arrays by name; a `DataArgument` is
an array, a dict of arrays by the names of inputs or outputs, or a [table](../../guides/tools/dataframes.md)."""


def python_pages() -> dict[str, str]:
    """The Markdown of each page by its path in docs/: `reference/python/Trainer.md`."""
    return {f"{page_path('function', name)}.md": _page(name) for name in public_names()} | {
        "reference/python/index.md": _index()
    }


def python_names() -> dict[str, str]:
    """The page of each public name: `jsonnx.Trainer`, and of its members: `jsonnx.Trainer.fit`, `Trainer.fit`."""
    names: dict[str, str] = {}
    for name in public_names():
        page = f"{page_path('function', name)}.md"
        members = [f"{name}.{member}" for member in _members(name)]
        names |= dict.fromkeys([f"jsonnx.{name}", *members, *(f"jsonnx.{member}" for member in members)], page)
    return names


def public_names() -> list[str]:
    """The public names and modules, as SUBJECTS has them."""
    return [name for names in SUBJECTS.values() for name in names]


def _page(name: str) -> str:
    value = getattr(jsonnx, name)
    lines = [f"# jsonnx.{name}", ""]
    if name in MODULES:
        lines += [_doc(value), *_example(name, name), *_module_members(name)]
    else:
        lines += [*(() if name in RETURNED_ONLY else _signature(name, value)), _doc(value), *_example(name, name)]
        lines += _class_members(name, value) if inspect.isclass(value) else []
    kin = next(names for names in SUBJECTS.values() if name in names)
    lines += ["", "## See also", "", *(_item(other) for other in kin if other != name)]
    return "\n".join([*lines, *guide_lines(rf"jsonnx\.{name}\b|from jsonnx import .*\b{name}\b")]) + "\n"


def _doc(value: Any) -> str:
    return inspect.cleandoc(value.__doc__ or "")


def _signature(name: str, value: Any) -> list[str]:
    return ["```text", *signature_lines(name, value), "```", ""]


def _example(page: str, name: str) -> list[str]:
    """The example of a name or a member, if it has one."""
    found = examples_of(page).get(name) if page in example_names() else None
    if found is None or not found.code:
        return []
    needs = [f"N{found.needs[1:]}:", ""] if found.needs else []
    return ["", *needs, "```python", *found.code.strip("\n").splitlines(), "```"]


# -- members ---------------------------------------------------------------------------------------------------------


def public_members(cls: type) -> dict[str, Any]:
    """The methods and properties of a class and of its bases in jsonnx, bases first."""
    members: dict[str, Any] = {}
    for base in reversed([base for base in cls.__mro__ if base.__module__.startswith("jsonnx.")]):
        members |= {name: member for name, member in vars(base).items() if name[0] != "_" and _is_member(member)}
    return members


def _is_member(member: object) -> bool:
    return bool(member.__doc__) and (inspect.isfunction(member) or isinstance(member, (property, cached_property)))


def _members(name: str) -> list[str]:
    """The names of the members of a class or of a module; the functions of `ops` have pages as operators."""
    value = getattr(jsonnx, name)
    if name in MODULES:
        return [] if name == "ops" else list(value.__all__)
    return list(public_members(value)) if inspect.isclass(value) else []


def _class_members(name: str, cls: type) -> Iterator[str]:
    """A table of the properties without an example, and a section for each other member."""
    members = public_members(cls)
    examples = examples_of(name)
    rows = [
        f"| `{member}` | {' '.join(_doc(value).split()).replace('|', PIPE)} |"
        for member, value in members.items()
        if not inspect.isfunction(value) and f"{name}.{member}" not in examples
    ]
    if rows:
        yield from ("", "## Properties", "", "| property | is |", "| --- | --- |", *rows)
    for member, value in members.items():
        full = f"{name}.{member}"
        if inspect.isfunction(value) or full in examples:
            yield from ("", f"## {full}", "")
            yield from _signature(full, value) if inspect.isfunction(value) else ()
            yield _doc(value)
            yield from _example(name, full)


def _module_members(name: str) -> Iterator[str]:
    if name == "ops":
        yield from ("", "Its functions are the [operators](../operators/index.md), without the prefix `ops.` of specs.")
        return
    module = import_module(f"jsonnx.{name}")
    for member in module.__all__:
        value = getattr(module, member)
        yield from ("", f"## {name}.{member}", "")
        if member in jsonnx.__all__:
            yield f"[`jsonnx.{member}`]({member}.md)."
            continue
        yield from (*_signature(member, value), _doc(value), *_example(name, member))


# -- the index -------------------------------------------------------------------------------------------------------


def _item(name: str) -> str:
    first = _doc(getattr(jsonnx, name)).partition("\n\n")[0]
    return f"- [`jsonnx.{name}`]({name}.md): {' '.join(first.split())}"


def _index() -> str:
    """The page that lists the names by subject."""
    lines = ["# Python", "", INTRODUCTION]
    for subject, names in SUBJECTS.items():
        lines += ["", f"## {subject}", "", *map(_item, names)]
    return "\n".join([*lines, "", "```{toctree}", ":hidden:", "", *public_names(), "```"]) + "\n"
