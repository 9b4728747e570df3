"""Renews the tables of kernels from a checkout of onnxruntime: `python -m jsonnx.placement.import_kernels CHECKOUT`.

CUDA and DirectML are read from docs/OperatorKernels.md, which onnxruntime generates from its kernels. WebGPU is not in
it: its operators and opsets are read from the registrations in webgpu_execution_provider.cc, which do not tell the
element types. Those stand here, from the type constraints in the sources of the kernels; a shader has no 64-bit numbers
and no strings.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..core.providers.known_providers import KERNELS_PAGE, providers_with_kernel_table
from .kernel_table import FIRST

TABLES = Path(__file__).parent / "kernels"
ELEMENT_TYPES = {
    "float": "float32",
    "double": "float64",
    **{name: name for name in ("float16", "bfloat16", "bool", "string")},
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
"""The element types of graphs by their names in onnxruntime's documentation. Others are left out."""
DOMAINS = ("", "ai.onnx.ml", "com.microsoft")
"""The domains of the operators that graphs have."""
FLOAT_TYPES = "float16 float32"
NUMBER_TYPES = "float16 float32 int32 uint32"
"""The element types of WebGPU's kernels whose operators are not listed below."""
WEBGPU_TYPES = "bool float16 float32 int32 uint32"
WEBGPU_TYPES_BY_OPERATORS = {
    "Abs Acos Acosh Asin Asinh Atan Atanh Ceil Clip Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid LeakyRelu Log Neg "
    "Reciprocal Relu Sigmoid Sin Sinh Sqrt Tan Tanh ThresholdedRelu": {FIRST: FLOAT_TYPES},
    "AveragePool BatchNormalization Conv ConvTranspose CumSum DepthToSpace Einsum GatherElements GlobalAveragePool "
    "GlobalMaxPool InstanceNormalization LayerNormalization MatMul MaxPool Slice Tile": {FIRST: FLOAT_TYPES},
    "And If Not": {FIRST: "bool"},
    "Cast": {FIRST: WEBGPU_TYPES, "T2": WEBGPU_TYPES},
    "Pow": {FIRST: NUMBER_TYPES, "T1": NUMBER_TYPES},
    "Range": {FIRST: "float32 int32 int64"},
    "Where": {FIRST: "bool", "T": WEBGPU_TYPES},
}
"""Element types by operators, which are separated by spaces."""
WEBGPU_HOST_OPERATORS = {"Shape", "Size"}
"""Operators whose results are on the host, and which take values of any type."""

Entry = list[Any]
"""First opset, last opset or None, and element types by type parameter, separated by spaces."""


def main(checkout: Path) -> None:
    version = (checkout / "VERSION_NUMBER").read_text().strip()
    for provider in providers_with_kernel_table():
        source = provider.kernel_source
        text = (checkout / source).read_text(encoding="utf-8")
        is_page = source == KERNELS_PAGE
        kernels = kernels_of_page(text, provider.ort_name) if is_page else kernels_of_registrations(text)
        _write(provider.name, version, source, kernels)


def _write(provider: str, version: str, source: str, kernels: Mapping[str, Mapping[str, list[Entry]]]) -> None:
    """Writes a table with one line for each operator."""
    table = {"provider": provider, "runtime_version": version, "source": source}
    domains = []
    for domain in sorted(kernels):
        operators = [f"{json.dumps(op)}: {json.dumps(kernels[domain][op])}" for op in sorted(kernels[domain])]
        domains.append(f"{json.dumps(domain)}: {{\n" + ",\n".join(operators) + "\n}")
    head = "".join(f"{json.dumps(key)}: {json.dumps(value)},\n" for key, value in table.items())
    text = "{\n" + head + '"kernels": {\n' + ",\n".join(domains) + "\n}\n}\n"
    (TABLES / f"{provider}.json").write_text(text, encoding="utf-8")


# -- OperatorKernels.md ------------------------------------------------------------------------------------------------


