"""What a family of architectures makes of a configuration: a spec, and the origin of each weight of its network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Step = Callable[["np.ndarray"], "np.ndarray"]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class TensorSource:
    """A weight as a tensor of the checkpoint, or several, and the steps that give it our layout.

    `tensor("fc.weight", 8, 4).transposed()` is a Dense kernel [4, 8]. The shape is known before a tensor is read.
    """

    parts: tuple[tuple[str, Shape], ...]
    """Names and shapes of the tensors, which are concatenated along the first axis."""
    shape: Shape
    """The shape after all steps."""
    steps: tuple[Step, ...] = ()

    def transposed(self, *axes: int) -> TensorSource:
        """Permutes the axes; without arguments, reverses them."""
        order = axes or tuple(reversed(range(len(self.shape))))
        return self._then(lambda x: x.transpose(order), tuple(self.shape[axis] for axis in order))

    def reshaped(self, *shape: int) -> TensorSource:
        """Changes the shape, not the order of elements."""
        assert prod(shape) == prod(self.shape), f"{self.shape} does not reshape to {shape}"
        return self._then(lambda x: x.reshape(shape), shape)

    def rows(self, start: int, stop: int) -> TensorSource:
        """A part of the first axis, such as the query of a fused projection."""
        return self._then(lambda x: x[start:stop], (stop - start, *self.shape[1:]))

    def columns(self, start: int, stop: int) -> TensorSource:
        """A part of the last axis."""
        return self._then(lambda x: x[..., start:stop], (*self.shape[:-1], stop - start))

    def plus(self, number: float) -> TensorSource:
        """Adds a number to each element."""
        return self._then(lambda x: x + x.dtype.type(number), self.shape)

    def applied_to(self, array: np.ndarray) -> np.ndarray:
        """The weight, from its tensor or the concatenation of its tensors."""
        for step in self.steps:
            array = step(array)
        return array

    def _then(self, step: Step, shape: Shape) -> TensorSource:
        return replace(self, shape=shape, steps=(*self.steps, step))


def tensor(name: str, *shape: int) -> TensorSource:
    """A tensor of the checkpoint, with the shape that it has there."""
    return TensorSource(((name, shape),), shape)


def concatenated(*tensors: TensorSource) -> TensorSource:
    """Whole tensors, joined along the first axis."""
    first = tensors[0].shape
    return TensorSource(tuple(t.parts[0] for t in tensors), (sum(t.shape[0] for t in tensors), *first[1:]))


Weights = dict[str, TensorSource]


def dense(layer: str, module: str, inputs: int, outputs: int, *, bias: bool = True) -> Weights:
    """The weights of a Dense layer, from a Linear module."""
    weights = {f"{layer}/kernel": tensor(f"{module}.weight", outputs, inputs).transposed()}
    return weights | ({f"{layer}/bias": tensor(f"{module}.bias", outputs)} if bias else {})


def head_projection(layer: str, module: str, inputs: int, heads: int, head_dim: int, *, bias: bool = True) -> Weights:
    """The weights of the query, key or value of an attention layer, from a Linear module."""
    kernel = tensor(f"{module}.weight", heads * head_dim, inputs).transposed().reshaped(inputs, heads, head_dim)
    weights = {f"{layer}/kernel": kernel}
    if bias:
        weights[f"{layer}/bias"] = tensor(f"{module}.bias", heads * head_dim).reshaped(heads, head_dim)
    return weights


def head_output(layer: str, module: str, heads: int, head_dim: int, outputs: int, *, bias: bool = True) -> Weights:
    """The weights of the output of an attention layer, from a Linear module."""
    kernel = tensor(f"{module}.weight", outputs, heads * head_dim).transposed().reshaped(heads, head_dim, outputs)
    weights = {f"{layer}/kernel": kernel}
    return weights | ({f"{layer}/bias": tensor(f"{module}.bias", outputs)} if bias else {})


def layer_norm(layer: str, module: str, features: int, *, bias: bool = True) -> Weights:
    """The weights of a LayerNormalization."""
    weights = {f"{layer}/gamma": tensor(f"{module}.weight", features)}
    return weights | ({f"{layer}/beta": tensor(f"{module}.bias", features)} if bias else {})


@dataclass(frozen=True)
class Translation:
    """A model as a spec."""

    spec: dict[str, Any]
    """The spec, with readable blocks and repetitions."""
    weights: Weights
    """For each weight of the network its tensors."""
    features: str | None = None
    """The name of the entry in `spec["layers"]` behind which another head may stand: the entries after it are the head
    that the model has. None if there is no such place."""
    pooling: tuple[dict[str, Any], ...] = ()
    """Entries between `features` and another head, which make one vector of each sample."""
    unused: tuple[str, ...] = ()
    """Patterns of tensors that are no weights, such as buffers, or belong to layers that the spec leaves out."""
    copies: Mapping[str, str] = field(default_factory=dict)
    """Tensors that may be stored a second time, because they are tied, and the tensor that each equals."""
    notices: tuple[str, ...] = ()
    """Sentences about parts of the model that were left out, for warnings."""
    pooling_weights: Weights = field(default_factory=dict)
    """The weights of `pooling`, as far as the model has them."""

    def up_to(self, name: str, *entries: dict[str, Any]) -> Translation:
        """The model up to an entry of `layers`, with other entries behind it, whose last result is the output. The
        tensors of the entries that are dropped are unused, and those of logits by the embedding."""
        layers = self.spec["layers"]
        end = [entry.get("name") for entry in layers].index(name) + 1
        dropped = tuple(f"{entry['name']}/" for entry in layers[end:])
        is_dropped = {key: key.startswith(dropped) or key.endswith("/reverse_embeddings") for key in self.weights}
        unused = {part for key, source in self.weights.items() if is_dropped[key] for part, _ in source.parts}
        weights = {key: source for key, source in self.weights.items() if not is_dropped[key]}
        spec = {key: value for key, value in self.spec.items() if key not in ("outputs", "labels")}
        spec["layers"] = [*map(_without_logits, layers[:end]), *entries]
        return replace(self, spec=spec, weights=weights, unused=(*self.unused, *sorted(unused)))


def _without_logits(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry, or for an embedding that also gives logits, one that does not."""
    if entry.get("type") != "ReversibleEmbedding":
        return entry
    options = ("tie_weights", "logit_soft_cap")
    return {**{key: value for key, value in entry.items() if key not in options}, "type": "Embedding"}
