"""Reads files at a revision of a Git repository, by the program `git`.

Only commands that read objects are run: none touches the index, the work tree, filters, hooks or the network. Arguments
are passed as a list, never through a shell.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import IO, NamedTuple

from ...core.diagnostics import UsageError, quoted_or_list, suggestion
from ...core.files.files import MissingFile, UnsafePath, error_reason, safe_path_parts
from ...core.limits import MAX_SPEC_BYTES, MAX_VOCABULARY_BYTES

GIT_PREFIX = "git:"
"""Begins a revision, or a file at one, in place of a file's name: `git:main` or `git:main:specs/digits.json`."""

MAX_SECONDS = 60
MAX_REFERENCE_CHARACTERS = 1000

SYMBOLIC_LINK, SUBMODULE = "120000", "160000"
"""Modes of entries of a Git tree."""

_READ_ONLY = (
    *("--literal-pathspecs", "--no-optional-locks"),
    *("-c", "core.fsmonitor=false", "-c", "protocol.allow=never", "-c", "core.quotePath=false"),
)
_REPOSITORY_VARIABLES = re.compile("GIT_(DIR|WORK_TREE|INDEX_FILE|PREFIX|NAMESPACE|COMMON_DIR|OBJECT_DIRECTORY)")
"""Variables that git sets for a hook: they name the repository of the hook, and paths relative to another folder."""


class GitPath(NamedTuple):
    """A revision, or a file at one, as the user named it."""

    reference: str
    path: str | None
    """The path in the repository, or relative to the current folder if it begins with `./` or `../`."""

    @staticmethod
    def parse(text: str) -> GitPath:
        """Reads `git:REF` or `git:REF:PATH`. Raises UsageError `bad-revision`."""
        reference, colon, path = text.removeprefix(GIT_PREFIX).partition(":")
        help = "write git: and a branch, tag or commit, such as git:main, and perhaps a file there: git:main:spec.json"
        if not reference or (colon and not path):
            raise UsageError("bad-revision", f"{text!r} names no {'file' if reference else 'revision'}", help)
        is_option = reference.startswith("-")
        if is_option or len(reference) > MAX_REFERENCE_CHARACTERS or not reference.isprintable() or "\0" in path:
            reason = "begins with a hyphen" if is_option else "has characters that no revision has"
            raise UsageError("bad-revision", f"the revision {reference[:60]!r} {reason}", help)
        return GitPath(reference, path or None)

    def __str__(self) -> str:
        return GIT_PREFIX + self.reference + (f":{self.path}" if self.path else "")


class GitEntry(NamedTuple):
    """An entry of a Git tree."""

    mode: str
    object: str
    size: int
    path: str


@dataclass(frozen=True)
class GitRepository:
    """A repository, found from a folder in its work tree (or, if it has none, in itself)."""

    folder: Path
    root: Path | None
    """The root of the work tree; None for a bare repository."""

    @staticmethod
    def containing(folder: Path) -> GitRepository:
        """Raises UsageError `no-repository` for a folder in no repository, `git-failed` if git refuses."""
        folder = Path(os.path.realpath(folder))
        while not folder.is_dir():  # the folder of a deleted file may be deleted, too
            folder = folder.parent
        is_bare = _git(folder, "rev-parse", "--is-bare-repository", subject=folder).strip() == b"true"
        if is_bare:
            return GitRepository(folder, None)
        root = _git(folder, "rev-parse", "--show-toplevel", subject=folder)
        return GitRepository(folder, Path(os.fsdecode(root.rstrip(b"\r\n"))))

    def path_of(self, file: Path) -> str:
        """The path of a file from the root, with slashes. Raises UsageError `outside-repository`."""
        path = Path(os.path.realpath(file.parent)) / file.name
        if self.root is None:
            message = f"the repository {str(self.folder)!r} has no work tree"
            raise UsageError("outside-repository", message, "name the file at the revision: git:REF:PATH")
        try:
            return path.relative_to(os.path.realpath(self.root)).as_posix()
        except ValueError:
            message = f"{str(file)!r} does not lie in the repository {str(self.root)!r}"
            raise UsageError("outside-repository", message, "name a file of the repository") from None

    def revision(self, reference: str) -> GitRevision:
        """The commit of a reference. Raises UsageError `unknown-revision`, with help."""
        commit = self._commit(reference)
        if commit is None:
            message = f"the repository {str(self.root or self.folder)!r} has no revision {reference!r}"
            raise UsageError("unknown-revision", message, self._unknown_revision_help(reference))
        return GitRevision(self, reference, commit)

    def _commit(self, reference: str) -> str | None:
        name = f"{reference}^{{commit}}"
        found = _run(self.folder, "rev-parse", "--verify", "--quiet", "--end-of-options", name)
        text = found.stdout.decode(errors="replace").strip()
        return text if found.returncode == 0 and re.fullmatch("[0-9a-f]{40,64}", text) else None

    def _unknown_revision_help(self, reference: str) -> str:
        if self._commit("HEAD") is None:
            return "the repository has no commits yet"
        if _git(self.folder, "rev-parse", "--is-shallow-repository").strip() == b"true":
            how = f"fetch it first: git fetch --depth=1 origin {reference}"
            return f"this clone is shallow, so that most revisions are missing; {how} (GitHub Actions: fetch-depth: 0)"
        kinds = ("refs/heads", "refs/tags", "refs/remotes")
        names = _git(self.folder, "for-each-ref", "--format=%(refname:short)", *kinds)
        known = names.decode(errors="replace").split()
        remote = [name for name in known if name.endswith(f"/{reference}")]
        if remote:
            return f"did you mean {quoted_or_list(remote)}?"
        if similar := suggestion(reference, known):
            return similar
        outer = _run(self.folder, "rev-parse", "--show-superproject-working-tree").stdout.strip()
        if outer:
            return "the file lies in a submodule, whose revisions are not those of the repository around it"
        return "`git branch --all` and `git tag` list the names; perhaps `git fetch` is needed"


