"""The path of a device, here with tensors in ordinary memory: variables stay, batches are copied ahead, results and
losses are read late. `tests/environments/webgpu` runs it on a device."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from jsonnx.core.callback import Callback
from jsonnx.core.diagnostics import CompileError
from jsonnx.core.providers.known_providers import PROVIDERS
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder
from jsonnx.runtime.execution import device_runner, execution_plan, pinned_memory
from jsonnx.runtime.execution.device_memory import TensorCopies
from jsonnx.runtime.execution.device_runner import DeviceRun, DeviceRunner, wants_capture
from jsonnx.runtime.execution.device_variables import DeviceVariables
from jsonnx.runtime.execution.engine import Diverged
from jsonnx.runtime.execution.pinned_memory import pin
from jsonnx.runtime.fit.fit_data import dataset_of
from jsonnx.runtime.fit.trainer import PlanTrainer
from jsonnx.runtime.providers.providers import Provider, resolve_provider

from .plans import classifier, fit, flowers

X, Y = flowers()
CUDA = Provider(PROVIDERS["cuda"])


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainers treat ordinary memory as that of a device."""
    monkeypatch.setattr(execution_plan, "is_on_host", lambda graph, provider: False)
    monkeypatch.setattr(device_runner, "can_copy_in_place", lambda: True)
    monkeypatch.setattr(device_runner, "host_tensor_names", lambda session: frozenset())


def host_trainer(**arguments: Any) -> PlanTrainer:
    return PlanTrainer(classifier(**arguments), fast=False)


@pytest.mark.costly(4)
@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("batch_size", [1, 7, 50, 101])
def test_a_fit_on_a_device_equals_one_in_ordinary_memory(device, monkeypatch, noise, batch_size):
    on_device = PlanTrainer(classifier(noise=noise), fast=False)
    assert isinstance(on_device.engine._variables, DeviceVariables)
    history = fit(on_device, X, Y, batch_size=batch_size, epochs=3)
    monkeypatch.undo()
    expected = host_trainer(noise=noise)
    assert fit(expected, X, Y, batch_size=batch_size, epochs=3).history == history.history
    for name, array in expected.weights().items():
        np.testing.assert_array_equal(on_device.weights()[name], array)


def test_variables_are_neither_copied_nor_moved(device, monkeypatch):
    trainer = PlanTrainer(classifier())
    variables = trainer.engine._variables
    before = [{name: value.data_ptr() for name, value in one.items()} for one in variables.sets]
    monkeypatch.setattr(variables, "_allocator", None)  # a step neither reads nor writes variables
    fit(trainer, X, Y, batch_size=10, epochs=2)
    trainer.step(X[:3], Y[:3])
    assert before == [{name: value.data_ptr() for name, value in one.items()} for one in variables.sets]


def test_bindings_are_kept_from_epoch_to_epoch(device, monkeypatch):
    created: list[Any] = []
    new_binding = DeviceRunner._new_binding
    monkeypatch.setattr(DeviceRunner, "_new_binding", lambda *all: created.append(all) or new_binding(*all))
    trainer = PlanTrainer(classifier())
    fit(trainer, X, Y, batch_size=5, epochs=6)
    created.clear()
    fit(trainer, X, Y, batch_size=5, epochs=6)
    assert created == []


def test_results_are_read_only_when_they_are_used(device, monkeypatch):
    reads: list[int] = []
    to_host = TensorCopies.to_host
    monkeypatch.setattr(TensorCopies, "to_host", lambda copies: reads.append(1) or to_host(copies))
    trainer = PlanTrainer(classifier())
    engine = trainer.engine
    buffers = engine.prefetch_buffers(dataset_of(trainer.plan, X, Y), 10)
    slots = buffers[0].fill(slice(0, 30), 0, 0)
    results = list(engine.run_steps(slots))
    assert (engine.steps, reads) == (3, [])
    assert all(math.isfinite(result["loss"].item()) for result in results)
    assert len(reads) == 3
    engine.check_losses(results)
    assert engine._unchecked_steps == 0


