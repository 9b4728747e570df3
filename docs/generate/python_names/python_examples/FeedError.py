import jsonnx
import numpy as np

session = jsonnx.compile("samples/mnist_mlp.json", seed=1).session()
try:
    session.run({"picture": np.zeros((1, 28, 28))})
except jsonnx.FeedError as error:
    print([one.code for one in error.diagnostics])  # ['bad-feed', 'bad-feed']
