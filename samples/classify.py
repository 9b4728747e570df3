"""Classify a few images with a trained model, with plain onnxruntime: nothing of jsonnx is imported.

python samples/classify.py MODEL.onnx IMAGES.npz
"""

import json
import sys

import numpy as np
import onnxruntime

model, data = sys.argv[1:3]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
(wanted,) = session.get_inputs()
labels = json.loads(session.get_modelmeta().custom_metadata_map["jsonnx.labels"])

with np.load(data) as archive:
    images, truth = archive["image"], archive["label"]

chosen = np.random.default_rng(3).choice(len(images), 5, replace=False)
pixels = images[chosen].reshape(len(chosen), *wanted.shape[1:]).astype(np.float32)
(name,) = (output.name for output in session.get_outputs())
(probabilities,) = session.run([name], {wanted.name: pixels})

for index, row in zip(chosen, probabilities, strict=True):
    best = int(row.argmax())
    verdict = "right" if best == truth[index] else f"wrong, it is {labels[name][truth[index]]}"
    print(f"image {index:3}: {labels[name][best]} with {row[best]:.1%}  ({verdict})")
