"""Files of other kinds than a command takes, recognised by their contents: what they are, and what to do with them."""

from __future__ import annotations

import os
from typing import IO

from ..diagnostics import CompileError, Diagnostic
from .data_formats import DATA_FORMATS, FORMAT_BY_NAME, FileKind

SIGNATURE_BYTES = 512
"""The bytes at the beginning of a file that show its kind."""

ORT_FORMAT_IDENTIFIER = b"ORTM"
"""The bytes of onnxruntime's own format, from the fifth one on."""


ONNX = FileKind(
    "an ONNX model",
    "`jsonnx inspect` shows it, `jsonnx import` makes a spec of it, and `jsonnx.Session` in Python runs it; `jsonnx "
    "predict` and `evaluate` run one that jsonnx compiled",
)
ORT_FORMAT = FileKind(
    "a model in ORT format",
    "`jsonnx inspect`, `predict`, `evaluate` and `serve` take it; other commands take the ONNX file of the model",
)
KERAS = FileKind("a Keras model", "`jsonnx import` makes a spec of it")
HDF5 = FileKind("an HDF5 file", "`jsonnx import` makes a spec of a Keras model; `--weights` takes a file of weights")
JSON = FileKind("a JSON text", "`jsonnx summary` shows a spec, `jsonnx compile` and `train` make a model of it")
IMAGE = FileKind("an image", "`--data` takes a folder of images, or a table with a column of their paths")
PYTORCH = FileKind(
    "a PyTorch file",
    "write the network as a spec; or export it in PyTorch with torch.onnx.export, and run that with `jsonnx.Session`; "
    "of a Hugging Face model, `jsonnx import` takes the folder with model.safetensors",
)
PICKLE = FileKind(
    "a Python pickle, as PyTorch and scikit-learn write",
    "it is not opened, since it may contain code: save arrays as .npz or .safetensors, and write the network as a spec",
)
GGUF = FileKind("a GGUF language model", "only programs for language models, such as llama.cpp, run it")
TFLITE = FileKind("a TensorFlow Lite model", "import the Keras model that it was converted from: `jsonnx import`")
SAVED_MODEL = FileKind(
    "a TensorFlow SavedModel", 'save it again in Keras with model.save("model.keras"), which `jsonnx import` reads'
)

SAVED_MODEL_FILE = "saved_model.pb"
TORCH_MEMBERS = ("/data.pkl", "/version", "/byteorder", "/.format_version", "/constants.pkl")
"""Ends of the names of members that PyTorch writes first in its archives."""
KERAS_MEMBERS = ("metadata.json", "config.json", "model.weights.h5", "model.weights.npz")
ONNX_TAGS = b"\x12\x1a\x22\x28\x32\x3a\x42\x72"
"""The first bytes of the fields that follow `ir_version` in an ONNX model (onnx.proto)."""


_SIGNATURES = (
    (b"\x89HDF\r\n\x1a\n", HDF5),
    (b"GGUF", GGUF),
    *((format.signature, format.kind) for format in DATA_FORMATS if format.signature and format.kind),
    (b"\x89PNG\r\n\x1a\n", IMAGE),
    (b"\xff\xd8\xff", IMAGE),
)


def file_kind(start: bytes) -> FileKind | None:
    """The kind of a file by its first bytes, or None for an unknown kind."""
    for signature, kind in _SIGNATURES:
        if start.startswith(signature):
            return kind
    if start.startswith(b"PK\x03\x04"):
        return _archive_kind(start)
    if start[4:8] == b"TFL3":
        return TFLITE
    if start[4:8] == ORT_FORMAT_IDENTIFIER:
        return ORT_FORMAT
    if start[8:9] == b"{" and 0 < int.from_bytes(start[:8], "little") < 1 << 32:
        return FORMAT_BY_NAME["safetensors"].kind
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return PICKLE
    if len(start) > 2 and start[0] == 8 and 0 < start[1] < 64 and start[2] in ONNX_TAGS:
        return ONNX
    return JSON if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[") else None


def _archive_kind(start: bytes) -> FileKind | None:
    """The kind of a zip archive by the name of its first member."""
    name = start[30 : 30 + int.from_bytes(start[26:28], "little")].decode("utf-8", "replace")
    if name.endswith(".npy"):
        return FORMAT_BY_NAME["npz"].kind
    if name in KERAS_MEMBERS:
        return KERAS
    return PYTORCH if name.endswith(TORCH_MEMBERS) else None


def other_kind_error(
    file: IO[bytes], name: str | None, expected: str, accepted: tuple[FileKind, ...]
) -> CompileError | None:
    """An error that names the kind of an open file, or None if that is unknown or one of the accepted ones.

    `expected` is what the command takes, with an article. Reads from the beginning of the file.
    """
    file.seek(0)
    return kind_error(file_kind(file.read(SIGNATURE_BYTES)), name, expected, accepted)


def kind_error(
    kind: FileKind | None, name: str | None, expected: str, accepted: tuple[FileKind, ...] = ()
) -> CompileError | None:
    """An error for a file of a known kind that is not accepted."""
    if kind is None or kind in accepted:
        return None
    return CompileError([Diagnostic("other-format", f"this is {kind.name}, not {expected}", file=name, help=kind.help)])


def is_saved_model(folder: str) -> bool:
    """Whether a folder is a TensorFlow SavedModel."""
    return os.path.isfile(os.path.join(folder, SAVED_MODEL_FILE))
