"""The options of onnxruntime's execution providers: their names, their values, and which of them apply to a session.

Names and values are those of onnxruntime's documentation. A provider that is not listed takes any option.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ...core.diagnostics import UsageError, suggestion

ProviderOptions = Mapping[str, "str | int | bool"]
"""Options by name, as a user writes them."""


@dataclass(frozen=True)
class OptionType:
    """The values of an option: numbers in a range, a choice of words, or any text."""

    minimum: int | None = None
    choices: tuple[str, ...] = ()

    def parse(self, value: object) -> str:
        """The value as onnxruntime takes it. Raises ValueError with what is expected."""
        text = str(int(value)) if isinstance(value, bool) else str(value)
        if self.choices == FLAG.choices:
            text = {"true": "1", "false": "0"}.get(text.lower(), text)
        if self.choices and text not in self.choices:
            raise ValueError(f"one of {', '.join(self.choices)}")
        if self.minimum is not None and not (text.isascii() and text.isdigit() and int(text) >= self.minimum):
            raise ValueError(f"an integer of at least {self.minimum}")
        return text


FLAG = OptionType(choices=("0", "1"))
COUNT, POSITIVE, TEXT = OptionType(0), OptionType(1), OptionType()
ARENA = OptionType(choices=("kNextPowerOfTwo", "kSameAsRequested"))

CUDA_OPTIONS = {
    "device_id": COUNT,
    "gpu_mem_limit": POSITIVE,
    "arena_extend_strategy": ARENA,
    "cudnn_conv_algo_search": OptionType(choices=("EXHAUSTIVE", "HEURISTIC", "DEFAULT")),
    "cudnn_conv_use_max_workspace": FLAG,
    "cudnn_conv1d_pad_to_nc1d": FLAG,
    "do_copy_in_default_stream": FLAG,
    "enable_cuda_graph": FLAG,
    "enable_skip_layer_norm_strict_mode": FLAG,
    "fuse_conv_bias": FLAG,
    "prefer_nhwc": FLAG,
    "sdpa_kernel": COUNT,
    "tunable_op_enable": FLAG,
    "tunable_op_max_tuning_duration_ms": COUNT,
    "tunable_op_tuning_enable": FLAG,
    "use_ep_level_unified_stream": FLAG,
    "use_tf32": FLAG,
}
TENSORRT_OPTIONS = {
    "device_id": COUNT,
    "trt_auxiliary_streams": TEXT,
    "trt_bf16_enable": FLAG,
    "trt_build_heuristics_enable": FLAG,
    "trt_builder_optimization_level": COUNT,
    "trt_context_memory_sharing_enable": FLAG,
    "trt_cuda_graph_enable": FLAG,
    "trt_detailed_build_log": FLAG,
    "trt_dump_subgraphs": FLAG,
    "trt_engine_cache_enable": FLAG,
    "trt_engine_cache_path": TEXT,
    "trt_engine_cache_prefix": TEXT,
    "trt_engine_hw_compatible": FLAG,
    "trt_force_sequential_engine_build": FLAG,
    "trt_force_timing_cache": FLAG,
    "trt_fp16_enable": FLAG,
    "trt_int8_calibration_table_name": TEXT,
    "trt_int8_enable": FLAG,
    "trt_int8_use_native_calibration_table": FLAG,
    "trt_layer_norm_fp32_fallback": FLAG,
    "trt_max_partition_iterations": POSITIVE,
    "trt_max_workspace_size": COUNT,
    "trt_min_subgraph_size": POSITIVE,
    "trt_profile_max_shapes": TEXT,
    "trt_profile_min_shapes": TEXT,
    "trt_profile_opt_shapes": TEXT,
    "trt_sparsity_enable": FLAG,
    "trt_tactic_sources": TEXT,
    "trt_timing_cache_enable": FLAG,
    "trt_timing_cache_path": TEXT,
}
MIGRAPHX_OPTIONS = {
    "device_id": COUNT,
    "migraphx_arena_extend_strategy": ARENA,
    "migraphx_bf16_enable": FLAG,
    "migraphx_exhaustive_tune": FLAG,
    "migraphx_fp16_enable": FLAG,
    "migraphx_fp8_enable": FLAG,
    "migraphx_int8_calibration_table_name": TEXT,
    "migraphx_int8_enable": FLAG,
    "migraphx_int8_use_native_calibration_table": FLAG,
    "migraphx_max_compiled_models": POSITIVE,
    "migraphx_max_dynamic_batch": COUNT,
    "migraphx_mem_limit": POSITIVE,
    "migraphx_model_cache_dir": TEXT,
}
WEBGPU_OPTIONS = {
    "adapterIndex": COUNT,
    "dawnBackendType": OptionType(choices=("D3D12", "Vulkan")),
    "deviceId": COUNT,
    "enableGraphCapture": FLAG,
    "enableInt64": FLAG,
    "maxStorageBufferBindingSize": POSITIVE,
    "powerPreference": OptionType(choices=("high-performance", "low-power")),
    "storageBufferCacheMode": OptionType(choices=("disabled", "lazyRelease", "simple", "bucket")),
    "validationMode": OptionType(choices=("disabled", "wgpuOnly", "basic", "full")),
}
DIRECTML_OPTIONS = {
    "device_filter": OptionType(choices=("gpu", "npu", "any")),
    "device_id": COUNT,
    "disable_metacommands": OptionType(choices=("true", "false")),
    "performance_preference": OptionType(choices=("default", "high_performance", "minimum_power")),
}
OPENVINO_OPTIONS = {
    "cache_dir": TEXT,
    "device_type": TEXT,
    "disable_dynamic_shapes": OptionType(choices=("True", "False", "true", "false")),
    "load_config": TEXT,
    "model_priority": OptionType(choices=("LOW", "MEDIUM", "HIGH", "DEFAULT")),
    "num_of_threads": POSITIVE,
    "num_streams": POSITIVE,
    "precision": OptionType(choices=("FP32", "FP16", "ACCURACY")),
}
COREML_OPTIONS = {
    "EnableOnSubgraphs": FLAG,
    "MLComputeUnits": OptionType(choices=("ALL", "CPUOnly", "CPUAndNeuralEngine", "CPUAndGPU")),
    "ModelCacheDirectory": TEXT,
    "ModelFormat": OptionType(choices=("MLProgram", "NeuralNetwork")),
    "RequireStaticInputShapes": FLAG,
}

OPTIONS_BY_PROVIDER: dict[str, Mapping[str, OptionType]] = {
    "cpu": {},
    "cuda": CUDA_OPTIONS,
    "tensorrt": TENSORRT_OPTIONS,
    "migraphx": MIGRAPHX_OPTIONS,
    "webgpu": WEBGPU_OPTIONS,
    "directml": DIRECTML_OPTIONS,
    "openvino": OPENVINO_OPTIONS,
    "coreml": COREML_OPTIONS,
}
"""The options of each provider, by its short name."""

DEVICE_ID_OPTIONS = ("device_id", "deviceId")
GRAPH_CAPTURE_OPTIONS = {
    "cuda": "enable_cuda_graph",
    "tensorrt": "trt_cuda_graph_enable",
    "webgpu": "enableGraphCapture",
}
"""The option, by provider, with which a session records its kernel launches once and replays them."""


def parse_options(provider: str, options: ProviderOptions) -> dict[str, str]:
    """The options as onnxruntime takes them. Raises UsageError `bad-provider-option`, TypeError."""
    if not isinstance(options, Mapping):
        raise TypeError(f"provider_options is a dict of names and values, got {type(options).__name__}")
    types = OPTIONS_BY_PROVIDER.get(provider)
    return {str(name): _parse_option(provider, types, str(name), value) for name, value in options.items()}


def _parse_option(provider: str, types: Mapping[str, OptionType] | None, name: str, value: object) -> str:
    if types is None:
        return str(value)
    if name not in types:
        known = f"its options: {', '.join(types)}" if types else "it has no options; `threads` sets its threads"
        raise _bad_option(f"the provider {provider!r} has no option {name!r}", suggestion(name, types) or known)
    try:
        return types[name].parse(value)
    except ValueError as error:
        raise _bad_option(f"the option {name!r} of {provider!r} is {error}, got {value!r}") from None


def parse_assignments(assignments: Iterable[str]) -> dict[str, str]:
    """The options of `KEY=VALUE` texts; the last one of a name applies. Raises UsageError `bad-provider-option`."""
    options: dict[str, str] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            help = "such as --provider-option device_id=1"
            raise _bad_option(f"--provider-option takes KEY=VALUE, got {text!r}", help)
        options[name.strip()] = value.strip()
    return options


def _bad_option(message: str, help: str | None = None) -> UsageError:
    return UsageError("bad-provider-option", message, help)
