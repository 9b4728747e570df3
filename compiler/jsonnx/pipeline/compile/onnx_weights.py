"""The initial weights of OnnxModel layers: those of their files."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import IO, Any

import numpy as np

from ...core.diagnostics import JsonPath, UsageError
from ...core.files.files import UnsafePath
from ...core.files.spec_folders import OWN_FOLDER_HELP, SpecFolders
from ...core.reserved_names import is_adapter_weight
from ...foreign.unreadable_graph import UnreadableGraph
from ...frontend.network import Call
from ...layers.onnx_files.onnx_model import OnnxModel
from ..check.check import CheckedSpec
from ..check.onnx_files import FILE_KEY, OnnxFile, read_onnx_file


def onnx_weights(checked: CheckedSpec, names: Collection[str]) -> dict[str, np.ndarray]:
    """The weights of these names that belong to OnnxModel layers, from the files of the layers.

    Raises CompileError if a file has changed since its graph was written into the spec, or is unsafe or damaged,
    UsageError if it cannot be read.
    """
    arrays: dict[str, np.ndarray] = {}
    for call in onnx_calls(checked):
        wanted = {name for name in names if name.startswith(f"{call.owner}/") and not is_adapter_weight(name)}
        if wanted:
            found = dict(_file_weights(checked, call))
            arrays |= {name: found[name] for name in wanted & found.keys()}
    return arrays


def onnx_calls(checked: CheckedSpec) -> Iterator[Call]:
    """The first call of each OnnxModel layer."""
    calls = checked.require().network.calls
    yield from {call.owner: call for call in reversed(calls) if isinstance(call.layer, OnnxModel)}.values()


def _file_weights(checked: CheckedSpec, call: Call) -> Iterator[tuple[str, np.ndarray]]:
    """The weights of a layer's file, by their names in the network."""
    layer: Any = call.layer
    report, path = checked.new_report(), (*call.path, FILE_KEY)
    folders = SpecFolders.of(checked.folder.resolve(), ())

    def open_named(name: str, path: JsonPath) -> IO[bytes]:
        try:
            return folders.open(name, "")
        except UsageError as error:
            report.add(error.diagnostic.code, path, error.diagnostic.message, help=error.diagnostic.help)
            (error.diagnostic,) = report
            raise

    try:
        file = read_onnx_file(layer.file, path, open_named, report)
        if isinstance(file, OnnxFile) and file.sha256 == layer.sha256:
            for name, array in file.model.arrays():
                yield f"{call.owner}/{name}", array
            return
        help = "use the file that the spec was checked with, or give the weights: --weights"
        report.add("digest-mismatch", path, f"{layer.file!r} has changed since its graph was recorded", help=help)
    except UnsafePath as error:
        report.add("unsafe-path", path, str(error), help=OWN_FOLDER_HELP)
    except UnreadableGraph as error:
        report.add(error.code, path, f"{layer.file!r}: {error.message}", help=error.help)
    report.raise_errors()
