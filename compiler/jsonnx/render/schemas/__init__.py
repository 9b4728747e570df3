"""JSON Schemas of the documents that jsonnx writes."""
