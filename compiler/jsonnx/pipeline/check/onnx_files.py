"""The ONNX files of OnnxModel layers: writes the graph of a file into the spec, and reads its weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from ...analysis.shape_inference import TypedNetwork
from ...core.components import Json
from ...core.diagnostics import JsonPath, Report, SourceMap
from ...core.files.file_kinds import ONNX, other_kind_error
from ...core.limits import MAX_DATA_FILE_BYTES
from ...frontend.expansion.flat_writer import FlatDocument
from ...frontend.names.vocabulary_files import replaced_at

if TYPE_CHECKING:
    from ...foreign.prepare import PreparedModel

ONNX_MODEL = "OnnxModel"
RESTORED_OPERATORS = ("BatchNormalization", "Dropout")
GRAPH_KEY, DIGEST_KEY, FILE_KEY = "graph", "sha256", "file"
CONFLICT_HELP = "write the layer once for each file"

_BLOCK_BYTES = 1 << 20

EXPORT_FOR_TRAINING_HELP = (
    "export it for training and without folding of constants, since exporters remove dropout and fold batch "
    "normalizations into convolutions; or leave out `training_mode`"
)

OpenNamed = Callable[[str, JsonPath], "IO[bytes] | None"]
"""Opens a file that the spec names at a path; returns None after it has reported an error."""


class OnnxFile(NamedTuple):
    """A prepared model, and the digest of its file."""

    model: PreparedModel
    sha256: str


def onnx_files(flat: FlatDocument | None) -> list[str]:
    """The names of the ONNX files of a flat document."""
    entries = _onnx_entries(flat.document).values() if flat is not None else ()
    return list(dict.fromkeys(entry[FILE_KEY] for entry in entries))


def files_without_graph(document: Json) -> dict[int, str]:
    """The names of the ONNX files whose graphs are not in the flat document, by the index of their layer."""
    return {index: entry[FILE_KEY] for index, entry in _onnx_entries(document).items() if GRAPH_KEY not in entry}


def _onnx_entries(document: Json) -> dict[int, Mapping[str, Any]]:
    """The layers that name an ONNX file, by their index."""
    layers = document.get("layers") if isinstance(document, Mapping) else None
    return {
        index: entry
        for index, entry in enumerate(layers if isinstance(layers, list) else ())
        if isinstance(entry, Mapping) and entry.get("type") == ONNX_MODEL and isinstance(entry.get(FILE_KEY), str)
    }


def inline_graphs(
    value: Json, flat: FlatDocument, open_file: OpenNamed, report: Report
) -> tuple[Json, dict[str, Json]]:
    """The source document and the flat one with the graphs of the ONNX files, beside the files' names."""
    document = {**flat.document, "layers": list(flat.document["layers"])}
    texts: dict[str, tuple[str, str] | None] = {}
    for index, name in files_without_graph(flat.document).items():
        path: JsonPath = ("layers", index, FILE_KEY)
        if name not in texts:
            texts[name] = _graph_text(name, path, open_file, report)
        recorded = texts[name]
        if recorded is None:
            continue
        added = {GRAPH_KEY: recorded[0], DIGEST_KEY: recorded[1]}
        document["layers"][index] = {**document["layers"][index], **added}
        value = _written_back(value, flat.source_map, path, added, report)
    return value, document


def _written_back(value: Json, source_map: SourceMap, path: JsonPath, added: dict[str, str], report: Report) -> Json:
    """The source document with the keys added to the entry whose file is at a path of the flat document."""
    *steps, _ = source_map(path, True).path
    entry: Any = value
    for step in steps:
        entry = entry[step]
    if entry.get(DIGEST_KEY, added[DIGEST_KEY]) != added[DIGEST_KEY]:
        message = "this expression names several files, but a model can store only one graph in its place"
        report.add("unsupported-argument", path, message, help=CONFLICT_HELP)
        return value
    return replaced_at(value, tuple(steps), {**entry, **added})


def _graph_text(name: str, path: JsonPath, open_file: OpenNamed, report: Report) -> tuple[str, str] | None:
    """The text of a file's graph and the file's digest; None after an error was reported."""
    from ...foreign.unreadable_graph import UnreadableGraph

    try:
        file = read_onnx_file(name, path, open_file, report)
        return None if file is None else (file.model.graph.to_text(), file.sha256)
    except UnreadableGraph as error:
        if not report.has_errors(path):  # of a file with weights that cannot be opened
            report.add(error.code, path, f"{name!r}: {error.message}", help=error.help)
        return None


def read_onnx_file(name: str, path: JsonPath, open_file: OpenNamed, report: Report) -> OnnxFile | None:
    """The prepared model of a file; None after an error was reported. Raises UnreadableGraph."""
    # Imported here, because few specs name such files.
    from ...foreign.prepare import prepare
    from ...foreign.prepared_graph import parsed_model
    from ...foreign.unreadable_graph import DAMAGED, TOO_LARGE, UnreadableGraph
    from ...interop.onnx_reader import read_onnx
    from ...interop.protobuf_reader import DecodeError

    file = open_file(name, path)
    if file is None:
        return None
    with file:
        if file.seek(0, os.SEEK_END) > MAX_DATA_FILE_BYTES:
            raise UnreadableGraph("the file is too large", TOO_LARGE)
        try:
            file.seek(0)
            external_files = read_onnx(file).external_files
        except DecodeError as error:
            other = other_kind_error(file, name, "an ONNX model", (ONNX,))
            message = other.diagnostics[0].message if other else f"not a readable model: {error}"
            raise UnreadableGraph(message, DAMAGED) from error
        file.seek(0)
        data = file.read()
    digest, model = sha256(data), parsed_model(data)
    del data  # large tensors are in memory twice at most

    def open_external(location: str) -> IO[bytes]:
        opened = open_file(os.path.join(os.path.dirname(name), location), path)
        if opened is None:
            raise UnreadableGraph(f"its weights are in {location!r}, which cannot be read", DAMAGED)
        return opened

    for location in external_files:
        with open_external(location) as external:
            while block := external.read(_BLOCK_BYTES):
                digest.update(block)
    return OnnxFile(prepare(model, open_external), digest.hexdigest())


def warn_of_training_modes(typed: TypedNetwork, report: Report) -> None:
    """Warns of `training_mode` for files with nothing that it restores."""
    for call in typed.network.calls:
        layer: Any = call.layer
        if layer is None or layer.type_name != ONNX_MODEL or call.name != call.owner or call.name not in typed.types:
            continue
        if layer.training_mode and not layer.has_operator(*RESTORED_OPERATORS):
            message = f"{layer.file!r} has neither batch normalizations nor dropout: its training mode changes nothing"
            path = (*call.path, "training_mode")
            report.add("nothing-to-restore", path, message, help=EXPORT_FOR_TRAINING_HELP, severity="warning")
