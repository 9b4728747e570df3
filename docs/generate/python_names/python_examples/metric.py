import jsonnx
import numpy as np
from jsonnx import ops


@jsonnx.metric(higher_is_better=True)
def within_a_half(y_true, y_pred):
    return ops.cast(ops.abs(y_pred - y_true) < 0.5, "float32")


spec = {
    "inputs": {"x": {"shape": [1]}},
    "layers": [{"type": "Dense", "units": 1}],
    "training": {"loss": "mse"},
}
x = np.linspace(-1, 1, 64, dtype="float32")[:, None]
trainer = jsonnx.Trainer(spec, metrics=["mae", within_a_half], seed=0)
history = trainer.fit(x, 3 * x, epochs=1).history
print(sorted(history))  # ['learning_rate', 'loss', 'mae', 'within_a_half']
