import jsonnx
import numpy as np

spec = {
    "inputs": {"x": {"shape": [2]}},
    "layers": [
        {"type": "Dense", "units": 8, "activation": "relu"},
        {"type": "Dense", "name": "y", "units": 1},
    ],
    "training": {
        "loss": "mse",
        "optimizer": {"type": "adam", "learning_rate": 0.01},
        "metrics": ["mae"],
    },
}
random = np.random.default_rng(0)
x = random.normal(size=(400, 2)).astype("float32")
y = x[:, :1] - 2 * x[:, 1:]

trainer = jsonnx.Trainer(spec, seed=0)
# -- Trainer.fit
history = trainer.fit(x, y, epochs=5, batch_size=32, validation_split=0.1)
print(sorted(history.history))  # ['learning_rate', 'loss', 'mae', 'val_loss', 'val_mae']
# -- Trainer.evaluate
print(trainer.evaluate(x, y).keys())
# -- Trainer.predict
print(trainer.predict(x[:3]).shape)  # (3, 1)
# -- Trainer.step
metrics = trainer.step(x[:32], y[:32])
# -- Trainer.gradients
gradients = trainer.gradients(x[:32], y[:32])
print({name: gradient.shape for name, gradient in gradients.items()})
# -- Trainer.weights
weights = trainer.weights()
print(weights["y/kernel"].shape)  # (8, 1)
# -- Trainer.set_weights
trainer.set_weights({**weights, "y/bias": np.zeros(1, "float32")})
# -- Trainer.model
trainer.model().save("model.onnx")
# -- Trainer.save_checkpoint
trainer.save_checkpoint("after.ckpt")
# -- Trainer.load_checkpoint
resumed = jsonnx.Trainer(spec, seed=0)
resumed.load_checkpoint("after.ckpt")
print(resumed.steps == trainer.steps)  # True
# -- Trainer.learning_rate
trainer.learning_rate = 0.001
# -- Trainer.stop


class StopEarly(jsonnx.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if logs["mae"] < 0.5:
            self.trainer.stop()


trainer.fit(x, y, epochs=50, callbacks=[StopEarly()])
