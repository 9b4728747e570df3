import jsonnx
import numpy as np


class StopWhenGood(jsonnx.Callback):
    def on_epoch_end(self, epoch, logs=None):
        print(epoch, logs["loss"])
        if logs["loss"] < 0.1:
            self.model.stop_training = True


spec = {
    "inputs": {"x": {"shape": [1]}},
    "layers": [{"type": "Dense", "units": 1}],
    "training": {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.1}},
}
x = np.linspace(-1, 1, 64, dtype="float32")[:, None]
jsonnx.Trainer(spec, seed=0).fit(x, 3 * x, epochs=30, callbacks=[StopWhenGood()])
