"""What a step's layer takes and gives, before its arguments are checked."""

from __future__ import annotations

from ...core.components import Json
from ...core.types import ShapeError
from ...layers import LAYERS, Layer
from ..schema.fast_validator import is_valid
from ..schema.schema import ENTRY_KEYS, definition
from .template import Step


def further_outputs(step: Step) -> list[str]:
    """The names of the outputs of a use of a block, or of a layer besides its first."""
    if step.template is not None:
        return list(step.template.outputs)
    body, layer = _body_and_layer(step)
    if layer is None or layer.output_names is Layer.output_names:
        return []
    arguments = {key: value for key, value in body.items() if key not in ENTRY_KEYS}
    if not is_valid({"type": body["type"], **arguments}, definition(f"{LAYERS.kind}.{layer.type_name}")):
        return []
    try:
        return list(layer(**arguments).output_names())
    except ShapeError:
        return []


def _body_and_layer(step: Step) -> tuple[dict[str, Json], type[Layer] | None]:
    """The entry of the layer that a step calls, and the layer's class; None if it is not a layer."""
    body = step.used_step.body if step.used_step else step.body
    kind = body.get("type") if isinstance(body, dict) else None
    layer = LAYERS.by_name.get(kind) if isinstance(kind, str) else None
    return body, layer if layer is not None and issubclass(layer, Layer) else None


def may_lack_inputs(step: Step) -> bool:
    """Whether a step may have no input: without `from`, it does not take the result before it."""
    _, layer = (None, None) if step.template is not None else _body_and_layer(step)
    return layer is not None and not layer.arity[0]
