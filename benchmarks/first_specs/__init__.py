"""How good the specs of `jsonnx init` are, beside models of scikit-learn."""
