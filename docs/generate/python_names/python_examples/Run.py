import jsonnx
import numpy as np

with np.load("samples/data/mnist_train.npz") as file:
    images, digits = file["image"][:500], file["label"][:500]
trainer = jsonnx.Trainer("samples/mnist_mlp.json", seed=0)
trainer.fit(images, digits, run="runs/digits", epochs=2, validation_split=0.2)

run = jsonnx.Run("runs/digits")
print(run.state, run.epochs)  # finished 2
print(run.best)
print(sorted(run.history))
# -- Run.to_json
print(run.to_json()["state"])  # finished
