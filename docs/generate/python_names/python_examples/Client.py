import subprocess
import sys

import jsonnx
import numpy as np

JSONNX = [sys.executable, "-m", "jsonnx"]
subprocess.run([*JSONNX, "train", "samples/penguins.json", "-o", "runs/penguins"])
server = subprocess.Popen([*JSONNX, "serve", "runs/penguins", "--port", "8931"])

client = jsonnx.Client("http://127.0.0.1:8931")
# -- Client.wait_until_ready
client.wait_until_ready(timeout=60)
# -- Client.is_ready
print(client.is_ready())  # True
# -- Client.models
print([model["name"] for model in client.models()])  # ['penguins']
# -- Client.metadata
print(client.metadata()["inputs"])
# -- Client.predict
row = {
    "island": "Biscoe",
    "sex": "male",
    "bill_length_mm": 50.0,
    "bill_depth_mm": 15.0,
    "flipper_length_mm": 220,
    "body_mass_g": 5500,
}
print(client.predict(row))
# -- Client.infer
batch = {name: np.array([row[name]]) for name in ("island", "sex")}
batch["measurements"] = np.array([[row[name] for name in list(row)[2:]]], "float32")
print(client.infer(batch)["species"].shape)  # (1, 3)
# -- Client.close
client.close()
server.terminate()
server.wait()
