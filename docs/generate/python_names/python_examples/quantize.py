import jsonnx

trainer = jsonnx.Trainer("samples/digits_residual.json", seed=0)
trainer.fit(run="runs/digits", epochs=3)

small = jsonnx.quantize("runs/digits", precision="int8", tolerance={"accuracy": 0.02})
print(small.report["metrics"]["accuracy"])
print(small.report["bytes"])
small.save("digits.int8.onnx")
