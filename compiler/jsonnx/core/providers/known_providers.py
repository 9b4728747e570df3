"""The execution providers that jsonnx knows, one record each.

A provider is added by its record; the command line, the checks, the schema and the reference pages read it. Names and
values of options are those of onnxruntime's documentation.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from .execution_provider import COUNT, FLAG, POSITIVE, TEXT, ExecutionProvider, OptionType, RuntimePackage

CPU = "cpu"
"""The provider that runs every node: the reference for all others, and their substitute for nodes without a kernel."""
PLAIN_TARGET = CPU
"""The target of models in their plain form: standard operators of the lowest opset that has them."""

_ONNXRUNTIME = RuntimePackage("onnxruntime", "cpu")
_ONNXRUNTIME_GPU = RuntimePackage("onnxruntime-gpu", "cuda", "cuda,cudnn")
KERNELS_PAGE = "docs/OperatorKernels.md"
"""The page of onnxruntime that is generated from the kernels of some providers."""
_ARENA = OptionType(choices=("kNextPowerOfTwo", "kSameAsRequested"))

_CUDA_OPTIONS = {
    "device_id": COUNT,
    "gpu_mem_limit": POSITIVE,
    "arena_extend_strategy": _ARENA,
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
_TENSORRT_OPTIONS = {
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
_OPENVINO_OPTIONS = {
    "cache_dir": TEXT,
    "device_type": TEXT,
    "disable_dynamic_shapes": OptionType(choices=("True", "False", "true", "false")),
    "load_config": TEXT,
    "model_priority": OptionType(choices=("LOW", "MEDIUM", "HIGH", "DEFAULT")),
    "num_of_threads": POSITIVE,
    "num_streams": POSITIVE,
    "precision": OptionType(choices=("FP32", "FP16", "ACCURACY")),
}
_COREML_OPTIONS = {
    "EnableOnSubgraphs": FLAG,
    "MLComputeUnits": OptionType(choices=("ALL", "CPUOnly", "CPUAndNeuralEngine", "CPUAndGPU")),
    "ModelCacheDirectory": TEXT,
    "ModelFormat": OptionType(choices=("MLProgram", "NeuralNetwork")),
    "RequireStaticInputShapes": FLAG,
}
_DIRECTML_OPTIONS = {
    "device_filter": OptionType(choices=("gpu", "npu", "any")),
    "device_id": COUNT,
    "disable_metacommands": OptionType(choices=("true", "false")),
    "performance_preference": OptionType(choices=("default", "high_performance", "minimum_power")),
}
_MIGRAPHX_OPTIONS = {
    "device_id": COUNT,
    "migraphx_arena_extend_strategy": _ARENA,
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
_WEBGPU_OPTIONS = {
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

_RECORDS = (
    ExecutionProvider(
        CPU, "CPUExecutionProvider", "CPU", _ONNXRUNTIME, auto_rank=70, target_rank=10, options={}, keeps_nodes=True
    ),
    ExecutionProvider(
        "cuda",
        "CUDAExecutionProvider",
        "CUDA",
        _ONNXRUNTIME_GPU,
        requirement="an NVIDIA GPU with its driver, CUDA and cuDNN",
        auto_rank=10,
        target_rank=20,
        options=_CUDA_OPTIONS,
        default_options={"use_tf32": "0"},  # TF32 has errors of 1e-3, too coarse for gradients
        graph_capture_option="enable_cuda_graph",
        device="cuda",
        compute_types=("float16", "bfloat16"),
        captures_by_default=True,
        copies_while_running=True,
        keeps_nodes=True,
        kernel_source=KERNELS_PAGE,
        library="providers_cuda",
    ),
    ExecutionProvider(
        "tensorrt",
        "TensorrtExecutionProvider",
        "TensorRT",
        _ONNXRUNTIME_GPU,
        requirement="an NVIDIA GPU, CUDA and TensorRT",
        options=_TENSORRT_OPTIONS,
        graph_capture_option="trt_cuda_graph_enable",
        device="cuda",
        compute_types=("float16", "bfloat16"),
        fallback="cuda",
        builds_engines=True,
        copies_while_running=True,
        library="providers_tensorrt",
    ),
    ExecutionProvider(
        "openvino",
        "OpenVINOExecutionProvider",
        "OpenVINO",
        RuntimePackage("onnxruntime-openvino", "openvino"),
        auto_rank=60,
        target_rank=60,
        options=_OPENVINO_OPTIONS,
        needs_static_kernels=True,
        workarounds=".runtime.providers.openvino_rewrites",
        message_prefix="[OpenVINO-EP]",
    ),
    ExecutionProvider(
        "coreml",
        "CoreMLExecutionProvider",
        "CoreML",
        _ONNXRUNTIME,
        requirement="macOS",
        auto_rank=40,
        target_rank=50,
        options=_COREML_OPTIONS,
    ),
    ExecutionProvider(
        "directml",
        "DmlExecutionProvider",
        "DirectML",
        RuntimePackage("onnxruntime-directml", "directml"),
        requirement="Windows",
        auto_rank=30,
        target_rank=40,
        options=_DIRECTML_OPTIONS,
        device="dml",
        compute_types=("float16",),
        kernel_source=KERNELS_PAGE,
    ),
    ExecutionProvider(
        "migraphx",
        "MIGraphXExecutionProvider",
        "MIGraphX",
        RuntimePackage("onnxruntime-migraphx"),
        requirement="an AMD GPU with ROCm",
        auto_rank=20,
        options=_MIGRAPHX_OPTIONS,
        compute_types=("float16",),
    ),
    ExecutionProvider(
        "qnn",
        "QNNExecutionProvider",
        "QNN",
        RuntimePackage("onnxruntime-qnn"),
        requirement="a Qualcomm processor",
        builds_engines=True,
    ),
    ExecutionProvider(
        "webgpu",
        "WebGpuExecutionProvider",
        "WebGPU",
        RuntimePackage("onnxruntime-webgpu", "webgpu"),
        requirement="a GPU with Vulkan, Metal or Direct3D 12",
        auto_rank=50,
        target_rank=30,
        options=_WEBGPU_OPTIONS,
        device_option="deviceId",
        graph_capture_option="enableGraphCapture",
        has_session_options=True,
        device="gpu",
        runs_in_browsers=True,
        compute_types=("float16",),
        keeps_nodes=True,
        kernel_source="onnxruntime/core/providers/webgpu/webgpu_execution_provider.cc",
        workarounds=".runtime.providers.webgpu_exclusions",
    ),
)
PROVIDERS = {record.name: record for record in _RECORDS}
"""The records by name, in the order in which `jsonnx providers` lists them."""


def providers_of_auto() -> list[ExecutionProvider]:
    """The providers that `auto` tries, in order."""
    return sorted(filter(attrgetter("auto_rank"), PROVIDERS.values()), key=attrgetter("auto_rank"))


def target_names() -> tuple[str, ...]:
    """The targets of `compile --for`, in the order of its help."""
    targets = sorted(filter(attrgetter("target_rank"), PROVIDERS.values()), key=attrgetter("target_rank"))
    return tuple(record.name for record in targets)


def providers_with_kernel_table() -> list[ExecutionProvider]:
    """The providers of whose kernels the package has a table."""
    return [record for record in PROVIDERS.values() if record.kernel_source]


def kernel_table_titles() -> str:
    """The providers of whose kernels the package has a table, for a sentence: `CUDA, DirectML and WebGPU`."""
    return enumeration([record.title for record in providers_with_kernel_table()])


def enumeration(names: Sequence[str]) -> str:
    """Names in a sentence: `a, b and c`."""
    return ", ".join(names) if len(names) < 2 else f"{', '.join(names[:-1])} and {names[-1]}"


def runtime_packages() -> dict[str, RuntimePackage]:
    """The distributions of onnxruntime that extras of jsonnx install, by extra."""
    packages = [record.package for record in PROVIDERS.values() if record.package]
    return {package.extra: package for package in packages if package.extra}
