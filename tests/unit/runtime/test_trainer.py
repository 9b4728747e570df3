"""Training: steps, epochs, metrics, early stopping."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.callback import Callback
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.core.files.spec_source import SpecSource
from jsonnx.data.samples.array_samples import from_arrays
from jsonnx.data.samples.data_errors import FeedError
from jsonnx.runtime.execution import runner
from jsonnx.runtime.fit.fit import Fit
from jsonnx.runtime.fit.trainer import Diverged, PlanTrainer

from .plans import REGRESS, classifier, evaluate, fit, flowers, have_equal_variables, make_plan

X, Y = flowers()


def line(training=None, **more):
    """A linear model of two inputs, without bias."""
    return make_plan(
        [{"type": "Dense", "name": "line", "units": 1, "use_bias": False}],
        {"x": (2,)},
        REGRESS | (training or {}),
        **more,
    )


LX = np.array([[1, 0], [0, 1], [1, 1], [2, 1], [1, 3]], np.float32)
LY = LX @ np.array([[2], [-1]], np.float32)


def by_hand(weights, batches, rate=0.05):
    """Gradient descent on the mean squared error in float64, and the loss before each step."""
    losses = []
    for x, y in batches:
        difference = x.astype(float) @ weights - y
        losses.append(float((difference**2).mean()))
        weights = weights - rate * 2 * x.T.astype(float) @ difference / len(x)
    return weights, losses


def test_a_step_of_gradient_descent_equals_the_formula():
    trainer = PlanTrainer(line())
    expected, losses = by_hand(trainer.weights()["line/kernel"].astype(float), [(LX, LY)] * 3)
    assert [trainer.step(LX, LY)["loss"] for _ in range(3)] == pytest.approx(losses, rel=1e-5)
    assert np.allclose(trainer.weights()["line/kernel"], expected, atol=1e-6)
    assert trainer.steps == 3


def test_the_last_smaller_batch_is_weighted_by_its_size():
    trainer = PlanTrainer(line())
    batches = [(LX[:2], LY[:2]), (LX[2:4], LY[2:4]), (LX[4:], LY[4:])]
    expected, losses = by_hand(trainer.weights()["line/kernel"].astype(float), batches)
    history = fit(trainer, LX, LY, batch_size=2, epochs=1, shuffle=False)
    assert np.allclose(trainer.weights()["line/kernel"], expected, atol=1e-6)
    assert history.history["loss"] == pytest.approx([(2 * losses[0] + 2 * losses[1] + losses[2]) / 5], rel=1e-5)


def test_a_fit_equals_its_steps():
    fitted, stepped = PlanTrainer(classifier(noise=0.3)), PlanTrainer(classifier(noise=0.3))
    fit(fitted, X, Y, batch_size=32, epochs=1, shuffle=False)
    for start in range(0, 100, 32):
        stepped.step(X[start : start + 32], Y[start : start + 32])
    assert have_equal_variables(fitted, stepped)


def test_the_seed_decides_everything():
    runs = [PlanTrainer(classifier(noise=0.3, seed=seed)) for seed in (1, 1, 2)]
    histories = [fit(trainer, X, Y, epochs=2).history for trainer in runs]
    assert histories[0] == histories[1] != histories[2]
    assert have_equal_variables(runs[0], runs[1])


def test_each_epoch_draws_a_new_order_and_new_masks():
    trainer = PlanTrainer(classifier({"optimizer": {"type": "sgd", "learning_rate": 1e-12}}))
    losses = fit(trainer, X, Y, epochs=3, batch_size=7).history["loss"]
    assert len(set(losses)) == 3
    assert np.ptp(losses) < 1e-6
    noisy = PlanTrainer(classifier({"optimizer": {"type": "sgd", "learning_rate": 1e-12}}, noise=0.5))
    assert np.ptp(fit(noisy, X, Y, epochs=3, shuffle=False).history["loss"]) > 1e-4


def test_a_second_fit_draws_new_orders():
    trainer = PlanTrainer(classifier({"optimizer": {"type": "sgd", "learning_rate": 1e-12}}))
    losses, later_losses = (fit(trainer, X, Y, epochs=1, batch_size=7).history["loss"] for _ in range(2))
    assert losses != later_losses


def test_omitted_values_are_the_specs(monkeypatch):
    fits = []
    monkeypatch.setattr(Fit, "run", lambda fit: fits.append(fit))
    fit(PlanTrainer(classifier({"epochs": 3, "batch_size": 9, "shuffle": False})), X, Y)
    settings = fits[0].settings
    assert (settings.epochs, settings.batch_size, settings.shuffle, fits[0].validation) == (3, 9, False, None)


def test_the_network_learns_and_evaluation_agrees_with_prediction():
    trainer = PlanTrainer(classifier())
    fit(trainer, X, Y, epochs=30, batch_size=16)
    metrics = evaluate(trainer, X, Y, batch_size=7)
    probabilities = trainer.predict(X, batch_size=7)
    assert probabilities.shape == (100, 3)
    assert metrics["accuracy"] == (probabilities.argmax(1) == Y).mean() > 0.95
    assert metrics["loss"] == pytest.approx(-np.log(probabilities[np.arange(100), Y]).mean(), rel=1e-4)
    assert evaluate(trainer, X, Y, batch_size=100)["loss"] == pytest.approx(metrics["loss"], rel=1e-6)


def test_validation_takes_the_last_samples_before_shuffling():
    trainer = PlanTrainer(classifier())
    history = fit(trainer, X, Y, epochs=2, validation_split=0.2)
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]
    assert history.history["val_loss"][-1] == evaluate(trainer, X[80:], Y[80:])["loss"]
    assert history.epoch == [0, 1]
    expected = PlanTrainer(classifier())
    assert fit(expected, X[:80], Y[:80], epochs=2, validation_data=(X[80:], Y[80:])).history == history.history


def two_outputs(training=None):
    layers = [
        {"type": "Dense", "name": "class", "units": 3, "activation": "softmax", "from": "left"},
        {"type": "Dense", "name": "size", "units": 1, "from": "right"},
    ]
    section = {
        "loss": {"class": "sparse_categorical_crossentropy", "size": "mse"},
        "loss_weights": {"size": 0.5},
        "metrics": {"class": ["accuracy"]},
        "optimizer": "sgd",
    }
    return make_plan(layers, {"left": (4,), "right": (2,)}, section | (training or {}), outputs=["class", "size"])


def test_several_inputs_and_outputs_are_given_by_name():
    trainer = PlanTrainer(two_outputs())
    x, y = {"left": X[:5], "right": LX}, {"class": Y[:5], "size": LY}
    metrics = trainer.step(x, y)
    assert list(metrics) == ["loss", "class_loss", "size_loss", "class_accuracy"]
    assert metrics["loss"] == pytest.approx(metrics["class_loss"] + 0.5 * metrics["size_loss"], rel=1e-6)
    assert {name: array.shape for name, array in trainer.predict(x).items()} == {"class": (5, 3), "size": (5, 1)}
    with pytest.raises(FeedError, match="give a dict with 'left' and 'right'"):
        trainer.predict(LX)


def test_a_row_as_a_series_of_pandas_is_told_from_a_frame():
    series = type("Series", (), {"__module__": "pandas"})
    with pytest.raises(FeedError, match=r"'left' and 'right' \(a Series of pandas .*df\.iloc\[\[0\]\]"):
        PlanTrainer(two_outputs()).predict(series())


# -- weights ---------------------------------------------------------------------------------------------------------


def test_weights_are_copies_in_keras_order():
    trainer = PlanTrainer(classifier())
    weights = trainer.weights()
    assert list(weights) == ["hidden/kernel", "hidden/bias", "species/kernel", "species/bias"]
    before = {name: array.copy() for name, array in weights.items()}
    trainer.step(X, Y)
    assert all((weights[name] == before[name]).all() for name in weights)
    weights["hidden/bias"] += 1
    assert (trainer.weights()["hidden/bias"] != weights["hidden/bias"]).all()


def test_the_next_step_uses_weights_that_were_set():
    source, trainer = PlanTrainer(classifier()), PlanTrainer(classifier(seed=9))
    for _ in range(4):
        source.step(X, Y)
    trainer.set_weights(source.weights())
    assert evaluate(trainer, X, Y) == evaluate(source, X, Y)
    assert (trainer.predict(X) == source.predict(X)).all()
    trainer.set_weights({"hidden/bias": np.ones(8)}, strict=False)
    assert trainer.weights()["hidden/bias"].tolist() == [1] * 8


def test_initial_weights_can_be_given():
    weights = PlanTrainer(classifier(seed=9)).weights()
    assert all(
        (array == weights[name]).all() for name, array in PlanTrainer(classifier(), weights=weights).weights().items()
    )


def test_all_errors_of_weights_are_reported_at_once():
    trainer = PlanTrainer(classifier())
    weights = trainer.weights()
    wrong = {**weights, "hidden/kernel": np.zeros((8, 4)), "hiden/bias": 1, "species/bias": np.array(["a"] * 3)}
    del wrong["hidden/bias"]
    with pytest.raises(ValueError, match="hiden") as error:
        trainer.set_weights(wrong)
    assert len(str(error.value).splitlines()) == 4
    assert "has shape [8, 4], the network wants [4, 8]" in str(error.value)
    assert "did you mean 'hidden/bias'?" in str(error.value)
    assert all((array == weights[name]).all() for name, array in trainer.weights().items())


# -- events ----------------------------------------------------------------------------------------------------------


def test_a_callback_can_stop():
    trainer = PlanTrainer(classifier())

    class Stop(Callback):
        def on_train_batch_end(self, batch, logs=None):
            trainer.stop()

    history = fit(trainer, X, Y, batch_size=10, epochs=5, callbacks=[Stop()])
    assert (trainer.steps, history.epoch, history.interrupted) == (1, [0], False)


# -- early stopping --------------------------------------------------------------------------------------------------


def script(monkeypatch, values):
    """Fakes the validation losses of the epochs."""
    losses = iter(values)
    original = Fit._finish_epoch

    def finish_epoch(fit, stop_signal):
        value = next(losses)
        fit.engine.measure = lambda *arguments: type(
            "T", (), {"results": lambda self: {"loss": value, "accuracy": -value}}
        )()
        original(fit, stop_signal)

    monkeypatch.setattr(Fit, "_finish_epoch", finish_epoch)


@pytest.mark.parametrize(
    ("stopping", "values", "epochs", "best"),
    [
        ({"patience": 0}, [3, 2, 2, 1], 3, 1),
        ({"patience": 1}, [3, 2, 2, 1], 3, 1),
        ({"patience": 2}, [3, 2, 2, 1, 1, 1, 0], 6, 3),
        ({"patience": 2, "min_delta": 0.5}, [3, 2.6, 2.4, 2.2, 2.1, 0], 5, 2),
        ({"patience": 1, "mode": "max"}, [1, 2, 3, 3, 4], 4, 2),
        ({"patience": 1, "monitor": "val_accuracy"}, [3, 2, 1, 1, 0], 4, 2),
        ({"patience": 1, "start_from_epoch": 2}, [0, 0, 3, 2, 2, 1], 5, 3),
        ({"patience": 1}, [3, float("nan"), 2, 1], 2, 0),
        ({"patience": 9}, [3, 2, 1, 2], 4, 2),
    ],
)
def test_early_stopping_counts_as_keras_does(monkeypatch, stopping, values, epochs, best):
    script(monkeypatch, values)
    trainer = PlanTrainer(classifier({"early_stopping": stopping}))
    history = fit(trainer, X, Y, batch_size=50, epochs=len(values), validation_split=0.2)
    assert (len(history.epoch), history.best_epoch) == (epochs, best)
    assert history.stopped_early == (epochs < len(values))


def test_the_best_epochs_weights_are_restored(monkeypatch):
    script(monkeypatch, [3, 1, 2, 5])
    trainer = PlanTrainer(classifier({"restore_best_weights": True}))
    weights_of_epochs = []

    class Note(Callback):
        def on_epoch_end(self, epoch, logs=None):
            weights_of_epochs.append(trainer.weights())

    fit(trainer, X, Y, epochs=4, validation_split=0.2, callbacks=[Note()])
    assert all((array == weights_of_epochs[1][name]).all() for name, array in trainer.weights().items())


@pytest.mark.parametrize(
    ("training", "path", "help"),
    [
        ({"early_stopping": {}}, "$.training.early_stopping", "give validation data"),
        ({"early_stopping": {"monitor": "los"}}, "$.training.early_stopping.monitor", "did you mean 'loss'?"),
        ({"restore_best_weights": True}, "$.training.restore_best_weights", "give validation data"),
    ],
)
def test_an_unknown_metric_cannot_be_monitored(training, path, help):
    with pytest.raises(CompileError) as error:
        fit(PlanTrainer(classifier(training)), X, Y)
    (diagnostic,) = error.value.diagnostics
    assert (diagnostic.code, diagnostic.path) == ("unknown-figure", path)
    assert diagnostic.help.startswith(help)


# -- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_diverging_run_stops_with_the_last_good_weights():
    trainer = PlanTrainer(line({"optimizer": {"type": "sgd", "learning_rate": 1e6}}))
    states = []

    class Note(Callback):
        def on_train_batch_end(self, batch, logs=None):
            states.append((trainer.steps, trainer.weights()["line/kernel"]))

    with pytest.raises(Diverged) as error:
        fit(trainer, LX, LY, batch_size=5, epochs=50, callbacks=[Note()])
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "diverged"
    assert f"at step {len(states) + 1}" in diagnostic.message
    assert np.isfinite(evaluate(trainer, LX, LY)["loss"])
    steps, weights = states[-2]  # the last update gave the weights with which the loss is not finite
    assert trainer.steps == steps
    assert (trainer.weights()["line/kernel"] == weights).all()
    assert len(error.value.history.epoch) == len(states)


def test_a_first_step_that_diverges_changes_nothing():
    trainer = PlanTrainer(line())
    huge = np.full((1, 1), 1e30)
    before = trainer.weights()["line/kernel"]
    with pytest.raises(Diverged, match="step 1"):
        trainer.step(LX[:1], huge)
    assert (trainer.weights()["line/kernel"] == before).all()
    assert trainer.steps == 0
    trainer.step(LX, LY)


def test_data_that_does_not_fit_is_refused_before_the_first_step():
    trainer = PlanTrainer(classifier())
    for x, y in ((X[:, :3], Y), (X, Y[:50]), (X, Y + 1), (X[:0], Y[:0]), (np.where(X > 1, np.nan, X), Y)):
        with pytest.raises(FeedError):
            fit(trainer, x, y)
    assert trainer.steps == 0


def test_missing_data_are_an_error():
    for call in (fit, evaluate):
        with pytest.raises(UsageError) as error:
            call(PlanTrainer(classifier()))
        assert error.value.diagnostic.code == "no-data"


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"epochs": -1}])
def test_impossible_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match="at least"):
        fit(PlanTrainer(classifier()), X, Y, **wrong)


def test_the_learning_rate_may_follow_a_schedule():
    schedule = {"type": "PiecewiseConstantDecay", "boundaries": [0], "values": [0.05, 0.0]}
    trainer = PlanTrainer(line({"optimizer": {"type": "sgd", "learning_rate": schedule}}))
    trainer.step(LX, LY)
    weights = trainer.weights()["line/kernel"]
    trainer.step(LX, LY)
    assert (trainer.weights()["line/kernel"] == weights).all()


def test_the_specs_files_are_trained_validated_and_evaluated_on(tmp_path):
    for name, part in (("train", slice(0, 60)), ("validation", slice(60, 80)), ("test", slice(80, 100))):
        np.savez(tmp_path / f"{name}.npz", flower=X[part], species=Y[part])
    data = {"train": "train.npz", "validation": "validation.npz", "test": "test.npz"}
    trainer = PlanTrainer(classifier({"data": data, "epochs": 2}, source=SpecSource(str(tmp_path / "spec.json"))))
    history = fit(trainer)
    expected = PlanTrainer(classifier({"epochs": 2}))
    assert fit(expected, X[:60], Y[:60], validation_data=(X[60:80], Y[60:80])).history == history.history
    assert evaluate(trainer) == evaluate(expected, X[80:], Y[80:])


def test_a_dataset_may_be_given_in_place_of_arrays():
    plan = classifier()
    samples = from_arrays(X, Y, plan.data_spec)
    trainer = PlanTrainer(plan)
    fit(trainer, samples, epochs=1)
    assert evaluate(trainer, samples) == evaluate(trainer, X, Y)
    assert (trainer.predict(samples) == trainer.predict(X)).all()


@pytest.mark.parametrize(("width", "planned"), [(8, True), (100_000, False)])
def test_memory_is_planned_for_small_operators(width, planned, monkeypatch):
    planned_memory = []
    create = runner.create_session
    monkeypatch.setattr(
        runner,
        "create_session",
        lambda *arguments, **options: planned_memory.append(options["memory_pattern"]) or create(*arguments, **options),
    )
    layers = [
        {"type": "Dense", "name": "wide", "units": width, "activation": "relu"},
        {"type": "Dense", "name": "line", "units": 1},
    ]
    PlanTrainer(make_plan(layers, {"x": (2,)}, REGRESS)).step(LX, LY)
    assert planned_memory == [planned]
