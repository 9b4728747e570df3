"""Cuts the power during a run, by a model of what a disk then holds.

In `tests`: `python -m campaigns.fault_injection.power_loss --states 500`.

A run is recorded with all its changes of files. From the changes before a point of time follow the states in which a
power loss may leave the disk. POSIX promises only what was flushed: the content of a file by its `fsync`, an entry of a
folder by the `fsync` of the folder. So any subset of the other entries is there, and any part of the other content: a
file may be empty, cut off, or have zeros where blocks are missing. A rename is there or not.

From each state, `jsonnx train --resume` must end with the files of the undisturbed run, and a file that had been
written before the power loss must be there, complete.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

from campaigns.fault_injection import ledger
from campaigns.fault_injection.scenarios import Context
from campaigns.fault_injection.server import can_inject
from campaigns.fault_injection.workload import Violation, Workload

KIND = "power loss"
BLOCK_BYTES = 512


class Change(NamedTuple):
    """A change of a file or a folder. `number` is the offset of a write, or the size of a truncated file."""

    kind: str
    path: str
    other: str
    number: int
    data: bytes


def read_changes(record: bytes) -> list[Change]:
    """The changes that `system_calls.c` has recorded."""
    changes, position = [], 0
    while position < len(record):
        end = record.index(b"\n", position)
        kind, number, size, paths = record[position:end].decode().split(" ", 3)
        path, other = paths.split("\t")
        position = end + 1 + int(size)
        changes.append(Change(kind, path, other, int(number), record[end + 1 : position]))
    return changes


# -- the disk ----------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class File:
    """A file's flushed content, and the changes since then."""

    content: bytes = b""
    changes: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Offset and data of a write; the size and None of a truncation."""


@dataclass(eq=False)
class Folder:
    """A folder's flushed entries, and the changes since then: each sets some entries, None for one that is removed."""

    entries: dict[str, Node] = field(default_factory=dict)
    changes: list[dict[str, Node | None]] = field(default_factory=list)

    def current(self) -> dict[str, Node]:
        return with_entries(self.entries, self.changes)


Node = File | Folder


def with_entries(entries: dict[str, Node], changes: Sequence[dict[str, Node | None]]) -> dict[str, Node]:
    merged: dict[str, Node | None] = {**entries}
    for change in changes:
        merged |= change
    return {name: node for name, node in merged.items() if node is not None}


def with_writes(content: bytes, changes: Sequence[tuple[int, bytes | None]]) -> bytes:
    for offset, data in changes:
        if data is None:
            content = content[:offset].ljust(offset, b"\0")
        else:
            content = content[:offset].ljust(offset, b"\0") + data + content[offset + len(data) :]
    return content


