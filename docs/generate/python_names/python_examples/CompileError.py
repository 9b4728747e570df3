import jsonnx

try:
    jsonnx.compile({"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "Dense"}]})
except jsonnx.CompileError as error:
    print([diagnostic.code for diagnostic in error.diagnostics])  # ['missing-key']
