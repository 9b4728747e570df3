import jsonnx

print(jsonnx.validate("samples/penguins.json"))  # []

spec = {"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "Dense", "unit": 3}]}
for diagnostic in jsonnx.validate(spec):
    print(diagnostic.code, diagnostic.path)  # unknown-key $.layers[0].unit
    print(diagnostic.help)  # did you mean 'units'?

layers = [{"type": "Dropout", "rate": 0.9}, {"type": "Dense", "units": 3}]
findings = jsonnx.validate({**spec, "layers": layers}, lint=True)
print([finding.code for finding in findings])  # ['dropout-rate']
