"""Pretrained word vectors as initial weights of an Embedding: those of the tokens that the lookup before it has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ...analysis.vocabularies import gives_tokens
from ...core.diagnostics import CompileError, Diagnostic, JsonPath, Severity, UsageError, path_text
from ...core.files.files import UnsafePath, error_reason
from ...core.files.spec_folders import UNSAFE_DATA_HELP
from ...core.files.spec_source import SpecSource
from ...core.files.word_vectors import MalformedVectors, VectorFile
from ...layers.core import Embedding
from ...runtime.training_plan import VectorTask
from ..check.check import CheckedSpec

EMBEDDINGS = "embeddings"
"""The name of the weight in its layer."""
MIN_FOUND_SHARE = 0.25
"""The share of tokens with vectors in a vocabulary whose texts are written as the file's tokens are."""


class VectorTable(NamedTuple):
    """An embedding that starts with the vectors of a file."""

    weight: str
    file: str
    vector_count: int
    """The number of vectors of the Embedding."""
    size: int
    path: JsonPath
    """The path of the file's name in the spec."""
    first_index: int
    """The index of the first token."""
    tokens: Sequence[str] | None
    """The tokens; None if they are learned from the training data."""
    vocabulary: str
    """The state with the learned tokens."""

    def read(self, tokens: Sequence[str], source: SpecSource) -> tuple[np.ndarray, np.ndarray]:
        """The indices of the tokens that the file has, and their vectors. Raises CompileError, UsageError."""
        if (indices := self.first_index + len(tokens)) > self.vector_count:
            raise CompileError([self._few_vectors(indices, source)])
        wanted = {token.encode(errors="surrogatepass"): index for index, token in enumerate(tokens, self.first_index)}
        try:
            with source.folders.open(self.file, "") as file:
                vectors = VectorFile(file)
                if vectors.size != self.size:
                    message = f"the vectors have {vectors.size} numbers, the Embedding's {self.size}"
                    raise CompileError([self._error("data-shape", message, source)])
                return vectors.vectors(wanted)
        except MalformedVectors as error:
            raise CompileError(
                [Diagnostic("bad-data-file", str(error), path_text(self.path), self.file, error.line)]
            ) from error
        except UnsafePath as error:
            raise CompileError([self._error("unsafe-path", str(error), source, UNSAFE_DATA_HELP)]) from error
        except UsageError as error:
            error.diagnostic = source.locate_diagnostic(error.diagnostic, self.path)
            raise
        except OSError as error:
            message = f"cannot read {self.file!r}: {error_reason(error)}"
            raise UsageError("unreadable-file", message) from error

    def _few_vectors(self, indices: int, source: SpecSource) -> Diagnostic:
        """The error of an Embedding that has fewer vectors than the lookup has learned indices."""
        message = f"the Embedding has {self.vector_count:,} vectors for {indices:,} indices: "
        message += f"{self.first_index} special ones and those of {indices - self.first_index:,} learned tokens"
        help = f'set "input_dim" to {indices}, or "max_tokens" of the layer before it to {self.vector_count}'
        return source.locate_diagnostic(Diagnostic("out-of-range", message, help=help), (*self.path[:-1], "input_dim"))

    def _error(self, code: str, message: str, source: SpecSource, help: str | None = None) -> Diagnostic:
        return source.locate_diagnostic(Diagnostic(code, f"{self.file!r}: {message}", help=help), self.path)


def vector_tables(checked: CheckedSpec) -> list[VectorTable]:
    """The embeddings of a spec that start with vectors of a file, each once."""
    calls = {call.name: call for call in checked.require().network.calls}
    tables: dict[str, VectorTable] = {}
    for call in calls.values():
        source = calls.get(call.sources[0]) if call.sources else None
        if not isinstance(call.layer, Embedding) or call.layer.vectors is None or not gives_tokens(source):
            continue
        lookup: Any = source.layer if source is not None else None
        tokens = None if lookup.vocabulary is None else lookup.table.tokens
        tables.setdefault(
            call.owner,
            VectorTable(
                f"{call.owner}/{EMBEDDINGS}",
                call.layer.vectors,
                call.layer.input_dim,
                call.layer.output_dim,
                (*call.path, "vectors"),
                lookup.table.first_token_index,
                tokens,
                f"{source.owner if source is not None else ''}/vocabulary",
            ),
        )
    return list(tables.values())


def vector_tasks(checked: CheckedSpec) -> tuple[VectorTask, ...]:
    """The embeddings whose tokens are learned from the data, for the training."""
    return tuple(
        VectorTask(table.weight, table.vocabulary, partial(VectorTable.read, table))
        for table in vector_tables(checked)
        if table.tokens is None
    )


class FoundVectors(NamedTuple):
    """The vectors of an embedding whose tokens the spec has."""

    weight: str
    indices: np.ndarray
    vectors: np.ndarray
    token_count: int

    def written_to(self, embeddings: np.ndarray) -> np.ndarray:
        """A copy of an embedding matrix with the vectors."""
        array = np.array(embeddings)
        array[self.indices] = self.vectors
        return array


def read_known_vectors(checked: CheckedSpec, source: SpecSource) -> list[FoundVectors]:
    """The vectors of embeddings whose tokens the spec has. Raises CompileError, UsageError."""
    found = []
    for table in vector_tables(checked):
        if table.tokens is not None:
            indices, vectors = table.read(table.tokens, source)
            found.append(FoundVectors(table.weight, indices, vectors, len(table.tokens)))
    return found


def vector_notes(checked: CheckedSpec, counts: Mapping[str, tuple[int, int]]) -> list[Diagnostic]:
    """Notes on the tokens that have vectors. `counts` are these, and all tokens, by the weight of the embedding."""
    report = checked.new_report()
    for table in vector_tables(checked):
        if table.weight in counts:
            found, count = counts[table.weight]
            message = f"{found:,} of {count:,} tokens have vectors in {table.file!r}, the others start as initialized"
            is_usual = found >= MIN_FOUND_SHARE * count
            severity: Severity = "note" if is_usual else "warning"
            help = (
                None if is_usual else "tokens are compared letter by letter: check `standardize` of TextVectorization"
            )
            report.add("found-vectors", table.path, message, severity=severity, help=help)
    return list(report)


def vector_digests(checked: CheckedSpec, source: SpecSource) -> dict[str, str]:
    """The SHA-256 of each file of vectors, by its name; of those that can be read."""
    digests = {}
    for name in dict.fromkeys(table.file for table in vector_tables(checked)):
        try:
            with source.folders.open(name, "") as file:
                digests[name] = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        except (UsageError, UnsafePath, OSError):  # a resumed run does not need it
            continue
    return digests