def kernels_of_page(page: str, section: str) -> dict[str, dict[str, list[Entry]]]:
    """The entries of a provider's section by domain and operator."""
    kernels: dict[str, dict[str, list[Entry]]] = {}
    domain = op = ""
    for row in _rows(page, section):
        heading = re.fullmatch(r"\*\*Operator Domain:\*\* \*(\S+)\*", row[0])
        if heading:
            domain = "" if heading[1] == "ai.onnx" else heading[1]
            continue
        op = row[0] or op
        if domain not in DOMAINS:
            continue
        kernels.setdefault(domain, {}).setdefault(op, []).append([*_opsets(row[2]), _types(row[3])])
    return kernels


def _rows(page: str, section: str) -> Iterator[list[str]]:
    """The cells of the rows of a section's table, without its head."""
    start = page.index(f"## Operators implemented by {section}")
    end = page.find("\n## ", start + 1)
    for line in page[start : end if end >= 0 else len(page)].splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 4 and cells[0] != "Op Name" and not cells[0].startswith("---"):
            yield cells


def _opsets(text: str) -> tuple[int, int | None]:
    """`14+` -> (14, None), `[7, 12]` -> (7, 12), `13` -> (13, 13)"""
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    return numbers[0], None if text.endswith("+") else numbers[-1]


def _types(text: str) -> dict[str, str]:
    """The element types of each type parameter. Sequences and optional values are left out."""
    types = {}
    for parameter, names in re.findall(r"\*\*(\w+)\*\* = ([^*]*)", text):
        plain = re.sub(r"(seq|optional|map)\([^ ]*\)(?=,|\s|$|<)", "", names)
        known = {ELEMENT_TYPES[name] for name in re.findall(r"tensor\((\w+)\)", plain) if name in ELEMENT_TYPES}
        types[parameter] = " ".join(sorted(known))
    return types


# -- registrations of WebGPU -------------------------------------------------------------------------------------------

REGISTRATION = re.compile(
    r"(?:BuildKernelCreateInfo<|class )\s*ONNX_OPERATOR_(VERSIONED_)?(?:TYPED_)?KERNEL_CLASS_NAME\("
    r"\s*kWebGpuExecutionProvider,\s*(kOnnxDomain|kMSDomain),\s*(\d+),\s*(?:(\d+),\s*)?(?:\w+,\s*)?(\w+)\)"
)
SHORT_REGISTRATION = re.compile(
    r"\bKERNEL_CREATE_INFO(_VERSIONED)?(?:_TYPED)?\(\s*(\d+),\s*(?:(\d+),\s*)?(?:\w+,\s*)?(\w+)\)"
)


def kernels_of_registrations(text: str) -> dict[str, dict[str, list[Entry]]]:
    """The entries by domain and operator; each kernel once, although it is declared and registered."""
    found: dict[str, dict[str, set[tuple[int, int | None]]]] = {}
    for match in REGISTRATION.finditer(text):
        versioned, domain, first, last, op = match.groups()
        _add(found, "" if domain == "kOnnxDomain" else "com.microsoft", op, first, last if versioned else None)
    for match in SHORT_REGISTRATION.finditer(text):
        versioned, first, last, op = match.groups()
        _add(found, "", op, first, last if versioned else None)
    return {
        domain: {
            op: [[*opsets, webgpu_types(op)] for opsets in sorted(entries, key=str)]
            for op, entries in operators.items()
        }
        for domain, operators in found.items()
    }


def webgpu_types(op: str) -> dict[str, str]:
    """The element types of WebGPU's kernels for an operator."""
    if op in WEBGPU_HOST_OPERATORS:
        return {}
    listed = (types for operators, types in WEBGPU_TYPES_BY_OPERATORS.items() if op in operators.split())
    return next(listed, {FIRST: NUMBER_TYPES})


def _add(
    found: dict[str, dict[str, set[tuple[int, int | None]]]], domain: str, op: str, first: str, last: str | None
) -> None:
    found.setdefault(domain, {}).setdefault(op, set()).add((int(first), None if last is None else int(last)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
