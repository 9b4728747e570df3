"""A functional model: tensors by number become values by name.

A call comes after those that it takes from, and as near behind them as can be: branches stay together, as a person
writes them. Keras 3 counts the calls of a nested functional model from 0 inside the model around it and from 1 in that
model's outputs, Keras 1 and 2 from 1 everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from ...core.components import snake_case
from ...frontend.schema.phrases import quoted
from .call_arguments import WITH_MASK, Bound, bound, masks_beside, refs
from .entries import Value
from .masks import Key, differ, either
from .model_config import Invocation, Model, Other, Ref, Slice, Written, leaves
from .operations import is_operation

if TYPE_CHECKING:
    from .call_context import CallContext, Results

Task = tuple[str, int]
"""A call of a layer: the layer's name, and which of its calls."""

DEEPEST_MASK = 32

MASKS_INSIDE = (
    "a mask comes to MultiHeadAttention in a nested model, which takes it off: here recurrent layers, normalization "
    "and pooling behind it go by that mask all the same; in Keras they do not, as the model was made without one"
)


def attends(model: Model) -> bool:
    """Whether MultiHeadAttention is in a model, at any depth."""
    return any(
        attends(layer.inner) if layer.inner is not None else layer.kind == "MultiHeadAttention"
        for layer in model.layers
    )


