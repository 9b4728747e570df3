"""Tables of kernels are read from onnxruntime's documentation and sources."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonnx.core.providers.known_providers import providers_with_kernel_table
from jsonnx.placement import import_kernels
from jsonnx.placement.import_kernels import kernels_of_page, kernels_of_registrations

PAGE = """## Operators implemented by CPUExecutionProvider

| Op Name | Parameters | OpSet Version | Types Supported |
|---------|------------|---------------|-----------------|
|**Operator Domain:** *ai.onnx*||||
|Abs|*in* X:**T**<br> *out* Y:**T**|13+|**T** = tensor(double)|

## Operators implemented by CUDAExecutionProvider

| Op Name | Parameters | OpSet Version | Types Supported |
|---------|------------|---------------|-----------------|
|**Operator Domain:** *ai.onnx*||||
|Cast|*in* input:**T1**<br> *out* output:**T2**|13+|**T1** = tensor(bool), tensor(float)<br/> **T2** = tensor(double)|
|||[6, 12]|**T1** = tensor(float)<br/> **T2** = tensor(float8e5m2), tensor(float)|
|Loop|*in* M:**I**<br> *out* y:**V**|16|**I** = tensor(int64)<br/> **V** = seq(tensor(float)), tensor(bool)|
| |
|**Operator Domain:** *com.microsoft*||||
|Gelu|*in* X:**T**<br> *out* Y:**T**|1+|**T** = tensor(float16)|
|**Operator Domain:** *com.ms.internal.nhwc*||||
|Conv|*in* X:**T**|11+|**T** = tensor(float)|
"""

REGISTRATIONS = """
class ONNX_OPERATOR_VERSIONED_KERNEL_CLASS_NAME(kWebGpuExecutionProvider, kOnnxDomain, 6, 12, Abs);
class ONNX_OPERATOR_KERNEL_CLASS_NAME(kWebGpuExecutionProvider, kOnnxDomain, 13, Abs);
class ONNX_OPERATOR_KERNEL_CLASS_NAME(kWebGpuExecutionProvider, kOnnxDomain, 15, Shape);
      KERNEL_CREATE_INFO_VERSIONED(6, 12, Abs),
      BuildKernelCreateInfo<ONNX_OPERATOR_KERNEL_CLASS_NAME(kWebGpuExecutionProvider, kOnnxDomain, 13, Abs)>,
      KERNEL_CREATE_INFO(14, Add),
"""


def test_a_section_of_the_page_is_read() -> None:
    assert kernels_of_page(PAGE, "CUDAExecutionProvider") == {
        "": {
            "Cast": [[13, None, {"T1": "bool float32", "T2": "float64"}], [6, 12, {"T1": "float32", "T2": "float32"}]],
            "Loop": [[16, 16, {"I": "int64", "V": "bool"}]],
        },
        "com.microsoft": {"Gelu": [[1, None, {"T": "float16"}]]},
    }


def test_registrations_of_webgpu_are_read_once() -> None:
    floats, numbers = {"first": "float16 float32"}, {"first": "float16 float32 int32 uint32"}
    assert kernels_of_registrations(REGISTRATIONS) == {
        "": {"Abs": [[13, None, floats], [6, 12, floats]], "Shape": [[15, None, {}]], "Add": [[14, None, numbers]]}
    }


def test_each_table_is_read_from_the_file_that_the_record_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_kernels, "TABLES", tmp_path)
    page = PAGE + PAGE.partition("\n\n")[2].replace("CUDAExecutionProvider", "DmlExecutionProvider")
    for record in providers_with_kernel_table():
        source = tmp_path / record.kernel_source
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(page if source.suffix == ".md" else REGISTRATIONS)
    (tmp_path / "VERSION_NUMBER").write_text("1.99.0\n")
    import_kernels.main(tmp_path)
    tables = {file.stem: json.loads(file.read_text()) for file in tmp_path.glob("*.json")}
    assert tables.keys() == {record.name for record in providers_with_kernel_table()}
    assert {table["runtime_version"] for table in tables.values()} == {"1.99.0"}
    assert "Cast" in tables["cuda"]["kernels"][""]
    assert "Shape" in tables["webgpu"]["kernels"][""]
