"""The models of a server, which can be loaded, replaced and unloaded while requests are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ...core.diagnostics import CompileError, UsageError, suggestion
from ...data.samples.data_errors import FeedError
from ..batching.batcher import Batcher, BatchLimits
from ..monitoring.observer import NoObserver, Observer
from ..protocol.errors import RequestError, bad_request
from .model_options import ModelOptions
from .model_sources import ModelSource
from .served_model import ServedModel

DRAIN_INTERVAL_S = 0.01
LOAD_ERRORS = (UsageError, CompileError, FeedError, OSError)
"""What the load of a file raises that is missing, or broken."""


class ModelState(Enum):
    """The states of a version, as the repository extension names them."""

    LOADING = "LOADING"
    READY = "READY"
    UNLOADING = "UNLOADING"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass
class LoadedModel:
    """A version that answers requests."""

    served: ServedModel
    batcher: Batcher
    observer: Observer
    requests: int = 0
    """Requests that hold it. It may be replaced while they prepare their inputs."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps the version running for a request."""
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1

    async def drain(self) -> None:
        """Waits until all requests that hold it are answered, and ends its threads."""
        while self.requests:
            await asyncio.sleep(DRAIN_INTERVAL_S)
        await self.batcher.drain()


@dataclass
class _Version:
    """A version of a model, loaded or not."""

    loaded: LoadedModel | None = None
    state: ModelState = ModelState.UNAVAILABLE
    reason: str = ""
    """Why it is not ready, or why the file that should replace it was not loaded."""


@dataclass
class _Entry:
    source: ModelSource
    versions: dict[str, _Version] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


WarmUp = Callable[[ServedModel], None]
OnLoad = Callable[[str, str | None], None]
"""Told the name of a model that was loaded, and the error if that failed."""


