"""A part of a network as a spec of its own: from some of its values to others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...analysis.masks import Mask
from ...analysis.outputs import is_batch_first
from ...core.diagnostics import UsageError, suggestion
from ...core.reserved_names import target_name
from ...core.types import Size
from ...frontend.network import Call, Network
from ...frontend.schema.phrases import known_names_help, name_list
from ...frontend.schema.schema import DTYPES
from ...sections.training_section import is_by_label
from ..check.check import CheckedSpec, check_spec

CALL_KEYS = ("use", "name", "description", "from")
"""Keys of an entry that belong to a call, not to its layer."""
DATA_KEYS = ("train", "separator", "decimal", "thousands", "missing")
"""Keys of `training.data` that say how the columns of inputs are read."""


@dataclass(frozen=True)
class NetworkPart:
    """A part of a network, checked as a spec of its own."""

    checked: CheckedSpec
    owners: Mapping[str, str]
    """The names that the layers of the network have in the part."""

    def weights(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The weights of the part, among those of the network."""
        weights = {}
        for name, array in arrays.items():
            owner, _, weight = name.partition("/")
            if owner in self.owners:
                weights[f"{self.owners[owner]}/{weight}"] = array
        statistics = [f"{target_name(output)}/" for output in self.checked.network.target_forms]
        return weights | {name: array for name, array in arrays.items() if name.startswith(tuple(statistics))}


def network_part(checked: CheckedSpec, inputs: Sequence[str], outputs: Sequence[str]) -> NetworkPart:
    """The layers between the values `inputs` (none: the network's inputs) and `outputs` (none: the network's outputs).

    A text is a single name.

    Raises UsageError if the values do not exist or are no inputs and outputs of a model, if an input is not used, and
    if an output needs another input.
    """
    part = _Part(checked, *([names] if isinstance(names, str) else names for names in (inputs, outputs)))
    document = part.document()
    return NetworkPart(check_spec(document), part.owners)


