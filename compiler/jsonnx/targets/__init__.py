"""Which nodes of a model an execution provider can run: tables of kernels, taken from onnxruntime's sources.

In: an ONNX model and the name of a provider. Out: the nodes for which the provider has no kernel.
"""

from .kernel_table import PROVIDERS_WITH_TABLES, Kernel, KernelTable, kernel_table
from .placement import MissingKernel, Placement, lacks_kernel, place_nodes

__all__ = [
    "PROVIDERS_WITH_TABLES",
    "Kernel",
    "KernelTable",
    "MissingKernel",
    "Placement",
    "kernel_table",
    "lacks_kernel",
    "place_nodes",
]
