"""Variable. Its input only gives the number of samples, so it counts as a mask."""

from . import Case

TENSOR = {"type": "Variable", "shape": [4, 3], "initializer": "random_normal"}

CASES = [
    Case("variable", TENSOR, []),
    Case("variable-number", {"type": "Variable", "shape": []}, []),
    Case("variable-of-samples", TENSOR | {"regularizer": "l2", "constraint": "max_norm"}, [(5, 2)], masks=(0,)),
    Case("variable-number-of-samples", {"type": "Variable", "shape": []}, [(5,)], masks=(0,)),
]
