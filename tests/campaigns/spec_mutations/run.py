"""Counts how many single mistakes in the samples have a fix: `python -m campaigns.spec_mutations.run --count 1000`.

A safe fix is wrong if its error remains or another one appears that a check could have found before (as it can find no
wrong shapes behind an invalid layer), or if the spec is valid after all safe fixes, of `validate` and `lint`, and is
another network or another training than the sample. `as before` counts the mistakes that a fix undoes: the value is
that of the sample again. With `--unnamed`, the layers of the samples have default names.
"""

from __future__ import annotations

import argparse
import difflib
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jsonnx.core.diagnostics import CompileError, Diagnostic
from jsonnx.frontend.json.json_reader import read_text
from jsonnx.frontend.text.text_edits import apply_text_edits
from jsonnx.pipeline.check.check import check_source
from jsonnx.pipeline.edit.fix_file import diagnostics_of, fix_text
from jsonnx.pipeline.validate.lint_spec import LintOptions
from jsonnx.pipeline.validate.validate import ValidationOptions, validate_spec

from .mutations import Mutation, mutated
from .unnamed import with_default_names

ROOT = Path(__file__).parents[3]
LATER_CODES = {"shape-mismatch"}
"""Codes of errors that are found only once a layer is valid."""

SAMPLES = sorted((ROOT / "samples").glob("*.json"))


class Trial(NamedTuple):
    """A mistake and what its message offers."""

    sample: str
    mutation: Mutation
    errors: list[Diagnostic]
    """Those of the text with the mistake; none if it is valid, too."""
    has_fix: bool
    fix_errors: list[str]
    """What is wrong with a fix: the errors of the text after it."""
    is_restored: bool
    """Whether a fix gives the value of the sample again."""


def check(text: str, file: str) -> list[Diagnostic]:
    """Returns the errors of a text."""
    found = diagnostics_of(text.encode(), file, lambda source: validate_spec(source).diagnostics)
    return [diagnostic for diagnostic in found if diagnostic.severity == "error"]


def with_safe_fixes(text: str, file: str) -> str:
    """The text after all that `jsonnx lint --fix` changes."""
    options = ValidationOptions(lint_options=LintOptions(is_isolated=True))

    def diagnostics(data: bytes) -> list[Diagnostic]:
        return [*diagnostics_of(data, file, lambda source: validate_spec(source, options).diagnostics)]

    return fix_text(text.encode(), file, diagnostics).after.decode()


def meaning(text: str, file: str) -> object:
    """Returns what a valid spec says: its network, its training, and the rest of its document."""
    checked = check_source(read_text(text, file))
    network = checked.network
    calls = [(call.name, call.owner, call.sources, call.layer) for call in network.calls]
    rest = {key: checked.source.value.get(key) for key in ("lint", "sweep", "budget", "scales")}
    parts = (network.inputs, network.outputs, network.labels, network.learning_rate_factors)
    return calls, *parts, network.training, rest


def trials(count: int, seed: int, max_bytes: int = 20_000, *, unnamed: bool = False) -> Iterator[Trial]:
    """Yields random mistakes in the samples, the same for the same seed."""
    random_ = random.Random(seed)
    files = [file for file in SAMPLES if file.stat().st_size <= max_bytes]
    for _ in range(count):
        file = random_.choice(files)
        document = json.loads(file.read_text("utf-8"))
        if unnamed:
            document = with_default_names(document, random_)
        yield examine(file, document, mutated(document, random_))


def examine(file: Path, document: object, mutation: Mutation) -> Trial:
    errors = check(mutation.text, str(file))
    before = {(error.code, error.message) for error in errors}
    fix_errors, is_restored = [], False
    for error in errors:
        if error.fix is None:
            continue
        text = apply_text_edits(mutation.text, error.fix.text_edits)
        after = check(text, str(file))
        stays = (error.code, error.message) in {(item.code, item.message) for item in after}
        added = [item for item in after if (item.code, item.message) not in before and item.code not in LATER_CODES]
        if error.fix.is_safe:
            fix_errors += [f"{error.fix.title}: {item}" for item in [*added, *([error] if stays else [])]]
        is_restored |= not after and json.loads(text) == document
    if errors:
        fix_errors += changed_meaning(mutation.text, json.dumps(document), str(file))
    return Trial(file.name, mutation, errors, any(error.fix for error in errors), fix_errors, is_restored)


def changed_meaning(text: str, original: str, file: str) -> list[str]:
    """What is wrong with all safe fixes of a text with errors together: the spec is valid, and another one."""
    fixed = with_safe_fixes(text, file)
    try:
        if fixed == text or meaning(fixed, file) == meaning(with_safe_fixes(original, file), file):
            return []
    except CompileError:
        return []
    return ["all fixes together give another spec: " + "; ".join(changed_lines(text, fixed))]


def changed_lines(text: str, fixed: str) -> list[str]:
    return [line for line in difflib.ndiff(text.splitlines(), fixed.splitlines()) if line[0] in "+-"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--missing", action="store_true", help="also print the mistakes without a fix")
    parser.add_argument("--unnamed", action="store_true", help="remove the names of layers from the samples")
    options = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    for trial in trials(options.count, options.seed, unnamed=options.unnamed):
        kind = trial.mutation.kind
        for what, holds in (
            ("mistakes", True),
            ("errors", bool(trial.errors)),
            ("with a fix", trial.has_fix),
            ("as before", trial.is_restored),
            ("wrong fix", bool(trial.fix_errors)),
        ):
            counts[kind, what] += holds
            counts["all", what] += holds
        if trial.fix_errors:
            print(f"{trial.sample}: {trial.mutation.where}\n    {'; '.join(trial.fix_errors)[:400]}")
        if options.missing and trial.errors and not trial.has_fix:
            print(f"{trial.sample}: {kind}: {trial.mutation.where}\n    no fix: {trial.errors[0]}"[:500])
    names = ("mistakes", "errors", "with a fix", "as before", "wrong fix")
    print(f"{'':18}" + "".join(f"{name:>12}" for name in names))
    for kind in sorted({kind for kind, _ in counts}):
        print(f"{kind:18}" + "".join(f"{counts[kind, name]:12}" for name in names))


if __name__ == "__main__":
    main()
