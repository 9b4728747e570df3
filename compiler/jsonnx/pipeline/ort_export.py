"""Exports a model in ORT format, with the operators that it needs and its labels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..backend import thresholds_from
from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.files.files import make_folders, read_without_links, refuse_overwrite, remove_file, write_atomically
from ..core.files.new_folder import refuse_existing
from ..core.files.run_layout import labels_path
from ..interop.flatbuffers import UnknownField
from ..interop.ort_format import is_ort_format, read_ort_format
from ..runtime.session.load_model import loadable_model, model_file
from ..runtime.session.ort_format import required_operators, to_ort_format
from ..runtime.session.session import Session
from .compile.labels_file import labels_json
from .train.model_spec import checked_spec_of

SUFFIX = ".ort"
OPERATORS_SUFFIX = ".required_operators_and_types.config"


def operators_path(model: Path) -> Path:
    """The file beside a model in ORT format with the operators that it needs."""
    return model.parent / (model.stem + OPERATORS_SUFFIX)


@dataclass(frozen=True)
class OrtModel:
    """A model in ORT format."""

    data: bytes
    labels: bytes | None
    """The content of its labels file; None if it has neither labels nor thresholds."""
    notes: tuple[str, ...] = ()
    """What differs from the ONNX file."""

    def save(self, path: Path, source: Path, replaces: bool = False) -> list[Path]:
        """Writes the model last, each file atomically. Returns the paths of the files.

        Raises UsageError `bad-option`, `file-exists`, `is-an-input`, `unwritable-file`.
        """
        if path.suffix.lower() != SUFFIX:
            message = f"-o: {str(path)!r} does not end in {SUFFIX}, by which onnxruntime knows the format"
            raise UsageError("bad-option", message, f"give {str(path.with_suffix(SUFFIX))!r}")
        contents = {path: self.data, operators_path(path): required_operators(self.data, path.name).encode()}
        if self.labels is not None:
            contents[labels_path(path)] = self.labels
        files = [path, operators_path(path), labels_path(path)]
        refuse_overwrite([source, Path(model_file(source))], files)
        for file in files:
            if not _has_content(file, contents.get(file)):
                refuse_existing(file, replaces)
        make_folders(path.parent)
        for file in reversed(files):
            if file in contents:
                write_atomically(file, contents[file], follows_links=False)
            else:
                remove_file(file)
        return [*contents]


def _has_content(path: Path, content: bytes | None) -> bool:
    """Whether a file has this content."""
    try:
        return read_without_links(path) == content
    except OSError:
        return False


def export_ort_model(source: str, verify: bool = True) -> OrtModel:
    """The model of a RUN folder or of an ONNX file, of any origin, in ORT format.

    Raises UsageError, CompileError `other-format`, `too-large`, `bad-model`.
    """
    file = model_file(Path(source))
    model = loadable_model(file, verify)
    if is_ort_format(model.data):
        message = "this is a model in ORT format already"
        help = "export the ONNX file that it was made of"
        raise CompileError([Diagnostic("other-format", message, file=file, help=help)])
    data = to_ort_format(model, file)
    session = Session(data)
    checked = checked_spec_of(session, file)
    labels = labels_json(checked, thresholds_from(session.metadata)) if checked else None
    return OrtModel(data, labels, tuple(_notes(model.data, data)))


def _notes(model: bytes, exported: bytes) -> Iterator[str]:
    """A note if weights have another element type in the exported file."""
    import onnx

    if not any(
        tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in onnx.load_from_string(model).graph.initializer
    ):
        return
    with suppress(UnknownField):
        if "float16" not in read_ort_format(exported).weight_bytes:
            yield "float16 weights are stored as float32, since onnxruntime has no float16 kernels for them here"
