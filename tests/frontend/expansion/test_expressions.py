"""Expressions in specs: their values, their errors, and the time that errors take."""

from __future__ import annotations

import random
import time

import pytest
from jsonnx.frontend.expansion.expressions import (
    MAX_EXPRESSION_CHARACTERS,
    MAX_EXPRESSION_DEPTH,
    ExpressionError,
    escape_expressions,
    evaluate_text,
    names_in,
)

VALUES = {"width": 64, "rates": [0.5, [1, 2]], "word": "relu", "yes": True, "none": None}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${width}", 64),
        ("${ 4 * width }", 256),
        ("${2 + 3 * 4 - 1}", 13),
        ("${(2 + 3) * 4}", 20),
        ("${-2 ** 2}", -4),
        ("${2 ** 3 ** 2}", 512),
        ("${2 ** -1}", 0.5),
        ("${-7 // 2}", -4),
        ("${-7 % 4}", 1),
        ("${7 / 2}", 3.5),
        ("${8 / 2}", 4.0),
        ("${10 - 3 - 2}", 5),
        ("${--3}", 3),
        ("${1e-3 + .5}", 0.501),
        ("${9223372036854775806 + 1}", 2**63 - 1),
        ("${3 * 3074457345618258602}", 9223372036854775806),
        ("${min(3, width, 2.5)}", 2.5),
        ("${max(3)}", 3),
        ("${rates}", [0.5, [1, 2]]),
        ("${rates[1][0 + 1]}", 2),
        ("${word}", "relu"),
        ("${yes}", True),
        ("${none}", None),
        ("x${width + 1}y${word}", "x65yrelu"),
        ("${width}${width}", "6464"),
        ("${yes} and ${none}", "true and null"),
        ("$${width}", "${width}"),
        ("$$${width}", "$${width}"),
        ("${width} $${width}", "64 ${width}"),
        ("plain", "plain"),
        ("$ {", "$ {"),
    ],
)
def test_an_expression_has_the_expected_value_and_type(text: str, value: object) -> None:
    result = evaluate_text(text, VALUES)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${2 * }", "expected a number, a name or '(' at character 5 of '2 * ', found the end"),
        ("${}", "expected a number, a name or '(' at character 1"),
        ("${2 3}", "expected an operator or the end at character 3 of '2 3', found '3'"),
        ("${(2}", "expected ')' at character 3"),
        ("${rates[0}", "expected ']' at character 8"),
        ("${min 3}", "expected '(' at character 5"),
        ("${1.5.2}", "found '1.5.2'"),
        ("${2x}", "found '2x'"),
        ("${a == b}", "at character 3 of 'a == b', found '='"),
        ("${'a'}", 'found "\'"'),
        ("${width", "begins at character 1 has no closing }"),
        ("ab${width", "begins at character 3 has no closing }"),
        ("${import(1)}", "'import' is not a function"),
        ("${width.real}", "at character 6"),
        ("${wdth}", "there is no parameter 'wdth'"),
        ("${1 / 0}", "1 / 0 divides by zero"),
        ("${1 // 0}", "divides by zero"),
        ("${0.0 ** -1}", "divides by zero"),
        ("${(-8) ** 0.5}", "is not a real number"),
        ("${2 ** 63}", "out of range for a 64-bit integer"),
        ("${2 ** 99999999999}", "out of range for a 64-bit integer"),
        ("${2.5 ** 99999999999}", "is out of range"),
        ("${9223372036854775807 + 1}", "out of range for a 64-bit integer"),
        ("${1e308 * 10}", "out of range for a float"),
        ("${1e999}", "out of range for a float"),
        ("${" + "9" * 900 + "}", "out of range for a 64-bit integer"),
        ("${yes + 1}", "+ needs numbers, got true or false"),
        ("${word * 2}", "* needs numbers, got a string"),
        ("${-word}", "- needs numbers, got a string"),
        ("${max(rates)}", "max needs numbers, got an array"),
        ("${width[0]}", "[ ] needs an array, got an integer"),
        ("${rates[2]}", "there is no item 2: the array has 2"),
        ("${rates[-1]}", "there is no item -1"),
        ("${rates[0.0]}", "[ ] needs an integer as index, got a float"),
        ("a${rates}", "an array cannot be inserted into a text"),
        ("${" + "1+" * MAX_EXPRESSION_CHARACTERS + "1}", "characters, more than"),
        ("${" + "(" * 2 * MAX_EXPRESSION_DEPTH + "1" + ")" * 2 * MAX_EXPRESSION_DEPTH + "}", "nests deeper"),
        ("${" + "-" * 2 * MAX_EXPRESSION_DEPTH + "1}", "nests deeper"),
        ("${" + "2**" * 2 * MAX_EXPRESSION_DEPTH + "1}", "nests deeper"),
        ("${" + "rates[" * 2 * MAX_EXPRESSION_DEPTH + "1" + "]" * 2 * MAX_EXPRESSION_DEPTH + "}", "nests deeper"),
    ],
)
def test_an_invalid_expression_is_rejected_without_delay(text: str, message: str) -> None:
    start = time.process_time()
    with pytest.raises(ExpressionError) as error:
        evaluate_text(text, VALUES)
    assert message in str(error.value)
    assert time.process_time() - start < 0.1


def test_the_length_of_a_text_is_limited() -> None:
    with pytest.raises(ExpressionError, match="12,000 characters"):
        evaluate_text("${a}" * 12, {"a": "x" * 1000})


def test_names_in_returns_the_names_of_all_expressions() -> None:
    assert names_in("${a + min(b, 2)} $${c} ${d[e]}") == {"a", "b", "d", "e"}


def test_random_texts_are_evaluated_or_rejected() -> None:
    rng = random.Random(1)
    for _ in range(3000):
        text = "".join(rng.choices("${} ab1+*()[]-/.", k=rng.randrange(30)))
        for candidate in (text, f"${{{text}}}"):
            try:
                evaluate_text(candidate, {"a": 2, "b": [1, 2]})
            except ExpressionError:
                assert "${" in candidate


def test_evaluating_an_escaped_text_returns_the_text() -> None:
    rng = random.Random(2)
    for _ in range(1000):
        text = "".join(rng.choices("${} a", k=rng.randrange(20)))
        assert evaluate_text(escape_expressions(text), {}) == text


def random_expression(rng: random.Random, depth: int) -> str:
    if not depth or rng.random() < 0.2:
        return str(rng.randrange(50))
    operator = rng.choice(["+", "-", "*", "//", "%"])
    return f"({random_expression(rng, depth - 1)} {operator} {random_expression(rng, depth - 1)})"


def test_integer_arithmetic_agrees_with_python() -> None:
    rng = random.Random(3)
    for _ in range(500):
        text = random_expression(rng, 4)
        try:
            expected = eval(text)  # digits, operators and parentheses, made above
        except ZeroDivisionError:
            with pytest.raises(ExpressionError, match="divides by zero"):
                evaluate_text(f"${{{text}}}", {})
        else:
            assert evaluate_text(f"${{{text}}}", {}) == expected
