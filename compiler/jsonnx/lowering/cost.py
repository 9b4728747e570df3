"""What each layer costs: parameters, and multiply-adds for one sample."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ..analysis.shape_inference import TypedNetwork
from ..core.types import TensorType
from ..ir import Graph, Node, Parameter, State
from ..ir.cost import MICROSOFT_DOMAIN, sum_macs


@dataclass(frozen=True)
class LayerCost:
    """One layer call. `macs` counts multiply-adds of matrix products and convolutions a sample; None where a size is
    symbolic. Weights of a shared layer are counted at its first call."""

    name: str
    type: str
    outputs: tuple[TensorType, ...]
    parameters: int
    trainable: int
    macs: int | None
    sources: tuple[str, ...]
    onnxruntime_ops: tuple[str, ...] = ()
    """Operators that ONNX does not define: a model with them runs in onnxruntime alone."""
    block_path: tuple[tuple[str, str], ...] = ()
    """The uses of blocks that the call stands in, from the outermost: names and blocks."""
    frozen: bool = False
    """Whether the layer has weights that could be trained, and training leaves all of them alone."""
    masked_inputs: tuple[str, ...] = ()
    """The inputs that have a mask beside them as the layer runs."""
    reads_masks: bool = False
    """Whether the layer computes with them."""
    mask: TensorType | None = None
    """The mask beside the first output."""


def cost_table(typed: TypedNetwork, graph: Graph) -> list[LayerCost]:
    """A row for every call, in order."""
    work: dict[tuple[str | int, ...], list[Node]] = {}
    for node in graph.nodes:
        work.setdefault(node.path, []).append(node)
    weights = _weights_by_layer(graph)
    counted: set[str] = set()
    rows = []
    for call in typed.network.calls:
        own = weights.get(call.owner, {})
        learnable = [name for name in own if name in graph.parameters]
        learning = [name for name in learnable if graph.parameters[name].trainable]
        sizes = {name: 0 if call.owner in counted else prod(value.shape) for name, value in own.items()}
        counted.add(call.owner)
        outputs = tuple(typed.types[name] for name in call.results)
        kind = call.layer.type_name if call.layer else "?"
        own_nodes = work.get(call.path, [])
        macs, needs = sum_macs(own_nodes), tuple(sorted({n.op for n in own_nodes if n.domain == MICROSOFT_DOMAIN}))
        masks = typed.masks.inference
        given = zip(call.sources, masks.input_masks[call.name], strict=True)
        made = masks.produced.get(call.name)
        rows.append(
            LayerCost(
                call.name,
                kind,
                outputs,
                sum(sizes.values()),
                sum(sizes[name] for name in learning),
                macs,
                call.sources,
                needs,
                call.block_uses,
                frozen=bool(learnable) and not learning,
                masked_inputs=tuple(dict.fromkeys(source for source, mask in given if mask is not None)),
                reads_masks=call.layer is not None and call.layer.reads_masks,
                mask=made.type if made else None,
            )
        )
    return rows


def _weights_by_layer(graph: Graph) -> dict[str, dict[str, Parameter | State]]:
    """The weights of each layer whose shapes are known."""
    weights: dict[str, dict[str, Parameter | State]] = {}
    known: dict[str, Parameter | State] = {**graph.parameters, **graph.states}
    for name, value in known.items():
        if value.type.is_static():
            weights.setdefault(name.partition("/")[0], {})[name] = value
    return weights