@dataclass
class Network:
    """A functional model, called on values."""

    graph: CallContext
    model: Model
    inputs: list[Value | None]
    values: dict[Task, Results] = field(default_factory=dict)
    by_name: dict[str, Written] = field(default_factory=dict)
    shifted: set[str] = field(default_factory=set)
    """Nested models whose calls are counted from 1."""

    def outputs(self) -> Results:
        """The outputs in the model's structure."""
        for layer in self.model.layers:
            if layer.name in self.by_name:
                message = f"two layers of the model {quoted(self.model.name)} are called {quoted(layer.name)}"
                self.graph.report.add("keras-wrong-form", layer.path, message)
            self.by_name.setdefault(layer.name, layer)
        ends, wanted = refs(self.model.inputs), refs(self.model.outputs)
        if not ends or not wanted:
            what = "outputs" if ends else "inputs"
            message = f"the model {quoted(self.model.name)} does not say which tensors are its {what}"
            self.graph.report.add("keras-wrong-form", self.model.path, message)
            return None
        if len(ends) != len(self.inputs):
            if all(value is not None for value in self.inputs):
                takes = f"takes {len(ends)} inputs and is called with {len(self.inputs)}"
                self.graph.report.add(
                    "keras-wrong-form", self.model.path, f"the model {quoted(self.model.name)} {takes}"
                )
            return None
        self.values |= {(ref.layer, ref.call): value for ref, value in zip(ends, self.inputs, strict=True)}
        self.find_shifted()
        wanted = [self.at_end(ref) for ref in wanted]
        for ref in wanted:
            self.evaluate(ref)
        return self.taken(self.model.outputs, end=True)

    def find_shifted(self) -> None:
        """Before Keras 3 a nested model counts its own definition as its first call."""
        if self.graph.layers.dialect.generation >= 3:
            return
        least: dict[str, int] = {}
        calls = [[list(call.args), dict(call.kwargs)] for layer in self.model.layers for call in layer.calls]
        for ref in refs([*calls, self.model.outputs]):
            least[ref.layer] = min(least.get(ref.layer, ref.call), ref.call)
        nested = (layer.name for layer in self.model.layers if layer.inner is not None)
        self.shifted = {name for name in nested if least.get(name, 0) > 0}

    def at_end(self, ref: Ref) -> Ref:
        """An output of the model, counted as tensors inside it are."""
        layer, new = self.by_name.get(ref.layer), self.graph.layers.dialect.generation >= 3
        counted = new and layer is not None and layer.inner is not None and not layer.inner.sequential
        return ref._replace(call=ref.call - 1) if counted else ref

    def task(self, ref: Ref) -> Task:
        """The call that makes a tensor."""
        return ref.layer, ref.call - (ref.layer in self.shifted)

    # -- order -------------------------------------------------------------------------------------------------------

    def evaluate(self, wanted: Ref) -> None:
        """Makes a tensor and all that leads to it; without recursion, for a network may be very deep."""
        stack, waiting = [wanted], set()
        while stack:
            ref = stack[-1]
            task = self.task(ref)
            if task in self.values:
                stack.pop()
                continue
            call = self.invocation(ref)
            if call is None:
                self.values[task] = None
                continue
            waiting.add(task)
            missing = self.missing(self.by_name[ref.layer], call)
            around = [other for other in missing if self.task(other) in waiting]
            if around:
                self.tell_cycle(stack, around[0])
                self.values[self.task(around[0])] = None
            elif missing:
                stack += reversed(missing)
            else:
                self.values[task] = self.result(self.by_name[ref.layer], call)

    def invocation(self, ref: Ref) -> Invocation | None:
        """The call that makes a tensor; reported where there is none."""
        layer, index = self.by_name.get(ref.layer), self.task(ref)[1]
        if layer is not None and 0 <= index < len(layer.calls):
            return layer.calls[index]
        times = "not an input of it" if layer is not None and layer.kind == "InputLayer" else None
        calls = f"called {len(layer.calls)} times" if layer is not None else "not among the layers"
        message = f"the model {quoted(self.model.name)} takes call {ref.call} of {quoted(ref.layer)}, which is"
        help = "calls are counted from 0; the file is damaged, or was edited: save the model anew"
        self.graph.report.add("keras-wrong-form", ref.path, f"{message} {times or calls}", help=help)
        return None

    def missing(self, layer: Written, call: Invocation) -> list[Ref]:
        """The tensors that have to be made before a call."""
        missing = [ref for ref in self.needed(layer, call) if self.task(ref) not in self.values]
        if missing or layer.inner is not None or is_operation(layer):
            return missing
        masks = self.masks(layer, bound(layer.kind, call)).items()
        needed = [ref for name, mask in masks if name != "mask" or layer.kind in WITH_MASK for ref in refs(mask)]
        return [ref for ref in needed if self.task(ref) not in self.values]

    def needed(self, layer: Written, call: Invocation) -> list[Ref]:
        """The tensors that a call takes, but for its masks."""
        if layer.inner is not None or is_operation(layer):
            plain = layer.inner is not None
            return refs([list(call.args), {k: v for k, v in call.kwargs.items() if not (plain and k == "mask")}])
        given = bound(layer.kind, call).given
        masks = masks_beside(layer.kind, given)
        return refs([value for name, value in given.items() if name != "mask" and name not in masks])

    def tell_cycle(self, stack: list[Ref], again: Ref) -> None:
        names = [ref.layer for ref in stack]
        first = max(place for place, ref in enumerate(stack) if self.task(ref) == self.task(again))
        around = [*dict.fromkeys(names[first:]), again.layer]
        shown = " -> ".join(around if len(around) < 9 else [*around[:4], "...", *around[-4:]])
        message = f"layers of the model {quoted(self.model.name)} wait for one another: {shown}"
        self.graph.report.add("cycle", again.path, message, help="no model of Keras has that: the file was edited")

    # -- calls -------------------------------------------------------------------------------------------------------

    def result(self, layer: Written, call: Invocation) -> Results:
        """The results of a call whose tensors are all made."""
        if layer.inner is not None:
            self.graph.check_mode(layer, call.kwargs, call.path)
            given = call.args[0] if call.args else next(iter(call.kwargs.values()), None)
            inputs = self.model_inputs(layer.inner, self.taken(given))
            if any(value is not None and value.mask is not None for value in inputs) and attends(layer.inner):
                self.graph.layers.notices.setdefault(MASKS_INSIDE, layer.path)
            return self.graph.model(layer.inner, inputs)
        if is_operation(layer):
            args = tuple(self.taken(value) for value in call.args)
            return self.graph.operation(layer, args, {k: self.taken(v) for k, v in call.kwargs.items()}, call.path)
        found = bound(layer.kind, call)
        masks = self.masks(layer, found)
        plain = {name: value for name, value in found.given.items() if not self.holds_mask(layer, name, found)}
        given = {name: self.taken(value) for name, value in plain.items()}
        values = {name: self.known(mask) for name, mask in masks.items()}
        return self.graph.called(layer, Bound(given, found.unknown), values, call.path)

    def known(self, mask: Any) -> Any:
        """The value of a mask, which knows how it is made."""
        value = self.taken(mask)
        return replace(value, made=self.made(mask, 0)) if isinstance(value, Value) else value

    @staticmethod
    def model_inputs(model: Model, given: Any) -> list[Value | None]:
        """What a nested model is called with, in the order of its inputs."""
        if isinstance(given, dict) and isinstance(model.inputs, dict):
            return [given.get(name) for name in model.inputs]
        return list(leaves(given))

    def holds_mask(self, layer: Written, name: str, found: Bound) -> bool:
        return name == "mask" or name in masks_beside(layer.kind, found.given)

    def masks(self, layer: Written, found: Bound) -> dict[str, Any]:
        """The masks that are not those that go beside the inputs anyway."""
        every = masks_beside(layer.kind, found.given)
        return {name: mask for name, (mask, beside) in every.items() if not self.goes_beside(mask, beside)}

    def goes_beside(self, mask: Any, value: Any) -> bool:
        kept = [item.mask if isinstance(item, Value) else None for item in leaves(self.taken(value))]
        pairs = zip_longest([self.made(item, 0) for item in leaves(mask)], kept)
        return all(made is None or made == beside for made, beside in pairs)

    def made(self, mask: Any, depth: int) -> Key:
        """How a mask is made."""
        if mask is None:
            return None
        made = self.values.get(self.task(mask)) if isinstance(mask, Ref) else None
        unknown: Key = ("value", made.name) if isinstance(made, Value) else ("unknown", id(mask))
        layer = self.by_name.get(mask.layer) if isinstance(mask, Ref) else None
        if layer is None or not is_operation(layer) or depth > DEEPEST_MASK:
            return unknown
        call = next(iter(layer.calls), None)
        args = call.args if call is not None else ()
        if layer.kind == "NotEqual" and len(args) == 2 and isinstance(args[1], (int, float)):
            value = self.taken(args[0]) if isinstance(args[0], Ref) and self.task(args[0]) in self.values else None
            return differ(value.name, float(args[1])) if isinstance(value, Value) else unknown
        if layer.kind == "Any" and args and layer.config.get("axis") in (-1, [-1]) and not layer.config.get("keepdims"):
            return ("any", self.made(args[0], depth + 1))
        return self.made_by(layer, args, depth) or unknown

    def made_by(self, layer: Written, args: Sequence[Any], depth: int) -> Key:
        """How a function makes a mask of others; None where that is not known."""
        if layer.kind == "LogicalOr" and len(args) == 2:
            return either(*(self.made(item, depth + 1) for item in args))
        if layer.kind == "ConvertToTensor" and args:
            return self.made(args[0], depth + 1)
        if layer.kind == "ExpandDims" and args and layer.config.get("axis") == -1:
            return ("expand_dims", self.made(args[0], depth + 1))
        if layer.kind in ("OnesLike", "ZerosLike") and args and isinstance(args[0], Ref):
            value = self.values.get(self.task(args[0]))
            return (snake_case(layer.kind), value.name) if isinstance(value, Value) else None
        if layer.kind == "Concatenate" and args and isinstance(args[0], list):
            return ("concatenate", *(self.made(item, depth + 1) for item in args[0]))
        return None

    # -- values ------------------------------------------------------------------------------------------------------

    def taken(self, value: Any, *, end: bool = False) -> Any:
        """A structure with values in place of tensors."""
        if isinstance(value, Ref):
            return self.value(self.at_end(value) if end else value)
        if isinstance(value, (Slice, Other)) or not isinstance(value, (list, tuple, dict)):
            return value
        if isinstance(value, dict):
            return {key: self.taken(item, end=end) for key, item in value.items()}
        return [self.taken(item, end=end) for item in value]

    def value(self, ref: Ref) -> Value | None:
        """The value of a tensor that is made; reported where its call has no such output."""
        results = self.values.get(self.task(ref))
        if results is None:
            return None
        found = list(leaves(results))
        if 0 <= ref.output < len(found):
            value: Value | None = found[ref.output]
            return value
        message = f"{quoted(ref.layer)} has no output {ref.output}, only {len(found)}, counted from 0"
        self.graph.report.add("keras-wrong-form", ref.path, message)
        return None
