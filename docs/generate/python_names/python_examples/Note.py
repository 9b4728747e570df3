import jsonnx

layers = [{"type": "Dense", "name": "a", "units": 3}] * 2
(diagnostic,) = jsonnx.validate({"inputs": {"x": {"shape": [4]}}, "layers": layers})
print([(note.message, note.path) for note in diagnostic.notes])
