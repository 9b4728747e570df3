"""A typed client in TypeScript, for browsers and Node."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ...core.signature.model_fields import ModelFields, PredictionField, RowField, RowSize
from .client_names import (
    LINE_WIDTH,
    Choices,
    ClientTypes,
    example_call,
    has_images,
    list_lines,
    one_line,
    prediction_comment,
    row_comment,
    rows_comment,
    title,
    wrapped,
)

RESERVED = {
    *("AbortSignal", "Answer", "Array", "Blob", "Boolean", "Client", "Date", "Error", "JSON", "Number", "Object"),
    *("Options", "Prediction", "Promise", "Record", "Response", "Row", "ServerError", "String", "Uint8Array", "NaN"),
    *("Infinity", "Symbol", "Function"),
}
"""Names that a generated file, or the language, uses otherwise."""
EXAMPLE_CALL = 'await new Client("http://localhost:8000").predict'
_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_ELEMENT_TYPES = {"string": "string", "bool": "boolean"}

_PICTURE = """
/** The picture in a file, as a row has it. */
export async function picture(file: Blob): Promise<string> {
  let text = "";
  for (const byte of new Uint8Array(await file.arrayBuffer())) text += String.fromCharCode(byte);
  return `data:${file.type || "image/png"};base64,${btoa(text)}`;
}
"""
_CLIENT = """
/** The server has refused a request; `code` is one that `jsonnx explain` explains. */
export class ServerError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = "ServerError";
    this.status = status;
    this.code = code;
  }
}

export interface Options {
  /** Sent as a bearer token. */
  token?: string;
  /** The name of the model, if the server has several. */
  model?: string;
  /** Milliseconds until an attempt ends. */
  timeout?: number;
}

interface Answer {
  prediction: Prediction;
  predictions: Prediction[];
}

/** Calls a server that `jsonnx serve` has started. */
export class Client {
  private readonly url: string;
  private readonly options: Options;

  constructor(url: string, options: Options = {}) {
    const model = options.model === undefined ? "" : `/${encodeURIComponent(options.model)}`;
    this.url = `${url.replace(/\\/+$/, "")}/predict${model}`;
    this.options = options;
  }
"""
_PREDICT = """
  /** The prediction for a row. */
  async predict(row: Row): Promise<Prediction> {
    return (await this.post(row)).prediction;
  }
"""
_PREDICT_ROWS = """
  /** The predictions for rows, in their order. */
  async predictRows(rows: readonly Row[]): Promise<Prediction[]> {
    return (await this.post(rows)).predictions;
  }

  private async post(rows: Row | readonly Row[]): Promise<Answer> {
    const { token, timeout = 60_000 } = this.options;
    const headers: Record<string, string> = { "Content-Type": "application/json" };
    if (token !== undefined) headers["Authorization"] = `Bearer ${token}`;
    const body = JSON.stringify(rows);
    for (let attempt = 0; ; attempt++) {
      const signal = AbortSignal.timeout(timeout);
      const response = await fetch(this.url, { method: "POST", headers, body, signal });
      if (response.ok) return (await response.json()) as Answer;
      const isBusy = response.status === 429 || response.status === 503;
      if (!isBusy || attempt === 3) throw await serverError(response);
      const delay = 1000 * Number(response.headers.get("Retry-After")) || 200 * 4 ** attempt;
      await new Promise((resolve) => setTimeout(resolve, Math.min(delay, timeout)));
    }
  }
}

