"""Which nodes of a graph an execution provider can run: tables of kernels, taken from onnxruntime's documentation.

In: a `Graph` and the name of a provider. Out: the nodes for which the provider has no kernel.
"""

from .kernel_table import PROVIDERS_WITH_TABLES, Kernel, KernelTable, kernel_table
from .placement import MissingKernel, missing_kernels

__all__ = ["PROVIDERS_WITH_TABLES", "Kernel", "KernelTable", "MissingKernel", "kernel_table", "missing_kernels"]
