"""Runs models and trains them: sessions, providers, data, the training loop and checkpoints.

Takes ONNX models or training plans; gives arrays, weights and files. The only room that imports onnxruntime, which is
imported when it is first needed.
"""
