"""`data/drift`: features, statistics, counts, and the population stability index."""

from __future__ import annotations

import json
from math import log

import numpy as np
import pytest
from jsonnx.core.types import Size, TensorType
from jsonnx.data.drift.drift_counts import DriftCounts, FeatureCounts
from jsonnx.data.drift.features import MAX_VALUES_PER_ROW, Feature, FeatureValues
from jsonnx.data.drift.input_features import array_features, described_feature
from jsonnx.data.drift.stability import meaning_of, noise_limit, population_stability_index
from jsonnx.data.drift.statistics import CategoryStatistics, DataStatistics, DescribedFeature, NumberStatistics
from jsonnx.data.drift.statistics_json import require_sources, statistics_from_json, statistics_text

hypothesis = pytest.importorskip("hypothesis")
st = pytest.importorskip("hypothesis.strategies")

X = TensorType("float32", (Size.named("batch"),))


by_chance = hypothesis.settings(deadline=None, max_examples=50, suppress_health_check=[hypothesis.HealthCheck.too_slow])


def texts(*values: str) -> np.ndarray:
    return np.array(values, object)


def test_the_index_by_hand() -> None:
    """Counts of 199 and 99 rows: half a row more in each of two bins makes shares of fortieths and tenths."""
    p, q = (149.5 + 0.5) / 200, (79.5 + 0.5) / 100
    expected = (q - p) * log(q / p) + ((1 - q) - (1 - p)) * log((1 - q) / (1 - p))
    assert population_stability_index(np.array([149.5, 49.5]), np.array([79.5, 19.5])) == pytest.approx(expected)


def test_equal_distributions_have_no_drift_and_disjoint_ones_have_much() -> None:
    counts = np.array([100, 300, 600])
    assert population_stability_index(counts, counts) == 0
    assert population_stability_index(counts, 10 * counts) == pytest.approx(0, abs=1e-4)
    assert population_stability_index(np.array([1000, 0]), np.array([0, 1000])) > 10


def test_bins_that_are_small_in_both_are_merged() -> None:
    rare = np.array([10_000, *[3] * 30])
    assert population_stability_index(rare, rare[::1]) == 0
    others = rare.copy()
    others[1:] = others[1:][::-1] + np.tile([1, -1], 15)
    assert population_stability_index(rare, others) < 1e-6


@pytest.mark.parametrize(("rows", "train_rows"), [(60, 300), (300, 300), (2000, 20_000)])
def test_chance_raises_no_alarm(rows: int, train_rows: int) -> None:
    """Of 1,000 columns without drift, one or two exceed the limit."""
    generator = np.random.default_rng(rows)
    exceeding = 0
    for _ in range(1000):
        expected, actual = (np.bincount(generator.integers(0, 10, n), minlength=10) for n in (train_rows, rows))
        exceeding += population_stability_index(expected, actual) > noise_limit(expected, actual)
    assert exceeding <= 6


def test_what_an_index_means() -> None:
    meanings = [meaning_of(*arguments) for arguments in [(9, 0, 49), (0.09, 0, 50), (0.2, 0.3, 50), (0.2, 0.1, 50)]]
    assert meanings == ["few rows", "none", "chance", "moderate"]
    assert meaning_of(0.25, 0.1, 50) == "large"


def test_the_bins_of_numbers() -> None:
    few = NumberStatistics.of(np.array([1, 2, 2, 5, np.nan]))
    assert (few.edges, few.bins, few.missing, few.min, few.max) == ((0.5, 1.5, 3.5, 6.5), (0, 1, 2, 1, 0), 1, 1, 5)
    many = NumberStatistics.of(np.arange(1000.0))
    assert set(many.bins) == {100}
    zeros = NumberStatistics.of(np.concatenate([np.zeros(500), np.linspace(1, 2, 500)]))
    assert zeros.bins[0] == 500  # a number that is several deciles has a bin of its own
    assert zeros.edges[0] == 0.5
    assert sum(zeros.bins) == 1000


