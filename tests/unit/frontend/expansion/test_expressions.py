"""Expressions in specs: their values, their errors, and the time that errors take."""

from __future__ import annotations

import math
import random
import time

import pytest
from jsonnx.core.limits import MAX_EXPRESSION_CHARACTERS, MAX_EXPRESSION_DEPTH, MAX_EXPRESSION_STEPS
from jsonnx.frontend.expansion.expressions import escape_expressions, evaluate_text, names_in
from jsonnx.frontend.expansion.operations import ExpressionError, TooManySteps, Workspace

VALUES = {"width": 64, "rates": [0.5, [1, 2]], "word": "relu", "yes": True, "none": None, "max": 7}


def value_of(text: str, values: dict[str, object] = VALUES) -> object:
    return evaluate_text(text, values, Workspace())


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
        ("${rates[1:]}", [[1, 2]]),
        ("${rates[:1]}", [0.5]),
        ("${rates[1][0:1]}", [1]),
        ("${rates[1][1 - 1 : len(rates)][1]}", 2),
        ("${rates[:]}", [0.5, [1, 2]]),
        ("${rates[2:9]}", []),
        ("${[a[1:] for a in [[1, 2], [3]]]}", [[2], []]),
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
        ("${1 < 2 <= 2 < 3.5}", True),
        ("${1 < 3 > 4}", False),
        ("${0 > 1 < word}", False),
        ("${width == 64.0 != 65}", True),
        ("${true == 1}", False),
        ("${none == null}", True),
        ("${[1, [2.0]] == [1.0, [2]]}", True),
        ("${'abc' < word}", True),
        ("${not width == 64 or yes and not not yes}", True),
        ("${not(yes)or none == 1}", False),
        ("${1 == 2 and 1 / 0 > 0}", False),
        ("${yes or rates[9]}", True),
        ("${width if yes else 1 / 0}", 64),
        ("${'a' if width < 10 else \"b\" if width < 100 else 'c'}", "b"),
        ("${1 + (2 if not yes else 3) * 2}", 7),
        ("${[1, 2 if yes else 3, []]}", [1, 2, []]),
        ("${[4, 5, 6][len(rates) - 1]}", 5),
        ("${2 in rates[1]}", True),
        ("${width not in [1, 64]}", False),
        ("${round(2.5)}", 2),
        ("${round(2.675, 2)}", 2.67),
        ("${round(1250, -2)}", 1200),
        ("${floor(-0.5)}", -1),
        ("${ceil(7 / 2)}", 4),
        ("${abs(-3) + abs(-0.5)}", 3.5),
        ("${exact_div(12, 4)}", 3),
        ("${len(word) + len([])}", 4),
        ("${sum([1, 2.5]) + sum([])}", 3.5),
        ("${range(3)}", [0, 1, 2]),
        ("${range(5, 0, -2)}", [5, 3, 1]),
        ("${max(range(3)) + min([4, 3])}", 5),
        ("${max(max, 3)}", 7),
        ("${yes}/${width < 3}", "true/false"),
        ("${log(8, 2) + log(1000, 10)}", 6.0),
        ("${log(exp(2))}", 2.0),
        ("${log(27, 3)}", pytest.approx(3.0)),
        ("${sqrt(16) + exp(0)}", 5.0),
        ("${2 * pi}", 2 * math.pi),
        ("${[2 * x for x in rates[1]]}", [2, 4]),
        ("${[x for x in range(9) if x % 2 == 0 if x > 2]}", [4, 6, 8]),
        ("${[x if x > 1 else 0 for x in range(3)]}", [0, 0, 2]),
        ("${[10 * a + b for a in range(3) for b in range(a)]}", [10, 20, 21]),
        ("${[[a * b for b in range(2)] for a in [width, 1]]}", [[0, 64], [0, 1]]),
        ("${[width for width in [1]] == [1] and width == 64}", True),
        ("${[word for _ in range(2)]}", ["relu", "relu"]),
        ("${sum([x ** 2 for x in range(4)])}", 14),
        ("${[max for x in [1]]}", [7]),
        ("${[1 for x in []]}", []),
    ],
)
def test_an_expression_has_the_expected_value_and_type(text: str, value: object) -> None:
    result = value_of(text)
    assert result == value
    assert type(result) is type(getattr(value, "expected", value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${2 * }", "expected a number, a name or '(' at character 5 of '2 * ', found the end"),
        ("${}", "expected a number, a name or '(' at character 1"),
        ("${2 3}", "expected an operator or the end at character 3 of '2 3', found '3'"),
        ("${(2}", "expected ')' at character 3"),
        ("${rates[0}", "expected ']' at character 8"),
        ("${min(3}", "expected ')' at character 6"),
        ("${1.5.2}", "found '1.5.2'"),
        ("${2x}", "found '2x'"),
        ("${a = b}", "at character 3 of 'a = b', found '='"),
        ("${'a}", 'found "\'"'),
        ("${a && b}", "at character 3 of 'a && b', found '&&'"),
        ("${1 + not yes}", "at character 5 of '1 + not yes', found 'not'"),
        ("${1 if yes}", "expected 'else' at character 9"),
        ("${width if word else 1}", "if needs true or false, got a string, at character 7"),
        ("${1 or yes}", "or needs true or false, got an integer, at character 3"),
        ("${not 0}", "not needs true or false, got an integer"),
        ("${1 < word}", "< needs numbers, got a string, at character 3 of '1 < word'"),
        ("${1 in 2}", "in needs an array on its right"),
        ("${round()}", "round cannot have 0 arguments"),
        ("${round(1, 2, 3)}", "round cannot have 3 arguments"),
        ("${round(5, -10 ** 9)}", "round has at most 18 digits"),
        ("${floor(1e300)}", "out of range for a 64-bit integer, at character 1"),
        ("${range(10 ** 9)}", "range gives 1,000,000,000 integers, more than 10,000"),
        ("${range(-9223372036854775807, 9223372036854775807)}", "more than 10,000"),
        ("${range(1, 2, 0)}", "the step of range is 0"),
        ("${log(0)}", "log needs a positive number, got 0, at character 1"),
        ("${log(2, 1)}", "the base of log cannot be 1"),
        ("${log(2, -2)}", "the base of log needs a positive number"),
        ("${log(word)}", "log needs numbers, got a string"),
        ("${sqrt(-1)}", "sqrt needs a number of at least 0, got -1"),
        ("${exp(1e9)}", "exp(1000000000.0) is out of range for a float"),
        ("${[x for 3 in rates]}", "expected a name at character 8"),
        ("${[x for x of rates]}", "expected 'in' at character 10"),
        ("${[x for x in 3]}", "for needs an array, got an integer, at character 8"),
        ("${[x for x in rates if 1]}", "if needs true or false, got an integer, at character 19"),
        ("${[x for x in rates}", "expected ']'"),
        ("${sum(x for x in rates)}", "expected ')' at character 7"),
        ("${[x for y in rates]}", "there is no parameter 'x'"),
        ("${[x for x in x]}", "there is no parameter 'x'"),
        ("${[1, 2 for x in rates]}", "expected ']'"),
        ("${[a for a in range(200) for b in range(200)]}", "the comprehension gives more than 10,000 items"),
        ("${range(1.0)}", "range needs integers, got a float"),
        ("${max([])}", "max needs at least one number"),
        ("${exact_div(64, 7)}", "64 is not a multiple of 7"),
        ("${exact_div(64, 0)}", "exact_div(64, 0) divides by zero"),
        ("${exact_div(1.5, 2)}", "exact_div needs integers, got a float"),
        ("${len(3)}", "len needs an array or a string"),
        ("${sum(3)}", "sum needs an array"),
        ("${[1, 2}", "expected ']' at character 6"),
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
        ("${width[0:]}", "[ ] needs an array, got an integer"),
        ("${rates[-1:]}", "a slice begins and ends at 0 or more, got -1, at character 6"),
        ("${rates[:1.0]}", "[ ] needs an integer as index, got a float"),
        ("${rates[::2]}", "expected a number, a name or '(' at character 8"),
        ("${rates[0:1:2]}", "expected ']' at character 10"),
        ("${rates[2]}", "there is no item 2: the array has 2"),
        ("${rates[-1]}", "there is no item -1"),
        ("${rates[0.0]}", "[ ] needs an integer as index, got a float"),
        ("a${rates}", "an array cannot be inserted into a text"),
        ("${" + "1+" * MAX_EXPRESSION_CHARACTERS + "1}", "characters, more than"),
        ("${" + "(" * 2 * MAX_EXPRESSION_DEPTH + "1" + ")" * 2 * MAX_EXPRESSION_DEPTH + "}", "nests deeper"),
        ("${" + "-" * 2 * MAX_EXPRESSION_DEPTH + "1}", "nests deeper"),
        ("${" + "2**" * 2 * MAX_EXPRESSION_DEPTH + "1}", "nests deeper"),
        ("${" + "not " * 2 * MAX_EXPRESSION_DEPTH + "1}", "nests deeper"),
        ("${" + "[" * 2 * MAX_EXPRESSION_DEPTH + "]" * 2 * MAX_EXPRESSION_DEPTH + "}", "nests deeper"),
        ("${" + "rates[" * 2 * MAX_EXPRESSION_DEPTH + "1" + "]" * 2 * MAX_EXPRESSION_DEPTH + "}", "nests deeper"),
    ],
)
def test_an_invalid_expression_is_rejected_without_delay(text: str, message: str) -> None:
    start = time.process_time()
    with pytest.raises(ExpressionError) as error:
        value_of(text)
    assert message in str(error.value)
    assert time.process_time() - start < 1