class ModelRepository:
    """Models by name and version.

    `observe` makes what counts the requests to a version, `warm_up` runs a model before it answers requests, `on_load`
    is told of each load.
    """

    def __init__(
        self,
        sources: Sequence[ModelSource],
        options: ModelOptions,
        observe: Callable[[ServedModel], Observer] = lambda served: NoObserver(),
        warm_up: WarmUp = lambda served: None,
        on_load: OnLoad = lambda name, error: None,
    ) -> None:
        self._entries = {source.name: _Entry(source) for source in sources}
        self._options, self._observe, self._warm_up, self._on_load = options, observe, warm_up, on_load
        self.has_loaded_all = False
        """Whether the server has begun to answer: all models were loaded once."""

    @property
    def sources(self) -> list[ModelSource]:
        """The files of all models."""
        return [entry.source for entry in self._entries.values()]

    @property
    def names(self) -> list[str]:
        """The names of all models, loaded or not."""
        return list(self._entries)

    def named_or_only(self, name: str | None, path: str) -> str:
        """The name, or that of the only model. Raises RequestError if there are several: `path` is followed by one."""
        if name is None and len(self._entries) > 1:
            raise bad_request("the server has several models", f"name one: {path}/{self.names[0]}")
        return self.names[0] if name is None else name

    def model(self, name: str, version: str | None = None) -> LoadedModel:
        """A version that is ready; without `version`, the highest one. Raises RequestError 404, 503."""
        entry = self._entry(name)
        if version is None:
            ready = [item for item in entry.versions.values() if item.loaded]
            if ready and ready[-1].loaded:
                return ready[-1].loaded
            raise RequestError(503, "model-unavailable", f"the model {name!r} is not ready: {_reason(entry)}")
        found = entry.versions.get(version)
        if found is None:
            help = f"versions are {', '.join(entry.versions) or 'not loaded'}"
            raise RequestError(404, "unknown-version", f"the model {name!r} has no version {version!r}", help)
        if found.loaded is None:
            message = f"version {version} of the model {name!r} is not ready: {found.reason or found.state.value}"
            raise RequestError(503, "model-unavailable", message)
        return found.loaded

    def ready_versions(self, name: str) -> list[str]:
        """The versions of a model that answer requests. Raises RequestError 404."""
        return [version for version, item in self._entry(name).versions.items() if item.loaded]

    def loaded(self) -> Iterator[LoadedModel]:
        """All versions that answer requests."""
        for entry in self._entries.values():
            yield from (version.loaded for version in entry.versions.values() if version.loaded)

    def is_ready(self) -> bool:
        """Whether all models were loaded once, and each has a version that answers, unless a request unloaded it."""
        return self.has_loaded_all and all(map(_is_ready, self._entries.values()))

    def index(self, only_ready: bool = False) -> list[dict[str, Any]]:
        """The index of the repository extension."""
        rows = [
            {"name": name, "version": version, "state": item.state.value, "reason": item.reason}
            for name, entry in self._entries.items()
            for version, item in entry.versions.items()
        ]
        return [row for row in rows if not only_ready or row["state"] == ModelState.READY.value]

    async def load_all(self) -> None:
        """Loads all models. Raises UsageError, CompileError of the first that cannot be loaded."""
        for name in self.names:
            await self._load(name)
        self.has_loaded_all = True

    async def load(self, name: str) -> None:
        """Loads a model, or loads it again: the new versions replace the old ones when they are ready. Raises
        RequestError; versions that were ready remain so."""
        self._entry(name)
        try:
            await self._load(name)
        except LOAD_ERRORS as error:
            raise RequestError(400, "model-unavailable", f"the model {name!r} was not loaded: {error}") from error

    async def _load(self, name: str) -> None:
        entry = self._entry(name)
        async with entry.lock:
            try:
                await self._load_versions(entry)
            except LOAD_ERRORS as error:
                self._on_load(name, str(error))
                raise
        self._on_load(name, None)

    async def _load_versions(self, entry: _Entry) -> None:
        """Loads all versions, and ends those whose files have gone. Raises the first error at the end."""
        errors: list[Exception] = []
        sources = await asyncio.to_thread(entry.source.versions)
        for version, path in sources.items():
            item = entry.versions.setdefault(version, _Version())
            item.state = ModelState.READY if item.loaded else ModelState.LOADING
            try:
                served = await asyncio.to_thread(self._open, entry.source.name, version, path)
            except LOAD_ERRORS as error:
                item.state = ModelState.READY if item.loaded else ModelState.UNAVAILABLE
                item.reason = str(error)
                errors.append(error)
            else:
                await self._replace(item, self._started(served))
        for version in entry.versions.keys() - sources.keys():
            await self._end(entry.versions.pop(version), "the file has gone")
        entry.versions = {version: entry.versions[version] for version in sources}
        if errors:
            raise errors[0]

    def _open(self, name: str, version: str, path: Any) -> ServedModel:
        served = ServedModel.open(name, version, path, self._options)
        self._warm_up(served)
        return served

    def _started(self, served: ServedModel) -> LoadedModel:
        options = self._options
        limits = BatchLimits(options.max_batch_rows, options.max_queue_rows, options.max_delay_s, options.sessions)
        observer = self._observe(served)
        return LoadedModel(served, Batcher(served.run, limits, served.batching, observer), observer)

    async def _replace(self, item: _Version, loaded: LoadedModel) -> None:
        old, item.loaded, item.state, item.reason = item.loaded, loaded, ModelState.READY, ""
        if old is not None:
            await old.drain()

    async def unload(self, name: str) -> None:
        """Ends the answers of a model when the requests that it has are answered. Raises RequestError 404."""
        entry = self._entry(name)
        async with entry.lock:
            for item in entry.versions.values():
                await self._end(item, UNLOADED)

    async def _end(self, item: _Version, reason: str) -> None:
        old, item.loaded, item.state, item.reason = item.loaded, None, ModelState.UNLOADING, reason
        if old is not None:
            await old.drain()
        item.state = ModelState.UNAVAILABLE

    async def drain(self) -> None:
        """Waits until all requests are answered."""
        for loaded in list(self.loaded()):
            await loaded.drain()

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:
            help = suggestion(name, self._entries) or f"models are {', '.join(self._entries)}"
            raise RequestError(404, "unknown-model", f"there is no model {name!r}", help)
        return self._entries[name]


UNLOADED = "unloaded"
"""The reason of a version that a request has unloaded."""


def _is_ready(entry: _Entry) -> bool:
    versions = entry.versions.values()
    return any(item.loaded for item in versions) or all(item.reason == UNLOADED for item in versions)


def _reason(entry: _Entry) -> str:
    return next((item.reason for item in entry.versions.values() if item.reason), "it is being loaded")