class Disk:
    """A folder with all in it, as processes see it and as a power loss may leave it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.root = read_folder(path)

    def _parts(self, path: str) -> tuple[str, ...]:
        return Path(path).relative_to(self._path).parts

    def find(self, path: str) -> Node | None:
        """What is at a path, as processes see it."""
        node: Node | None = self.root
        for part in self._parts(path):
            node = node.current().get(part) if isinstance(node, Folder) else None
        return node

    def apply(self, change: Change) -> None:
        if change.kind in ("write", "truncate"):
            file = self.find(change.path)  # None if its name is gone
            if isinstance(file, File):
                file.changes.append((change.number, change.data if change.kind == "write" else None))
        elif change.kind == "fsync":
            self._flush(self.find(change.path))
        elif change.kind != "mark":
            self._change_entries(change)

    def _flush(self, node: Node | None) -> None:
        if isinstance(node, File):
            node.content = with_writes(node.content, node.changes)
        elif isinstance(node, Folder):
            node.entries = node.current()
        if node is not None:
            node.changes = []

    def _change_entries(self, change: Change) -> None:
        path = Path(change.path)
        folder = self.find(str(path.parent))
        assert isinstance(folder, Folder)
        if change.kind == "rename":
            assert Path(change.other).parent == path.parent
            folder.changes.append({path.name: None, Path(change.other).name: self.find(change.path)})
        else:
            new: dict[str, Callable[[], Node | None]] = {"create": File, "mkdir": Folder, "unlink": lambda: None}
            folder.changes.append({path.name: new[change.kind]()})


def read_folder(path: Path) -> Folder:
    return Folder({p.name: read_folder(p) if p.is_dir() else File(p.read_bytes()) for p in path.iterdir()})


# -- what a power loss leaves ------------------------------------------------------------------------------------------


class Survival:
    """What of the changes that were not flushed is on the disk, by a mode: none, all, only those of entries or of
    contents, or a random part, which depends on the seed."""

    MODES = ("none", "all", "entries", "contents")

    def __init__(self, mode: str, seed: str) -> None:
        self._mode, self._rng = mode, Random(seed)

    def entries(self, folder: Folder) -> dict[str, Node]:
        if self._mode in ("none", "contents"):
            return folder.entries
        if self._mode in ("all", "entries"):
            return folder.current()
        return with_entries(folder.entries, [change for change in folder.changes if self._rng.random() < 0.5])

    def content(self, file: File) -> bytes:
        if self._mode in ("none", "entries"):
            return file.content
        if self._mode in ("all", "contents"):
            return with_writes(file.content, file.changes)
        return with_writes(file.content, [part for change in file.changes for part in self._part(*change)])

    def _part(self, number: int, data: bytes | None) -> list[tuple[int, bytes | None]]:
        """What is left of a write or a truncation: all, nothing, the beginning, or some blocks and zeros."""
        kind = self._rng.choice(("all", "nothing", "beginning", "blocks"))
        if kind == "nothing":
            return []
        if data is not None and kind == "beginning":
            data = data[: self._rng.randrange(len(data) + 1)]
        if data is not None and kind == "blocks":
            blocks = [data[start : start + BLOCK_BYTES] for start in range(0, len(data), BLOCK_BYTES)]
            data = b"".join(block if self._rng.random() < 0.5 else bytes(len(block)) for block in blocks)
        return [(number, data)]


def surviving(folder: Folder, survival: Survival, prefix: str = "") -> dict[str, bytes | None]:
    """The contents of files by path, in alphabetical order; None for folders."""
    tree: dict[str, bytes | None] = {}
    for name, node in sorted(survival.entries(folder).items()):
        if isinstance(node, File):
            tree[prefix + name] = survival.content(node)
        else:
            tree[prefix + name] = None
            tree |= surviving(node, survival, f"{prefix}{name}/")
    return tree


class State(NamedTuple):
    """A state of the disk after a power loss, as contents of files by path; None for folders."""

    number: int
    """The number of changes before the power loss."""
    mode: str
    tree: dict[str, bytes | None]
    promised: dict[str, list[bytes]]
    """The contents of which files that were complete before must have one; lines may be added to it."""

    def check_promises(self) -> None:
        for name, contents in self.promised.items():
            content = self.tree.get(name) or b""
            has_added_lines = Path(name).suffix in (".jsonl", ".csv") and content.startswith(tuple(contents))
            if content not in contents and not has_added_lines:
                raise Violation(f"{name} had been written, but is lost after change {self.number} ({self.mode})")


def states(home: Path, run: str, changes: Sequence[Change], modes: Sequence[str]) -> Iterator[State]:
    """The different states of a run that a power loss leaves before and after each change, but for those without a
    file; `home` is as before the first one."""
    disk, promised, seen = Disk(home), dict[str, list[bytes]](), set[int]()
    for number, change in enumerate([*changes, Change("end", "", "", 0, b"")]):
        for mode in modes:
            survival = Survival(mode, f"{mode} {number}")
            folder = survival.entries(disk.root).get(run)
            tree = surviving(folder, survival) if isinstance(folder, Folder) else {}
            state = State(number, mode, tree, {name: [*contents] for name, contents in promised.items()})
            state.check_promises()
            digest = hash(tuple(tree.items()))
            if tree and digest not in seen:
                seen.add(digest)
                yield state
        if change.kind != "end":
            disk.apply(change)
            _note_promises(disk, home / run, change, promised)


def _note_promises(disk: Disk, folder: Path, change: Change, promised: dict[str, list[bytes]]) -> None:
    """Notes the contents that a file may have from a change on: what was written last, or what replaces it."""
    if change.kind not in ("mark", "rename", "unlink"):
        return
    name = str(Path(change.other or change.path).relative_to(folder))
    node = disk.find(change.other or change.path)
    if change.kind == "unlink":
        promised.pop(name, None)
    elif isinstance(node, File) and (change.kind == "mark" or name in promised):
        content = with_writes(node.content, node.changes)
        promised[name] = [content] if change.kind == "mark" else [*promised[name], content]


# -- trials ------------------------------------------------------------------------------------------------------------


def check(context: Context, workload: Workload, run: str, state: State) -> None:
    """Resumes a run from a state, and compares it with the undisturbed run. Raises Violation."""
    folder = workload.home / run
    for name, content in state.tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(after_restart(content) if name == ".lock-owner" else content)
    try:
        context.finish(workload, run)
    except Violation as violation:
        raise Violation(f"after change {state.number} ({state.mode}): {violation}") from violation
    shutil.rmtree(folder)


def after_restart(owner: bytes) -> bytes:
    """The record of the process that trained, as if the machine had been started anew since then."""
    with suppress(ValueError, TypeError):
        return json.dumps(json.loads(owner) | {"system": "another start"}).encode()
    return owner


def recorded_states(context: Context, workload: Workload, base: str, modes: Sequence[str]) -> list[State]:
    """All states of a run that starts, or that continues the run `base`. Raises Violation for a lost file."""
    run = context.new_run(workload, f"recorded{base}", base)
    before = context.folder / f"before {run}"
    shutil.copytree(workload.home, before)
    record = context.forks.record(workload, run)
    found = [*states(before, run, [moved(change, workload.home, before) for change in read_changes(record)], modes)]
    shutil.rmtree(before)
    shutil.rmtree(workload.home / run)
    return found


def try_state(context: Context, workload: Workload, base: str, state: State) -> tuple[str, list[dict[str, str]]]:
    """Resumes a run from a state. Returns the outcome and what was broken, for the ledger."""
    try:
        check(context, workload, f"lost{base}-{state.number}-{state.mode}".replace(" ", "-"), state)
    except Violation as violation:
        print(violation, file=sys.stderr, flush=True)
        return "broken", [{"kind": KIND, "base": base, "message": str(violation)}]
    return f"{'resumed' if 'run.json' in state.tree else 'started'}: the same bytes", []


def moved(change: Change, old: Path, new: Path) -> Change:
    """A change in a copy of its folder."""
    path, other = (text.replace(str(old), str(new), 1) for text in (change.path, change.other))
    return change._replace(path=path, other=other)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, default=100, help="number of states of each run from which it is resumed")
    parser.add_argument("--random", type=int, default=4, help="number of random states after each change")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no trial after this time")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random choices")
    parser.add_argument("--case", action="append", help="the spec that is trained; may be repeated")
    parser.add_argument("--dry", action="store_true", help="do not write to the ledger")
    args = parser.parse_args()
    if not can_inject():
        raise SystemExit("needs Linux and a C compiler")
    folder = Path(tempfile.mkdtemp(prefix="jsonnx-power-"))
    modes = (*Survival.MODES, *(f"random {args.seed} {number}" for number in range(args.random)))
    context, start, has_broken = Context(folder), time.monotonic(), False
    try:
        for case in args.case or ["images", "regression"]:
            for base in ("", "interrupted"):
                workload, rng = context.short(case), Random(f"{args.seed} {case} {base}")
                found = recorded_states(context, workload, base, modes)
                chosen, count = rng.sample(found, min(args.states, len(found))), 0
                for state in chosen:
                    if time.monotonic() - start > args.seconds:
                        break
                    outcome, broken = try_state(context, workload, base, state)
                    count, has_broken = count + 1, has_broken or bool(broken)
                    if not args.dry:
                        ledger.record([(KIND, outcome)], broken)
                print(f"{case} {base}: {count} of {len(found)} states tried", file=sys.stderr, flush=True)
    finally:
        context.close()
        shutil.rmtree(folder)
    return 1 if has_broken else 0


if __name__ == "__main__":
    sys.exit(main())
