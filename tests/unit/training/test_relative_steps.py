"""Numbers of steps of schedules that the length of the training determines, and the learning rate in the history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError

X = np.arange(40, dtype=np.float32).reshape(20, 2) / 40
Y = X[:, :1]
EPOCHS, STEPS_PER_EPOCH = 4, 5
COSINE: dict[str, Any] = {"type": "CosineDecay", "initial_learning_rate": 0.1}
WARM = COSINE | {"initial_learning_rate": 0.0, "warmup_target": 0.1}
ONE_CYCLE = {"type": "OneCycle", "max_learning_rate": 0.1}
RESTARTS = {"type": "CosineDecayRestarts", "initial_learning_rate": 0.1}
LINEAR = {"type": "PolynomialDecay", "initial_learning_rate": 0.1}
DECAY = {"type": "ExponentialDecay", "initial_learning_rate": 0.1, "decay_rate": 0.5}

CASES: list[tuple[dict[str, Any], dict[str, int]]] = [
    (COSINE | {"decay_steps": "all"}, {"decay_steps": 20}),
    (COSINE | {"decay_steps": {"fraction": 0.5}}, {"decay_steps": 10}),
    (COSINE | {"decay_steps": {"epochs": 3}}, {"decay_steps": 15}),
    (WARM | {"decay_steps": "all", "warmup_steps": {"epochs": 1}}, {"decay_steps": 15, "warmup_steps": 5}),
    (WARM | {"decay_steps": "all", "warmup_steps": 2}, {"decay_steps": 18}),
    (WARM | {"decay_steps": 7, "warmup_steps": {"fraction": 0.1}}, {"warmup_steps": 2}),
    (ONE_CYCLE | {"total_steps": "all"}, {"total_steps": 20}),
    (ONE_CYCLE | {"total_steps": "all", "three_phase": True, "pct_start": 0.4}, {"total_steps": 20}),
    (ONE_CYCLE | {"total_steps": {"epochs": 2}, "anneal_strategy": "linear"}, {"total_steps": 10}),
    (RESTARTS | {"first_decay_steps": {"fraction": 0.25}}, {"first_decay_steps": 5}),
    (LINEAR | {"decay_steps": "all", "cycle": True}, {"decay_steps": 20}),
    (DECAY | {"decay_steps": {"epochs": 1.5}, "staircase": True}, {"decay_steps": 8}),
]


def spec(optimizer: dict[str, Any], **training: Any) -> dict[str, Any]:
    layers = [{"type": "Dense", "name": "a", "units": 1}]
    training = {"loss": "mse", "epochs": EPOCHS, "batch_size": 4, "optimizer": optimizer, **training}
    return {"inputs": {"x": {"shape": [2]}}, "layers": layers, "training": training}


def sgd(schedule: Any) -> dict[str, Any]:
    return spec({"type": "sgd", "learning_rate": schedule})


@pytest.mark.parametrize(("schedule", "steps"), CASES)
def test_a_relative_number_trains_as_the_number_that_it_stands_for(schedule: Any, steps: dict[str, int]) -> None:
    relative, absolute = jsonnx.Trainer(sgd(schedule)), jsonnx.Trainer(sgd(schedule | steps))
    histories = [trainer.fit(X, Y, verbose=0).history for trainer in (relative, absolute)]
    assert relative.schedule_steps == steps
    assert absolute.schedule_steps == {}
    np.testing.assert_allclose(histories[0]["learning_rate"], histories[1]["learning_rate"], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-5)


def test_the_optimizers_of_patterns_have_steps_of_their_own() -> None:
    optimizer = {
        "type": "MultiOptimizer",
        "default_optimizer": {"type": "sgd", "learning_rate": COSINE | {"decay_steps": "all"}},
        "optimizer_map": {"bias": {"type": "sgd", "learning_rate": LINEAR | {"decay_steps": {"epochs": 1}}}},
    }
    trainer = jsonnx.Trainer(spec(optimizer))
    trainer.fit(X, Y, verbose=0)
    assert trainer.schedule_steps == {"decay_steps": 20, "+1/decay_steps": 5}


def test_a_table_whose_rows_are_updated_lazily_follows_the_schedule() -> None:
    layers = [
        {"type": "Embedding", "name": "e", "input_dim": 20_000, "output_dim": 4},
        {"type": "Flatten"},
        {"type": "Dense", "units": 1},
    ]

    def trained(decay_steps: Any) -> Any:
        optimizer = {"type": "adam", "learning_rate": COSINE | {"decay_steps": decay_steps}}
        document = spec(optimizer) | {"inputs": {"x": {"shape": [2], "dtype": "int32"}}, "layers": layers}
        trainer = jsonnx.Trainer(document)
        trainer.fit(np.arange(40, dtype=np.int32).reshape(20, 2), Y, verbose=0)
        return trainer.weights()["e/embeddings"]

    np.testing.assert_allclose(trained("all"), trained(20), rtol=1e-5, atol=1e-7)


def test_later_fits_and_resumed_ones_keep_the_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = jsonnx.Trainer(sgd(COSINE | {"decay_steps": "all"}))
    trainer.fit(X, Y, verbose=2)
    assert capsys.readouterr().err.startswith("schedule: decay_steps 20\n")
    trainer.save_checkpoint(tmp_path / "run")
    resumed = jsonnx.Trainer(sgd(COSINE | {"decay_steps": "all"}))
    resumed.load_checkpoint(tmp_path / "run")
    assert resumed.schedule_steps == {"decay_steps": 20}
    resumed.fit(X, Y, epochs=6, verbose=2)
    text = (
        "schedule: decay_steps 20, which has ended, so the learning rate stays the last one; a new training with these"
    )
    assert capsys.readouterr().err.startswith(f"{text} epochs would have decay_steps 30\n")
    assert resumed.history.history["learning_rate"][-2:] == [0, 0]
    trainer.fit(X, Y, epochs=6, initial_epoch=4, verbose=0)
    assert trainer.schedule_steps == {"decay_steps": 20}


@pytest.mark.parametrize(
    "schedule", [COSINE | {"decay_steps": {"epochs": 6}}, LINEAR | {"decay_steps": "all", "cycle": True}]
)
def test_a_schedule_that_goes_on_is_not_said_to_have_ended(schedule: Any, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = jsonnx.Trainer(sgd(schedule))
    trainer.fit(X, Y, verbose=0)
    trainer.fit(X[:10], Y[:10], epochs=6, initial_epoch=4, verbose=2)
    assert ", kept from the start; a new training with these epochs would have" in capsys.readouterr().err


def error(action: Any) -> Any:
    with pytest.raises(CompileError) as caught:
        action()
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


def test_a_stream_without_a_length_needs_steps_per_epoch() -> None:
    trainer = jsonnx.Trainer(sgd(COSINE | {"decay_steps": "all"}))

    def batches() -> Any:
        yield from ((X[start : start + 4], Y[start : start + 4]) for start in range(0, 20, 4))

    diagnostic = error(lambda: trainer.fit(batches, epochs=2, verbose=0))
    assert diagnostic.path == "$.training.optimizer.learning_rate.decay_steps"
    assert "stream without a length" in diagnostic.message
    assert "steps_per_epoch" in diagnostic.help
    trainer.fit(batches, epochs=2, steps_per_epoch=5, verbose=0)
    assert trainer.schedule_steps == {"decay_steps": 10}


def test_a_step_of_its_own_needs_a_number(tmp_path: Path) -> None:
    trainer = jsonnx.Trainer(sgd(COSINE | {"decay_steps": "all"}))
    assert error(lambda: trainer.step(X, Y)).help == "give `decay_steps` as a number"
    trainer.fit(X, Y, verbose=0)
    trainer.step(X, Y)


def test_a_warm_up_must_leave_a_step() -> None:
    schedule = WARM | {"decay_steps": "all", "warmup_steps": 20}
    diagnostic = error(lambda: jsonnx.Trainer(sgd(schedule)).fit(X, Y, verbose=0))
    assert "20 warm-up steps, and the training 20" in diagnostic.message
    schedule = ONE_CYCLE | {"total_steps": {"fraction": 0.05}}
    diagnostic = error(lambda: jsonnx.Trainer(sgd(schedule)).fit(X, Y, verbose=0))
    assert "no step for one of its phases" in diagnostic.message


# -- the learning rate of the last step --------------------------------------------------------------------------------


def test_the_history_has_the_rate_of_the_last_step_of_each_epoch() -> None:
    trainer = jsonnx.Trainer(sgd(LINEAR | {"decay_steps": 20, "end_learning_rate": 0.0}))
    rates = trainer.fit(X, Y, verbose=0).history["learning_rate"]
    np.testing.assert_allclose(rates, [0.1 * (1 - step / 20) for step in (4, 9, 14, 19)], rtol=1e-5)


def test_a_rate_that_a_callback_sets_counts_from_the_next_step_on() -> None:
    class Halve(jsonnx.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == STEPS_PER_EPOCH - 1:
                self.trainer.learning_rate /= 2
                self.trainer.learning_rate /= 2

    history = jsonnx.Trainer(sgd(0.1)).fit(X, Y, callbacks=[Halve()], verbose=0).history
    assert history["learning_rate"] == [0.1, 0.025, 0.00625, 0.0015625]


def test_a_rate_that_a_plateau_reduces_is_that_of_the_next_epoch() -> None:
    plateau = {"monitor": "loss", "patience": 0, "min_delta": 1e6, "factor": 0.5}
    document = spec({"type": "sgd", "learning_rate": 0.1}, reduce_on_plateau=plateau)
    history = jsonnx.Trainer(document).fit(X, Y, verbose=0).history
    assert history["learning_rate"] == [0.1, 0.1, 0.05, 0.025]
