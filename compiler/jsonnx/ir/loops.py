"""Loops along an axis: unrolled, or as an ONNX Scan."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ..core.types import Dim
from .emitter import Emitter
from .graph import Constant, Input, Node, Subgraph, Value, reachable_nodes

E = TypeVar("E", bound=Emitter)

StepFn = Callable[[E, Sequence[Value], Sequence[Value]], tuple[Sequence[Value], Sequence[Value]]]
"""`step(g, states, slices) -> (states, results)`."""


def loop(
    g: E,
    step: StepFn[E],
    states: Sequence[Value],
    slices: Sequence[Value],
    *,
    reverse: bool,
    max_unrolled_steps: int,
) -> tuple[list[Value], list[Value]]:
    """See `Builder.loop`."""
    time = slices[0].shape[0]
    if isinstance(time, int) and time <= max_unrolled_steps:
        return unroll(g, step, states, slices, time, reverse=reverse)
    return scan(g, step, states, slices, reverse=reverse)


def unroll(
    g: E, step: StepFn[E], states: Sequence[Value], slices: Sequence[Value], time: int, *, reverse: bool
) -> tuple[list[Value], list[Value]]:
    """Emits the nodes of each step.

    A Gather reads each slice, because a Split with many outputs exceeds the bindings of a WebGPU shader. Slices of a
    value that another unrolled loop stacked are the values that its steps returned.
    """
    results_by_step: list[Sequence[Value]] = []
    for index in reversed(range(time)) if reverse else range(time):
        parts = [
            g.stack_parts[x][index] if x in g.stack_parts else g.refine(g.Gather(x, index, axis=0), x.shape[1:])
            for x in slices
        ]
        states, results = step(g, states, parts)
        results_by_step.append(results)
    ordered = results_by_step[::-1] if reverse else results_by_step
    stacks = {_stack(g, results): results for results in zip(*ordered, strict=True)}
    g.stack_parts.update(stacks)
    return list(states), list(stacks)


def _stack(g: Emitter, parts: Sequence[Value]) -> Value:
    """Values of one type, stacked along a new first axis."""
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
    """Emits the loop as a Scan, with loop-invariant nodes hoisted out of its body.

    The step may read `step_values`, which another loop over the same axis computes at each step; `stack_step_values`
    returns them stacked over all steps.
    """
    inner = g.subgraph_builder()
    state_inputs = [Input(f"state_{index}", state.type) for index, state in enumerate(states)]
    slice_inputs = [Input(f"slice_{index}", x.type.with_shape(x.shape[1:])) for index, x in enumerate(slices)]
    next_states, results = step(inner, state_inputs, slice_inputs)
    for state, next_state in zip(state_inputs, next_states, strict=True):
        _refine_state_type(next_state, state)
    roots = [*next_states, *results]
    inside, hoisted = _split_loop_invariant(
        reachable_nodes(inner.nodes, roots), [*state_inputs, *slice_inputs, *step_values]
    )
    g.nodes.extend(hoisted)
    outer_values = free_values(inside, roots, [*state_inputs, *slice_inputs])
    saved = [value for value in outer_values if value in step_values]
    captured = [value for value in outer_values if value not in step_values]
    body = _scan_body(inside, [*state_inputs, *slice_inputs], saved, captured, next_states, results)
    time, slice_count = slices[0].shape[0], len(slices) + len(saved)
    outputs = [Value(x.type) for x in state_inputs] + [new_stacked_value(y, time) for y in results]
    attributes: dict[str, Any] = {"body": body, "num_scan_inputs": slice_count}
    if reverse:
        attributes["scan_input_directions"] = [1] * slice_count
        if results:
            attributes["scan_output_directions"] = [1] * len(results)
    stacked_saved = stack_step_values(saved) if stack_step_values is not None and saved else []
    inputs = (*states, *slices, *stacked_saved, *captured)
    g.nodes.append(Node("Scan", inputs, tuple(outputs), attributes, *inner.scope_and_path))
    return outputs[: len(states)], outputs[len(states) :]


def _scan_body(
    nodes: Sequence[Node],
    loop_inputs: Sequence[Input],
    saved: Sequence[Value],
    captured: Sequence[Value],
    next_states: Sequence[Value],
    results: Sequence[Value],
) -> Subgraph:
    """The body of a Scan, in which inputs stand for the values that another loop saved and for the captured ones."""
    names = [*(f"saved_{index}" for index in range(len(saved))), *(f"outer_{i}" for i in range(len(captured)))]
    inputs: dict[Value, Input] = {x: Input(name, x.type) for x, name in zip([*saved, *captured], names, strict=True)}
    per_step = [*loop_inputs, *(inputs[value] for value in saved)]
    outputs = {f"next_{index}": value for index, value in enumerate(next_states)}
    outputs |= {f"result_{index}": value for index, value in enumerate(results)}
    return Subgraph(
        {x.name: x for x in [*per_step, *(inputs[value] for value in captured)]},
        {name: inputs.get(value, value) for name, value in outputs.items()},
        tuple(node.with_inputs(x if x is None else inputs.get(x, x) for x in node.inputs) for node in nodes),
        num_loop_inputs=len(per_step),
    )


def add_scan_outputs(node: Node, values: Sequence[Value]) -> tuple[Node, list[Value]]:
    """A Scan that also outputs further values of its body. Returns the node and these outputs."""
    body, first = node.attributes["body"], len(node.outputs)
    time = node.inputs[body.num_loop_inputs - 1].shape[0]
    results = [new_stacked_value(value, time) for value in values]
    saved_outputs = {f"saved_result_{first + index}": value for index, value in enumerate(values)}
    attributes = {**node.attributes, "body": replace(body, outputs={**body.outputs, **saved_outputs})}
    if "scan_input_directions" in attributes:
        attributes["scan_output_directions"] = [1] * (len(node.attribute("scan_output_directions", [])) + len(values))
    return replace(node, outputs=(*node.outputs, *results), attributes=attributes), results


def new_stacked_value(value: Value, time: Dim) -> Value:
    return Value(value.type.with_shape((time, *value.shape)))


def _refine_state_type(next_state: Value, state: Value) -> None:
    """Gives the next state the state's type, whose sizes may be more precise. Raises ValueError if ranks differ."""
    if next_state.rank != state.rank or next_state.dtype != state.dtype:
        raise ValueError(f"a state of {state.type} becomes {next_state.type} in a step")
    if next_state.shape != state.shape:
        next_state.type = state.type


def _split_loop_invariant(nodes: Iterable[Node], step_values: Iterable[Value]) -> tuple[list[Node], list[Node]]:
    """The nodes that depend on a value that changes from step to step, and the others."""
    varying = set(step_values)
    inside, hoisted = [], []
    for node in nodes:
        if any(x in varying for x in node.inputs):
            varying.update(node.outputs)
            inside.append(node)
        else:
            hoisted.append(node)
    return inside, hoisted


def free_values(nodes: Sequence[Node], roots: Iterable[Value], bound: Iterable[Value]) -> list[Value]:
    """The values, each once, that are read or are roots but are neither bound, computed by the nodes nor constants."""
    defined = {*bound, *(output for node in nodes for output in node.outputs)}
    read = [x for node in nodes for x in node.inputs if x is not None]
    return [x for x in dict.fromkeys([*read, *roots]) if x not in defined and not isinstance(x, Constant)]