def test_a_batch_is_copied_ahead_where_another_thread_may_do_so(device, monkeypatch):
    monkeypatch.setitem(PROVIDERS, "cpu", replace(PROVIDERS["cpu"], copies_while_running=True))
    copied: list[bool] = []
    copy_ahead = DeviceRun.copy_ahead

    def recorded(run: DeviceRun, *feeds: Any) -> None:
        copied.append(run._is_copied)
        copy_ahead(run, *feeds)

    monkeypatch.setattr(DeviceRun, "copy_ahead", recorded)
    trainer = PlanTrainer(classifier())
    history = fit(trainer, X, Y, batch_size=10, epochs=2)
    assert copied == [False] * (2 * (len(X) // 10))
    monkeypatch.undo()
    assert history.history == fit(host_trainer(), X, Y, batch_size=10, epochs=2).history


def test_a_new_learning_rate_reaches_batches_that_are_copied_already(device, monkeypatch):
    class Halving(Callback):
        def on_train_batch_end(self, batch, logs=None):
            trainer.learning_rate /= 2

    monkeypatch.setitem(PROVIDERS, "cpu", replace(PROVIDERS["cpu"], copies_while_running=True))
    trainer = PlanTrainer(classifier())
    history = fit(trainer, X, Y, batch_size=10, epochs=1, callbacks=[Halving()])
    on_device = trainer.weights()
    monkeypatch.undo()
    trainer = host_trainer()
    assert fit(trainer, X, Y, batch_size=10, epochs=1, callbacks=[Halving()]).history == history.history
    assert all(np.array_equal(array, on_device[name]) for name, array in trainer.weights().items())


@pytest.mark.parametrize("good_steps", [1, 4, 9])
def test_a_divergence_returns_to_weights_with_a_finite_loss(device, good_steps):
    x = np.array(X[:20], np.float32)
    x[good_steps] = 3e38
    trainer = PlanTrainer(classifier())
    initial = trainer.weights()
    with pytest.raises(Diverged, match=f"the loss became (nan|inf) at step {good_steps + 1}"):
        fit(trainer, x, Y[:20], batch_size=1, epochs=1, shuffle=False)
    assert trainer.steps < good_steps
    repeated = host_trainer()
    for step in range(trainer.steps):
        repeated.step(x[step : step + 1], Y[step : step + 1])
    assert (trainer.steps == 0) == all(np.array_equal(initial[name], trainer.weights()[name]) for name in initial)
    for name, array in repeated.weights().items():
        np.testing.assert_array_equal(trainer.weights()[name], array)
    assert math.isfinite(trainer.step(x[:1], Y[:1])["loss"])


def test_a_checkpoint_resumes_on_a_device(device, tmp_path):
    first = PlanTrainer(classifier())
    fit(first, X, Y, batch_size=10, epochs=1)
    first.save_checkpoint(tmp_path / "checkpoint")
    resumed = PlanTrainer(classifier())
    resumed.load_checkpoint(tmp_path / "checkpoint")
    assert resumed.step(X[:10], Y[:10]) == first.step(X[:10], Y[:10])


# -- graph capture -----------------------------------------------------------------------------------------------------


def graph_of(op: str) -> Any:
    g = Builder()
    x = g.input("x", TensorType("float32", (BATCH,)))
    return g.graph({"y": getattr(g, op)(x)})


def test_cuda_captures_graphs_unless_launches_differ_from_run_to_run():
    assert wants_capture(graph_of("Neg"), CUDA)
    assert not wants_capture(graph_of("NonZero"), CUDA)
    assert not wants_capture(graph_of("Neg"), resolve_provider(CUDA, {"enable_cuda_graph": 0}))
    assert wants_capture(graph_of("NonZero"), resolve_provider(CUDA, {"enable_cuda_graph": 1}))
    assert not wants_capture(graph_of("Neg"), resolve_provider("cpu"))


def fake_sessions(monkeypatch: pytest.MonkeyPatch, *, refuses: bool) -> list[Provider]:
    """Sessions run on the CPU, whatever the provider; with `refuses`, none captures. The providers asked for."""
    asked: list[Provider] = []
    create = device_runner.create_graph_session

    def session(graph: Any, *, provider: Provider, **arguments: Any) -> Any:
        asked.append(provider)
        if provider.captures_graphs and refuses:
            raise CompileError([])
        return create(graph, provider=resolve_provider("cpu"), **arguments)

    monkeypatch.setattr(device_runner, "create_graph_session", session)
    monkeypatch.setattr(device_runner, "host_tensor_names", lambda session: frozenset())
    return asked


def capturing_runner(provider: Provider) -> DeviceRunner:
    return DeviceRunner(graph_of("Neg"), ["y"], SimpleNamespace(), provider, 1, captures=True)  # type: ignore[arg-type]


def test_a_step_with_nodes_on_the_cpu_runs_without_capture(monkeypatch):
    asked = fake_sessions(monkeypatch, refuses=True)
    assert not capturing_runner(CUDA).captures
    assert [provider.captures_graphs for provider in asked] == [True, None]


def test_a_requested_capture_that_is_impossible_is_an_error(monkeypatch):
    fake_sessions(monkeypatch, refuses=True)
    with pytest.raises(CompileError):
        capturing_runner(resolve_provider(CUDA, {"enable_cuda_graph": 1}))


def test_each_pair_of_sets_of_each_batch_has_launches_of_its_own(device, monkeypatch):
    monkeypatch.setitem(PROVIDERS, "cpu", replace(PROVIDERS["cpu"], captures_by_default=True))
    used: list[tuple[str, tuple[int, int]]] = []
    monkeypatch.setattr(device_runner, "run_options", lambda capture_id: SimpleNamespace(capture_id=capture_id))
    trainer = PlanTrainer(classifier())
    runner = trainer.engine.step_runners.for_batch(5)
    variables, run_bound = trainer.engine._variables, runner._run_bound

    def run(binding: Any, options: Any = None) -> None:
        if options is not None:
            used.append((options.capture_id, (variables.current_set, variables.next_set), id(binding)))
        run_bound(binding)

    runner._run_bound = run
    fit(trainer, X, Y, batch_size=5, epochs=8)
    by_id = {capture_id: {entry[1:] for entry in used if entry[0] == capture_id} for capture_id, *_ in used}
    assert all(len(addresses) == 1 for addresses in by_id.values())
    assert len(by_id) < len(used) / 3
    assert "0" not in by_id


# -- pinned memory -----------------------------------------------------------------------------------------------------


class FakeCuda:
    def __init__(self, status: int) -> None:
        self.status, self.registered, self.released = status, [], []

    def cudaHostRegister(self, address: Any, size: Any, flags: Any) -> int:
        self.registered.append((address.value, size.value))
        return self.status

    def cudaHostUnregister(self, address: Any) -> int:
        self.released.append(address.value)
        return 0

    def cudaGetLastError(self) -> int:
        return 0


def test_memory_is_pinned_while_the_array_lives():
    cuda, array = FakeCuda(0), np.zeros(8, np.float32)
    address = array.ctypes.data
    assert pin([array, np.zeros(0)], cuda) == 1
    assert (cuda.registered, cuda.released) == ([(address, 32)], [])
    del array
    assert cuda.released == [address]


def test_memory_that_cannot_be_pinned_is_used_as_it_is():
    cuda = FakeCuda(2)
    assert pin([np.zeros(8, np.float32)], cuda) == 0
    assert cuda.released == []


def test_without_a_cuda_runtime_nothing_is_pinned(monkeypatch):
    monkeypatch.setattr(pinned_memory, "CUDA_RUNTIMES", ("libabsent.so.1",))
    assert pin([np.zeros(8, np.float32)]) == 0
