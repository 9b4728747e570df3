"""Checks a spec: text -> network -> types, with a diagnostic for every error.

Imports neither NumPy nor onnx, which take longer to import than a spec to check. Stages return frozen values; `after`
is called with the name and the value of each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from operator import index
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from ...analysis.check_activations import check_activations
from ...analysis.check_random_inputs import check_random_inputs
from ...analysis.check_tolerances import check_tolerances
from ...analysis.gradient_flow import check_gradient_flow
from ...analysis.objective import resolve_objective
from ...analysis.outputs import check_outputs
from ...analysis.sample_interaction import check_sample_interaction
from ...analysis.shape_inference import TypedNetwork, infer_shapes
from ...analysis.unchecked import report_unchecked
from ...analysis.vocabularies import check_vocabularies
from ...core.diagnostics import (
    CompileError,
    Diagnostic,
    JsonPath,
    Note,
    Position,
    Report,
    SourceLocation,
    SourceMap,
    UsageError,
    identity_source_map,
    outside_library,
    path_text,
)
from ...core.files.files import MissingFile, UnsafePath, open_beneath
from ...core.files.run_layout import ADAPTER_FILES
from ...core.files.spec_folders import OWN_FOLDER_HELP, SpecFolders
from ...core.files.tokenizer_file import TokenizerFile
from ...core.system.gc_pause import gc_paused
from ...frontend.expansion.expand import expand
from ...frontend.expansion.flat_writer import FlatDocument
from ...frontend.expansion.overrides import Override, with_overrides
from ...frontend.json.json_reader import STDIN_NAME, Json, Source, from_value, read_file, read_text
from ...frontend.names.vocabulary_files import inline_vocabularies, vocabulary_files, write_back_tokens
from ...frontend.network import Network
from ...frontend.networks.build_network import build_network
from ...frontend.networks.document_size import is_too_large
from ...frontend.networks.python_functions import PythonFunctions
from ...frontend.networks.silences import Silences
from ...frontend.networks.token_inputs import with_token_inputs
from ...frontend.text.fix_writer import FixWriter
from ...lowering.check_augmentation import check_augmentation
from ...lowering.check_weights import (
    check_adapted_weights,
    check_frozen_weights,
    check_optimizer_patterns,
    check_shared_weights,
)
from ...lowering.size_limit import check_sizes
from ...sections.data_section import DATA_PARTS
from ...training.metrics.objective import Objective
from .name_fixes import with_certain_name_fixes
from .onnx_files import files_without_graph, inline_graphs, onnx_files, warn_of_training_modes
from .tokenizer_files import read_tokenizers, tokenizer_entries, with_digests

if TYPE_CHECKING:
    from ...ir import Graph

Spec = str | os.PathLike[str] | Mapping[str, Any]
"""A path, a JSON text (beginning with `{`) or a Python dict."""

NamedFileOpener = Callable[[str], IO[bytes]]
"""Opens a file by the name that a spec gives it. Raises UnsafePath, UsageError."""

Buffers = Callable[[Path], bytes | None]
"""Returns the contents of a file that an editor has open, None for another file."""

StageHook = Callable[[str, Any], None]
"""Called with the name and the value of each stage: for printing, timing and tests."""


def no_hook(stage: str, value: Any) -> None:
    """Does nothing."""


def no_buffers(path: Path) -> bytes | None:
    """No file is open in an editor."""
    return None


class CheckedSpec(NamedTuple):
    """The result of a check: the diagnostics, and each stage up to the first that could not be computed."""

    source: Source
    diagnostics: list[Diagnostic]
    typed_network: TypedNetwork | None = None
    objective: Objective | None = None
    vocabulary_files: Mapping[int, str] = {}
    """The vocabulary files that the spec names, by the index of their layer in the flat document.

    Their tokens have replaced their names in `source` and `flat`.
    """
    flat: FlatDocument | None = None
    lowered: Graph | None = None
    """The graph of the network, if the check of the sizes had to lower it."""
    silences: Silences | None = None
    """The findings that the spec silences; None if it silences none."""

    @property
    def network(self) -> Network:
        """The network. Raises CompileError if the spec has errors."""
        return self.require().network

    def require(self) -> TypedNetwork:
        """The typed network. Raises CompileError if the spec has errors."""
        if self.typed_network is None or any(diagnostic.severity == "error" for diagnostic in self.diagnostics):
            raise CompileError(self.diagnostics)
        return self.typed_network

    def locate(self, path: JsonPath, key: bool = False) -> Position | None:
        """The position in the file of the value, or the key, at a path of the flat document."""
        return self.source.locate(self.source_path(path, key), key)

    def source_path(self, path: JsonPath, key: bool = False) -> JsonPath:
        """The path in the spec of the value, or the key, at a path of the flat document."""
        location = self.flat.source_map(path, key) if self.flat else SourceLocation(path)
        return outside_library(location.path, location.notes)

    def without_silenced(self, diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
        """The diagnostics without the warnings that the spec silences."""
        silences = self.silences
        if silences is None:
            return list(diagnostics)
        return [
            diagnostic
            for diagnostic in diagnostics
            if diagnostic.severity == "error" or not silences.covers_path(diagnostic.code, diagnostic.path)
        ]

    def new_report(self) -> Report:
        """An empty report, for paths of the flat document."""
        document = self.flat.document if self.flat else self.source.value
        return _new_report(self.source, document, self.flat.source_map if self.flat else identity_source_map)

    def seed(self, chosen: int | None) -> int:
        """The chosen seed, or the spec's if it is None. Raises TypeError, ValueError."""
        if chosen is None:
            training = self.require().network.training
            return training.seed if training else 0
        message = f"a seed is an integer from 0 to 2**63 - 1, got {chosen!r}"
        try:
            number = index(chosen)
        except TypeError:
            raise TypeError(message) from None
        if isinstance(chosen, bool) or not 0 <= number < 1 << 63:
            raise ValueError(message)
        return number

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the spec refer to."""
        return Path(self.source.file or STDIN_NAME).parent

    @property
    def files(self) -> list[Path]:
        """The spec's file and the files that it names."""
        training = self.typed_network.network.training if self.typed_network else None
        weight_files = [training.weights.file] if training and training.weights else []
        adapter = training.lora.adapter if training and training.lora else None
        weight_files += [f"{adapter}/{name}" for name in ADAPTER_FILES] if adapter else []
        tokenizers = [entry["file"] for entry in tokenizer_entries(self.flat.document).values()] if self.flat else []
        names = [*dict.fromkeys(self.vocabulary_files.values()), *onnx_files(self.flat), *tokenizers, *weight_files]
        spec_file = [Path(self.source.file)] if self.source.file not in (None, STDIN_NAME) else []
        data = training.data if training else None
        folders = SpecFolders.of(self.folder, ())
        data_names = [name for part in DATA_PARTS for name, _ in data.files(part)] if data else []
        data_files = [path for name in data_names for path in folders.existing(name)]
        return [*spec_file, *(self.folder / name for name in names if name), *data_files]


