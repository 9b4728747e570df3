"""Numerical preprocessing layers."""

from . import Case

NORMALIZATION = {"type": "Normalization"}
IMPUTATION = {"type": "Imputation"}
DATES = {"type": "DateFeatures"}
DAYS = ("2026-11-27", "2024-02-29T18:30:00", "1900-03-01 07:05")
BINS = {"type": "Discretization", "bin_boundaries": [-0.5, 0, 1.5]}
LEARNED = {"type": "Discretization", "num_bins": 4}
CATEGORIES = {"type": "CategoryEncoding", "num_tokens": 5}

CASES = [
    Case("rescaling", {"type": "Rescaling", "scale": 1 / 127.5, "offset": -1}, [(3, 4)]),
    Case("rescaling-one", {"type": "Rescaling", "scale": 1}, [(3,)]),
    Case("rescaling-lists", {"type": "Rescaling", "scale": [1, 2, 3], "offset": [[0.5], [1]]}, [(2, 3)]),
    Case("rescaling-integers", {"type": "Rescaling", "scale": 0.5}, [(3, 4)], integers=255),
    Case("normalization", {**NORMALIZATION, "mean": [1, 2, 3], "variance": [1, 4, 0]}, [(2, 3)]),
    Case("normalization-number", {**NORMALIZATION, "mean": 1, "variance": 2}, [(2, 3)]),
    Case("normalization-one", {**NORMALIZATION, "axis": None, "mean": 1, "variance": 2}, [(2, 3)]),
    Case("normalization-axis", {**NORMALIZATION, "axis": 1, "mean": [1, 2], "variance": [1, 4]}, [(2, 3)]),
    Case("normalization-axes", {**NORMALIZATION, "axis": [1, 2], "mean": [1, 2, 3], "variance": [1, 4, 9]}, [(2, 3)]),
    Case(
        "normalization-matrix", {**NORMALIZATION, "axis": [-1, 1], "mean": [[1], [2]], "variance": [[1], [2]]}, [(2, 3)]
    ),
    Case("normalization-invert", {**NORMALIZATION, "mean": [1, 2, 3], "variance": [1, 4, 9], "invert": True}, [(2, 3)]),
    Case("normalization-adapted", NORMALIZATION, [(2, 3)]),
    Case("normalization-adapted-one", {**NORMALIZATION, "axis": None}, [(2, 3)]),
    Case("normalization-adapted-axes", {**NORMALIZATION, "axis": [3, 1]}, [(2, 1, 3)]),
    Case("normalization-integers", NORMALIZATION, [(3,)], integers=255),
    Case("imputation", IMPUTATION, [(2, 3)]),
    Case("imputation-numbers", {**IMPUTATION, "strategy": "median"}, [()]),
    Case("imputation-indicator", {**IMPUTATION, "strategy": "most_frequent", "indicator": True}, [(3,)]),
    Case("imputation-constant", {**IMPUTATION, "strategy": "constant", "fill_value": [1, 2, 3]}, [(2, 3)]),
    Case("date-features", DATES, [()], strings=DAYS),
    Case("date-features-cyclic", {**DATES, "features": ["hour", "day_of_year"], "cyclic": True}, [(2,)], strings=DAYS),
    Case("imputation-text", {**IMPUTATION, "strategy": "constant", "fill_value": "?"}, [(2,)], strings=("", "a")),
    Case("discretization", BINS, [(2, 3)], smooth=False),
    Case("discretization-numbers", BINS, [()], smooth=False),
    Case("discretization-down", {**BINS, "bin_boundaries": [1, 0, -1]}, [(4,)], smooth=False),
    Case("discretization-equal", {**BINS, "bin_boundaries": [0, 0, 1]}, [(4,)], smooth=False),
    Case("discretization-none", {**BINS, "bin_boundaries": []}, [(4,)], smooth=False),
    Case("discretization-integers", BINS, [(3,)], integers=3),
    Case("discretization-one-hot", {**BINS, "output_mode": "one_hot"}, [(3,)], smooth=False),
    Case("discretization-one-hot-one", {**BINS, "output_mode": "one_hot"}, [(2, 1)], smooth=False),
    Case("discretization-multi-hot", {**BINS, "output_mode": "multi_hot"}, [(3,)], smooth=False),
    Case("discretization-count", {**BINS, "output_mode": "count"}, [(4, 2)], smooth=False),
    Case("discretization-learned", LEARNED, [(3,)], smooth=False),
    Case("discretization-learned-one-hot", {**LEARNED, "output_mode": "one_hot"}, [(1,)], smooth=False),
    Case("category-encoding", CATEGORIES, [(3,)], integers=7),
    Case("category-encoding-matrix", CATEGORIES, [(4, 3)], integers=7),
    Case("category-encoding-binary", {**CATEGORIES, "output_mode": "binary"}, [(3,)], integers=5),
    Case("category-encoding-one-hot", {**CATEGORIES, "output_mode": "one_hot"}, [(3,)], integers=7),
    Case("category-encoding-one-hot-one", {**CATEGORIES, "output_mode": "one_hot"}, [(1,)], integers=5),
    Case("category-encoding-one-hot-numbers", {**CATEGORIES, "output_mode": "one_hot"}, [()], integers=5),
    Case("category-encoding-count", {**CATEGORIES, "output_mode": "count"}, [(3,)], integers=7),
    Case("category-encoding-count-cube", {**CATEGORIES, "output_mode": "count"}, [(3, 1, 2)], integers=5),
    Case("category-encoding-weights", {**CATEGORIES, "output_mode": "count"}, [(3,), (3,)], integers=7),
    Case("category-encoding-weights-matrix", {**CATEGORIES, "output_mode": "count"}, [(3, 2), (3, 2)], integers=7),
    Case("category-encoding-real", CATEGORIES, [(3,)], smooth=False),
    Case("category-encoding-real-one-hot", {**CATEGORIES, "output_mode": "one_hot"}, [(3,)], smooth=False),
]
