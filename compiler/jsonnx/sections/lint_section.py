"""The `lint` section of a spec: findings that its author has judged, and silences."""

from __future__ import annotations

from typing import Annotated

from ..core.components import ArrayCodec, Component, Json, NullableCodec, ScalarCodec, SectionCodec, attr
from ..core.limits import MAX_SILENCE_PATTERNS, MAX_SILENCES
from .lint_codes import LINT_CODES
from .section_base import Section

LINT_KEY = "lint"
"""The key of the section in a spec."""

CODE_CODEC = ScalarCodec(
    type="string",
    enum=list(LINT_CODES),
    description="Code of a rule or of a warning; `jsonnx lint --list-rules` lists them.",
)


class PatternsCodec(ArrayCodec):
    """A list of patterns, at least one."""

    def schema(self) -> dict[str, Json]:
        return super().schema() | {"minItems": 1, "maxItems": int(MAX_SILENCE_PATTERNS)}


class IgnoredFinding(Section):
    """A rule whose findings are silenced: in the whole spec, or at some of its layers."""

    code: Annotated[str, CODE_CODEC] = attr(doc="Code of the rule, or of a warning.")
    layers: Annotated[tuple[str, ...] | None, NullableCodec(PatternsCodec(ScalarCodec(type="string")))] = attr(
        None, doc="Patterns for the names of layers at which it is silenced; null for the whole spec."
    )
    reason: str | None = attr(None, doc="Why the finding is meant, for readers.")


class IgnoredFindingCodec(SectionCodec):
    """A string is the code of a rule that is silenced in the whole spec."""

    def __init__(self) -> None:
        super().__init__(IgnoredFinding)

    def schema(self) -> dict[str, Json]:
        return {"anyOf": [CODE_CODEC.schema(), super().schema()]}

    def read(self, value: Json) -> Component:
        return super().read({"code": value} if isinstance(value, str) else value)

    def write(self, value: Component) -> Json:
        written = super().write(value)
        return written["code"] if len(written) == 1 else written


class IgnoredFindingsCodec(ArrayCodec):
    """A list of silenced findings."""

    def schema(self) -> dict[str, Json]:
        return super().schema() | {"maxItems": int(MAX_SILENCES)}


class LintSection(Section):
    """Which findings of `jsonnx lint`, and which warnings, are meant."""

    ignore: Annotated[tuple[IgnoredFinding, ...], IgnoredFindingsCodec(IgnoredFindingCodec())] = attr(
        (), doc="Codes of rules and warnings that are silenced, or objects with a code, layers and a reason."
    )
