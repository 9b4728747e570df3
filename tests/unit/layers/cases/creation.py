"""Functions of keras.ops and keras.random that create tensors. Their input only gives sizes: it counts as a mask."""

from . import Case

SHAPE, AXIS = (4, 3), {"axis": 1}
ROWS = [{"axis": 0}, {"axis": -1}]

CASES = [
    Case(id, {"type": f"ops.{id.removeprefix('ops-').partition('-')[0]}", **arguments}, [SHAPE], masks=(0,))
    for id, arguments in (
        ("ops-zeros", {"shape": [2, 3]}),
        ("ops-zeros-batch", {"shape": [*ROWS, 2], "dtype": "int32"}),
        ("ops-ones", {"shape": []}),
        ("ops-full", {"shape": ROWS, "fill_value": 0.5}),
        ("ops-eye", {"N": 3, "M": 4, "k": -1}),
        ("ops-eye-batch", {"N": {"axis": 0}}),
        ("ops-tri", {"N": AXIS, "dtype": "bool"}),
        ("ops-identity", {"n": 3}),
        ("ops-arange", {"start": 5}),
        ("ops-arange-batch", {"stop": {"axis": 0}}),
        ("ops-arange-real", {"start": 0.5, "stop": 2, "step": 0.25}),
        ("ops-linspace", {"start": -1, "stop": 1, "num": AXIS}),
        ("ops-logspace", {"start": 0, "stop": 2, "num": {"axis": 0}, "base": 3}),
        ("ops-shape", {}),
    )
] + [
    Case("random-normal", {"type": "random.normal", "mean": 1.5, "stddev": 2.0}, [SHAPE], masks=(0,)),
    Case("random-uniform", {"type": "random.uniform", "shape": [{"axis": 0}, 2], "seed": 3}, [SHAPE], masks=(0,)),
]
