import jsonnx

text = '{"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "Dense", "unit": 3}]}'
(diagnostic,) = jsonnx.validate(text)
print(diagnostic.severity, diagnostic.code)  # error unknown-key
print(diagnostic.line, diagnostic.column, diagnostic.path)  # 1 64 $.layers[0].unit
print(diagnostic.message)  # Dense has no key 'unit'
