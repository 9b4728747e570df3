import jsonnx

spec = {
    "inputs": {"x": {"shape": ["length", 4]}},
    "layers": [{"type": "Conv1D", "filters": 2, "kernel_size": 3}],
}
model = jsonnx.compile(spec, seed=0)
batch, length, channels = model.outputs["conv1d"].shape
print(length, isinstance(length, jsonnx.Size))  # length - 2 True
