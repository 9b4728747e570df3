"""Loads models again when their files change."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import NamedTuple

from ...core.files.run_layout import RunPaths
from ..protocol.errors import RequestError
from .model_sources import ModelSource
from .repository import ModelRepository

MAX_SETTLE_S = 1.0
"""The longest time for which a changed file must stay as it is before it is read: it may still be being written."""


class _FileState(NamedTuple):
    """What tells two contents of a file apart without reading it."""

    modified_ns: int
    bytes: int
    inode: int


_State = dict[str, _FileState | None]


async def watch_models(repository: ModelRepository, interval_s: float) -> None:
    """Looks at the files of all loaded models every `interval_s` seconds, and loads changed ones; never returns.

    While a file cannot be loaded, the version before it keeps answering; the file is tried again when it changes.
    """
    seen = {source.name: await asyncio.to_thread(_state, source) for source in repository.sources}
    while True:
        await asyncio.sleep(interval_s)
        for source in repository.sources:
            state = await asyncio.to_thread(_state, source)
            if state == seen[source.name] or not repository.ready_versions(source.name):
                continue
            await asyncio.sleep(min(interval_s, MAX_SETTLE_S))
            if await asyncio.to_thread(_state, source) != state:
                continue
            seen[source.name] = state
            with suppress(RequestError):  # the repository tells of it
                await repository.load(source.name)


def _state(source: ModelSource) -> _State:
    """The states of a model's files, by version."""
    try:
        versions = source.versions()
    except OSError:
        return {}
    return {version: _file_state(RunPaths(path).model if path.is_dir() else path) for version, path in versions.items()}


def _file_state(path: str | os.PathLike[str]) -> _FileState | None:
    """The state of a file; None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return _FileState(status.st_mtime_ns, status.st_size, status.st_ino)
