"""What `SECURITY.md` promises of the code: nothing in the package executes, imports or fetches what data name."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.security_scan import Finding, scan_package, scan_source

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "compiler/jsonnx"

REVIEWED = {
    ("core/components.py", "eval()"): "annotations of our own classes",
    ("collective/handshake.py", "import socket"): "workers of a distributed training, which prove a token",
    ("collective/handshake.py", ".create_connection()"): "connects to the addresses that the caller gives",
    ("collective/local.py", "import socket"): "pairs of connected sockets within the process",
    ("collective/tcp.py", "import socket"): "listens at the node's address for workers of the same training",
    ("data/tables/data_files.py", "importlib.import_module(...)"): "readers of formats, from a table in the package",
    ("core/lazy_table.py", "importlib.import_module(...)"): "names of our own modules, from a table in the package",
    ("core/system/optional_packages.py", "importlib.import_module(...)"): "names that our own code gives",
    ("__init__.py", "importlib.import_module(...)"): "names of our own modules, from a table in the package",
    ("ray/__init__.py", "importlib.import_module(...)"): "names of our own modules, from a table in the package",
    ("ray/cluster.py", "import socket"): "asks whether something listens at the address of a cluster",
    ("ray/cluster.py", ".create_connection()"): "connects to the address that the user gives",
    ("client/endpoint.py", "import ssl"): "verifies the certificates of the server that the user names",
    ("client/endpoint.py", "import http"): "connects to the server that the user names",
    ("client/endpoint.py", "import urllib.request"): "the proxies that the environment names",
    ("client/transport.py", "import http"): "requests to the server that the user names",
    ("conformance/cases/http_messages.py", "import socket"): "its exceptions, when a server closes a connection",
    ("conformance/http_client.py", "import http"): "requests to the server that the user names",
    ("conformance/http_client.py", "import socket"): "requests to the server that the user names",
    ("conformance/http_client.py", "import ssl"): "verifies the certificates of the server that the user names",
    ("conformance/http_client.py", ".create_connection()"): "connects to the server that the user names",
    ("cli/__init__.py", "importlib.import_module(...)"): "names of our own modules, from a table in the package",
    ("server/http/sockets.py", "import socket"): "`serve` listens on this machine unless another --host is given",
    ("server/http/sockets.py", "import ssl"): "the certificate that the user gives",
    ("server/http/sockets.py", ".create_server()"): "`serve` listens on this machine unless another --host is given",
    (
        "render/reference/generated_sources.py",
        "importlib.import_module(...)",
    ): "our own modules, when the table of layers is made",
    ("interop/hdf5.py", "import subprocess"): "our own script reads HDF5 in a process without access to other files",
    ("mcp_server/jobs.py", "import subprocess"): "a job is a process of this package",
    (
        "pipeline/git/git_files.py",
        "import subprocess",
    ): "arguments of git are a list, and options end before a revision",
    ("pipeline/inspect/measure_latency.py", "import subprocess"): "the process is a module of this package",
    ("pipeline/sweep/trial_process.py", "import subprocess"): "a trial of a search is a process of this package",
    ("pipeline/report/live_report.py", "import http"): "`train --live` and `report --live` serve on 127.0.0.1",
    ("runtime/providers/flush_denormals.py", "import ctypes"): "the processor's mode for denormals",
    ("runtime/execution/pinned_memory.py", "import ctypes"): "memory of the CUDA runtime",
    (
        "runtime/providers/providers.py",
        "importlib.import_module(...)",
    ): "our own modules, which the records of providers name",
    ("runtime/providers/provider_errors.py", "import ctypes"): "asks whether a library of a provider can be loaded",
}
"""Findings that were looked at, and why data cannot misuse them."""

HARMFUL = (
    "import pickle",
    "from pickle import loads",
    "import marshal as m",
    "import urllib.request",
    "from urllib.request import urlopen",
    "from http import client",
    "import yaml",
    "from multiprocessing import Pool",
    "eval(text)",
    "exec(text)",
    "compile(text, '', 'exec')",
    "__import__(name)",
    "import os\nos.system(text)",
    "from os import system",
    "import os as o\no.execv(path, arguments)",
    "import importlib\nimportlib.import_module(name)",
    "from importlib import import_module as load\nload(f'jsonnx.{name}')",
    "run(command, shell=True)",
    "run(command, shell=flag)",
    "np.load(file, allow_pickle=True)",
    "archive.extractall(folder)",
    "from xml.etree import ElementTree\nElementTree.fromstring(text)",
    "import asyncio\nasyncio.open_connection(host, 80)",
)
HARMLESS = (
    "import os\nos.path.join(folder, name)",
    "from importlib import import_module\nimport_module('compression.zstd')",
    "np.load(file, allow_pickle=False)",
    "re.compile(pattern)",
    "from xml.etree import ElementTree\nElementTree.tostring(root)",
    "from urllib.parse import quote",
    "from .pickle import x",
)


def test_the_package_has_only_the_findings_that_were_reviewed() -> None:
    found = scan_package(PACKAGE)
    unreviewed = [str(finding) for finding in found if (finding.file, finding.what) not in REVIEWED]
    assert not unreviewed
    assert REVIEWED.keys() == {(finding.file, finding.what) for finding in found}, "an entry of REVIEWED is not needed"


@pytest.mark.parametrize("text", HARMFUL)
def test_harmful_code_is_found(text: str) -> None:
    assert scan_source(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_code_is_not_found(text: str) -> None:
    assert scan_source(text) == []


def test_a_finding_names_its_place() -> None:
    assert scan_source("import os\n\nos.popen('ls')", "a.py") == [Finding("a.py", 3, "os.popen()", "process")]
