"""Why a provider does not start, refuses a model or stops in a run: the missing library, or the reason in onnxruntime's
message."""

from __future__ import annotations

import ctypes
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from functools import cache
from typing import Any

from ...core.diagnostics import CompileError, Diagnostic
from ...core.providers.execution_provider import ExecutionProvider
from ...core.providers.known_providers import PROVIDERS
from ...core.system.installation import install_command

MAX_REASON_CHARACTERS = 300


@cache
def preload_gpu_libraries(runtime: Any) -> None:
    """Loads CUDA and cuDNN from the packages that `onnxruntime-gpu[cuda,cudnn]` installs, which are on no search path.

    What is missing is reported when a session is created.
    """
    preload = getattr(runtime, "preload_dlls", None)  # since onnxruntime 1.21
    if preload is not None:
        with suppress(Exception), redirect_stdout(io.StringIO()):  # it prints what it cannot load
            preload()


@contextmanager
def without_load_errors(runtime: Any, provider: ExecutionProvider) -> Iterator[None]:
    """Lets onnxruntime not print that it cannot load the library of a provider, which our error tells."""
    if provider.library:
        runtime.set_default_logger_severity(4)
    try:
        yield
    finally:
        if provider.library:
            runtime.set_default_logger_severity(3)


def missing_library(runtime: Any, provider: ExecutionProvider) -> str | None:
    """The missing library that a provider's library needs, such as `libcublasLt.so.13`; None if there is
    none, or it is not known."""
    if not provider.library or os.name != "posix":
        return None
    folder = os.path.join(os.path.dirname(runtime.__file__), "capi")
    try:
        for name in ("providers_shared", provider.library):
            ctypes.CDLL(os.path.join(folder, f"libonnxruntime_{name}.so"), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        found = re.match(r"([^:\s/]+\.so[.\d]*): cannot open shared object file", str(error))
        return found[1] if found else None
    return None


def library_help(library: str) -> str:
    """How to get a library of CUDA, cuDNN, TensorRT or the driver."""
    if library.startswith("libcuda.so"):
        return "install the NVIDIA driver, which `nvidia-smi` shows"
    version = (re.findall(r"\.so\.(\d+)", library) or [""])[0]
    if library.startswith("libnvinfer"):
        return f"pip install tensorrt; {library} is one of TensorRT {version}".rstrip()
    component = "cuDNN" if library.startswith("libcudnn") else "CUDA"
    return f"{install_command('cuda')}; {library} is a library of {component} {version}".rstrip()


def reason_in(text: str) -> str:
    """The reason in onnxruntime's message: what comes behind the places in its sources, shortened."""
    text = " ".join(text.split())
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    for prefix in _message_prefixes():
        text = text.rpartition(f"{prefix} ")[2]
    checks = re.findall(r"Check '[^']*(?:'[^']*)*?' failed at \S+: (.*)", text)
    text = checks[-1] if checks else text
    text = re.sub(r"\S*/\S+\.(?:cc|cpp|h|hpp)(?::\d+)+:? ?", "", text)
    text = re.sub(r"Exception (?:during initialization: |from )", "", text).strip(" :")
    return text if len(text) <= MAX_REASON_CHARACTERS else f"{text[:MAX_REASON_CHARACTERS].rstrip()} ..."


def _message_prefixes() -> list[str]:
    return [provider.message_prefix for provider in PROVIDERS.values() if provider.message_prefix]


def runtime_failure(error: Exception) -> CompileError:
    """An error of onnxruntime while a model runs, with the layer if the message names one."""
    text = " ".join(str(error).split())
    text = reason_in(text) if any(prefix in text for prefix in _message_prefixes()) else text
    node = re.search(r"Name:'/([^']+)/[^/']+", text)
    location = f" in {node[1]!r}" if node else ""
    out_of_range = (
        "an index is out of range for an Embedding, a sequence is longer than the table of a PositionEmbedding, or a "
        "token is not in the vocabulary of a lookup"
    )
    help = out_of_range if "out of data bounds" in text else None
    return CompileError([Diagnostic("runtime-failure", f"onnxruntime stopped{location}: {text}", help=help)])
