"""How much of the differences between trials a parameter explains."""

from __future__ import annotations

from jsonnx.hyperparameter_search.importance import average_ranks, importances
from jsonnx.hyperparameter_search.samplers import random_position
from jsonnx.hyperparameter_search.trials import FINISHED, PRUNED, Trial


def drawn(number: int, name: str) -> float:
    return random_position(0, number, name)


def trials(count: int = 60) -> list[Trial]:
    """The result depends most on the distance of `peak` from its middle, less on `kind`, and not on `noise`."""
    made = []
    for number in range(count):
        kind = "ab"[int(drawn(number, "kind") * 2)]
        values = {"peak": drawn(number, "peak"), "kind": kind, "noise": drawn(number, "noise"), "fixed": 1}
        value = (values["peak"] - 0.5) ** 2 + 0.05 * (kind == "a") + 0.01 * drawn(number, "chance")
        made.append(Trial(number, values, "", state=FINISHED, value=value))
    return made


def test_the_importance_of_parameters() -> None:
    shares = importances(trials(), ["peak", "kind", "noise", "fixed"])
    assert shares["peak"] > 0.5
    assert 0.02 < shares["kind"] < shares["peak"]
    assert shares["noise"] < 0.1
    assert shares["fixed"] == 0


def test_a_parameter_that_is_not_always_set_counts() -> None:
    made = trials()
    for trial in made:
        if trial.values["kind"] == "a":
            trial.values["only_a"] = 0.5
            trial.value = (trial.value or 0.0) + 1.0
    assert importances(made, ["only_a"])["only_a"] > 0.5


def test_too_few_trials_tell_nothing() -> None:
    made = trials(4)
    assert importances(made[:3], ["peak"]) == {}
    made[0].state = PRUNED
    assert importances(made, ["peak"]) == {}


def test_equal_values_have_the_mean_of_their_ranks() -> None:
    assert average_ranks([5.0, 1.0, 5.0, 9.0]) == [2.5, 1.0, 2.5, 4.0]
