"""The keys of an entry that say whether and how often it stands in the network: `if`, `repeat`, `chain`, `carry`."""

from __future__ import annotations

from collections.abc import Mapping

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ..schema.phrases import short_repr
from .evaluator import EvaluationScope, Evaluator
from .expression_values import Values
from .expressions import INDEX
from .template import Repetition


class RepetitionReader:
    """Reads the repetitions of the entries of one scope, and reports errors in them."""

    def __init__(self, evaluator: Evaluator, values: Values, scope: EvaluationScope) -> None:
        self.evaluator, self.report, self.values, self.scope = evaluator, evaluator.report, values, scope

    def read(self, raw: Mapping[str, Json], path: JsonPath) -> Repetition:
        """The repetition of an entry; invalid keys have their defaults."""
        is_chained, carry = self._flag(raw, "chain", path), self._carried_results(raw, path)
        for key in ("chain", "carry"):
            if key in raw and "repeat" not in raw:
                self._report("missing-key", (*path, key), f"'{key}' needs a 'repeat'", 'write "repeat": and a number')
        if carry and not is_chained:
            message, help = "copies that are not chained carry nothing", "remove 'carry', or \"chain\": false"
            self._report("invalid-value", (*path, "carry"), message, help)
            carry = ()
        has_valid_sources = True
        if is_chained and "repeat" in raw:
            has_valid_sources = self._has_valid_sources(raw.get("from"), len(carry) or 1, (*path, "from"))
        count = self.count(raw, path) if self._flag(raw, "if", path) else 0
        return Repetition(1 if count is None else count, is_chained, carry, count is not None, has_valid_sources)

    def _evaluate(self, raw: Mapping[str, Json], key: str, path: JsonPath, default: Json) -> Json:
        """The value of a key of an entry; the default if it is missing, or has an error, which is reported."""
        invalid_paths: list[JsonPath] = []
        value = self.evaluator.evaluate(raw.get(key, default), self.values, (*path, key), invalid_paths, self.scope)
        return default if invalid_paths else value

    def _flag(self, raw: Mapping[str, Json], key: str, path: JsonPath) -> bool:
        value = self._evaluate(raw, key, path, True)
        if isinstance(value, bool):
            return value
        message = f"expected true or false for '{key}', got {short_repr(value)}"
        self._report("wrong-type", (*path, key), message, 'write a comparison, as in "${x != 0}"')
        return True

    def count(self, raw: Mapping[str, Json], path: JsonPath) -> int | None:
        """The number of copies of an entry or an input; None if it is invalid, which is reported."""
        repeat = self._evaluate(raw, "repeat", path, 1)
        path = (*path, "repeat")
        if self.report.has_errors(path):
            return None
        if not isinstance(repeat, (int, float)) or repeat != int(repeat):
            self._report("wrong-type", path, f"expected an integer for 'repeat', got {short_repr(repeat)}")
        elif repeat < 0:
            self._report("out-of-range", path, f"'repeat' must be at least 0, got {short_repr(repeat)}")
        else:
            return int(repeat)
        return None

    def _carried_results(self, raw: Mapping[str, Json], path: JsonPath) -> tuple[str, ...]:
        carry = self._evaluate(raw, "carry", path, [])
        names = [carry] if isinstance(carry, str) else carry
        if isinstance(names, list) and all(isinstance(name, str) for name in names) and (names or "carry" not in raw):
            return tuple(map(str, names))
        message = f"expected a name or an array of names for 'carry', got {short_repr(carry)}"
        self._report("wrong-type", (*path, "carry"), message)
        return ()

    def _has_valid_sources(self, reference: Json, carried_count: int, path: JsonPath) -> bool:
        """Whether there is no index in a source that all copies but the first take from the copy before; reports it."""
        names = [(path, reference)]
        if isinstance(reference, list):
            names = [((*path, position), name) for position, name in enumerate(reference[:carried_count])]
        invalid = [name_path for name_path, name in names if INDEX in (self.evaluator.names(name) or ())]
        for name_path in invalid:
            message = "only the first copy reads this name: the others take the copy before, whatever their `index`"
            help = 'write "chain": false in the entry, and every copy reads its own `from`'
            self._report("invalid-expression", name_path, message, help)
        return not invalid

    def _report(self, code: str, path: JsonPath, message: str, help: str | None = None) -> None:
        if not self.report.has_errors(path):  # for another use of the block
            self.report.add(code, path, message, help=help, notes=self.scope.notes)
