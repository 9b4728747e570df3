"""A boundary for a process: it opens, lists and changes files beneath one folder only, and starts nothing but Python.

`enforce` installs an audit hook. Python calls it with each path before a file is opened, whatever code opens it, so no
part of the package has to know of the boundary. Libraries in C that open files by name do not call it: they are handed
open files or bytes. Paths count with their symbolic links resolved.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..diagnostics import UsageError

ROOT_VARIABLE = "JSONNX_BOUNDARY"
"""The variable of the environment that names the folder to `enforce_from_environment`; child processes inherit it."""
OUTSIDE_HELP = "name a path beneath the folder that `jsonnx mcp --root` serves"

_FOLLOWING = {"os.listdir": (0,), "os.scandir": (0,), "os.chdir": (0,), "os.getxattr": (0,), "os.listxattr": (0,)}
"""Events that read a path and follow a link at its end, with the positions of the paths in their arguments."""
_CHANGING = {
    **dict.fromkeys(("os.chmod", "os.chown", "os.truncate", "os.utime", "os.setxattr", "os.removexattr"), (0,)),
    "os.chflags": (0,),
}
"""Events that change what a path leads to, and follow a link at its end."""
_RENAMING = {**dict.fromkeys(("os.remove", "os.rmdir", "os.mkdir"), (0,)), "os.rename": (0, 1), "os.link": (0, 1)}
"""Events that change entries of folders; a link at the end of a path is not followed."""
_REFUSED = {
    *("os.symlink", "os.system", "os.exec", "os.spawn", "os.startfile", "sqlite3.connect"),
    *("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"),
}
"""Events of what no command needs that is confined."""

_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_NO_FOLLOW_FLAG = getattr(os, "O_NOFOLLOW", 0)
_MODULE_SUFFIXES = (".py", ".pyc")
_SYSTEM_FILES = (
    r"/proc/(self|\d+)/(stat|statm|status|cgroup|mountinfo|limits)|/proc/(cpuinfo|meminfo|stat)"
    r"|/proc/sys/kernel/[\w/]+|/sys/fs/cgroup(/.*)?|/sys/devices/system/.*|/dev/(null|urandom)"
    r"|/etc/(localtime|timezone)|/usr/(share|lib|share/lib)/zoneinfo(/.*)?"
)
"""Files that tell about the machine and the own process. /proc/self/environ is none of them."""


class OutsideRoot(UsageError, PermissionError):
    """A file lies outside the boundary of the process. For libraries, it is one that may not be opened."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__("unsafe-path", f"{path!r} {reason}", OUTSIDE_HELP)
        self.errno, self.strerror = errno.EACCES, f"it {reason}"

    def __str__(self) -> str:
        return str(self.diagnostic)

    def as_usage_error(self) -> UsageError:
        """The same error as one that no handler of OSError takes for the lack of a file."""
        return UsageError(self.diagnostic.code, self.diagnostic.message, self.diagnostic.help)


def is_beneath(path: str, folder: str) -> bool:
    """Whether a path without links is a folder without links, or lies beneath it."""
    path, folder = os.path.normcase(path), os.path.normcase(folder)
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def hidden_folder(root: str, path: str) -> str | None:
    """The first hidden folder on the way from a root to a path beneath it; None without one."""
    parents = os.path.relpath(path, root).split(os.sep)[:-1]
    return next((name for name in parents if name.startswith(".") and name not in (".", "..")), None)


def enforce_from_environment() -> None:
    """Enforces the boundary that the parent process has set, if any."""
    if root := os.environ.get(ROOT_VARIABLE):
        enforce(root)


def enforce(root: str) -> None:
    """Confines this process to a folder, until it ends. The folder for temporary files stays open to it, and what
    Python imports stays readable. Raises OutsideRoot where a file is opened outside of it."""
    sys.addaudithook(_Boundary(root).check)


