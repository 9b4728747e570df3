"""Add, Subtract, Multiply, Average, Maximum, Minimum, Concatenate, Dot."""

from . import Case

CASES = [
    Case("add", {"type": "Add"}, [(3, 2), (3, 2)]),
    Case("add-three", {"type": "Add"}, [(4,), (4,), (4,)]),
    Case("add-broadcast", {"type": "Add"}, [(3, 1), (1, 2)]),
    Case("add-lower-rank", {"type": "Add"}, [(2,), (4, 3, 2), (3, 1)]),
    Case("add-scalar", {"type": "Add"}, [(), (2, 3)]),
    Case("subtract", {"type": "Subtract"}, [(3, 2), (3, 2)]),
    Case("subtract-lower-rank", {"type": "Subtract"}, [(2,), (3, 2)]),
    Case("multiply", {"type": "Multiply"}, [(4,), (4,), (4,)]),
    Case("multiply-channels", {"type": "Multiply"}, [(2, 3, 4), (1, 1, 4)]),
    Case("average", {"type": "Average"}, [(3, 2), (3, 2), (2,)]),
    Case("maximum", {"type": "Maximum"}, [(3, 2), (3, 2), (1, 2)]),
    Case("minimum", {"type": "Minimum"}, [(3, 2), (3, 1)]),
    Case("concatenate", {"type": "Concatenate"}, [(3, 2), (3, 1), (3, 4)]),
    Case("concatenate-first-axis", {"type": "Concatenate", "axis": 1}, [(3, 2), (1, 2)]),
    Case("concatenate-negative-axis", {"type": "Concatenate", "axis": -2}, [(3, 2), (1, 2)]),
    Case("dot-vectors", {"type": "Dot", "axes": 1}, [(4,), (4,)]),
    Case("dot-vector-matrix", {"type": "Dot", "axes": [1, 2]}, [(4,), (3, 4)]),
    Case("dot-matrices", {"type": "Dot", "axes": [1, 2]}, [(3, 4), (2, 3)]),
    Case("dot-matrix-vector", {"type": "Dot", "axes": -1}, [(3, 4), (4,)]),
    Case("dot-images", {"type": "Dot", "axes": [2, -1]}, [(2, 3, 4), (4, 2, 3)]),
    Case("dot-images-matrix", {"type": "Dot", "axes": [1, 2]}, [(3, 2, 1), (2, 3)]),
    Case("dot-matrix-images", {"type": "Dot", "axes": [-1, 1]}, [(2, 3), (3, 2, 2)]),
    Case("dot-cosine", {"type": "Dot", "axes": -1, "normalize": True}, [(3, 4), (2, 4)]),
]
