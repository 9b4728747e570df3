from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonnx
import numpy as np
import onnx
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.data.samples.data_errors import FeedError
from jsonnx.runtime.session.session import Session
from jsonnx.server.models import warm_up as warm_up_module
from jsonnx.server.models.model_options import ModelOptions
from jsonnx.server.models.model_sources import ModelSource
from jsonnx.server.models.repository import LoadedModel, ModelRepository
from jsonnx.server.models.served_model import ServedModel
from jsonnx.server.models.warm_up import warm_up
from jsonnx.server.protocol.errors import RequestError


def model_of(value: float) -> bytes:
    """A model whose output is a constant."""
    bias = {"type": "Constant", "value": value}
    dense = {"type": "Dense", "name": "y", "units": 1, "kernel_initializer": "zeros", "bias_initializer": bias}
    spec = {"inputs": {"x": {"shape": [2]}}, "layers": [{**dense, "from": "x"}], "outputs": ["y"]}
    return jsonnx.compile(spec).to_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with the versions 1 and 2."""
    for version in (1, 2):
        write(tmp_path, version, model_of(version))
    return tmp_path


def write(folder: Path, version: int, content: bytes) -> None:
    (folder / str(version)).mkdir(exist_ok=True)
    (folder / str(version) / "model.onnx").write_bytes(content)


def run(folder: Path, test: Callable[[ModelRepository], Coroutine[Any, Any, None]], **arguments: Any) -> None:
    """Runs a test with a repository of the model `m`."""

    async def body() -> None:
        repository = ModelRepository([ModelSource("m", folder)], ModelOptions(), **arguments)
        try:
            await test(repository)
        finally:
            await asyncio.wait_for(repository.drain(), 30)

    asyncio.run(body())


async def value_of(loaded: LoadedModel, deadline_s: float | None = None) -> float:
    return float((await loaded.batcher.infer({"x": np.zeros((1, 2), "float32")}, deadline_s))["y"][0, 0])


def test_a_request_that_holds_a_version_is_answered_by_it(folder: Path) -> None:
    async def test(repository: ModelRepository) -> None:
        await repository.load_all()
        old = repository.model("m")
        with old.held():
            write(folder, 2, model_of(20))
            loading = asyncio.create_task(repository.load("m"))
            while repository.model("m") is old:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            assert not loading.done(), "the old version is kept while a request holds it"
            assert await value_of(old) == 2
            assert await value_of(repository.model("m")) == 20
        await asyncio.wait_for(loading, 30)

    run(folder, test)


def test_replaced_models_leave_neither_threads_nor_sessions(folder: Path) -> None:
    def sessions() -> list[Session]:
        gc.collect()
        return [item for item in gc.get_objects() if isinstance(item, Session)]

    others = {id(item): item for item in sessions()}  # kept alive, so that their ids remain theirs

    async def test(repository: ModelRepository) -> None:
        await repository.load_all()
        before = threading.active_count()
        for _ in range(5):
            await asyncio.gather(*(value_of(repository.model("m"), deadline_s=time.monotonic() + 60) for _ in range(4)))
            await repository.load("m")
        end = time.monotonic() + 10
        while threading.active_count() > before + 2 and time.monotonic() < end:
            await asyncio.sleep(0.01)
        assert threading.active_count() <= before + 2
        assert sum(id(item) not in others for item in sessions()) == 2

    run(folder, test)


def test_a_server_is_ready_while_each_model_has_a_version(folder: Path) -> None:
    loads: list[tuple[str, bool]] = []

    async def test(repository: ModelRepository) -> None:
        assert not repository.is_ready()
        with pytest.raises(RequestError) as caught:
            repository.model("m")
        assert caught.value.status == 503
        await repository.load_all()
        assert repository.is_ready()
        write(folder, 1, b"no model")
        write(folder, 3, model_of(3))
        with pytest.raises(RequestError) as caught:
            await repository.load("m")
        assert caught.value.code == "model-unavailable"
        assert repository.is_ready()
        assert repository.ready_versions("m") == ["1", "2", "3"], "the others are loaded, and the broken one is kept"
        first, *others = repository.index()
        assert (first["state"], bool(first["reason"])) == ("READY", True)
        assert [row["reason"] for row in others] == ["", ""]
        await repository.unload("m")
        assert repository.is_ready(), "a request wanted it"
        assert repository.index(only_ready=True) == []
        write(folder, 1, model_of(1))
        await repository.load("m")
        assert repository.ready_versions("m") == ["1", "2", "3"]

    run(folder, test, on_load=lambda name, error: loads.append((name, error is None)))
    assert loads == [("m", True), ("m", False), ("m", True)]


def test_a_model_is_warm_before_it_answers(folder: Path) -> None:
    ready: list[list[str]] = []
    threads: set[str] = set()

    async def test(repository: ModelRepository) -> None:
        await repository.load_all()
        assert ready == [[], ["1"]]
        assert threading.main_thread().name not in threads

    def warm(served: ServedModel) -> None:
        ready.append(repositories[0].ready_versions("m"))
        threads.add(threading.current_thread().name)

    repositories: list[ModelRepository] = []

    async def start(repository: ModelRepository) -> None:
        repositories.append(repository)
        await test(repository)

    run(folder, start, warm_up=warm)


@pytest.mark.parametrize(("run_s", "expected"), [(0.01, [1, 8]), (1.0, [1])])
def test_warm_up_runs_each_batch_size_unless_that_takes_long(
    folder: Path, monkeypatch: pytest.MonkeyPatch, run_s: float, expected: list[int]
) -> None:
    served = ServedModel.open("m", "1", folder / "1" / "model.onnx", ModelOptions())
    sizes: list[int] = []
    run_prepared = type(served.session).run_prepared

    def counted(session: Any, feeds: Any) -> Any:
        sizes.append(len(feeds["x"]))
        return run_prepared(session, feeds)

    monkeypatch.setattr(type(served.session), "run_prepared", counted)
    monkeypatch.setattr(warm_up_module, "time", SimpleNamespace(monotonic=lambda: run_s * len(sizes)))
    assert warm_up(served, (1, 8)) == ""
    assert sizes == expected


def test_a_file_of_another_program_may_refuse_drawn_values(tmp_path: Path) -> None:
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.INT64, ["n"])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["a", "b"])
    shape = onnx.helper.make_node("Reshape", ["data", "x"], ["y"])
    data = onnx.helper.make_tensor("data", onnx.TensorProto.FLOAT, [7], [0.0] * 7)
    graph = onnx.helper.make_graph([shape], "g", [x], [y], [data])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)]), tmp_path / "m.onnx")
    served = ServedModel.open("m", "1", tmp_path / "m.onnx", ModelOptions())
    assert warm_up(served, (1,)) != ""


def test_a_model_with_a_spec_that_does_not_run_is_not_served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = ServedModel.open("m", "1", folder / "1" / "model.onnx", ModelOptions())

    def fail(session: Any, feeds: Any) -> Any:
        raise FeedError([])

    monkeypatch.setattr(type(served.session), "run_prepared", fail)
    with pytest.raises((CompileError, FeedError)):
        warm_up(served, (1,))
