import jsonnx
import numpy as np

jsonnx.compile("samples/mnist_mlp.json", seed=1).save("model.onnx")

session = jsonnx.Session("model.onnx")
# -- Session.run
outputs = session.run({"image": np.zeros((3, 28, 28), np.float32)})
print({name: array.shape for name, array in outputs.items()})
# -- Session.prepare
arrays = session.prepare({"image": np.zeros((3, 28, 28))})
# -- Session.run_prepared
outputs = session.run_prepared(arrays)
