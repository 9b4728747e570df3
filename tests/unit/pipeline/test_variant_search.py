"""The order in which ways to quantize a model are tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.pipeline.quantize.comparison import Comparison, OutputDifference
from jsonnx.pipeline.quantize.layer_noise import LayerNoise
from jsonnx.pipeline.quantize.tolerance import Tolerance, default_tolerance, parse_tolerances
from jsonnx.pipeline.quantize.variant_search import Attempt, VariantSearch
from jsonnx.sections.quantization_section import DEFAULT_VARIANT, QuantizationVariant

LAYERS = [f"layer_{number}" for number in range(10)]


class FakeQuantizer:
    """Its models are their variants."""

    def layers(self, variant: QuantizationVariant) -> Sequence[str]:
        return [name for name in LAYERS if variant.layers.get(name, "8 bits") is not None]

    def quantized(self, variant: QuantizationVariant) -> Any:
        return variant


def comparison(difference: float, accuracy: float = 0.9) -> Comparison:
    return Comparison({"accuracy": 0.9}, {"accuracy": accuracy}, {"y": OutputDifference(difference, difference / 2)})


def search_result(
    variant: QuantizationVariant, difference: Callable[[QuantizationVariant], float], limit: float = 1.0
) -> tuple[Attempt, list[str]]:
    """The last attempt, and the changes of all."""
    changes: list[str] = []
    search = VariantSearch(
        FakeQuantizer(),  # type: ignore[arg-type]
        lambda model: comparison(difference(model)),  # type: ignore[arg-type]
        Tolerance({"max_difference": limit}, lambda name: True),
        lambda variant: [LayerNoise(name, 0.0) for name in reversed(LAYERS)],
        lambda attempt: changes.append(attempt.change),
    )
    first = search.judged(variant, variant, comparison(difference(variant)))  # type: ignore[arg-type]
    return search.run(first), changes


def float_count(variant: QuantizationVariant) -> int:
    return sum(section is None for section in variant.layers.values())


def test_a_model_within_the_tolerance_is_taken_at_once() -> None:
    best, changes = search_result(DEFAULT_VARIANT, lambda variant: 1.0)
    assert (best.variant, changes) == (DEFAULT_VARIANT, [""])


def test_changes_in_their_order() -> None:
    best, changes = search_result(DEFAULT_VARIANT.replaced(per_channel=False), lambda variant: 2.0)
    assert changes[:5] == [
        "",
        "a scale for each channel of a weight",
        "activations of int8",
        "calibration by percentile",
        "calibration by entropy",
    ]
    assert [change.partition(":")[0] for change in changes[5:]] == [
        "1 layer in floating point",
        "2 layers in floating point",
        "4 layers in floating point",
        "5 layers in floating point",
    ]
    assert changes[5].endswith("layer_9")
    assert changes[-1].endswith("layer_9, layer_8, layer_7, layer_6 and 1 more")
    assert not best.passes


def test_changes_that_the_variant_has_are_skipped() -> None:
    calibration = DEFAULT_VARIANT.calibration.replaced(method="entropy")
    _, changes = search_result(
        DEFAULT_VARIANT.replaced(calibration=calibration, activations="int8"), lambda variant: 2.0
    )
    assert changes[:4] == ["", "activations of uint8", "calibration by percentile", changes[3]]
    assert "floating point" in changes[3]


@pytest.mark.parametrize("precision", ["float16", "int8-dynamic", "int8-weights"])
def test_other_precisions_have_no_ranges(precision: str) -> None:
    _, changes = search_result(DEFAULT_VARIANT.replaced(precision=precision), lambda variant: 2.0)
    assert all("floating point" in change for change in changes[1:])


def test_a_change_that_makes_it_worse_is_undone() -> None:
    def difference(variant: QuantizationVariant) -> float:
        return 5.0 if variant.activations == "int8" else (3.0 if variant.calibration.method == "minmax" else 0.5)

    best, changes = search_result(DEFAULT_VARIANT, difference)
    assert changes == ["", "activations of int8", "calibration by percentile"]
    assert best.variant.activations == "uint8"
    assert best.passes


def test_layers_in_float_are_tried_with_the_first_and_with_the_best_settings() -> None:
    def difference(variant: QuantizationVariant) -> float:
        is_minmax = variant.calibration.method == "minmax"
        return (3.0 if is_minmax else 2.0) if float_count(variant) < 2 else (0.5 if is_minmax else 1.5)

    best, changes = search_result(DEFAULT_VARIANT, difference)
    assert changes[-3:] == [
        "1 layer in floating point: layer_9",
        "1 layer in floating point: layer_9; calibration by percentile",
        "2 layers in floating point: layer_9, layer_8",
    ]
    assert best.variant.calibration.method == "minmax"


def test_layers_with_weights_of_4_bits_get_8_bits_first() -> None:
    def difference(variant: QuantizationVariant) -> float:
        return 0.5 if len(variant.layers) >= 8 else 2.0

    best, changes = search_result(DEFAULT_VARIANT.replaced(precision="int4-weights"), difference)
    assert [change.partition(":")[0] for change in changes[1:]] == [
        f"{count} layer{'s' if count > 1 else ''} with weights of 8 bits" for count in (1, 2, 4, 8)
    ]
    assert {section.bits for section in best.variant.layers.values() if section is not None} == {8}


def test_only_the_best_model_is_kept() -> None:
    reported: list[Attempt] = []
    quantizer: Any = FakeQuantizer()
    search = VariantSearch(
        quantizer,
        lambda model: comparison(2.0),
        Tolerance({"max_difference": 1.0}, lambda name: True),
        lambda variant: [],
        reported.append,
    )
    search.run(search.judged(DEFAULT_VARIANT, quantizer.quantized(DEFAULT_VARIANT), comparison(2.0)))
    assert len(search.attempts) == len(reported) > 3
    assert all(attempt.model is None for attempt in search.attempts)


def excess(limits: dict[str, float], found: Comparison, maximized: bool = True) -> float:
    tolerance = Tolerance(limits, lambda name: maximized)
    return tolerance.excess(tolerance.losses(found))


def test_tolerances() -> None:
    assert excess({"accuracy": 0.02}, comparison(0, 0.89)) == pytest.approx(0.5)
    assert excess({"accuracy": 0.02}, comparison(0, 0.86)) == pytest.approx(2)
    assert excess({"accuracy": 0.02}, comparison(0, 0.95)) == 0
    assert excess({"accuracy": 0.02}, comparison(0, 0.95), maximized=False) == pytest.approx(2.5)
    assert excess({"accuracy": 0.0}, comparison(0, 0.9)) == 0
    assert excess({"accuracy": 0.0}, comparison(0, 0.89)) == float("inf")
    assert excess({"accuracy": 1.0}, comparison(0, float("nan"))) == float("inf")
    assert excess({"mean_difference": 1.0}, comparison(3.0)) == 1.5
    assert excess({"max_difference": 1.0}, comparison(float("inf"))) == float("inf")


def test_the_default_is_a_hundredth_of_the_first_metric_or_of_the_loss() -> None:
    found = Comparison({"loss": 2.0, "y_loss": 1.0, "matrix": [[1]], "f1": 0.5, "auc": 0.9}, {}, {})
    assert default_tolerance(found, lambda name: True).limits == {"f1": 0.005}
    assert default_tolerance(Comparison({"loss": 2.0}, {}, {}), lambda name: False).limits == {"loss": 0.02}
    assert default_tolerance(Comparison({}, {}, {}), lambda name: False).limits == {}


def test_texts_of_tolerances() -> None:
    assert parse_tolerances(["accuracy=0.01", " mae = 2e-1"]) == {"accuracy": 0.01, "mae": 0.2}
    for text in ("accuracy", "=1", "accuracy=-1", "accuracy=nan", "accuracy=inf", "accuracy=x"):
        with pytest.raises(UsageError, match="bad-option"):
            parse_tolerances([text])
