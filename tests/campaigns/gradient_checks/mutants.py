"""Mutation tests of gradient rules: in `tests`, `python -m campaigns.gradient_checks.mutants [OPERATOR...]`.

Each rule's cotangents are scaled by 1.001, one input at a time, in a process of its own, and the tests of the rule's
family are run, then all gradient checks: one of them has to fail. Prints a row a mutant; the exit status is 1 where one
was not noticed. Some 140 mutants take a quarter of an hour.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonnx.gradient import RULES
from jsonnx.ir import Value
from onnx import defs
from support import harness  # noqa: F401 (loaded once, before the forks)

TESTS = Path(__file__).parents[2]
FACTOR = 1.001
MOST_INPUTS = 7
"""Inputs of an operator that are tried; of those that take any number, the further ones are treated alike."""
FAILED = 1


def main(operators: list[str]) -> int:
    unnoticed = 0
    for operator in operators or sorted(RULES):
        for index in range(min(MOST_INPUTS, defs.get_schema(operator).max_input)):
            verdict = examined(operator, index)
            unnoticed += verdict == "NOT NOTICED"
            if verdict:
                print(f"{operator:24} input {index}  {verdict}", flush=True)
    return 1 if unnoticed else 0


def examined(operator: str, index: int) -> str:
    """The tests that failed; empty if the rule has no cotangent for that input."""
    family = TESTS / "unit" / "gradient" / f"test_{RULES[operator].__module__.rpartition('.')[2]}.py"
    applied = False
    for place in (family, TESTS / "campaigns" / "gradient_checks"):
        if place.exists():
            status, used = suite(operator, index, place)
            applied = applied or used
            if used and status == FAILED:
                return f"noticed by {place.relative_to(TESTS)}"
    return "NOT NOTICED" if applied else ""


def suite(operator: str, index: int, place: Path) -> tuple[int, bool]:
    """The exit status of some tests with the wrong rule, and whether it was used at all."""
    use_reader, tell = os.pipe()
    child = os.fork()
    if not child:
        os.set_blocking(tell, False)
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        RULES[operator] = mutant(RULES[operator], index, tell)
        os._exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", str(place)]))
    os.close(tell)
    _, status = os.waitpid(child, 0)
    used = bool(os.read(use_reader, 1))
    os.close(use_reader)
    return os.waitstatus_to_exitcode(status), used


def mutant(rule: Any, index: int, tell: int) -> Any:
    """The rule with one cotangent scaled; writes a byte when that one is asked for the first time."""
    used = False

    def wrong(g: Any, node: Any, *cotangents: Any) -> Any:
        nonlocal used
        answer = rule(g, node, *cotangents)
        alone = answer is None or isinstance(answer, Value)
        answers = [answer] if alone else list(answer)
        if index < len(answers) and answers[index] is not None:
            answers[index] = g.Mul(answers[index], g.const(FACTOR, answers[index].dtype))
            if not used:
                used = bool(os.write(tell, b"."))
        return answers[0] if alone else answers

    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
