"""Variable with an input, which only gives the number of samples: it counts as a mask."""

from . import Case

TENSOR = {"type": "Variable", "shape": [4, 3], "initializer": "random_normal"}

CASES = [
    Case("variable", TENSOR | {"regularizer": "l2", "constraint": "max_norm"}, [(5, 2)], masks=(0,)),
    Case("variable-number", {"type": "Variable", "shape": []}, [(5,)], masks=(0,)),
]
