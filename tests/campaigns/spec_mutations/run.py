"""Counts how many single mistakes in the samples have a fix: `python -m campaigns.spec_mutations.run --count 1000`.

A fix is wrong if its error remains or another one appears. `as before` counts the mistakes that a fix undoes: the value
is that of the sample again.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jsonnx.core.diagnostics import Diagnostic
from jsonnx.frontend.text.text_edits import apply_text_edits
from jsonnx.pipeline.edit.fix_file import diagnostics_of
from jsonnx.pipeline.validate.validate import validate_spec

from .mutations import Mutation, mutated

ROOT = Path(__file__).parents[3]
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


def trials(count: int, seed: int, max_bytes: int = 20_000) -> Iterator[Trial]:
    """Yields random mistakes in the samples, the same for the same seed."""
    random_ = random.Random(seed)
    files = [file for file in SAMPLES if file.stat().st_size <= max_bytes]
    for _ in range(count):
        file = random_.choice(files)
        document = json.loads(file.read_text("utf-8"))
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
        added = [item for item in after if (item.code, item.message) not in before]
        fix_errors += [f"{error.fix.title}: {item}" for item in [*added, *([error] if stays else [])]]
        is_restored |= not after and json.loads(text) == document
    return Trial(file.name, mutation, errors, any(error.fix for error in errors), fix_errors, is_restored)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--missing", action="store_true", help="also print the mistakes without a fix")
    options = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    for trial in trials(options.count, options.seed):
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
