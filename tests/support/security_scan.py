"""Finds, in syntax trees of sources, what could execute or import what data name, or reach a shell or the network."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MODULES = {
    **dict.fromkeys(("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "dbm"), "pickle"),
    **dict.fromkeys(("marshal", "code", "codeop", "runpy", "imp"), "code"),
    **dict.fromkeys(("yaml", "tarfile", "xmlrpc", "multiprocessing"), "unsafe format"),
    **dict.fromkeys(("subprocess", "pty", "pexpect"), "process"),
    **dict.fromkeys(("ctypes", "cffi"), "native code"),
    **dict.fromkeys(("socket", "socketserver", "ssl", "http", "webbrowser", "wsgiref"), "network"),
    **dict.fromkeys(("ftplib", "smtplib", "imaplib", "poplib", "telnetlib", "nntplib"), "network"),
    **dict.fromkeys(
        ("requests", "httpx", "aiohttp", "urllib3", "websockets", "paramiko", "huggingface_hub"), "network"
    ),
    "urllib.request": "network",
}
"""Modules, and what they are refused for. A module within one of them counts, too."""

CALLS = {
    **dict.fromkeys(("eval", "exec", "compile", "__import__", "breakpoint", "input"), "code"),
    **dict.fromkeys(("builtins.eval", "builtins.exec", "builtins.compile", "builtins.__import__"), "code"),
    **dict.fromkeys(("os.system", "os.popen", "os.startfile", "os.fork", "os.forkpty"), "process"),
    **dict.fromkeys(("os.posix_spawn", "os.posix_spawnp"), "process"),
    **dict.fromkeys(("asyncio.open_connection", "asyncio.start_server", "asyncio.start_unix_server"), "network"),
    **dict.fromkeys(("shutil.unpack_archive", "tempfile.mktemp"), "unsafe format"),
    **dict.fromkeys(("torch.load", "pandas.read_pickle", "numpy.lib.npyio.NpzFile"), "pickle"),
}
CALL_PREFIXES = {
    "os.exec": "process",
    "os.spawn": "process",
    "asyncio.create_subprocess": "process",
    "xml.etree.ElementTree.parse": "unsafe format",
    "xml.etree.ElementTree.iterparse": "unsafe format",
    "xml.etree.ElementTree.fromstring": "unsafe format",
    "xml.etree.ElementTree.XML": "unsafe format",
}
METHODS = {
    "extractall": "unsafe format",
    "create_connection": "network",
    "create_server": "network",
    "create_datagram_endpoint": "network",
}
"""Methods of any object."""
KEYWORDS = {"shell": "process", "allow_pickle": "pickle", "trust_remote_code": "code"}
"""Arguments that must be False where they are given."""
IMPORTERS = ("importlib.import_module", "importlib.util.spec_from_file_location", "importlib.util.find_spec")


class Finding(NamedTuple):
    file: str
    line: int
    what: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what} ({self.reason})"


def scan_package(package: Path) -> list[Finding]:
    """The findings in all sources of a package, with file names relative to it."""
    return [
        finding
        for path in sorted(package.rglob("*.py"))
        for finding in scan_source(path.read_text("utf-8"), path.relative_to(package).as_posix())
    ]


def scan_source(text: str, file: str = "") -> list[Finding]:
    nodes = [*ast.walk(ast.parse(text))]
    names = dict(_imported_names(nodes))
    found = []
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            entries = _of_import(node)
        elif isinstance(node, ast.Call):
            entries = _of_call(node, names)
        else:
            continue
        found += [Finding(file, node.lineno, *entry) for entry in entries]
    return sorted({*found}, key=lambda finding: finding.line)


def _imported_names(nodes: list[ast.AST]) -> Iterator[tuple[str, str]]:
    """Local names with the modules, functions or classes that they stand for."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    yield alias.asname, alias.name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _of_import(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
    elif node.level:  # of this package
        return
    else:
        modules = [f"{node.module}.{alias.name}" for alias in node.names]
    for module in modules:
        steps = module.split(".")
        for length in range(1, len(steps) + 1):
            if reason := MODULES.get(".".join(steps[:length])):
                yield f"import {'.'.join(steps[:length])}", reason
        if module in CALLS:
            yield f"import {module}", CALLS[module]


def _of_call(node: ast.Call, names: dict[str, str]) -> Iterator[tuple[str, str]]:
    name = _dotted_name(node.func, names)
    if name in CALLS:
        yield f"{name}()", CALLS[name]
    for prefix, reason in CALL_PREFIXES.items():
        if name.startswith(prefix):
            yield f"{name}()", reason
    if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
        yield f".{node.func.attr}()", METHODS[node.func.attr]
    for keyword in node.keywords:
        is_false = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        if keyword.arg in KEYWORDS and not is_false:
            yield f"{keyword.arg}=", KEYWORDS[keyword.arg]
    if name in IMPORTERS and not (node.args and isinstance(node.args[0], ast.Constant)):
        yield f"{name}(...)", "import by name"


def _dotted_name(node: ast.expr, names: dict[str, str]) -> str:
    """`os.path.join` for that expression, with imported names written out; empty for other expressions."""
    steps: list[str] = []
    while isinstance(node, ast.Attribute):
        steps.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([names.get(node.id, node.id), *steps])
