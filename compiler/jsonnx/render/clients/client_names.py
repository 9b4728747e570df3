"""Names of types, and texts of comments, in generated clients."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ...core.signature.model_fields import ModelFields, PredictionField, RowField

MAX_LISTED_CHOICES = 200
"""Categories or classes that a type lists; with more of them it is any text."""
LINE_WIDTH = 100
MAX_EXAMPLE_FIELDS = 16
"""Fields of a row that a comment shows."""


@dataclass(frozen=True)
class Choices:
    """A type that lists the values of a field, or the classes of an output."""

    name: str
    values: tuple[str | int, ...]


@dataclass(frozen=True)
class ClientTypes:
    """The names of the types of a model's fields."""

    rows: dict[str, Choices] = field(default_factory=dict)
    """The categories of the fields of a row, by field."""
    classes: dict[str, Choices] = field(default_factory=dict)
    """The classes of outputs, by output."""
    predictions: dict[str, str] = field(default_factory=dict)
    """The names of the types of predictions, by output."""

    @staticmethod
    def of(fields: ModelFields, reserved: Collection[str]) -> ClientTypes:
        """Types whose names are neither reserved nor those of other types."""
        types, taken = ClientTypes(), set(reserved)
        for row in fields.rows:
            if 0 < len(row.categories) <= MAX_LISTED_CHOICES:
                types.rows[row.name] = Choices(_type_name(row.name, "", taken), row.categories)
        for output in fields.predictions:
            if 0 < len(output.labels) <= MAX_LISTED_CHOICES:
                types.classes[output.name] = Choices(_type_name(output.name, "", taken), output.labels)
            types.predictions[output.name] = _type_name(output.name, "Prediction", taken)
        return types

    def choices(self) -> Iterator[Choices]:
        """All types that list values."""
        yield from self.rows.values()
        yield from self.classes.values()


def _type_name(name: str, suffix: str, taken: set[str]) -> str:
    """The name in camel case, with a number if another type has it; `taken` gets it."""
    words = re.split(r"\W+|_", name)
    base = "".join(word[:1].upper() + word[1:] for word in words)
    base = base if base.isidentifier() and base.isascii() else f"Field{base}" if _continues(base) else "Field"
    candidate, number = base + suffix, 2
    while candidate in taken:
        candidate, number = f"{base}{suffix}{number}", number + 1
    taken.add(candidate)
    return candidate


def _continues(text: str) -> bool:
    return text.isascii() and f"_{text}".isidentifier()


def row_comment(field: RowField) -> str | None:
    """What a reader needs to know of a field beyond its type."""
    parts = [field.description or ""]
    if field.date_formats:
        others = f" ({' or '.join(field.date_formats)})" if len(field.date_formats) > 1 else ""
        parts.append(f"A date, such as {field.example}{others}.")
    if field.maximum is not None and not field.categories:
        parts.append(f"0 to {field.maximum}.")
    if field.kind == "image":
        parts.append(f"Pixels {sizes_text(field.shape)}, or a picture.")
    elif field.shape:
        parts.append(f"Of shape {sizes_text(field.shape)}.")
    return _joined(parts)


def prediction_comment(field: PredictionField) -> str | None:
    """What a reader needs to know of an output beyond its type."""
    return _joined([field.description or "", f"Of shape {sizes_text(field.shape)}." if field.shape else ""])


def sizes_text(shape: Iterable[int | None]) -> str:
    """A shape as text: `[28, 28, 1]`; `n` is a size that differs."""
    return f"[{', '.join('n' if size is None else str(size) for size in shape)}]"


def _joined(parts: Iterable[str]) -> str | None:
    return " ".join(part if part.endswith(".") else f"{part}." for part in parts if part) or None


def one_line(text: str) -> str:
    """A text in one line, in characters that can be seen."""
    line = " ".join(text.split())
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)


def wrapped(text: str, indent: str) -> list[str]:
    """A text in lines that begin with an indentation or a mark of comments."""
    return textwrap.wrap(
        one_line(text), LINE_WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False
    )


def list_lines(items: Iterable[str]) -> list[str]:
    """Items in indented lines that are filled."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + 1 + len(item) <= LINE_WIDTH:
            lines[-1] += f" {item}"
        else:
            lines.append(f"    {item}")
    return lines


def title(fields: ModelFields) -> str:
    """The first sentence of a file."""
    return f"Client of the model {fields.name}."


def has_images(fields: ModelFields) -> bool:
    """Whether a row has pictures."""
    return any(field.kind == "image" for field in fields.rows)


def rows_comment(fields: ModelFields) -> str:
    """What a list of rows is."""
    text = "A row that the model predicts."
    if fields.window_length is not None:
        text = f"A step of a time series: {fields.window_length} that follow one another give a prediction."
    open_fields = [field.name for field in fields.rows if field.takes_others]
    listed = " and ".join([*([", ".join(open_fields[:-1])] if open_fields[1:] else []), *open_fields[-1:]])
    return text + (f" Other values of {listed} count as unknown." if listed else "")


def example_call(
    fields: ModelFields, call: str, literal: Callable[[Any], str], key: Callable[[str], str], picture: str
) -> list[str]:
    """The lines of a call with a row of examples; empty if the row has too much for one."""
    values = {field.name: literal(field.example) for field in fields.rows if field.example is not None}
    values |= {field.name: picture for field in fields.rows if field.kind == "image"}
    has_all = all(field.name in values for field in fields.rows)
    if fields.window_length is not None or not has_all or len(values) > MAX_EXAMPLE_FIELDS:
        return []
    items = [f"{key(field.name)}: {values[field.name]}," for field in fields.rows]
    line = f"{call}({{ {' '.join(items).rstrip(',')} }})"
    return [line] if len(line) <= LINE_WIDTH - 8 else [f"{call}({{", *list_lines(items), "})"]
