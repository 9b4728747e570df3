"""Bodies that are no JSON, or JSON at the limits of its grammar."""

from __future__ import annotations

import json

from ..case import Area
from ..target import Target, error, parse_outputs, refused, rejected, success, tolerated
from ..verdicts import require
from .inference import same

area = Area("json")

NESTING = 100_000
DIGITS = 5_000

MALFORMED = {
    "malformed": b"{not json}",
    "truncated": b'{"inputs": [{"name": "x", ',
    "single-quotes": b"{'inputs': []}",
    "trailing-comma": b'{"inputs": [],}',
    "comment": b'{"inputs": [] /* none */}',
    "two-documents": b'{"inputs": []} {"inputs": []}',
    "unescaped-control": b'{"id": "a\x01b", "inputs": []}',
    "invalid-utf-8": b'{"id": "\xff\xfe", "inputs": []}',
    "binary": bytes(range(256)),
}
NOT_OBJECTS = {"array": b"[]", "string": b'"inputs"', "number": b"42", "null": b"null", "boolean": b"true"}


def _rejected(name: str, rule: str, body: bytes) -> None:
    @area.must(name, f"{rule}: an error.")
    def check(t: Target) -> None:
        rejected(t.infer(body))


for _name, _body in MALFORMED.items():
    _rejected(_name, "The body is not JSON", _body)
for _name, _body in NOT_OBJECTS.items():
    _rejected(_name, "The body is JSON, but no object", _body)
_rejected("empty", "The inference request object is required in the HTTP body", b"")
_rejected("blank", "The inference request object is required in the HTTP body", b" \r\n\t ")


@area.must("error-objects", 'The HTTP body of a failed inference must contain {"error": $string}.')
def error_objects(t: Target) -> None:
    for body in (*MALFORMED.values(), *NOT_OBJECTS.values(), b"", b" "):
        error(t.infer(body))


@area.should("statuses", "A body that is no JSON object has a status of 4xx.")
def statuses(t: Target) -> None:
    for body in (*MALFORMED.values(), *NOT_OBJECTS.values(), b"", b" "):
        refused(t.infer(body))


@area.must("deep-arrays", f"Data nested {NESTING:,} times: an error.")
def deep_arrays(t: Target) -> None:
    body = json.dumps(t.with_input(t.first_input().name, data=["?"])).encode()
    rejected(t.infer(body.replace(b'["?"]', b"[" * NESTING + b"]" * NESTING)))


@area.must("deep-objects", f"A parameter nested {NESTING:,} times: an error.")
def deep_objects(t: Target) -> None:
    rejected(t.infer(b'{"parameters":' + b'{"a":' * NESTING + b"1" + b"}" * NESTING + b',"inputs":[]}'))


@area.should("duplicate-keys", "RFC 8259, 4: of two members of one name, the last one counts, or it is an error.")
def duplicate_keys(t: Target) -> None:
    tolerated(t.infer(b'{"inputs": [], ' + json.dumps(t.request()).encode()[1:]))


@area.must("whitespace", "Whitespace between tokens has no meaning.")
def whitespace(t: Target) -> None:
    success(t.infer(b"\n\t " + json.dumps(t.request(), indent=4).replace("\n", "\r\n").encode() + b"\r\n"))


@area.must("escapes", "A character of a string may be escaped: names are equal after that.")
def escapes(t: Target) -> None:
    request = t.request()
    names = {entry["name"] for entry in request["inputs"]}
    text = json.dumps(request)
    for name in names:
        text = text.replace(f'"name": {json.dumps(name)}', '"name": "' + "".join(map(_escaped, name)) + '"')
    success(t.infer(text.encode()))


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


@area.must("utf-8", "Text is UTF-8, without escapes.")
def utf_8(t: Target) -> None:
    found = success(t.infer(json.dumps(t.request(id="é模😀"), ensure_ascii=False).encode())).get("id")
    require(found == "é模😀", "the id 'é模😀'", found)


@area.should("exponents", "A number may have an exponent: 1e0 is 1.")
def exponents(t: Target) -> None:
    name = t.first_input("FP32", "FP64").name
    plain = t.with_input(name, data=[1.0] * len(t.first_input("FP32", "FP64").elements))
    text = json.dumps(plain).replace("1.0", "10e-1")
    same(t.outputs(plain), t.outputs(text.encode()))


@area.should("lone-surrogate", "An id with half of a surrogate pair: an error, or an answer that is UTF-8.")
def lone_surrogate(t: Target) -> None:
    body = json.dumps(t.request(id="?")).encode().replace(b'"?"', b'"\\ud800"')
    tolerated(t.infer(body))


@area.should("byte-order-mark", "RFC 8259, 8.1: a byte order mark may be ignored or be an error.")
def byte_order_mark(t: Target) -> None:
    tolerated(t.infer(b"\xef\xbb\xbf" + json.dumps(t.request()).encode()))


@area.should("utf-16", "RFC 8259, 8.1: JSON between systems is UTF-8; UTF-16 is an error or understood.")
def utf_16(t: Target) -> None:
    tolerated(t.infer(json.dumps(t.request()).encode("utf-16")))


def _number(name: str, rule: str, text: bytes) -> None:
    @area.should(name, rule)
    def check(t: Target) -> None:
        tensor = t.first_input("FP32", "FP64", "FP16", "INT32", "INT64", "INT8", "INT16")
        body = json.dumps(t.with_input(tensor.name, data=["?"] * len(tensor.elements))).encode()
        tolerated(t.infer(body.replace(b'"?"', text)))


_number("nan", "JSON has no NaN: an error, or an answer that is JSON.", b"NaN")
_number("infinity", "JSON has no Infinity: an error, or an answer that is JSON.", b"Infinity")
_number("beyond-float64", "The number 1e999, beyond 64 bits: an error, or an answer that is JSON.", b"1e999")
_number("beyond-float32", "The number 3.5e38, beyond 32 bits: an error, or an answer that is JSON.", b"3.5e38")
_number("overflow-inside", "Numbers whose sum overflows: an error, or an answer that is JSON.", b"1e38")
_number("many-digits", f"An integer of {DIGITS:,} digits: an error, or an answer that is JSON.", b"9" * DIGITS)
_number("leading-zero", "JSON has no numbers with a leading zero: an error.", b"01")
_number("negative-zero", "-0.0 is a number.", b"-0.0")


@area.should("other-content-type", "A body in JSON that is declared as text: an answer, or 415 or 400.")
def other_content_type(t: Target) -> None:
    answer = t.infer(t.request(), headers={"Content-Type": "text/plain"})
    require(answer.status in (200, 400, 415, 422), "status 200, 400 or 415", str(answer))


@area.should("no-content-type", "A body in JSON without a Content-Type is read as JSON.")
def no_content_type(t: Target) -> None:
    body = json.dumps(t.request()).encode()
    received = t.http.exchange(t.http.head("POST", t.path("/infer"), f"Content-Length: {len(body)}") + body)
    require(len(received) == 1, "an answer", "none")
    parse_outputs(received[0])


@area.must("charset", "The Content-Type may have parameters: application/json; charset=utf-8.")
def charset(t: Target) -> None:
    success(t.infer(t.request(), headers={"Content-Type": "application/json; charset=utf-8"}))


@area.should("form", "A form is no inference request: a status of 4xx.")
def form(t: Target) -> None:
    refused(t.infer(b"inputs=1&id=2", headers={"Content-Type": "application/x-www-form-urlencoded"}))
