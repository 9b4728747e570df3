import json

import jsonnx

config = {
    "class_name": "Sequential",
    "config": {
        "layers": [
            {"class_name": "InputLayer", "config": {"batch_shape": [None, 4], "dtype": "float32"}},
            {"class_name": "Dense", "config": {"name": "dense", "units": 3, "activation": "softmax"}},
        ]
    },
}
spec, weights = jsonnx.from_keras(json.dumps(config))  # or the path of a file .keras or .h5
print(spec["layers"])
print(weights)  # None
