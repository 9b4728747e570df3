"""Arithmetic in specs: what it comes to, what it refuses, and that it does so at once."""

from __future__ import annotations

import random
import time

import pytest
from jsonnx.frontend.expansion.expressions import (
    MAX_EXPRESSION_DEPTH,
    MAX_EXPRESSION_LENGTH,
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
def test_what_an_expression_comes_to(text: str, value: object) -> None:
    result = evaluate_text(text, VALUES)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "told"),
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
        ("${width", "begins at character 1 lacks its closing }"),
        ("ab${width", "begins at character 3 lacks its closing }"),
        ("${import(1)}", "'import' cannot be called"),
        ("${width.real}", "at character 6"),
        ("${wdth}", "there is no parameter 'wdth'"),
        ("${1 / 0}", "1 / 0 divides by zero"),
        ("${1 // 0}", "divides by zero"),
        ("${0.0 ** -1}", "divides by zero"),
        ("${(-8) ** 0.5}", "is no real number"),
        ("${2 ** 63}", "beyond a 64-bit integer"),
        ("${2 ** 99999999999}", "beyond a 64-bit integer"),
        ("${2.5 ** 99999999999}", "beyond what a computer counts"),
        ("${9223372036854775807 + 1}", "beyond a 64-bit integer"),
        ("${1e308 * 10}", "beyond a float"),
        ("${1e999}", "beyond a float"),
        ("${" + "9" * 900 + "}", "beyond a 64-bit integer"),
        ("${yes + 1}", "+ takes numbers, not true or false"),
        ("${word * 2}", "* takes numbers, not a string"),
        ("${-word}", "- takes numbers, not a string"),
        ("${max(rates)}", "max takes numbers, not an array"),
        ("${width[0]}", "takes an item of an array, not of an integer"),
        ("${rates[2]}", "there is no item 2: the array has 2"),
        ("${rates[-1]}", "there is no item -1"),
        ("${rates[0.0]}", "the place of an item is an integer"),
        ("a${rates}", "an array cannot be put into a text"),
        ("${" + "1+" * MAX_EXPRESSION_LENGTH + "1}", "characters, more than"),
        ("${" + "(" * 2 * MAX_EXPRESSION_DEPTH + "1" + ")" * 2 * MAX_EXPRESSION_DEPTH + "}", "nests deeper"),
        ("${" + "-" * 2 * MAX_EXPRESSION_DEPTH + "1}", "nests deeper"),
        ("${" + "2**" * 2 * MAX_EXPRESSION_DEPTH + "1}", "nests deeper"),
        ("${" + "rates[" * 2 * MAX_EXPRESSION_DEPTH + "1" + "]" * 2 * MAX_EXPRESSION_DEPTH + "}", "nests deeper"),
    ],
)
def test_what_an_expression_refuses(text: str, told: str) -> None:
    start = time.process_time()
    with pytest.raises(ExpressionError) as error:
        evaluate_text(text, VALUES)
    assert told in str(error.value)
    assert time.process_time() - start < 0.1


def test_a_text_is_not_longer_than_a_document_may_use() -> None:
    with pytest.raises(ExpressionError, match="12,000 characters"):
        evaluate_text("${a}" * 12, {"a": "x" * 1000})


def test_the_names_in_a_text() -> None:
    assert names_in("${a + min(b, 2)} $${c} ${d[e]}") == {"a", "b", "d", "e"}


def test_any_text_is_computed_or_refused() -> None:
    draw = random.Random(1)
    for _ in range(3000):
        text = "".join(draw.choices("${} ab1+*()[]-/.", k=draw.randrange(30)))
        for tried in (text, f"${{{text}}}"):
            try:
                evaluate_text(tried, {"a": 2, "b": [1, 2]})
            except ExpressionError:
                assert "${" in tried


def test_a_text_that_is_escaped_comes_back() -> None:
    draw = random.Random(2)
    for _ in range(1000):
        text = "".join(draw.choices("${} a", k=draw.randrange(20)))
        assert evaluate_text(escape_expressions(text), {}) == text


def tree(draw: random.Random, depth: int) -> str:
    if not depth or draw.random() < 0.2:
        return str(draw.randrange(50))
    return f"({tree(draw, depth - 1)} {draw.choice(['+', '-', '*', '//', '%'])} {tree(draw, depth - 1)})"


def test_integers_are_computed_as_python_does() -> None:
    draw = random.Random(3)
    for _ in range(500):
        text = tree(draw, 4)
        try:
            expected = eval(text)  # digits, operators and parentheses, made above
        except ZeroDivisionError:
            with pytest.raises(ExpressionError, match="divides by zero"):
                evaluate_text(f"${{{text}}}", {})
        else:
            assert evaluate_text(f"${{{text}}}", {}) == expected
