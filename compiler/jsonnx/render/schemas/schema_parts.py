"""Parts of the JSON Schemas of the files and documents that jsonnx writes."""

from __future__ import annotations

import json
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NULLABLE_TEXT: Schema = {"type": ["string", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}


def described(description: str, schema: Schema) -> Schema:
    """A schema with a description."""
    return {"description": description, **schema}


def closed_object(properties: Schema, optional: tuple[str, ...] = (), **further: Any) -> Schema:
    """The schema of an object with these keys and no others."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False, **further}


def schema_text(schema: Schema) -> str:
    """A schema as it is published."""
    return json.dumps(schema, indent=2) + "\n"
