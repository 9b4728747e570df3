import jsonnx

model = jsonnx.compile("samples/mnist_cnn.json", seed=1)  # with drawn weights
print(model.outputs["digit"])  # float32[batch, 10]
model.save("model.onnx")

small = jsonnx.compile("samples/transformer.json", seed=1, changes=["depth=1"])
# The part up to a layer:
features = jsonnx.compile("samples/mnist_cnn.json", seed=1, outputs=["flatten"])
