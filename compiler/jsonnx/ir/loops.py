"""Loops along an axis: short ones unrolled, others as ONNX' Scan."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ..core.types import Dim, TensorType
from .emitter import Emitter
from .graph import Constant, Input, Node, Subgraph, Value, reachable_nodes

E = TypeVar("E", bound=Emitter)

StepFn = Callable[[E, Sequence[Value], Sequence[Value]], tuple[Sequence[Value], Sequence[Value]]]
"""`step(g, states, slices) -> (states, results)`."""

MAX_UNROLLED_STEPS = 32
"""The greatest number of steps that become nodes of their own, unless the caller knows better (as
`gradient.rules.rnn_common`).

An LSTM's training step (batch 64, 128 units) takes 8 % less than with a Scan at 28 steps and as long at 100, but
onnxruntime 1.32 opens it in 55 ms against 17 at 28 steps, and in 160 against 17 at 100.
"""


def loop(
    g: E,
    step: StepFn[E],
    states: Sequence[Value],
    slices: Sequence[Value],
    *,
    reverse: bool,
    max_unrolled_steps: int | None,
) -> tuple[list[Value], list[Value]]:
    """See `Builder.loop`."""
    time = slices[0].shape[0]
    if isinstance(time, int) and time <= (MAX_UNROLLED_STEPS if max_unrolled_steps is None else max_unrolled_steps):
        return unroll(g, step, states, slices, time, reverse=reverse)
    return scan(g, step, states, slices, reverse=reverse)


def unroll(
    g: E, step: StepFn[E], states: Sequence[Value], slices: Sequence[Value], time: int, *, reverse: bool
) -> tuple[list[Value], list[Value]]:
    """The loop as nodes of every step.

    Slices are taken by a Gather each: a Split of many results has more of them than a shader of WebGPU may bind. Those
    of another such loop's results are what its steps gave.
    """
    found: list[Sequence[Value]] = []
    for at in reversed(range(time)) if reverse else range(time):
        parts = [
            g.stack_parts[x][at] if x in g.stack_parts else g.refine(g.Gather(x, at, axis=0), x.shape[1:])
            for x in slices
        ]
        states, results = step(g, states, parts)
        found.append(results)
    ordered = found[::-1] if reverse else found
    stacks = {_stack(g, results): results for results in zip(*ordered, strict=True)}
    g.stack_parts.update(stacks)
    return list(states), list(stacks)


def _stack(g: Emitter, parts: Sequence[Value]) -> Value:
    """Values of one type along a new first axis."""
    shape = (len(parts), *parts[0].shape)
    if parts[0].rank and _has_at_most_one_symbol(parts[0].shape):
        return g.reshape(parts[0] if len(parts) == 1 else g.Concat(*parts, axis=0), shape)
    return g.refine(g.Concat(*(g.Unsqueeze(part, [0]) for part in parts), axis=0), shape)


def _has_at_most_one_symbol(shape: Sequence[Dim]) -> bool:
    return sum(not isinstance(size, int) for size in shape) <= 1


def scan(
    g: E,
    step: StepFn[E],
    states: Sequence[Value],
    slices: Sequence[Value],
    *,
    reverse: bool = False,
    step_values: Collection[Value] = (),
    stack_step_values: Callable[[list[Value]], list[Value]] | None = None,
) -> tuple[list[Value], list[Value]]:
    """The loop as a Scan.

    What does not change from step to step is moved out of its body. `step_values` are values of another loop over the same
    axis, which this one's step may read: `stack_step_values` answers them for all steps.
    """
    inner = g.subgraph_builder()
    before = [Input(f"state_{index}", state.type) for index, state in enumerate(states)]
    parts = [Input(f"slice_{index}", x.type.with_shape(x.shape[1:])) for index, x in enumerate(slices)]
    after, results = step(inner, before, parts)
    for old, renewed in zip(before, after, strict=True):
        _refine_state_type(renewed, old)
    roots = [*after, *results]
    inside, outside = _split_loop_invariant(reachable_nodes(inner.nodes, roots), [*before, *parts, *step_values])
    g.nodes.extend(outside)
    read = free_values(inside, roots, [*before, *parts])
    saved = [value for value in read if value in step_values]
    captured = [value for value in read if value not in step_values]
    more = stack_step_values(saved) if stack_step_values is not None and saved else []
    new_names = [*(f"saved_{index}" for index in range(len(saved))), *(f"outer_{i}" for i in range(len(captured)))]
    new: dict[Value, Input] = {v: Input(name, v.type) for v, name in zip([*saved, *captured], new_names, strict=True)}
    formal = [*before, *parts, *(new[value] for value in saved)]
    made = {f"next_{index}": value for index, value in enumerate(after)}
    made |= {f"result_{index}": value for index, value in enumerate(results)}
    body = Subgraph(
        {x.name: x for x in [*formal, *(new[value] for value in captured)]},
        {name: new.get(value, value) for name, value in made.items()},
        tuple(node.with_inputs(x if x is None else new.get(x, x) for x in node.inputs) for node in inside),
        num_loop_inputs=len(formal),
    )
    time = slices[0].shape[0]
    outputs = [Value(x.type) for x in before] + [new_stacked_value(y, time) for y in results]
    attributes: dict[str, Any] = {"body": body, "num_scan_inputs": len(slices) + len(saved)}
    if reverse:
        attributes["scan_input_directions"] = [1] * (len(slices) + len(saved))
        attributes["scan_output_directions"] = [1] * len(results) or None
    attributes = {name: value for name, value in attributes.items() if value is not None}
    inputs = (*states, *slices, *more, *captured)
    g.nodes.append(Node("Scan", inputs, tuple(outputs), attributes, *inner.place))
    return outputs[: len(states)], outputs[len(states) :]


def add_scan_outputs(node: Node, values: Sequence[Value]) -> tuple[Node, list[Value]]:
    """A Scan that gives out further values of its body, and these stacked."""
    body, first = node.attributes["body"], len(node.outputs)
    time = node.inputs[body.num_loop_inputs - 1].shape[0]
    results = [new_stacked_value(value, time) for value in values]
    made = {f"saved_result_{first + index}": value for index, value in enumerate(values)}
    changed = {**node.attributes, "body": replace(body, outputs={**body.outputs, **made})}
    if "scan_input_directions" in changed:
        changed["scan_output_directions"] = [1] * (len(node.attribute("scan_output_directions", [])) + len(values))
    return replace(node, outputs=(*node.outputs, *results), attributes=changed), results


def new_stacked_value(value: Value, time: Dim) -> Value:
    return Value(value.type.with_shape((time, *value.shape)))


def _refine_state_type(new: Value, old: Value) -> None:
    """Refines a state after a step by the state before it; they are one value of the loop."""
    known: TensorType = old.type
    if new.rank != old.rank or new.dtype != old.dtype:
        raise ValueError(f"a state of {known} becomes {new.type} in a step")
    if new.shape != old.shape:
        new.type = known


def _split_loop_invariant(nodes: Iterable[Node], step_values: Iterable[Value]) -> tuple[list[Node], list[Node]]:
    """The nodes that depend on what changes from step to step, and the others."""
    reached = set(step_values)
    inside, outside = [], []
    for node in nodes:
        if any(x in reached for x in node.inputs):
            reached.update(node.outputs)
            inside.append(node)
        else:
            outside.append(node)
    return inside, outside


def free_values(nodes: Sequence[Node], roots: Iterable[Value], bound: Iterable[Value]) -> list[Value]:
    """The values from elsewhere that nodes read or that are among the roots, each once; constants are nobody's."""
    known = {*bound, *(output for node in nodes for output in node.outputs)}
    read = [x for node in nodes for x in node.inputs if x is not None]
    return [x for x in dict.fromkeys([*read, *roots]) if x not in known and not isinstance(x, Constant)]
