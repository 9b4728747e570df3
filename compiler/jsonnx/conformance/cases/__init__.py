"""The cases, one file for each area. Importing the package registers them, in the order in which they run."""

from . import (  # noqa: I001  (the order of the areas)
    health as health,
    metadata as metadata,
    inference as inference,
    batches as batches,
    data_types as data_types,
    mistakes as mistakes,
    json_text as json_text,
    binary_tensors as binary_tensors,
    classification as classification,
    repository as repository,
    configuration as configuration,
    statistics as statistics,
    grpc_metadata as grpc_metadata,
    grpc_inference as grpc_inference,
    http_messages as http_messages,
)
