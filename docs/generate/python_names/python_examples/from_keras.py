import json

import jsonnx

config = {
    "class_name": "Sequential",
    "config": {
        "layers": [
            {"class_name": "InputLayer", "config": {"batch_shape": [None, 4]}},
            {"class_name": "Dense", "config": {"name": "dense", "units": 3}},
        ]
    },
}
# The text of a configuration, or the path of a file .keras or .h5:
spec, weights = jsonnx.from_keras(json.dumps(config))
print(spec["layers"])
print(weights)  # None
