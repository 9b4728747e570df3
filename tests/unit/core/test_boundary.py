"""A confined process opens, lists and changes no file outside of its folder, whatever code tries it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jsonnx.core.files.boundary import hidden_folder, is_beneath
from support.commands import SOURCE

ATTEMPTS = {
    "open": "open(outside / 'a.txt')",
    "os.open": "os.open(outside / 'a.txt', os.O_RDONLY)",
    "open bytes": "open(os.fsencode(outside / 'a.txt'))",
    "open through ..": "open('../outside/a.txt')",
    "open through a link": "open('link/a.txt')",
    "open a link": "open('linked.txt')",
    "open by a link in /proc": "open('/proc/self/cwd/../outside/a.txt')",
    "open the environment": "open('/proc/self/environ')",
    "write": "open(outside / 'new.txt', 'w')",
    "append": "open('linked.txt', 'a')",
    "pathlib": "(outside / 'new.txt').write_text('x')",
    "numpy": "numpy.load(outside / 'a.npy')",
    "memmap": "numpy.memmap(outside / 'a.txt', mode='r')",
    "listdir": "os.listdir(outside)",
    "scandir": "os.scandir('link')",
    "glob": "[*outside.glob('*')] or open(outside / 'a.txt')",
    "chdir": "os.chdir(outside)",
    "remove": "os.remove(outside / 'a.txt')",
    "remove through a link": "os.remove('link/a.txt')",
    "rename out": "os.rename('in.txt', outside / 'b.txt')",
    "rename in": "os.replace(outside / 'a.txt', 'b.txt')",
    "mkdir": "os.mkdir(outside / 'b')",
    "rmdir": "os.rmdir(outside / 'empty')",
    "hard link": "os.link(outside / 'a.txt', 'b.txt')",
    "symbolic link": "os.symlink(outside, 'b')",
    "truncate": "os.truncate(outside / 'a.txt', 0)",
    "chmod": "os.chmod('linked.txt', 0)",
    "utime": "os.utime(outside / 'a.txt')",
    "copy out": "shutil.copy('in.txt', outside / 'b.txt')",
    "copy in": "shutil.copy(outside / 'a.txt', 'b.txt')",
    "move": "shutil.move(outside / 'a.txt', 'b.txt')",
    "rmtree": "shutil.rmtree(outside)",
    "a program": "subprocess.run(['git', '--version'])",
    "a shell": "os.system('true')",
    "exec": "os.execv('/bin/true', ['true'])",
    "Python elsewhere": "subprocess.run([sys.executable, '-c', ''], cwd=outside)",
    "connect": "socket.socket().connect(('127.0.0.1', 9))",
    "listen": "socket.socket().bind(('127.0.0.1', 0))",
    "look up": "socket.getaddrinfo('localhost', 80)",
    "a database": "sqlite3.connect(outside / 'a.db')",
    "a library": "ctypes.CDLL(str(outside / 'a.txt'))",
    "write a hidden folder": "open('.git/hook', 'w')",
    "write a file that is imported": "open(json.__file__, 'a')",
    "open a folder of modules": "os.open(os.environ['PYTHONPATH'], os.O_RDONLY)",
}
ALLOWED = {
    "read": "open('in.txt').read()",
    "write": "pathlib.Path('new.txt').write_text('x')",
    "a hidden file": "open('.lock', 'w')",
    "read a hidden folder": "open('.git/config')",
    "a link inside": "open('inner.txt').read()",
    "list": "os.listdir()",
    "folders": "(os.makedirs('a/b'), shutil.rmtree('a'))",
    "an absolute path": "open(os.path.abspath('in.txt'))",
    "open beneath": "files.open_beneath(pathlib.Path(), 'sub/deep.txt')",
    "write atomically": "files.write_atomically('atomic.txt', b'x')",
    "temporary files": "(tempfile.TemporaryFile(), tempfile.mkdtemp(), tempfile.NamedTemporaryFile())",
    "null device": "open(os.devnull, 'w')",
    "the machine": "open('/proc/cpuinfo') if os.path.exists('/proc/cpuinfo') else None",
    "modules": "importlib.import_module('sqlite3.dump')",
    "Python": "subprocess.run([sys.executable, '-c', ''], check=True)",
}
SCRIPT = """
import ctypes, importlib, json, os, pathlib, shutil, socket, sqlite3, subprocess, sys, tempfile
import numpy
from jsonnx.core.diagnostics import UsageError
from jsonnx.core.files import boundary, files

outside = pathlib.Path("../outside").resolve()
attempts = json.load(sys.stdin)
boundary.enforce_from_environment()
results = {}
for attempt in attempts:
    try:
        eval(attempt)
        results[attempt] = "done"
    except BaseException as error:
        diagnostic = getattr(error, "diagnostic", None)
        results[attempt] = diagnostic.code if diagnostic else f"{type(error).__name__}: {error}"
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each attempt gave in one confined process."""
    place = tmp_path_factory.mktemp("place")
    root, outside = place / "root", place / "outside"
    for folder in (root / "sub", root / ".git", outside / "empty", place / "temporary"):
        folder.mkdir(parents=True)
    for file in (root / "in.txt", root / "sub" / "deep.txt", root / ".git" / "config", outside / "a.txt"):
        file.write_text("text")
    (outside / "a.npy").write_bytes(b"\x93NUMPY")
    (root / "link").symlink_to(outside)
    (root / "linked.txt").symlink_to(outside / "a.txt")
    (root / "inner.txt").symlink_to("in.txt")
    before = {path.name: path.stat().st_mode for path in outside.rglob("*")}
    environment = {
        **os.environ,
        "PYTHONPATH": str(SOURCE),
        "JSONNX_BOUNDARY": str(root),
        "TMPDIR": str(place / "temporary"),
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT],
        input=json.dumps([*ATTEMPTS.values(), *ALLOWED.values()]),
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name: path.stat().st_mode for path in outside.rglob("*")} == before
    assert (outside / "a.txt").read_text() == "text"
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_what_leads_out_is_refused(results: dict[str, str], attempt: str) -> None:
    assert results[ATTEMPTS[attempt]] == "unsafe-path"


@pytest.mark.parametrize("attempt", ALLOWED)
def test_what_stays_inside_is_done(results: dict[str, str], attempt: str) -> None:
    assert results[ALLOWED[attempt]] == "done"


def test_paths_are_compared_by_whole_names(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert is_beneath(root, root)
    assert is_beneath(f"{root}/a", root)
    assert not is_beneath(f"{root}-other/a", root)
    assert is_beneath("/a", "/")
    assert hidden_folder(root, f"{root}/a/.b/c") == ".b"
    assert hidden_folder(root, f"{root}/a/.b") is None
