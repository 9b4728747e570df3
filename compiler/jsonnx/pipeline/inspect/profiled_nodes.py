"""Finds the layer and the part of a training step that each measured node belongs to."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...core.diagnostics import path_text
from ...core.reserved_names import OPTIMIZER_SCOPE, is_slot_name, next_name
from ...runtime.profile.profile import Pass, ProfiledNode
from ...runtime.providers.node_origins import NodeOrigin, NodeOrigins
from ...runtime.providers.node_times import NodeTime, SessionTimes

if TYPE_CHECKING:
    from ...frontend.network import Network
    from ...runtime.training_plan import TrainingPlan

TRAINING_PATH = "$.training"
SUM_OF_SHARDS = "sum over threads"


@dataclass(frozen=True)
class _Owner:
    """The owner of a node: a layer, or a part of the training section."""

    name: str
    type: str = ""
    path: str = ""


class NodeOwners:
    """The layers of the nodes of a network."""

    def __init__(self, network: Network | None, packed_weights: Collection[str] = ()) -> None:
        """`packed_weights` are updated together, so the time of a single one is unknown."""
        calls = network.calls if network is not None else ()
        self._by_path = {
            path_text(call.path): _Owner(call.name, call.layer.type_name if call.layer else "", path_text(call.path))
            for call in calls
        }
        self._by_name = {owner.name: owner for owner in self._by_path.values()}
        self._packed_weights = packed_weights

    def owner(self, origin: NodeOrigin) -> _Owner | None:
        """The owner of a node: for a node without a path, as in models of other programs, its scope."""
        if is_slot_name(origin.scope):
            return self._weight_owner(origin.scope.partition("/")[2])
        if origin.path in self._by_path:
            return self._by_path[origin.path]
        if origin.path == TRAINING_PATH:
            return _Owner(SUM_OF_SHARDS)
        if origin.path.startswith(TRAINING_PATH):
            return _Owner(origin.scope.partition("/")[0] or origin.path.rpartition(".")[2])
        scope = origin.scope or (origin.name if not origin.path and not self._by_path else "")
        return _Owner(scope, path=origin.path) if scope else None

    def _weight_owner(self, scope: str) -> _Owner:
        """The layer whose weight the nodes of a scope of the optimizer update."""
        _, weight = scope.split("/", 1) if scope.startswith("+") and "/" in scope else ("", scope)
        owner = self._by_name.get(weight.partition("/")[0])
        return _Owner(OPTIMIZER_SCOPE) if owner is None or weight in self._packed_weights else owner


class StepPasses:
    """The part of a training step that each node of its model belongs to.

    The loss and the metrics, and what states of layers become, depend on the nodes of the forward pass; whatever else
    the optimizer has not emitted is the backward pass.
    """

    def __init__(self, origins: NodeOrigins, plan: TrainingPlan) -> None:
        states = [next_name(name) for name in plan.train.states if not is_slot_name(name)]
        self._forward = origins.nodes_behind([*plan.fetched_names, *states], lambda origin: not _is_update(origin))

    def pass_of(self, origin: NodeOrigin) -> Pass:
        if _is_update(origin):
            return "update"
        return "forward" if origin.name in self._forward else "backward"


def _is_update(origin: NodeOrigin) -> bool:
    return origin.scope == OPTIMIZER_SCOPE or is_slot_name(origin.scope)


def profiled_nodes(
    sessions: Iterable[SessionTimes],
    divisors: Iterable[float],
    owners: NodeOwners,
    passes: Iterable[StepPasses | None],
) -> list[ProfiledNode]:
    """The nodes of sessions, whose times are divided by a number each; nodes of the same name count as one."""
    nodes: dict[str, ProfiledNode] = {}
    for times, divisor, step_passes in zip(sessions, divisors, passes, strict=True):
        for time in times.nodes.values():
            node = _profiled_node(time, divisor, owners, step_passes)
            known = nodes.get(node.name)
            if known is not None:
                seconds, executions = known.seconds + node.seconds, known.executions + node.executions
                node = replace(node, seconds=seconds, executions=executions)
            nodes[node.name] = node
    return list(nodes.values())


def _profiled_node(time: NodeTime, divisor: float, owners: NodeOwners, passes: StepPasses | None) -> ProfiledNode:
    origin = time.origin.origin if time.origin is not None else None
    owner = owners.owner(origin) if origin is not None else None
    others = {owners.owner(other) for other in time.origin.others} if time.origin is not None else set()
    return ProfiledNode(
        time.name,
        time.op,
        time.provider,
        owner.name if owner else None,
        owner.type if owner else "",
        owner.path if owner else "",
        passes.pass_of(origin) if passes is not None and origin is not None else "forward",
        time.computing_seconds / divisor,
        time.executions / divisor,
        tuple(sorted({other.name for other in others if other is not None and other != owner})),
    )
