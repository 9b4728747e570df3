import jsonnx

keras_model = jsonnx.to_keras("samples/mnist_mlp.json", seed=1)
keras_model.save("digits.keras")  # keras.saving.load_model reads it