@by_chance
@hypothesis.given(st.lists(st.floats(width=32), max_size=60))
def test_all_numbers_are_counted(numbers: list[float]) -> None:
    array = np.array(numbers, np.float64)
    statistics = NumberStatistics.of(array)
    assert sum(statistics.bins) == statistics.count == len(array) - statistics.missing
    counts = FeatureCounts(DescribedFeature(Feature("x", "x"), statistics))
    counts.add(array)
    assert counts.bins.tolist() == [*statistics.bins, statistics.missing]
    assert counts.missing == statistics.missing
    assert counts.out_of_range == int(np.isinf(array).sum()) * (statistics.min is not None)


@by_chance
@hypothesis.given(st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=60))
def test_all_texts_are_counted(values: list[str | None]) -> None:
    array = texts(*["" if value is None else value for value in values])
    statistics = CategoryStatistics.of([value or None for value in array.tolist()])
    counts = FeatureCounts(DescribedFeature(Feature("x", "x"), statistics))
    counts.add(array)
    assert counts.bins.tolist() == [*statistics.values.values(), statistics.others, statistics.missing]
    assert counts.unknown == statistics.others == 0


def test_a_number_beside_a_constant_is_drift() -> None:
    constant = NumberStatistics.of(np.full(100, 3.0))
    assert (len(constant.edges), constant.bins) == (2, (0, 100, 0))
    counts = FeatureCounts(DescribedFeature(Feature("x", "x"), constant))
    counts.add(np.full(60, 3.0))
    assert counts.drift().psi == pytest.approx(0)
    counts.add(np.full(60, 4.0))
    assert counts.drift().meaning == "large"
    extreme = NumberStatistics.of(np.array([-1.7e308, 1.7e308]))
    assert np.isfinite(extreme.edges).all()


def test_missing_unknown_and_distant_values_are_counted() -> None:
    train = {"place": texts(*["a", "b"] * 50), "size": np.arange(100, dtype=np.float32)}
    counts = DriftCounts.of(
        [described_feature(feature := Feature(name, name), [feature.values(array)]) for name, array in train.items()]
    )
    counts.add({"place": texts("a", "", "z", "z"), "size": np.array([np.nan, -1, 99, 100], np.float32)})
    place, size = counts.drifts()
    assert (place.missing, place.unknown, place.out_of_range) == (1, 2, None)
    assert (size.missing, size.unknown, size.out_of_range) == (1, None, 2)
    assert place.meaning == "few rows"
    assert not place.exceeds(0.1)


def test_drift_is_told_of_the_feature_that_has_drifted() -> None:
    generator = np.random.default_rng(0)
    train = generator.normal(size=(1000, 2)).astype(np.float32)
    features = array_features("m", ("a", "b"), TensorType("float32", (Size.named("batch"), 2)), train)
    counts = DriftCounts.of([described_feature(feature, [feature.values(train)]) for feature in features])
    counts.add({"m": generator.normal(size=(500, 2)).astype(np.float32) + np.array([0, 1], np.float32)})
    assert [(drift.feature.title, drift.meaning) for drift in counts.drifts()] == [("a", "none"), ("b", "large")]


def test_the_features_of_an_array() -> None:
    def titles(type: TensorType, array: np.ndarray, *columns: str, **options: float) -> list[str]:
        return [feature.title for feature in array_features("x", columns or ("x",), type, array, **options)]

    batch = Size.named("batch")
    assert titles(X, np.zeros(3), "age") == ["age"]
    assert titles(TensorType("float32", (batch, 3)), np.zeros((2, 3))) == ["x[0]", "x[1]", "x[2]"]
    image = TensorType("float32", (batch, 8, 8, 3))
    assert titles(image, np.zeros((2, 8, 8, 3)), "image") == ["image (mean)", "image (deviation)"]
    series = TensorType("float32", (batch, 24, 2))
    assert titles(series, np.zeros((2, 24, 2)), "wind", "sun") == ["wind (mean)", "sun (mean)"]
    steps = TensorType("int64", (batch, Size.named("time")))
    assert titles(steps, np.zeros((2, 5), int)) == ["x (length)", "x (mean)"]
    dates = TensorType("string", (batch, 24))
    assert [feature.index for feature in array_features("x", ("day",), dates, np.full((2, 24), "a", object))] == [23]


