import jsonnx
from jsonnx import ops


@jsonnx.loss
def pinball(y_true, y_pred):  # of the quantile 0.9
    difference = y_true - y_pred
    return ops.mean(ops.maximum(0.9 * difference, -0.1 * difference), axis=-1)


spec = {
    "inputs": {"x": {"shape": [1]}},
    "layers": [{"type": "Dense", "units": 1}],
    "training": {"loss": "mse"},
}
trainer = jsonnx.Trainer(spec, loss=pinball, seed=0)
