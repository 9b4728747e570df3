"""The proof that the rows of a batch do not affect one another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from ...analysis.sample_interaction import separate_layers
from ...analysis.shape_inference import TypedNetwork
from ...core.types import Product, Quotient, Size, TensorType
from ...ir import Graph, Node
from ...passes.training_steps.batch_separability import output_mixing_nodes
from ...pipeline.check.check import CheckedSpec
from ...pipeline.compile.graphs import inference_graph
from .batching import Batching
from .row_rounding import row_rounding

SEPARATE = "no row of a batch affects another, by the compiler's analysis of the network"
UNPROVEN = "the file does not say how it was made, so that its rows may affect one another"
DYNAMIC_RANGES = "int8-dynamic rounds a row by the range of all rows of its batch"
ASKED_FOR = "although nothing is proven, --batch-unproven asks for it"


def batching_of(
    checked: CheckedSpec | None,
    inputs: Mapping[str, TensorType],
    outputs: Mapping[str, TensorType],
    random_inputs: Iterable[str],
    *,
    is_cpu: bool = True,
    threads: int = 1,
    is_asked_for: bool = False,
    precision: str | None = None,
) -> Batching:
    """Whether the requests to a model may share a run. `checked` is its spec, if it has one, and `precision` that of a
    quantized model.

    Models that cannot be batched are not, even if the user asks for it.
    """
    if obstacle := _obstacle(inputs, outputs, random_inputs):
        return Batching(False, obstacle)
    if checked is None:
        return Batching(True, ASKED_FOR) if is_asked_for else Batching(False, UNPROVEN)
    if precision == "int8-dynamic":
        return Batching(True, f"{ASKED_FOR}: {DYNAMIC_RANGES}") if is_asked_for else Batching(False, DYNAMIC_RANGES)
    is_exact = is_cpu and threads == 1
    separation = network_batching(checked.require(), inference_graph(checked), is_exact)
    if separation.is_allowed and not is_cpu:
        return Batching(True, f"{SEPARATE}; the last bits of its results may depend on the batch on this provider")
    if separation.is_allowed and threads > 1:
        return Batching(True, f"{SEPARATE}; the last bits of its results may depend on the batch with several threads")
    if separation.is_allowed or not is_asked_for:
        return separation
    return Batching(True, f"{ASKED_FOR}: {separation.reason}")


def network_batching(typed: TypedNetwork, graph: Graph, is_exact: bool = True) -> Batching:
    """Whether rows affect one another in a network with this inference graph: with `is_exact`, not even in the last
    bits of their results, in sessions of one thread on the CPU."""
    if layers := _interacting_layers(typed, graph):
        return Batching(False, f"the rows of a batch may affect one another in {_listed(sorted(layers))}")
    if not is_exact:
        return Batching(True, SEPARATE)
    rounding = row_rounding(graph.nodes)
    if rounding.exceptions:
        names = _listed(dict.fromkeys(map(_layer, rounding.exceptions)))
        return Batching(False, f"the last bits of the results of {names} depend on the place of a row in its batch")
    return Batching(
        True, f"{SEPARATE}, and its results have the same bits in every batch", rounding.min_rows, rounding.row_multiple
    )


def _obstacle(
    inputs: Mapping[str, TensorType], outputs: Mapping[str, TensorType], random_inputs: Iterable[str]
) -> str | None:
    """Why runs cannot take the rows of several requests, if so."""
    if randoms := [*random_inputs]:
        return f"its random input {randoms[0]!r} is drawn for each request"
    if not inputs:
        return "it has no inputs"
    for kind, types in (("input", inputs), ("output", outputs)):
        for name, type in types.items():
            if not type.rank or isinstance(type.shape[0], int):
                return f"the {kind} {name!r} ({type}) has no axis whose size is the number of rows"
    return None


def _interacting_layers(typed: TypedNetwork, graph: Graph) -> set[str]:
    """The layers by which rows may affect one another.

    Where the analysis of operators does not know, a layer's own declaration counts, by which trainings are distributed.
    A layer whose result has a size that depends on the rows, such as that of the longest text, is affected by them all.
    """
    types = typed.types
    lengths = {
        call.owner
        for call in typed.network.inference_calls
        if not _symbols(types, call.results) <= _symbols(types, (*typed.network.inputs, *call.sources))
    }
    declared = separate_layers(typed)
    nodes = output_mixing_nodes(graph, lambda node: _layer(node) in declared)
    return lengths | {_layer(node) for node in nodes}


def _symbols(types: Mapping[str, TensorType], names: Iterable[str]) -> set[str]:
    """The symbols of the sizes of some values."""
    sizes = chain.from_iterable(types[name].shape for name in names)
    return {symbol for size in sizes if isinstance(size, Size) for symbol in _symbols_of_size(size)}


def _symbols_of_size(size: Size) -> Iterator[str]:
    for symbol, _ in size.terms:
        if isinstance(symbol, Quotient):
            yield from _symbols_of_size(symbol.numerator)
        elif isinstance(symbol, Product):
            for factor in symbol.factors:
                yield from _symbols_of_size(factor)
        else:
            yield symbol


def _layer(node: Node) -> str:
    return node.scope.partition("/")[0] or node.op


def _listed(names: Iterable[str]) -> str:
    quoted = [repr(name) for name in names]
    return ", ".join(quoted[:3]) + (f" and {len(quoted) - 3} more" if len(quoted) > 3 else "")