def test_the_values_of_features() -> None:
    image = np.arange(2 * 2 * 3, dtype=np.float32).reshape(1, 2, 2, 3)
    assert Feature("x", "x", "mean").values(image) == [5.5]
    assert Feature("x", "x", "mean", 0).values(image) == [4.5]
    assert Feature("x", "x", "deviation").values(image) == [pytest.approx(np.std(np.arange(12)))]
    padded = np.array([[4, 0, 2, 0, 0], [0, 0, 0, 0, 0]])
    assert Feature("x", "x", "length", pad_value=0.0).values(padded).tolist() == [3, 0]  # type: ignore[union-attr]
    np.testing.assert_array_equal(Feature("x", "x", "mean", pad_value=0.0).values(padded), [3, np.nan])
    np.testing.assert_array_equal(Feature("x", "x", "words").values(texts("a b  c", "")), [3, np.nan])
    assert Feature("x", "x").values(np.array([b"\xc3\xa4", b"", None], object)) == ["ä", None, None]
    scores = np.array([[0.2, 0.8], [np.nan, 1]])
    assert Feature("y", "y", "class", labels=("a", "b")).values(scores) == ["b", None]
    binary = Feature("y", "y", "class", labels=("a", "b"), cut=0.3)
    assert binary.values(np.array([[0.3], [0.31]])) == ["a", "b"]
    assert Feature("y: b", "y", "label", 1, labels=("no", "yes"), cut=0.5).values(scores) == ["yes", "yes"]


def test_the_mean_of_a_large_image_is_of_all_its_channels() -> None:
    image = np.zeros((1, 64, 64, 3), np.float32)
    image[..., 1] = 3
    assert image.size > MAX_VALUES_PER_ROW
    assert Feature("x", "x", "mean").values(image) == [pytest.approx(1, abs=0.01)]


def test_texts_that_occur_once_and_dates_are_counted_by_their_words() -> None:
    reviews: FeatureValues = [f"text number {number}" for number in range(10)]
    described = described_feature(Feature("x", "x"), [reviews])
    assert (described.feature.measure, described.statistics) == ("words", NumberStatistics.of(np.full(10, 3.0)))
    days: FeatureValues = ["2026-01-01"] * 10
    assert described_feature(Feature("x", "x"), [days]).feature.measure == "value"
    assert described_feature(Feature("x", "x"), [days], is_date=True).feature.measure == "words"


def statistics() -> DataStatistics:
    number = described_feature(Feature("a", "x", index=1), [np.arange(1.0, 20, 2)])
    category = described_feature(Feature("b", "b"), [["u", "u", "v", "v", None]])
    output = Feature("y", "y", "class", labels=("a", "b"), cut=0.3)
    described = described_feature(output, [output.values(np.array([[0.2]]))])
    return DataStatistics(10, 10, (number, category), "validation", 1, (described,))


def test_statistics_are_written_and_read() -> None:
    text = statistics_text(statistics())
    assert statistics_from_json(json.loads(text)) == statistics()
    assert text == statistics_text(statistics())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"version": 1', '"version": 2'),
        ('"measure": "value"', '"measure": "eval"'),
        ('"count": 10', '"count": -1'),
        ('"count": 10', '"count": true'),
        ('"edges": [', '"edges": [9e9, '),
        ('"bins": [', '"bins": [1, '),
        ('"bins": [', '"bins": ["1", '),
        ('"labels": ["a", "b"]', '"labels": ["a"]'),
        ('"labels": ["a", "b"]', '"labels": ["a", 1]'),
        ('"min": 1.0', '"min": "1"'),
        ('"u": 2', '"u": 2.5'),
        ('"outputs": [', '"outputs": [1, '),
        ('"columns": [', '"columns": 1, "x": ['),
        ('"source": "x"', '"source": 1'),
    ],
)
def test_malformed_statistics_are_refused(old: str, new: str) -> None:
    text = statistics_text(statistics())
    assert old in text
    with pytest.raises(ValueError, match=r"^(has|lacks) "):
        statistics_from_json(json.loads(text.replace(old, new, 1)))


def test_statistics_of_another_model_are_refused() -> None:
    batch = Size.named("batch")
    columns = statistics().columns
    types = {"x": TensorType("float32", (batch, 2)), "b": TensorType("string", (batch,))}
    require_sources(columns, types)
    for name, other in [
        ("x", TensorType("float32", (batch, 1))),
        ("x", None),
    ]:
        wrong = {key: value for key, value in {**types, name: other}.items() if value is not None}
        with pytest.raises(ValueError, match="statistics of"):
            require_sources(columns, wrong)