class _Boundary:
    """The folders that a process may use, without links."""

    def __init__(self, root: str) -> None:
        import tempfile  # takes long, and most processes have no boundary

        self._root = os.path.realpath(root)
        self._writable = (self._root, os.path.realpath(tempfile.gettempdir()))
        self._readable, self._modules = _imported_folders()
        self._checks: dict[str, Callable[[Any], None]] = {
            "open": self._check_open,
            "subprocess.Popen": self._check_process,
            "os.posix_spawn": self._check_program,  # of subprocess in Python 3.13
            "ctypes.dlopen": self._check_library,
        }

    def check(self, event: str, arguments: tuple[Any, ...]) -> None:
        """The audit hook."""
        if event in self._checks:
            self._checks[event](arguments)
        elif event in _FOLLOWING:
            for index in _FOLLOWING[event]:
                self._require(arguments[index], writes=False)
        elif event in _CHANGING:
            for index in _CHANGING[event]:
                self._require(arguments[index], writes=True)
        elif event in _RENAMING:
            for index in _RENAMING[event]:
                self._require(arguments[index], writes=True, follows=False)
        elif event in _REFUSED:
            raise OutsideRoot(event, "is not available to a confined command")

    def _check_open(self, arguments: tuple[Any, ...]) -> None:
        path, mode, flags = arguments
        writes = bool((flags or 0) & _WRITE_FLAGS) or (isinstance(mode, str) and any(mark in mode for mark in "wax+"))
        self._require(path, writes, follows=not (flags or 0) & _NO_FOLLOW_FLAG, opens=True)

    def _check_process(self, arguments: tuple[Any, ...]) -> None:
        self._check_program(arguments)
        folder = arguments[2]
        if folder is not None:
            self._require(folder, writes=False)

    def _check_program(self, arguments: tuple[Any, ...]) -> None:
        executable = os.fsdecode(arguments[0])
        if os.path.realpath(executable) != os.path.realpath(sys.executable):
            raise OutsideRoot(executable, "is not available to a confined command")

    def _check_library(self, arguments: tuple[Any, ...]) -> None:
        (name,) = arguments
        if name is not None and os.path.dirname(os.fsdecode(name)):
            self._require(name, writes=False)

    def _require(self, path: Any, writes: bool, follows: bool = True, opens: bool = False) -> None:
        """Raises OutsideRoot for a path that may not be used so. The descriptor of a file was checked when that was
        opened, and a name relative to an open folder has no further folders in it: so folders that may only be listed
        are not opened, since files could be removed from them by name."""
        if path is None or isinstance(path, int):
            return
        text = os.fsdecode(path)
        folder, name = os.path.split(text)
        real = os.path.realpath(text) if follows or name in ("", "..") else os.path.join(os.path.realpath(folder), name)
        if any(is_beneath(real, folder) for folder in self._writable):
            hidden = hidden_folder(self._root, real) if writes and is_beneath(real, self._root) else None
            if hidden is not None:
                raise OutsideRoot(text, f"lies in the hidden folder {hidden!r}")
        elif real != os.devnull and (writes or not self._is_readable(real, opens)):
            raise OutsideRoot(text, "leads out of the served folder")

    def _is_readable(self, path: str, opens: bool) -> bool:
        if any(is_beneath(path, folder) for folder in self._readable) or re.fullmatch(_SYSTEM_FILES, path):
            return True
        is_module = path.endswith(_MODULE_SUFFIXES) or (os.path.isdir(path) and not opens)
        return is_module and any(is_beneath(path, folder) for folder in self._modules)


def _imported_folders() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The folders that modules and their data are read from, those of Python, of installed packages and of this one;
    and the other ones in `sys.path`, of which only modules are read."""
    prefixes = {os.path.realpath(prefix) for prefix in (sys.prefix, sys.exec_prefix, sys.base_prefix)}
    folders = {os.path.realpath(entry) for entry in sys.path if entry}
    installed = {
        folder
        for folder in folders
        if os.path.basename(folder).endswith("-packages") or any(is_beneath(folder, prefix) for prefix in prefixes)
    }
    own = os.path.realpath(Path(__file__).parents[2])
    return (own, *installed), tuple(folders - installed)
