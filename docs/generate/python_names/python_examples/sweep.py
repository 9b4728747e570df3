import jsonnx
import numpy as np

x = np.linspace(-1, 1, 200, dtype="float32")[:, None]
np.savez("train.npz", x=x, y=3 * x)
spec = {
    "inputs": {"x": {"shape": [1]}},
    "layers": [{"type": "Dense", "name": "y", "units": 1}],
    "training": {
        "loss": "mse",
        "epochs": 2,
        "optimizer": {"type": "adam", "learning_rate": 0.01},
        "data": {"train": "train.npz", "validation_split": 0.2},
    },
    "sweep": {
        "sampler": "grid",
        "parameters": {"training.optimizer.learning_rate": {"choice": [0.01, 0.1]}},
    },
}
result = jsonnx.sweep(spec, "sweeps/rate")
print(len(result.trials))  # 2
print(result.best_spec["training"]["optimizer"])
