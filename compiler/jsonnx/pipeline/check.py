"""The first half of the pipeline: text -> network -> types, and everything that is wrong on the way.

Light: imports neither NumPy nor onnx, so that checking a spec feels instant. Stages hand frozen values on; `after`,
where given, is called with the name and the value of each, for printing, timing and tests.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import index
from pathlib import Path
from typing import IO, Any

from ..analysis.objective import resolve_objective as make_objective
from ..analysis.outputs import check_outputs_batch_first
from ..analysis.shape_inference import TypedNetwork, infer_shapes
from ..analysis.vocabularies import check_vocabularies
from ..core.diagnostics import CompileError, Diagnostic, JsonPath, Note, Position, Report, UsageError, path_text
from ..core.files import UnsafePath, open_beneath
from ..frontend.build_network import build_network
from ..frontend.expansion.expand import FlatDocument, expand
from ..frontend.json_reader import Source, from_value, read_file, read_text
from ..frontend.network import Network
from ..frontend.overrides import with_overrides
from ..frontend.vocabulary_files import inline_vocabularies, vocabulary_files, write_back_tokens
from ..lowering.check_augmentation import check_augmentation
from ..lowering.check_weights import check_shared_weights
from ..training.objective import Objective

Spec = str | os.PathLike[str] | Mapping[str, Any]
"""A path, a JSON text (beginning with `{`) or a Python dict."""

StageHook = Callable[[str, Any], None]

STDIN_NAME = "<stdin>"
"""What the file is called that is read for `-`."""


def no_hook(stage: str, value: Any) -> None:
    """The hook that does nothing."""


@dataclass(frozen=True)
class CheckedSpec:
    """A spec as far as it could be understood, with everything that is wrong with it."""

    source: Source
    diagnostics: list[Diagnostic]
    typed_network: TypedNetwork | None = None
    objective: Objective | None = None
    vocabulary_files: tuple[str, ...] = ()
    """The files that the spec names for tokens, which stand in the source by now."""
    flat: FlatDocument | None = None

    @property
    def network(self) -> Network:
        """The network; raises CompileError where the spec has errors."""
        return self.require().network

    def require(self) -> TypedNetwork:
        """The typed network; raises CompileError where the spec has errors."""
        if self.typed_network is None or any(found.severity == "error" for found in self.diagnostics):
            raise CompileError(self.diagnostics)
        return self.typed_network

    def locate(self, path: JsonPath, key: bool = False) -> Position | None:
        """Where in the file the value at a path of the flat document was written, or its key."""
        return self.source.locate(self.flat.source_map(path, key).path if self.flat else path, key)

    def new_report(self) -> Report:
        """An empty report for paths of the flat document."""
        return Report(self.source.file, self.source.locate, self.flat.source_map if self.flat else None)

    def seed(self, chosen: int | None) -> int:
        """The chosen seed, or the spec's where it is None. Raises TypeError, ValueError."""
        if chosen is None:
            training = self.require().network.training
            return training.seed if training else 0
        wrong = f"a seed is an integer from 0 to 2**63 - 1, got {chosen!r}"
        try:
            number = index(chosen)
        except TypeError:
            raise TypeError(wrong) from None
        if isinstance(chosen, bool) or not 0 <= number < 1 << 63:
            raise ValueError(wrong)
        return number

    @property
    def folder(self) -> Path:
        """Where relative paths in the spec begin."""
        return Path(self.source.file or STDIN_NAME).parent

    @property
    def files(self) -> list[Path]:
        """The spec's file and those that it names, as far as there are any."""
        training = self.typed_network.network.training if self.typed_network else None
        data = training.data if training else None
        start = [training.weights.file] if training and training.weights else []
        named = [*self.vocabulary_files, *start, *([data.train, data.validation, data.test] if data else [])]
        own = [Path(self.source.file)] if self.source.file not in (None, STDIN_NAME) else []
        return [*own, *(self.folder / name for name in named if name)]