def read_spec(spec: Spec) -> Source:
    """Reads the JSON value of a spec. Raises CompileError, or UsageError for a file that cannot be read."""
    if isinstance(spec, Mapping):
        return from_value(dict(spec))
    if not isinstance(spec, (str, os.PathLike)):
        raise TypeError(f"a spec is a path, a JSON text or a dict, got {type(spec).__name__}")
    if isinstance(spec, str) and spec.lstrip().startswith("{"):
        return read_text(spec)
    return read_file(spec)


def check_spec(
    spec: Spec,
    after: StageHook = no_hook,
    changes: Sequence[str] = (),
    scale: str | None = None,
    *,
    open_named: NamedFileOpener | None = None,
    accepts_missing_functions: bool = False,
    accepts_missing_tokenizers: bool = False,
) -> CheckedSpec:
    """Checks a spec at one of its scales and after changes such as `training.epochs=3`.

    With `accepts_missing_functions`, losses and metrics may be Python functions that are missing; the other arguments
    are those of `check_source`. Raises CompileError only if the text is not JSON, UsageError for an unknown scale or an
    invalid change.
    """
    source = read_spec(spec)
    return check_source(
        source,
        after,
        changes,
        scale,
        open_named=open_named,
        accepts_missing_functions=accepts_missing_functions,
        accepts_missing_tokenizers=accepts_missing_tokenizers,
    )