class _Part:
    def __init__(self, checked: CheckedSpec, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self.typed = checked.require()
        self.network: Network = self.typed.network
        self.flat: Mapping[str, Any] = self.network.flat_document
        self.outputs = [self._value(name, "--outputs") for name in outputs] or [*self.network.inference_outputs]
        self.cuts = dict.fromkeys([self._value(name, "--inputs") for name in inputs] or self.network.inputs)
        self.calls, needed = self._needed_calls()
        self._check_outputs()
        self._check_inputs(needed)
        if inputs:
            self._check_unread(needed)
        self._check_masks()
        self.inputs = {value: self._input_name(value) for value in self.cuts if value in needed}
        self.symbols: dict[str, str] = {}
        """The symbols of sizes of inputs that are computed in the network."""
        self.owners: dict[str, str] = {}
        """The first call of each layer in the part, by the name of the layer in the network."""
        for call in self.calls:
            self.owners.setdefault(call.owner, call.name)

    # -- the values at the ends ----------------------------------------------------------------------------------------

    def _value(self, name: str, option: str) -> str:
        """The value of a name: itself, or the only output of a block."""
        if name in self.typed.types:
            return name
        block_outputs = self.network.block_outputs.get(name, {})
        if len(block_outputs) == 1:
            return next(iter(block_outputs))
        block, _, output = name.partition(".")
        for value, block_output in self.network.block_outputs.get(block, {}).items():
            if block_output == output:
                return value
        known = [*self.typed.types, *self.network.block_outputs]
        help = suggestion(name, known) or known_names_help(known)
        if block_outputs:
            help = f"name one of its outputs: {name_list([f'{name}.{output}' for output in block_outputs.values()])}"
        raise UsageError("bad-option", f"{option}: there is no value {name!r} in the network", help)

    def _needed_calls(self) -> tuple[list[Call], set[str]]:
        """The calls between inputs and outputs, in order, and all values that they and the outputs need."""
        needed, calls = set(self.outputs), []
        for call in reversed(self.network.calls):
            if any(result in needed and result not in self.cuts for result in call.results):
                calls.append(call)
                needed.update(call.sources)
        return calls[::-1], needed

    def _check_outputs(self) -> None:
        for name in self.outputs:
            if name in self.cuts or name in self.network.inputs:
                message = f"--outputs: {name!r} is an input"
                raise UsageError("bad-option", message, "name a layer behind the inputs")
            if not is_batch_first(self.typed.types[name]):
                message = f"--outputs: {name!r} is {self.typed.types[name]}, whose first axis is not the batch"
                raise UsageError("bad-option", message, "name a value with a batch axis")

    def _check_inputs(self, needed: Collection[str]) -> None:
        for name in self.cuts:
            type = self.typed.types[name]
            if not is_batch_first(type) or type.dtype not in DTYPES:
                message = f"--inputs: {name!r} is {type}, whose first axis is not the batch"
                raise UsageError("bad-option", message, "name a value with a batch axis")
        missing = [name for name in self.network.inputs if name in needed and name not in self.cuts]
        if missing:
            output, between = self._path_from(missing[0])
            by = f" by {name_list(between)}" if between else ""
            message = f"--inputs: the output {output!r} also needs the input {missing[0]!r},{by}"
            names = ",".join([*self.cuts, missing[0]])
            help = f"add it: --inputs {names}; or add a layer between, whose value is fed then"
            raise UsageError("bad-option", message.rstrip(","), help)

    def _path_from(self, start: str) -> tuple[str, list[str]]:
        """An output that depends on a value, and the layers between."""
        previous: dict[str, str] = {}
        reached = {start}
        for call in self.calls:
            source = next((source for source in call.sources if source in reached), None)
            if source is not None:
                results = [result for result in call.results if result not in self.cuts]
                previous |= dict.fromkeys(results, source)
                reached.update(results)
        output = next(name for name in self.outputs if name in reached)
        path, value = list[str](), previous[output]
        while value != start:
            path.append(value)
            value = previous[value]
        return output, path[::-1]

    def _check_unread(self, needed: Collection[str]) -> None:
        unread = [name for name in self.cuts if name not in needed]
        if unread:
            message = f"--inputs: no layer before {name_list(self.outputs)} reads {unread[0]!r}"
            raise UsageError("bad-option", message, "leave it out, or name an output behind it")

    def _check_masks(self) -> None:
        """Raises UsageError for a layer that reads a mask which a layer outside the part makes."""
        inside = {call.name for call in self.calls}
        masks = self.typed.masks.inference.input_masks
        for call in self.calls:
            for source, mask in zip(call.sources, masks.get(call.name, ()), strict=False):
                reads = call.layer is not None and call.layer.reads_masks
                outside = [name for name in _producers(mask) if name not in inside]
                if reads and outside:
                    message = f"--inputs: {call.name!r} reads the mask of {source!r}, which {outside[-1]!r} makes"
                    raise UsageError("bad-option", message, f"begin the part before {outside[-1]!r}")

    def _input_name(self, value: str) -> str:
        """The name of an input of the part: names of inputs have no dot."""
        taken = {*self.network.inputs, *(call.name for call in self.network.calls)}
        name = value.replace(".", "_")
        while name != value and name in taken:
            name += "_"
        return name

    # -- the document --------------------------------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        """The spec of the part."""
        entries = [self._entry(call) for call in self.calls]
        labels = {name: list(self.network.labels[name]) for name in self.outputs if name in self.network.labels}
        training = self._training()
        return {
            "name": self.network.name,
            "inputs": {name: self._input(value) for value, name in self.inputs.items()},
            "layers": entries,
            "outputs": self.outputs,
            **({"labels": labels} if labels else {}),
            **({"training": training} if training else {}),
        }

    def _input(self, value: str) -> dict[str, Any]:
        if value in self.network.inputs:
            written: dict[str, Any] = self.flat["inputs"][value]
            return written
        type = self.typed.types[value]
        return {"shape": [self._size(size) for size in type.shape[1:]], "dtype": type.dtype}

    def _size(self, size: int | Size) -> int | str:
        """A size in the shape of an input: a number, or a symbol that equal sizes share."""
        if isinstance(size, int):
            return size
        known = {str(item) for type in self.network.inputs.values() for item in type.shape[1:]}
        symbol = str(size) if str(size) in known else f"size_{len(self.symbols) + 1}"
        return self.symbols.setdefault(str(size), symbol)

    def _entry(self, call: Call) -> dict[str, Any]:
        """The entry of a call. The first call of a layer in the part defines the layer."""
        definition = self.owners[call.owner]
        if definition != call.name:
            layer: dict[str, Any] = {"use": definition}
        else:
            owner = next(other for other in self.network.calls if other.name == call.owner)
            written = self.flat["layers"][int(owner.path[1])]
            layer = {key: value for key, value in written.items() if key not in CALL_KEYS}
        sources = [self.inputs.get(source, source) for source in call.sources]
        return {**layer, "name": call.name, **({"from": sources} if sources else {})}

    def _training(self) -> dict[str, Any]:
        """The parts of `training` on which the numbers and the classes of outputs depend, and the columns of inputs."""
        training: Mapping[str, Any] = self.flat.get("training") or {}
        losses = self._losses(training.get("loss"))
        if not losses:
            return {}
        forms = {name: form for name, form in self.network.target_forms.items() if name in self.outputs}
        normalized = [name for name, form in forms.items() if form.is_normalized]
        transforms = {name: form.transform for name, form in forms.items() if form.transform is not None}
        target = {
            **({"transform": transforms} if transforms else {}),
            **({"normalize": normalized} if normalized else {}),
        }
        threshold = training.get("threshold")
        if isinstance(threshold, dict) and is_by_label(threshold):
            known = {label for name in self.outputs for label in self.network.labels.get(name, ())}
            threshold = {label: value for label, value in threshold.items() if label in known}
        data = self._data(training.get("data"))
        return {
            "loss": losses,
            **({"target": target} if target else {}),
            **({"threshold": threshold} if isinstance(threshold, float) or is_by_label(threshold) else {}),
            **({"data": data} if data else {}),
        }

    def _losses(self, written: Any) -> dict[str, Any]:
        """The losses of those outputs that are outputs of the network, too."""
        training = self.network.training
        by_output = training is not None and isinstance(training.loss, Mapping)
        losses = written if by_output else dict.fromkeys(self.network.outputs, written)
        return {name: losses[name] for name in self.outputs if losses.get(name) is not None}

    def _data(self, written: Any) -> dict[str, Any]:
        """How the columns of the inputs are read, if all inputs are inputs of the network."""
        if not isinstance(written, Mapping) or not set(self.inputs) <= set(self.network.inputs):
            return {}
        columns = written.get("x")
        if isinstance(columns, Mapping):
            columns = {name: column for name, column in columns.items() if name in self.inputs}
        kept = {key: written[key] for key in DATA_KEYS if key in written}
        return kept | ({"x": columns} if columns else {})


def _producers(mask: Mask | None) -> Iterable[str]:
    """The calls that make a mask and the masks that it is made of, from the last one."""
    if mask is not None:
        yield mask.producer
        for operand in mask.input_masks:
            yield from _producers(operand)
