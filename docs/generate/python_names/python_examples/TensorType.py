import jsonnx

type_ = jsonnx.compile("samples/mnist_mlp.json", seed=0).outputs["digit"]
print(type_.dtype, type_.shape[1])  # float32 10
# -- TensorType.static_size
print(type_.static_size(-1))  # 10
# -- TensorType.is_static
print(type_.is_static(1), type_.is_static())  # True False