@gc_paused()
def check_source(
    source: Source,
    after: StageHook = no_hook,
    changes: Sequence[str] = (),
    scale: str | None = None,
    buffers: Buffers = no_buffers,
    open_named: NamedFileOpener | None = None,
    accepts_missing_functions: bool = False,
    accepts_missing_tokenizers: bool = False,
) -> CheckedSpec:
    """Checks a spec that has been read, as `check_spec` does. Vocabularies in `buffers` are not read from disk.

    `open_named` opens the files that the spec names, if they do not lie beneath its folder on the disk. With
    `accepts_missing_tokenizers`, the data of a Tokenizer whose file is missing are ids of tokens.
    """
    source, overrides = with_overrides(source, scale, changes)
    after("source", source)
    source_report = _new_report(source, source.value)
    if is_too_large(source.value, source_report):
        return CheckedSpec(source, _with_override_notes(source_report, overrides))
    flat = expand(source.value, source_report)
    if flat is None:
        _report_unchecked_layers(source_report)
        return CheckedSpec(source, _with_override_notes(source_report, overrides))
    report = source_report.child(flat.document, flat.source_map, flat.invalid_paths)
    source, flat, vocabularies = _inline_vocabularies(source, flat, report, buffers, open_named)
    source, flat = _inline_onnx_graphs(source, flat, report, open_named)
    source, flat, tokenizers = _read_tokenizers(source, flat, report, open_named, accepts_missing_tokenizers)
    after("flat", flat)
    functions = PythonFunctions(source.functions, accepts_missing_functions)
    network = build_network(flat.document, report, flat.origins, flat.copies, flat.left_out, functions)
    after("network", network)
    if network is None:
        _report_unchecked_layers(report)
        return CheckedSpec(source, _with_override_notes(report, overrides), flat=flat)
    network = with_token_inputs(network, tokenizers, report)
    network = flat.with_blocks(replace(network, document=source.value))
    typed = infer_shapes(network, report)
    after("typed", typed)
    if typed.network.dropped:
        from ...lowering.dropped_layers import warn_partly_used_copies  # few networks have such layers

        warn_partly_used_copies(typed, flat.origins, report)
    check_outputs(typed, report)
    check_random_inputs(typed, report)
    check_vocabularies(typed, report)
    check_shared_weights(typed, report)
    lowered = check_sizes(typed, report)
    check_optimizer_patterns(typed, lowered, report)
    check_frozen_weights(typed, lowered, report)
    check_adapted_weights(typed, lowered, report)
    warn_of_training_modes(typed, report)
    objective = resolve_objective(typed, report)
    if objective is not None:
        check_activations(typed, objective, report)
        check_gradient_flow(typed, objective, report)
    check_augmentation(typed, objective, report)
    check_sample_interaction(typed, objective, report)
    check_tolerances(typed, objective, report)
    report_unchecked(typed, report)
    checked = CheckedSpec(source, [], typed, objective, vocabularies, flat, lowered, _silences(typed, flat))
    return checked._replace(diagnostics=checked.without_silenced(_with_override_notes(report, overrides)))


def _silences(typed: TypedNetwork, flat: FlatDocument) -> Silences | None:
    return Silences(typed.network, flat.source_map) if typed.network.ignored_findings else None


