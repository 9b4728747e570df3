"""The Open Inference Protocol, independent of the transport: requests, tensors, metadata, errors."""
