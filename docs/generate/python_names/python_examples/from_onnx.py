from pathlib import Path

import jsonnx
import numpy as np
import onnx
from onnx import helper, numpy_helper

# A file that another program wrote:
nodes = [
    helper.make_node("MatMul", ["x", "fc1.weight"], ["product"]),
    helper.make_node("Tanh", ["product"], ["hidden"]),
    helper.make_node("MatMul", ["hidden", "fc2.weight"], ["y"]),
]
types = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 4]) for name in ("x", "y")]
weights = [numpy_helper.from_array(np.eye(4, dtype="float32"), f"{name}.weight") for name in ("fc1", "fc2")]
graph = helper.make_graph(nodes, "graph", types[:1], types[1:], weights)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
Path("other.onnx").write_bytes(model.SerializeToString())

spec, weights = jsonnx.from_onnx("other.onnx", head={"kind": 3})
print([layer["type"] for layer in spec["layers"]])
trainer = jsonnx.Trainer(spec, weights=weights, partial=True)
trainer.fit(np.random.rand(32, 4), np.random.randint(0, 3, 32), verbose=0)
