"""Keras' own files: models as JSON of any generation, as documents of ours.

`document` finds layers and calls in the JSON, `dialects` and `keras1` bring their arguments to Keras 3's words,
`layers` and `operations` make entries of them, `network` and `graph` connect those by name, `writer` writes them.
Nothing that a file names is imported or executed.
"""

from .model import Imported, read_model

__all__ = ["Imported", "read_model"]
