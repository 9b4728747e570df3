"""A client of inference servers: of `jsonnx serve`, and of any other that speaks the Open Inference Protocol v2."""
