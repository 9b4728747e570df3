"""Writes models in onnxruntime's ORT format, for builds of onnxruntime that have only some operators."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ...core.diagnostics import CompileError, Diagnostic
from ...core.files.digests import DIGEST_KEYS
from ...core.files.loadable_model import LoadableModel
from ...interop.ort_format import in_fixed_order
from ...interop.protobuf_reader import DecodeError
from ..providers.providers import SessionConfig, create_session, resolve_provider

_PREFIX = "jsonnx-ort-"


def to_ort_format(model: LoadableModel, name: str) -> bytes:
    """A model as onnxruntime's CPU provider runs it, in ORT format: the same bytes for the same model.

    Convolutions in the blocked layout of this machine's CPU are left out. The digests of the ONNX file, which cover
    other contents, are left out of the metadata. Raises UsageError, CompileError `too-large`, `bad-model`.
    """
    with TemporaryDirectory(prefix=_PREFIX) as folder:
        file = Path(folder) / "model.ort"
        create_session(model, resolve_provider("cpu"), 1, SessionConfig(ort_file=str(file)))
        data = file.read_bytes()
    try:
        return in_fixed_order(data, DIGEST_KEYS)
    except DecodeError as error:
        message = f"the model cannot be written in ORT format: {error}"
        raise CompileError([Diagnostic("too-large", message, file=name)]) from error


def required_operators(data: bytes, name: str) -> str:
    """The operators and element types that a model in ORT format needs, as the build of onnxruntime reads them.

    `name` is the name of the model's file, which a comment says.
    """
    with TemporaryDirectory(prefix=_PREFIX) as folder, _kept_logging():
        from onnxruntime.tools.ort_format_model import create_config_from_models

        model, config = Path(folder) / "model.ort", Path(folder) / "operators.config"
        model.write_bytes(data)
        create_config_from_models([model], config, enable_type_reduction=True)
        lines = [line for line in config.read_text().splitlines() if not line.startswith("#")]
    return "".join(f"{line}\n" for line in (f"# Generated from {name}", *lines))


@contextmanager
def _kept_logging() -> Iterator[None]:
    """Discards what onnxruntime's tools log, and the handler that they add to the root logger."""
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(level)
        root.handlers[:] = handlers
