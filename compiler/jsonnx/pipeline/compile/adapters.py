"""The low-rank adapters of a network, and the weights that they are merged into."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ...frontend.network import Network, has_adapter
from ...ir import Adapter, Graph
from ...ir.adapter_arrays import merged_weight, unique_adapters
from ...lowering.lower import lower
from ..check.check import CheckedSpec


def has_adapters(network: Network) -> bool:
    """Whether the spec asks for an adapter."""
    if network.adapted_weights is not None:
        return True
    return any(map(has_adapter, network.calls))


def network_adapters(checked: CheckedSpec) -> tuple[Adapter, ...]:
    """The adapters of a network, one for each adapted weight."""
    return unique_adapters(adapted_graph(checked)) if has_adapters(checked.network) else ()


def adapted_graph(checked: CheckedSpec) -> Graph:
    """The network as it is lowered, with its adapters."""
    return lower(checked.require()) if checked.lowered is None else checked.lowered


def merge_adapters(
    adapters: Iterable[Adapter], weights: Mapping[str, np.ndarray], given: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The weights, with those that adapters in `given` update. An adapter that is not given changes nothing."""
    merged = dict(weights)
    for adapter in adapters:
        if all(variable.name in given for variable in adapter.variables):
            merged[adapter.weight.name] = merged_weight(adapter, {**given, **weights})
    return merged
