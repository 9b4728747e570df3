"""Rules of element-wise operators."""

from __future__ import annotations

import numpy as np
import pytest
from unit.gradient.operators import POSITIVE, REAL, Domain, Operator, slopes, worst_error

OPERATORS = [
    Operator("Identity"),
    Operator("Cast", attributes={"to": 11}),
    Operator("CastLike", (REAL, np.zeros(1))),
    Operator("Dropout"),
    Operator("Dropout", (REAL, 0.5)),
    Operator("Dropout", (REAL, 0.5, np.array(False))),
    Operator("Dropout", (REAL, 0.0, np.array(True))),
    Operator("Neg"),
    Operator("Exp"),
    Operator("Log", (POSITIVE,)),
    Operator("Sigmoid"),
    Operator("Tanh"),
    Operator("Relu", (Domain(kinks=(0,)),)),
    Operator("Abs", (Domain(kinks=(0,)),)),
    Operator("Sqrt", (POSITIVE,)),
    Operator("Reciprocal", (POSITIVE,)),
    Operator("Erf"),
    Operator("Sin"),
    Operator("Cos"),
    Operator("Tan", (Domain(-1, 1),)),
    Operator("Asin", (Domain(-0.9, 0.9),)),
    Operator("Acos", (Domain(-0.9, 0.9),)),
    Operator("Atan"),
    Operator("Sinh"),
    Operator("Cosh"),
    Operator("Asinh"),
    Operator("Acosh", (Domain(1.1, 3),)),
    Operator("Atanh", (Domain(-0.9, 0.9),)),
    Operator("Add", (REAL, REAL), ((2, 3), (None, 3))),
    Operator("Sub", (REAL, REAL), ((2, 1), (1, 3))),
    Operator("Mul", (REAL, REAL), ((2, 3), (None, 2, 1))),
    Operator("Div", (REAL, POSITIVE), ((None, 1), (2, 3))),
    Operator("Sum", (REAL, REAL, REAL), ((2, 3), (None, 3), (2, 1))),
    Operator("Mean", (REAL, REAL, REAL), ((2, 3), (None, 3), (2, 1))),
    Operator("Max", (REAL, REAL)),
    Operator("Max", (REAL, REAL, REAL, REAL), ((2, 3), (None, 3), (2, 1), (2, 3))),
    Operator("Max", (REAL,)),
    Operator("Min", (REAL, REAL)),
    Operator("Min", (REAL, REAL, REAL), ((1, 3), (None, 3), (2, 1))),
    Operator("Clip", (Domain(kinks=(-1, 0.5)), -1.0, 0.5)),
    Operator("Clip", (Domain(kinks=(0, 1)), 0.0, 1.0)),
    Operator("Clip", (Domain(kinks=(-1, 0)), -1.0, 0.0)),
    Operator("Clip", (Domain(kinks=(-1,)), -1.0)),
    Operator("Clip", (Domain(kinks=(1,)), None, 1.0)),
    Operator("Clip"),
    Operator("Where", (np.array([[True, False, True], [False, True, True]]), REAL, REAL), ((2, 3),)),
    Operator("Where", (np.array([True, False, True]), REAL, REAL), ((2, 3), (None, 3), (2, 1))),
    Operator("Pow", (REAL, 2.0)),
    Operator("Pow", (REAL, np.array([0, 1, 3]))),
    Operator("Pow", (POSITIVE, -0.5)),
    Operator("Pow", (POSITIVE, REAL), ((2, 3), (None, 3))),
]

POINTS = [
    (Operator("Relu", shapes=((),)), ([-1, 0, 1],), [[0, 0, 1]]),
    (Operator("Abs", shapes=((),)), ([-1, 0, 1],), [[-1, 1, 1]]),
    (Operator("Abs", shapes=((),)), ([-1e30, -1e-30, 1e30],), [[-1, -1, 1]]),
    (Operator("Max", (REAL, REAL), ((),)), ([1, 2, 3], [2, 2, 2]), [[0, 0.5, 1], [1, 0.5, 0]]),
    (Operator("Min", (REAL, REAL), ((),)), ([1, 2, 3], [2, 2, 2]), [[1, 0.5, 0], [0, 0.5, 1]]),
    (Operator("Max", (REAL, REAL, REAL), ((),)), ([2, 1], [2, 3], [2, 3]), [[0.25, 0], [0.25, 0.5], [0.5, 0.5]]),
    (Operator("Clip", (REAL, 0.0, 6.0), ((),)), ([-1e30, -1, 0, 3, 6, 7],), [[0, 0, 0, 1, 0, 0]]),
    (Operator("Clip", (REAL, 0.0, np.inf), ((),)), ([-1, 0, 3],), [[0, 0, 1]]),
    (Operator("Clip", (REAL, -np.inf, 1.0), ((),)), ([-1, 1, 3],), [[1, 0, 0]]),
    (Operator("Pow", (REAL, 2.0), ((),)), ([-3, 0],), [[-6, 0]]),
    (Operator("Pow", (REAL, 0.0), ((),)), ([-3, 0],), [[0, 0]]),
    (Operator("Pow", (REAL, REAL), ((),)), ([0, 0, 2], [2, 0, 0]), [[0, 0, 0], [0, 0, np.log(2)]]),
]


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.id)
def test_a_rule_equals_finite_differences(operator: Operator) -> None:
    assert worst_error(operator) < 1e-7


@pytest.mark.parametrize(("operator", "points", "expected"), POINTS, ids=lambda value: getattr(value, "id", None))
def test_a_rule_at_kinks_and_extremes(operator: Operator, points: tuple, expected: list) -> None:
    np.testing.assert_allclose(slopes(operator, *points), expected, rtol=1e-6)