@dataclass(frozen=True)
class GitRevision:
    """A commit of a repository, whose files are read without checking it out."""

    repository: GitRepository
    reference: str
    commit: str

    def name_of(self, path: str) -> str:
        """The name of a file at this revision for messages, which `GitPath.parse` reads."""
        return f"{GIT_PREFIX}{self.reference}:{path}"

    def entry(self, path: str) -> GitEntry | None:
        """The entry of a file's path from the root; None for a folder or an unknown path."""
        return next((entry for entry in self._entries(path) if entry.path == path), None)

    def has(self, path: str) -> bool:
        return self.entry(path) is not None

    def read(self, path: str, max_bytes: int = MAX_SPEC_BYTES) -> bytes:
        """The bytes of a file. Raises UsageError: a MissingFile if there is none."""
        entry, name = self.entry(path), self.name_of(path)
        if entry is None:
            self._refuse_submodule(path)
            command = f"git ls-tree -r --name-only {self.reference}"
            help = f"`{command}` lists the files there; a path begins at the root, or with ./ in the current folder"
            raise MissingFile("unreadable-file", f"cannot read {name!r}: there is no such file at that revision", help)
        if entry.mode in (SYMBOLIC_LINK, SUBMODULE):
            is_link = entry.mode == SYMBOLIC_LINK
            help = "name the file that it leads to" if is_link else "run the command in the submodule"
            kind = "a symbolic link" if is_link else "a submodule"
            raise UsageError("unreadable-file", f"cannot read {name!r}: it is {kind}", help)
        if entry.size > max_bytes:
            message = f"cannot read {name!r}: it has {entry.size:,} bytes, more than {max_bytes:,}"
            raise UsageError("unreadable-file", message)
        return _git(self.repository.folder, "cat-file", "blob", entry.object)

    def open_beneath(self, folder: str, name: str) -> IO[bytes]:
        """Opens a file that a spec in a folder of the repository names, as `core.files.open_beneath` does."""
        path = "/".join([*([folder] if folder else []), *safe_path_parts(name)])
        entry = self.entry(path)
        if entry is not None and entry.mode == SYMBOLIC_LINK:
            raise UnsafePath(f"{name!r} is a symbolic link")
        return BytesIO(self.read(path, MAX_VOCABULARY_BYTES))

    def files(self, suffix: str) -> list[GitEntry]:
        """All regular files whose names end in a suffix."""
        links = (SYMBOLIC_LINK, SUBMODULE)
        return [entry for entry in self._all_entries if entry.path.endswith(suffix) and entry.mode not in links]

    def read_object(self, entry: GitEntry) -> bytes:
        return _git(self.repository.folder, "cat-file", "blob", entry.object)

    @cached_property
    def _all_entries(self) -> list[GitEntry]:
        return [*self._entries(None)]

    def _entries(self, path: str | None) -> Iterator[GitEntry]:
        selected = ["-r", self.commit] if path is None else [self.commit, "--", path]
        listing = _git(self.repository.folder, "ls-tree", "-z", "-l", "--full-tree", *selected)
        for line in listing.split(b"\0"):
            if line:
                facts, _, name = line.partition(b"\t")
                mode, kind, object_, size = facts.decode().split()  # the size of an object that is missing is BAD
                if kind != "tree":
                    yield GitEntry(mode, object_, int(size) if size.isdigit() else 0, os.fsdecode(name))

    def _refuse_submodule(self, path: str) -> None:
        """Raises UsageError if a folder of a path is a submodule."""
        parts = path.split("/")
        for length in range(1, len(parts)):
            entry = self.entry("/".join(parts[:length]))
            if entry is not None and entry.mode == SUBMODULE:
                message = f"cannot read {self.name_of(path)!r}: {entry.path!r} is a submodule"
                raise UsageError("unreadable-file", message, "run the command on the file in the submodule's folder")


def _git(folder: Path, *arguments: str, subject: Path | None = None) -> bytes:
    """The output of a git command. Raises UsageError `no-repository` or `git-failed`."""
    done = _run(folder, *arguments)
    if done.returncode:
        error = done.stderr.decode(errors="replace").strip()
        if "not a git repository" in error:
            help = "run the command in a clone of the repository, or compare two files: jsonnx diff OLD NEW"
            raise UsageError("no-repository", f"{str(subject or folder)!r} does not lie in a Git repository", help)
        first, _, rest = error.partition("\n")
        command = next((line.strip() for line in rest.splitlines() if line.strip().startswith("git config")), None)
        raise UsageError("git-failed", f"git {arguments[0]}: {first.removeprefix('fatal: ')}", command)
    return done.stdout


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = {key: value for key, value in os.environ.items() if not _REPOSITORY_VARIABLES.fullmatch(key)}
    environment |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"}
    try:
        return subprocess.run(
            ["git", *_READ_ONLY, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=MAX_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        help = "install Git, or compare two files: jsonnx diff OLD NEW"
        raise UsageError("git-failed", "the program git is not installed", help) from None
    except subprocess.TimeoutExpired:
        raise UsageError("git-failed", f"git {arguments[0]} took longer than {MAX_SECONDS} seconds") from None
    except (OSError, ValueError) as error:
        raise UsageError("git-failed", f"git cannot be run: {error_reason(error)}") from error
