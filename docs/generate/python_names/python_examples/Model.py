import jsonnx
import numpy as np

model = jsonnx.compile("samples/mnist_mlp.json", seed=1)
print(model.inputs)
print({name: array.shape for name, array in model.weights.items()})
# -- Model.summary
print(model.summary())
# -- Model.rows
for row in model.rows():
    print(row.name, row.parameters)
# -- Model.save
model.save("model.onnx")
# -- Model.to_bytes
data = model.to_bytes()
print(len(data) == model.size_bytes)  # True
# -- Model.session
session = model.session()
outputs = session.run({"image": np.zeros((2, 28, 28), np.float32)})
# -- Model.verify
model.verify()
