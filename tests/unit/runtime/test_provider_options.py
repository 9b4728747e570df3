"""Options of execution providers: names and values are checked, and reach onnxruntime."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from jsonnx import Session, Trainer
from jsonnx.cli import main
from jsonnx.core.diagnostics import UsageError
from jsonnx.core.providers.execution_provider import unlisted_provider
from jsonnx.core.providers.known_providers import PROVIDERS
from jsonnx.runtime.providers import providers
from jsonnx.runtime.providers.provider_options import parse_assignments, parse_options
from jsonnx.runtime.providers.providers import Provider, resolve_provider

CUDA = Provider(PROVIDERS["cuda"], (("use_tf32", "0"),))
SPEC = {
    "inputs": {"x": {"shape": [2]}},
    "layers": [{"type": "Dense", "units": 1}],
    "training": {"loss": "mse", "optimizer": "sgd"},
}


def test_values_are_given_as_onnxruntime_takes_them():
    options = parse_options(
        PROVIDERS["cuda"], {"device_id": 1, "use_tf32": True, "gpu_mem_limit": "1000000", "prefer_nhwc": "true"}
    )
    assert options == {"device_id": "1", "use_tf32": "1", "gpu_mem_limit": "1000000", "prefer_nhwc": "1"}


@pytest.mark.parametrize(
    ("provider", "options", "message", "help"),
    [
        ("cuda", {"device": 1}, "the provider 'cuda' has no option 'device'", "did you mean 'device_id'?"),
        ("cuda", {"use_tf32": "yes"}, "the option 'use_tf32' of 'cuda' is one of 0, 1, got 'yes'", None),
        ("cuda", {"gpu_mem_limit": "4GB"}, "'gpu_mem_limit' of 'cuda' is an integer of at least 1, got '4GB'", None),
        ("cuda", {"device_id": -1}, "is an integer of at least 0, got -1", None),
        ("cuda", {"cudnn_conv_algo_search": "fast"}, "one of EXHAUSTIVE, HEURISTIC, DEFAULT", None),
        ("cpu", {"threads": 1}, "the provider 'cpu' has no option 'threads'", "it has no options"),
        ("webgpu", {"deviceid": 1}, "has no option 'deviceid'", "did you mean 'deviceId'?"),
    ],
)
def test_unknown_names_and_wrong_values_are_errors(provider, options, message, help):
    with pytest.raises(UsageError) as error:
        parse_options(PROVIDERS[provider], options)
    diagnostic = error.value.diagnostic
    assert diagnostic.code == "bad-provider-option"
    assert message in diagnostic.message
    assert help is None or help in diagnostic.help


def test_options_are_a_dict():
    with pytest.raises(TypeError, match="provider_options is a dict"):
        parse_options(PROVIDERS["cuda"], ["device_id=1"])


def test_options_of_an_unknown_provider_are_passed_on():
    unknown = unlisted_provider("XnnpackExecutionProvider")
    assert parse_options(unknown, {"intra_op_num_threads": 2}) == {"intra_op_num_threads": "2"}


@pytest.mark.parametrize("text", ["device_id", "=1", "device_id=", ""])
def test_an_assignment_has_a_name_and_a_value(text):
    with pytest.raises(UsageError, match="KEY=VALUE"):
        parse_assignments([text])
    assert parse_assignments(["a=1", "b=x=y", "a=2"]) == {"a": "2", "b": "x=y"}


def test_options_replace_the_defaults():
    assert resolve_provider(CUDA).ort_providers[0] == ("CUDAExecutionProvider", {"use_tf32": "0"})
    chosen = resolve_provider(CUDA, {"use_tf32": 1, "device_id": 2})
    assert chosen.ort_providers[0] == ("CUDAExecutionProvider", {"use_tf32": "1", "device_id": "2"})
    assert (chosen.device_id, CUDA.device_id) == (2, 0)
    assert (chosen.label, CUDA.label) == ("cuda (use_tf32=1, device_id=2)", "cuda")


def test_graph_capture_is_an_option_of_a_session():
    assert CUDA.captures_graphs is None
    assert resolve_provider(CUDA, {"enable_cuda_graph": 0}).captures_graphs is False
    capturing = CUDA.with_graph_capture(True)
    assert dict(capturing.options) == {"use_tf32": "0", "enable_cuda_graph": "1"}
    assert capturing.with_graph_capture(False) == CUDA


def test_nodes_that_tensorrt_cannot_run_are_assigned_to_cuda():
    tensorrt = Provider(PROVIDERS["tensorrt"], (("device_id", "1"),))
    assert tensorrt.ort_providers == [
        ("TensorrtExecutionProvider", {"device_id": "1"}),
        ("CUDAExecutionProvider", {"use_tf32": "0", "device_id": "1"}),
        "CPUExecutionProvider",
    ]


def test_options_of_webgpu_are_entries_of_the_session():
    webgpu = Provider(PROVIDERS["webgpu"], (("deviceId", "0"),))
    assert webgpu.ort_providers[0] == "WebGpuExecutionProvider"
    assert webgpu.session_entries == {"ep.webgpuexecutionprovider.deviceId": "0"}


@pytest.mark.parametrize(
    "create", [lambda o: Trainer(SPEC, provider_options=o), lambda o: Session(b"", provider_options=o)]
)
def test_python_checks_options(create):
    with pytest.raises(UsageError, match="has no option 'device_id'"):
        create({"device_id": 1})


def test_the_command_line_checks_options():
    done = CliRunner().invoke(main, ["evaluate", "missing", "--provider-option", "device_id=1"])
    assert done.exit_code == 2
    assert "bad-provider-option" in done.output


def test_a_provider_that_does_not_start_names_the_options_that_were_given():
    provider = Provider(PROVIDERS["openvino"], (("device_type", "GPU"),))
    error = providers._start_error(providers.load_runtime(), provider).diagnostic
    assert error.message.endswith("does not start here with device_type=GPU")
    assert "without the options" in error.help
