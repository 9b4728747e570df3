"""Providers: the requested one, or an error with the command that installs it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from jsonnx.backend import serialize, to_model_proto
from jsonnx.cli import main
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.core.providers.known_providers import PROVIDERS
from jsonnx.core.system import cpu_count
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder
from jsonnx.runtime.providers import installed_runtimes, provider_availability, providers
from support.commands import IN_PROCESS


def negation() -> bytes:
    g = Builder()
    return serialize(to_model_proto(g.graph({"y": g.Neg(g.input("x", TensorType("float32", (BATCH,))))})))


@pytest.fixture
def runtime(monkeypatch):
    """Fakes an onnxruntime with these providers."""

    def fake(*present: str) -> None:
        all_providers = ["TensorrtExecutionProvider", "XnnpackExecutionProvider", *present]
        module = SimpleNamespace(get_available_providers=lambda: list(present), get_all_providers=lambda: all_providers)
        monkeypatch.setattr(providers, "load_runtime", lambda: module)

    return fake


@pytest.mark.parametrize("name", ["cpu", "CPUExecutionProvider"])
def test_the_cpu_is_always_available(name):
    assert providers.resolve_provider(name).ort_providers == ["CPUExecutionProvider"]


def test_nodes_that_a_device_cannot_run_are_assigned_to_the_cpu(runtime):
    runtime("CUDAExecutionProvider", "CPUExecutionProvider")
    assert providers.resolve_provider("cuda").ort_providers == [
        ("CUDAExecutionProvider", {"use_tf32": "0"}),
        "CPUExecutionProvider",
    ]


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("cuda", 'pip install ".[cuda]"'),
        ("CUDAExecutionProvider", 'pip install ".[cuda]"'),
        ("openvino", 'pip install ".[openvino]"'),
        ("directml", 'pip install ".[directml]"'),
        ("webgpu", 'pip install ".[webgpu]"'),
        ("qnn", "pip install onnxruntime-qnn"),
        ("XnnpackExecutionProvider", "built with"),
    ],
)
def test_a_missing_provider_is_an_error_with_the_command_that_installs_it(runtime, name, command):
    runtime("CPUExecutionProvider")
    with pytest.raises(UsageError) as error:
        providers.resolve_provider(name)
    assert error.value.diagnostic.code == "provider-unavailable"
    assert command in error.value.diagnostic.help


@pytest.fixture(autouse=True)
def installed_from_a_checkout(monkeypatch):
    """Commands do not depend on how the copy under test was installed; see `tests/unit/core/test_installation.py`."""
    monkeypatch.setattr(providers, "install_command", lambda extra: f'pip install ".[{extra}]"')


def how_to_get(name: str) -> str:
    return providers.how_to_get(PROVIDERS[name])


def test_another_distribution_of_onnxruntime_is_uninstalled_first(monkeypatch):
    monkeypatch.setattr(providers, "installed_runtimes", lambda: ["onnxruntime"])
    assert how_to_get("webgpu").startswith('pip uninstall -y onnxruntime && pip install ".[webgpu]"')
    assert how_to_get("cpu") == 'pip install ".[cpu]"'
    monkeypatch.setattr(providers, "installed_runtimes", lambda: ["onnxruntime-webgpu"])
    assert how_to_get("cuda").startswith('pip uninstall -y onnxruntime-webgpu && pip install ".[cuda]"')
    assert how_to_get("webgpu").startswith('pip install ".[webgpu]"')
    assert how_to_get("qnn").startswith("pip uninstall -y onnxruntime-webgpu && pip install onnxruntime-qnn")


def test_an_unknown_provider_gets_a_suggestion():
    with pytest.raises(UsageError) as error:
        providers.resolve_provider("cudda")
    assert (error.value.diagnostic.code, error.value.diagnostic.help) == ("unknown-provider", "did you mean 'cuda'?")


def test_auto_takes_the_first_provider_that_starts(runtime):
    present = ["CPUExecutionProvider", "OpenVINOExecutionProvider", "CUDAExecutionProvider"]
    runtime(*present)
    assert providers.best_provider(present, lambda provider: True).name == "cuda"
    assert providers.best_provider(present, lambda provider: provider.name == "openvino").name == "openvino"
    assert providers.best_provider(present, lambda provider: False).name == "cpu"


def test_a_missing_onnxruntime_is_reported(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(UsageError) as error:
        providers.load_runtime.__wrapped__()
    assert error.value.diagnostic.code == "missing-runtime"
    assert error.value.diagnostic.help == 'pip install ".[cpu]"'


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_onnxruntime_drops_is_an_error():
    with pytest.raises(UsageError) as error:
        providers.create_session(negation(), providers.known_provider("cuda"))
    assert error.value.diagnostic.code == "provider-failed"


def test_two_distributions_of_onnxruntime_are_a_warning(monkeypatch):
    monkeypatch.setattr(installed_runtimes, "installed_runtimes", lambda: ["onnxruntime", "onnxruntime-gpu"])
    (warning,) = installed_runtimes.runtime_conflicts()
    assert (warning.code, warning.severity) == ("runtime-conflict", "warning")
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in warning.help
    result = IN_PROCESS.invoke(main, ["providers", "--format", "json"])
    assert "warning[runtime-conflict]" in result.stderr
    assert json.loads(result.stdout)[0]["name"] == "cpu"


def test_an_addon_is_not_a_second_distribution(monkeypatch):
    names = ["onnxruntime_gpu", "onnxruntime-extensions", "onnxruntime-ep-webgpu", "numpy"]
    distributions = [SimpleNamespace(metadata={"Name": name}) for name in names]
    monkeypatch.setattr("importlib.metadata.distributions", lambda: distributions)
    assert installed_runtimes.installed_runtimes() == ["onnxruntime-gpu"]


def test_the_list_of_providers_says_how_to_install_each():
    rows = {row.name: row for row in provider_availability.provider_availability()}
    assert rows["cpu"].available
    assert list(PROVIDERS) == list(rows)[: len(PROVIDERS)]
    assert all(row.available or "pip" in row.how or "needs" in row.how for row in rows.values())


@pytest.mark.parametrize("name", ["cpu", "CPUExecutionProvider"])
def test_one_provider_is_listed_by_its_short_or_full_name(name):
    (row,) = provider_availability.provider_availability(name)
    assert (row.name, row.full, row.available) == ("cpu", "CPUExecutionProvider", True)


def test_an_unknown_provider_is_not_an_empty_list():
    result = IN_PROCESS.invoke(main, ["providers", "--provider", "cudda"])
    assert result.exit_code == 2
    assert "did you mean 'cuda'?" in result.stderr


def test_an_invalid_model_is_reported():
    with pytest.raises(CompileError) as error:
        providers.create_session(b"not a model", providers.resolve_provider("cpu"))
    assert error.value.diagnostics[0].code == "bad-model"


def test_a_model_that_is_too_new_is_reported():
    import onnx

    model = onnx.load_from_string(negation())
    model.opset_import[0].version = 99
    with pytest.raises(UsageError) as error:
        providers.create_session(model.SerializeToString(), providers.resolve_provider("cpu"), quiet=True)
    assert error.value.diagnostic.code == "runtime-too-old"


def test_the_number_of_threads_is_limited_by_affinity_and_quota(tmp_path, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(16)), raising=False)
    group = tmp_path / "job" / "inner"
    group.mkdir(parents=True)
    (tmp_path / "job" / "cpu.max").write_text("250000 100000\n")
    (group / "cpu.max").write_text("max 100000\n")
    (tmp_path / "own").write_text("0::/job/inner\n")
    quotas = list(cpu_count._cpu_quotas(tmp_path, tmp_path / "own"))
    assert quotas == [2.5]
    monkeypatch.setattr(cpu_count, "_cpu_quotas", lambda: iter(quotas))
    assert cpu_count.thread_count() == 3
    monkeypatch.setattr(cpu_count, "_cpu_quotas", lambda: iter([0.1]))
    assert cpu_count.thread_count() == 1


def test_sessions_have_the_requested_number_of_threads():
    session = providers.create_session(negation(), providers.resolve_provider("cpu"), threads=1)
    options = session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert session.run(None, {"x": np.ones(2, np.float32)})[0].tolist() == [-1, -1]


@pytest.mark.parametrize("keep_order", [True, False])
def test_a_session_runs_nodes_in_the_order_of_the_graph_if_configured(keep_order, tmp_path, monkeypatch):
    """Except Shape, which runs as early as possible. By default, onnxruntime starts at the last result."""
    g = Builder()
    x = g.input("x", TensorType("float32", (4, 4)))
    products = [g.MatMul(x, x) for _ in range(4)]
    results = {f"y{index}": g.Neg(product) for index, product in enumerate(products)}
    model = to_model_proto(g.graph({**results, "shape": g.Shape(products[1])}))
    create_options = onnxruntime.SessionOptions

    def create_profiling_options():
        options = create_options()
        options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "profile")
        return options

    monkeypatch.setattr(onnxruntime, "SessionOptions", create_profiling_options)
    config = providers.SessionConfig(keep_order=keep_order)
    session = providers.create_session(
        serialize(model), providers.resolve_provider("cpu"), 1, config, optimization="ORT_DISABLE_ALL"
    )
    session.run(None, {"x": np.ones((4, 4), np.float32)})
    events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    suffix = "_kernel_time"
    run_order = [event["name"].removesuffix(suffix) for event in events if event["name"].endswith(suffix)]
    graph_order = [node.name for node in model.graph.node]
    graph_order.insert(2, graph_order.pop())
    assert sorted(run_order) == sorted(graph_order)
    assert (run_order == graph_order) == keep_order
