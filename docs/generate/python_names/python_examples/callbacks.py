import jsonnx
import numpy as np
from jsonnx import callbacks

spec = {
    "inputs": {"x": {"shape": [1]}},
    "layers": [{"type": "Dense", "units": 1}],
    "training": {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.1}},
}
x = np.linspace(-1, 1, 64, dtype="float32")[:, None]


def fit(callback):
    trainer = jsonnx.Trainer(spec, seed=0)
    return trainer.fit(x, 3 * x, epochs=6, validation_split=0.25, callbacks=[callback])


# -- EarlyStopping
history = fit(callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True))
# -- ReduceLROnPlateau
fit(callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=2))
# -- LearningRateScheduler
fit(callbacks.LearningRateScheduler(lambda epoch, rate: 0.1 * 0.9**epoch))
# -- ModelCheckpoint
best = {"save_best_only": True, "save_weights_only": True}
fit(callbacks.ModelCheckpoint("best.safetensors", **best))
# -- CSVLogger
fit(callbacks.CSVLogger("log.csv"))
# -- LambdaCallback
fit(callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"])))
# -- TerminateOnNaN
fit(callbacks.TerminateOnNaN())
# -- TensorBoard: needs the extra tensorboard
fit(callbacks.TensorBoard("logs"))  # tensorboard --logdir logs
# -- MLflow: needs the extra mlflow
fit(callbacks.MLflow("digits"))
# -- WandB: needs the extra wandb
fit(callbacks.WandB("digits"))