def test_the_length_of_a_text_is_limited() -> None:
    with pytest.raises(ExpressionError, match="more than 10,000 characters"):
        value_of("${a}" * 12, {"a": "x" * 1000})


def test_the_steps_of_all_expressions_are_limited() -> None:
    workspace = Workspace()
    values = {"a": [[0] * 1000] * 10}
    for _ in range(MAX_EXPRESSION_STEPS // 10_000 - 1):
        evaluate_text("${a == a}", values, workspace)
    with pytest.raises(TooManySteps):
        evaluate_text("${a == a}", values, workspace)


HINTS = [
    ("${a && b}", "write `and`"),
    ("${ln(3)}", "the functions are abs, ceil"),
    ("${width if width else 1}", "compare it, as in x != 0"),
    ("${rates[-1]}", "the last item of x is x[len(x) - 1]"),
    ("${rates[width / 64]}", "// divides integers"),
]


def test_objects_are_equal_as_json_and_cost_a_step_for_each_value() -> None:
    one, two = {"a": [1, {"b": True}]}, {"a": [1.0, {"b": True}]}
    assert value_of("${a == b}", {"a": one, "b": two}) is True
    assert value_of("${a == b}", {"a": one, "b": {"a": [1, {"b": 1}]}}) is False
    assert value_of("${a != b}", {"a": one, "b": one | {"c": 1}}) is True
    large = {f"key_{number}": number for number in range(1_000)}
    workspace = Workspace()
    assert evaluate_text("${a == a}", {"a": large}, workspace) is True
    assert workspace.remaining_steps < MAX_EXPRESSION_STEPS - len(large)


@pytest.mark.parametrize(("text", "help"), HINTS)
def test_an_error_has_a_hint(text: str, help: str) -> None:
    with pytest.raises(ExpressionError) as error:
        value_of(text)
    assert help in str(error.value.help)


def test_names_in_returns_the_names_of_all_expressions() -> None:
    assert names_in("${a + min(b, 2)} $${c} ${d[e]}") == {"a", "b", "d", "e"}


def test_random_texts_are_evaluated_or_rejected() -> None:
    rng = random.Random(1)
    for _ in range(3000):
        text = "".join(
            rng.choices([*"${} ab1+*()[]-/.,'<=", "if ", " else ", "not ", " in ", "len("], k=rng.randrange(30))
        )
        for candidate in (text, f"${{{text}}}"):
            try:
                value_of(candidate, {"a": 2, "b": [1, 2]})
            except ExpressionError:
                assert "${" in candidate


def test_evaluating_an_escaped_text_returns_the_text() -> None:
    rng = random.Random(2)
    for _ in range(1000):
        text = "".join(rng.choices("${} a", k=rng.randrange(20)))
        assert value_of(escape_expressions(text), {}) == text


def random_expression(rng: random.Random, depth: int) -> str:
    if not depth or rng.random() < 0.2:
        return str(rng.randrange(50))
    left, right = random_expression(rng, depth - 1), random_expression(rng, depth - 1)
    if rng.random() < 0.2:
        comparison = rng.choice(["<", "<=", "==", "!=", ">=", "> 20 <"])
        return f"({left} if {rng.choice(['', 'not '])}{left} {comparison} {right} and {right} > 9 else {right})"
    return f"({left} {rng.choice(['+', '-', '*', '//', '%'])} {right})"


def test_integer_arithmetic_agrees_with_python() -> None:
    rng = random.Random(3)
    for _ in range(500):
        text = random_expression(rng, 3)
        try:
            expected = eval(text)  # made above
        except ZeroDivisionError:
            with pytest.raises(ExpressionError, match="divides by zero"):
                value_of(f"${{{text}}}", {})
        else:
            assert value_of(f"${{{text}}}", {}) == expected


def test_nested_comprehensions_stop_at_the_limit_of_steps() -> None:
    """The bodies of all rounds count, also those that give no item, or an item of a few values."""
    clauses = " ".join(f"for {name} in range(10000)" for name in "abc")
    start = time.perf_counter()
    for text in (f"${{[1 {clauses} if false]}}", f"${{[sum([1 {clauses} if a < 0]) for x in range(10000)]}}"):
        with pytest.raises(TooManySteps):
            value_of(text)
    assert time.perf_counter() - start < 5


def test_the_names_of_a_comprehension_are_not_names_of_parameters() -> None:
    assert names_in("${[a + b for a in xs for b in a if b > c]}") == {"xs", "c"}
    assert names_in("${[a for a in a]}") == {"a"}
