import jsonnx

try:
    jsonnx.Session("absent.onnx")
except jsonnx.UsageError as error:
    print(error.diagnostic.code)  # unreadable-file