async function serverError(response: Response): Promise<ServerError> {
  const text = await response.text();
  try {
    const { code, error } = JSON.parse(text) as { code: string; error: string };
    return new ServerError(response.status, code, error);
  } catch {
    return new ServerError(response.status, "server-error", text.slice(0, 500));
  }
}
"""


def typescript_client(fields: ModelFields) -> str:
    """The source of a client of a model."""
    types = ClientTypes.of(fields, RESERVED)
    parts = [
        "\n".join(_head(fields)),
        *(["\n".join("\n".join(_alias(choices)) for choices in types.choices())] if any(types.choices()) else []),
        *("\n".join(_prediction_type(field, types)) for field in fields.predictions),
        "\n".join(_row_interface(fields, types)),
        "\n".join(_prediction_interface(fields, types)),
        *([_PICTURE.strip()] if has_images(fields) else []),
        (_CLIENT + (_PREDICT if fields.window_length is None else "") + _PREDICT_ROWS).strip(),
    ]
    return "\n\n".join(parts) + "\n"


def _head(fields: ModelFields) -> Iterator[str]:
    yield "/**"
    yield f" * {_comment(title(fields))}"
    yield " *"
    if fields.description:
        yield from wrapped(_comment(fields.description), " * ")
        yield " *"
    if example := example_call(fields, EXAMPLE_CALL, _literal, _key, "await picture(file)"):
        yield from (f" *     {_comment(line, is_line=True)}" for line in example)
        yield " *"
    yield " * Generated by `jsonnx client`. Needs `fetch`, as browsers and Node 18 have it, and no packages."
    yield " */"


def _alias(choices: Choices) -> list[str]:
    values = [_literal(value) for value in choices.values]
    line = f"export type {choices.name} = {' | '.join(values)};"
    if len(line) <= LINE_WIDTH:
        return [line]
    lines = list_lines([f"| {value}" for value in values])
    return [f"export type {choices.name} =", *lines[:-1], f"{lines[-1]};"]


def _row_interface(fields: ModelFields, types: ClientTypes) -> Iterator[str]:
    yield from _doc_lines(rows_comment(fields), "")
    yield "export interface Row {"
    for field in fields.rows:
        yield from _doc_lines(row_comment(field))
        yield f"  {_key(field.name)}: {_row_type(field, types)};"
    yield "}"


def _prediction_interface(fields: ModelFields, types: ClientTypes) -> Iterator[str]:
    yield "/** The outputs of the model for a row. */"
    yield "export interface Prediction {"
    for field in fields.predictions:
        yield from _doc_lines(prediction_comment(field))
        yield f"  {_key(field.name)}: {types.predictions[field.name]};"
    yield "}"


def _prediction_type(field: PredictionField, types: ClientTypes) -> Iterator[str]:
    """The type of what an output predicts."""
    yield f"export interface {types.predictions[field.name]} {{"
    if field.kind == "value":
        yield f"  value: {_nested(_element_type(field.dtype), field.shape)};"
    else:
        yield from _class_members(field, types)
    yield "}"


def _class_members(field: PredictionField, types: ClientTypes) -> Iterator[str]:
    choices = types.classes.get(field.name)
    label = choices.name if choices else "string"
    key = label if field.kind != "binary" else _literal(field.number_labels[0])
    yield f"  labels: {label}[];" if field.kind == "labels" else f"  label: {label};"
    yield f"  {'probabilities' if field.has_probabilities else 'scores'}: Record<{key}, number>;"
    if field.kind != "class":
        yield f"  threshold: {f'Record<{key}, number>' if field.has_label_thresholds else 'number'};"


def _row_type(field: RowField, types: ClientTypes) -> str:
    choices = types.rows.get(field.name)
    nested = _nested(choices.name if choices else _element_type(field.dtype), field.shape)
    nested = f"string | {nested}" if field.kind == "image" else nested
    return f"{nested} | null" if field.may_be_missing else nested


def _element_type(dtype: str) -> str:
    return _ELEMENT_TYPES.get(dtype, "number")


def _nested(element: str, shape: Sequence[RowSize]) -> str:
    return element + "[]" * len(shape)


def _doc_lines(comment: str | None, indent: str = "  ") -> Iterator[str]:
    if comment:
        lines = wrapped(_comment(comment), f"{indent} * ")
        if len(lines) == 1:
            yield f"{indent}/** {lines[0].removeprefix(f'{indent} * ')} */"
        else:
            yield from (f"{indent}/**", *lines, f"{indent} */")


def _key(name: str) -> str:
    return name if _IDENTIFIER.fullmatch(name) else _literal(name)


def _literal(value: Any) -> str:
    """A text or an integer as TypeScript has it; characters that cannot be seen are escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\u{{{ord(char):x}}}" for char in text)


def _comment(text: str, is_line: bool = False) -> str:
    """A text that may stand in a comment."""
    return (text if is_line else one_line(text)).replace("*/", "* /")
