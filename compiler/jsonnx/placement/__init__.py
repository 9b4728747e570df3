"""Which nodes of a model an execution provider can run: tables of kernels, taken from onnxruntime's sources.

In: an ONNX model and the name of a provider. Out: the nodes for which the provider has no kernel.
"""

from .copied_tensors import Copies, copied_tensors
from .kernel_table import Kernel, KernelTable, kernel_table
from .placement import MissingKernel, Placement, lacks_kernel, place_assigned, place_nodes
from .provider_placement import SESSION, PlacedModel, ProviderPlacement

__all__ = [
    "SESSION",
    "Copies",
    "Kernel",
    "KernelTable",
    "MissingKernel",
    "PlacedModel",
    "Placement",
    "ProviderPlacement",
    "copied_tensors",
    "kernel_table",
    "lacks_kernel",
    "place_assigned",
    "place_nodes",
]
