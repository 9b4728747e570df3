import jsonnx
import numpy as np
from jsonnx import ops


@jsonnx.loss
def log_cosh(y_true, y_pred):
    return ops.mean(ops.log(ops.cosh(y_pred - y_true)), axis=-1)


spec = {
    "inputs": {"x": {"shape": [1]}},
    "layers": [{"type": "Dense", "units": 1}],
    "training": {"loss": "mse"},
}
x = np.linspace(-1, 1, 64, dtype="float32")[:, None]
history = jsonnx.Trainer(spec, loss=log_cosh, seed=0).fit(x, 3 * x, epochs=2)
