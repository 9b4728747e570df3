import jsonnx

try:
    jsonnx.Client("http://127.0.0.1:9", retries=0).models()
except jsonnx.ServerError as error:
    print(error.code)  # server-unreachable