def read_spec(spec: Spec) -> Source:
    """The JSON value of a spec. Raises CompileError, or UsageError for a file that cannot be read."""
    if isinstance(spec, Mapping):
        return from_value(dict(spec))
    if not isinstance(spec, (str, os.PathLike)):
        raise TypeError(f"a spec is a path, a JSON text or a dict, got {type(spec).__name__}")
    if isinstance(spec, str) and spec.lstrip().startswith("{"):
        return read_text(spec)
    return read_file(spec)


def check_spec(
    spec: Spec, after: StageHook = no_hook, changes: Sequence[str] = (), scale: str | None = None
) -> CheckedSpec:
    """Everything that is wrong with a spec, at one of its scales and after changes such as `training.epochs=3`.

    Raises CompileError only where it is no JSON at all, UsageError for a scale or a change that cannot be had.
    """
    source, changers = with_overrides(read_spec(spec), scale, changes)
    after("source", source)
    written = Report(source.file, source.locate)
    flat = expand(source.value, written)
    if flat is None:
        return CheckedSpec(source, _with_override_notes(written, changers))
    report = written.child(flat.source_map, flat.invalid_paths)
    source, flat, named = _inline_vocabularies(source, flat, report)
    after("flat", flat)
    network = build_network(flat.document, report)
    after("network", network)
    if network is None:
        return CheckedSpec(source, _with_override_notes(report, changers), flat=flat)
    network = replace(network, document=source.value, calls=tuple(map(flat.with_block_uses, network.calls)))
    typed = infer_shapes(network, report)
    after("typed", typed)
    check_outputs_batch_first(typed, report)
    check_vocabularies(typed, report)
    check_shared_weights(typed, report)
    objective = make_objective(typed, report)
    check_augmentation(typed, objective, report)
    return CheckedSpec(source, _with_override_notes(report, changers), typed, objective, named, flat)


def _inline_vocabularies(
    source: Source, flat: FlatDocument, report: Report
) -> tuple[Source, FlatDocument, tuple[str, ...]]:
    """Both documents with the tokens of vocabularies that are named, and the names of their files."""
    named = vocabulary_files(flat.document)
    if not named:
        return source, flat, ()
    document = inline_vocabularies(flat.document, _opener(source, report), report)
    written = write_back_tokens(source.value, document, named, flat.source_map, report)
    return replace(source, value=written), replace(flat, document=document), tuple(dict.fromkeys(named.values()))


def _opener(source: Source, report: Report) -> Callable[[str, JsonPath], IO[bytes] | None]:
    """What opens files beneath the spec's folder, and reports where that cannot be done."""
    folder = Path(source.file or STDIN_NAME).parent

    def opened(name: str, path: JsonPath) -> IO[bytes] | None:
        try:
            return open_beneath(folder, name)
        except UnsafePath as error:
            report.add("unsafe-path", path, str(error), help="name a file beneath the spec's folder")
        except UsageError as error:
            report.add(error.diagnostic.code, path, error.diagnostic.message)
        return None

    return opened


def _with_override_notes(report: Report, overrides: Mapping[JsonPath, str]) -> list[Diagnostic]:
    """The report's faults, with a note where the text that is shown is not what was checked."""
    changed_paths = {path_text(path): by for path, by in overrides.items()}
    return [
        replace(
            fault,
            notes=(
                *fault.notes,
                *(Note(f"changed by {by}") for path, by in changed_paths.items() if _is_at_or_below(fault.path, path)),
            ),
        )
        for fault in report
    ]


def _is_at_or_below(path: str, other: str) -> bool:
    return path == other or path.startswith((f"{other}.", f"{other}["))


def validate(spec: Spec, scale: str | None = None, changes: Sequence[str] = ()) -> list[Diagnostic]:
    """Every fault of a spec, in the order of the file; an empty list where it is sound.

    `scale` is the name of one of its scales, a change is such as `training.epochs=3` or `width=128`.
    """
    try:
        return check_spec(spec, changes=changes, scale=scale).diagnostics
    except CompileError as error:
        return error.diagnostics
