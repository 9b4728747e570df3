"""Where the time of training steps, or of runs of a model, goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Pass = Literal["forward", "backward", "update"]
PASSES: tuple[Pass, ...] = ("forward", "backward", "update")
"""The parts of a training step: the loss with its metrics, its gradients, and the update of the weights."""


@dataclass(frozen=True)
class ProfiledNode:
    """A node that onnxruntime runs. Seconds are of one step or run, and without the nodes of its bodies."""

    name: str
    op: str
    provider: str
    layer: str | None
    """The name of its layer or of another part, such as `loss`; None if unknown."""
    type: str
    """The type of the layer; empty for anything else."""
    path: str
    """The JSON path of the layer in the spec without blocks; empty if it has none."""
    step_pass: Pass
    seconds: float
    executions: float
    """The number of its runs in a step."""
    fused_layers: tuple[str, ...] = ()
    """Further layers that it computes."""


@dataclass(frozen=True)
class ProfiledGroup:
    """The nodes of a layer, of an operator, or a single node."""

    name: str
    type: str
    path: str
    nodes: tuple[ProfiledNode, ...]

    @property
    def seconds(self) -> float:
        return sum(node.seconds for node in self.nodes)

    def seconds_of(self, step_pass: Pass) -> float:
        return sum(node.seconds for node in self.nodes if node.step_pass == step_pass)


@dataclass(frozen=True)
class Profile:
    """The mean times of some steps or runs after the first ones, in seconds."""

    subject: str
    is_training: bool
    provider: str
    has_started_nodes: bool
    """Whether the provider computes on a device that does not measure time, so that the time of a node is its launch
    time."""
    threads: int
    batch_size: int
    steps: int
    step_seconds: float
    """The time of a step that is not recorded."""
    recorded_step_seconds: float
    """The time of a step while nodes are recorded; the times below are of these steps."""
    waiting_seconds: float
    """Between steps: waiting for the next batch, and adding up losses."""
    runtime_seconds: float
    """In onnxruntime."""
    nodes: tuple[ProfiledNode, ...]
    shard_count: int = 1
    """The threads that each compute a part of the batch; the times of their nodes are means over the threads."""

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The parts of a step; none of a run of a model."""
        return PASSES if self.is_training else ()

    @property
    def node_seconds(self) -> float:
        return sum(node.seconds for node in self.nodes)

    @property
    def runtime_overhead_seconds(self) -> float:
        """In onnxruntime, but in no node."""
        return max(0.0, self.runtime_seconds - self.node_seconds)

    @property
    def outside_seconds(self) -> float:
        """In a step, but neither in onnxruntime nor between steps."""
        return max(0.0, self.recorded_step_seconds - self.runtime_seconds - self.waiting_seconds)

    @property
    def unmapped_seconds(self) -> float:
        """In nodes that belong to no known layer."""
        return sum(node.seconds for node in self.nodes if node.layer is None)

    @property
    def fused_layers(self) -> dict[str, str]:
        """Layers without nodes of their own, and the layer whose nodes compute them."""
        own = {node.layer for node in self.nodes}
        return {
            fused: node.layer
            for node in self.nodes
            for fused in node.fused_layers
            if fused not in own and node.layer is not None
        }

    def by_layer(self) -> list[ProfiledGroup]:
        """The nodes of each layer; the name of nodes of no known layer is empty."""
        return _groups(self.nodes, lambda node: (node.layer or "", node.type, node.path))

    def by_op(self) -> list[ProfiledGroup]:
        return _groups(self.nodes, lambda node: (node.op, "", ""))

    def by_node(self) -> list[ProfiledGroup]:
        return _groups(self.nodes, lambda node: (node.name, node.op, node.path))


def _groups(nodes: Iterable[ProfiledNode], key: Callable[[ProfiledNode], tuple[str, str, str]]) -> list[ProfiledGroup]:
    """The nodes by a key (name, type and path of the group), with the longest time first."""
    groups: dict[tuple[str, str, str], list[ProfiledNode]] = {}
    for node in nodes:
        groups.setdefault(key(node), []).append(node)
    found = [ProfiledGroup(*name_type_path, tuple(members)) for name_type_path, members in groups.items()]
    return sorted(found, key=lambda group: -group.seconds)
