"""A few random models in the ordinary run; `run.py` beside this file runs as many as one likes."""

from __future__ import annotations

import pytest

from random_models import run
from random_models.generate import spec
from random_models.oracles import Case, digest, examine
from random_models.shrink import shrink

SEEDS = range(60)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", SEEDS)
def test_every_oracle_holds_of_a_random_model(seed: int) -> None:
    assert [str(broken) for broken in examine(spec(seed), seed)] == []


def test_a_seed_gives_one_model_and_other_processes_compile_it_to_the_same_bytes() -> None:
    assert spec(3) == spec(3)
    lines, died = run.child(["--digests", "--seed=0", "--count=5"], "12345", 60)
    assert not died
    assert [line["digest"] for line in lines] == [digest(Case(spec(seed), seed)) for seed in range(5)]


def test_a_failing_model_is_shrunk_to_the_layer_at_fault() -> None:
    def fails(candidate: dict) -> bool:
        kinds = [entry.get("type") for entry in candidate["layers"]]
        return "Reshape" in kinds and not examine(candidate, only=["shapes"])

    large = next(model for model in map(spec, range(1000)) if len(model["layers"]) > 8 and fails(model))
    small = shrink(large, fails, seconds=5)
    assert len(small["layers"]) <= 2