def _new_report(source: Source, document: Json, source_map: SourceMap = identity_source_map) -> Report:
    """An empty report on a document that was derived from a source."""
    fix_writer = FixWriter(source, document, source_map)
    return Report(source.file, source.locate, source_map, end_locator=source.locate_end, fix_writer=fix_writer)


def _report_unchecked_layers(report: Report) -> None:
    report.add("not-checked", (), "not checked: how the layers are connected, shapes and losses", severity="note")


def _inline_vocabularies(
    source: Source, flat: FlatDocument, report: Report, buffers: Buffers, open_named: NamedFileOpener | None
) -> tuple[Source, FlatDocument, dict[int, str]]:
    """Both documents with vocabulary files replaced by their tokens, and the names of the files by layer index."""
    names_by_layer = vocabulary_files(flat.document)
    if not names_by_layer:
        return source, flat, {}
    document = inline_vocabularies(flat.document, _opener(source, report, buffers, open_named), report)
    value = write_back_tokens(source.value, document, names_by_layer, flat.source_map, report)
    return replace(source, value=value), replace(flat, document=document), names_by_layer


def _inline_onnx_graphs(
    source: Source, flat: FlatDocument, report: Report, open_named: NamedFileOpener | None
) -> tuple[Source, FlatDocument]:
    """Both documents with the graphs of the ONNX files that OnnxModel layers name."""
    if not files_without_graph(flat.document):
        return source, flat
    value, document = inline_graphs(source.value, flat, _opener(source, report, no_buffers, open_named), report)
    return replace(source, value=value), replace(flat, document=document)


def _read_tokenizers(
    source: Source, flat: FlatDocument, report: Report, open_named: NamedFileOpener | None, accepts_missing: bool
) -> tuple[Source, FlatDocument, dict[int, TokenizerFile]]:
    """Both documents with the digests of the tokenizers that Tokenizer layers name, and the tokenizers by layer."""
    if not tokenizer_entries(flat.document):
        return source, flat, {}
    open_file = _opener(source, report, no_buffers, open_named, accepts_missing)
    files = read_tokenizers(flat, open_file, report)
    value, document = with_digests(source.value, flat, files, report)
    return replace(source, value=value), replace(flat, document=document), files


def _opener(
    source: Source,
    report: Report,
    buffers: Buffers,
    open_named: NamedFileOpener | None,
    accepts_missing: bool = False,
) -> Callable[[str, JsonPath], IO[bytes] | None]:
    """A function that opens files below the spec's folder, and reports files that cannot be opened; `accepts_missing`
    those that do not exist."""
    folder = Path(source.file or STDIN_NAME).parent
    open_file = open_named or partial(open_beneath, folder)

    def open_or_report(name: str, path: JsonPath) -> IO[bytes] | None:
        try:
            file = open_file(name)
            buffer = buffers(folder / name)
            if buffer is None:
                return file
            file.close()
            return BytesIO(buffer)
        except UnsafePath as error:
            report.add("unsafe-path", path, str(error), help=OWN_FOLDER_HELP)
        except UsageError as error:
            if not accepts_missing or not isinstance(error, MissingFile):
                report.add(error.diagnostic.code, path, error.diagnostic.message)
        return None

    return open_or_report


def _with_override_notes(report: Report, overrides: Mapping[JsonPath, Override]) -> list[Diagnostic]:
    """The report's diagnostics. Those at an overridden value get a note, since the file shows the original value."""
    notes = {
        path_text(path): report.note_at(override.path, f"changed by {override.text}")
        if override.path
        else Note(f"changed by {override.text}")
        for path, override in overrides.items()
    }

    def with_notes(diagnostic: Diagnostic) -> Diagnostic:
        added = [note for path, note in notes.items() if _is_at_or_below(diagnostic.path, path)]
        return replace(diagnostic, notes=(*diagnostic.notes, *added))

    return with_certain_name_fixes([with_notes(diagnostic) for diagnostic in report])


def _is_at_or_below(path: str, other: str) -> bool:
    return path == other or path.startswith((f"{other}.", f"{other}["))
