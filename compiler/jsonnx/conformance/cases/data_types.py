"""Elements of each datatype, in JSON."""

from __future__ import annotations

from typing import Any

from ..case import Area
from ..target import Target, refused, success, tolerated
from ..tensors import BYTES, DATATYPES, Tensor
from ..verdicts import NotApplicable, require
from .inference import same, same_answers

area = Area("datatype")

INTEGERS = tuple(name for name, datatype in DATATYPES.items() if datatype.is_integer)
FLOATS = ("FP16", "FP32", "FP64")
NUMBERS = (*INTEGERS, "FP32", "FP64")


def _changed(t: Target, tensor: Tensor, element: Any) -> Any:
    """A request with another first element."""
    return t.with_input(tensor.name, data=[element, *tensor.texts()[1:]])


@area.should("out-of-range", "An integer beyond the datatype is an error: no wrapping around.")
def out_of_range(t: Target) -> None:
    tensor = t.first_input(*INTEGERS)
    kind = DATATYPES[tensor.datatype]
    assert kind.minimum is not None
    assert kind.maximum is not None
    for element in (kind.maximum + 1, kind.minimum - 1, 2**200):
        refused(t.infer(_changed(t, tensor, element)))


@area.should("fraction-for-integer", "A number with a fraction is no integer: an error.")
def fraction_for_integer(t: Target) -> None:
    refused(t.infer(_changed(t, t.first_input(*INTEGERS), 0.5)))


@area.should("integral-float", "1.0 for an integer: an answer or an error.")
def integral_float(t: Target) -> None:
    tolerated(t.infer(_changed(t, t.first_input(*INTEGERS), 1.0)))


@area.should("text-for-number", "A string that is no number is an error.")
def text_for_number(t: Target) -> None:
    refused(t.infer(_changed(t, t.first_input(*NUMBERS), "abc")))


@area.should("digits-for-number", 'The string "1" for a number: coerced to 1, or an error.')
def digits_for_number(t: Target) -> None:
    tensor = t.first_input(*NUMBERS)
    answer = t.infer(_changed(t, tensor, "1"))
    if answer.status != 200:
        refused(answer)
        return
    same_answers(t, _changed(t, tensor, "1"), _changed(t, tensor, 1))


@area.should("boolean-for-number", "true for a number: coerced to 1, or an error.")
def boolean_for_number(t: Target) -> None:
    tensor = t.first_input(*NUMBERS)
    answer = t.infer(_changed(t, tensor, True))
    if answer.status != 200:
        refused(answer)
        return
    same_answers(t, _changed(t, tensor, True), _changed(t, tensor, 1))


@area.should("null-for-number", "null for a number: coerced, such as to NaN, or an error.")
def null_for_number(t: Target) -> None:
    tolerated(t.infer(_changed(t, t.first_input(*NUMBERS), None)))


@area.must("booleans", "An element of BOOL is true or false.")
def booleans(t: Target) -> None:
    tensor = t.first_input("BOOL")
    success(t.infer(t.with_input(tensor.name, data=[i % 2 == 0 for i in range(len(tensor.elements))])))


@area.should("numbers-for-booleans", "0 and 1 for BOOL: coerced, or an error.")
def numbers_for_booleans(t: Target) -> None:
    tolerated(t.infer(_changed(t, t.first_input("BOOL"), 1)))


@area.should("other-numbers-for-booleans", "2 for BOOL is an error, or true.")
def other_numbers_for_booleans(t: Target) -> None:
    tolerated(t.infer(_changed(t, t.first_input("BOOL"), 2)))


@area.must("strings", "An element of BYTES is a string.")
def strings(t: Target) -> None:
    success(t.infer(t.request()) if t.first_input(BYTES) else t.infer({}))


@area.should("unicode-strings", "An element of BYTES may have any characters.")
def unicode_strings(t: Target) -> None:
    tolerated(t.infer(_changed(t, t.first_input(BYTES), 'é模😀\n\t"\\')))


@area.should("empty-strings", "An element of BYTES may be empty.")
def empty_strings(t: Target) -> None:
    tolerated(t.infer(_changed(t, t.first_input(BYTES), "")))


@area.should("null-character", "An element of BYTES with the character NUL: an answer or an error.")
def null_character(t: Target) -> None:
    tolerated(t.infer(_changed(t, t.first_input(BYTES), "a\x00b")))


@area.should("long-strings", "An element of BYTES with 100,000 characters: an answer or an error.")
def long_strings(t: Target) -> None:
    tolerated(t.infer(_changed(t, t.first_input(BYTES), "x" * 100_000)))


@area.should("number-for-string", "A number for BYTES is an error, or coerced.")
def number_for_string(t: Target) -> None:
    tolerated(t.infer(_changed(t, t.first_input(BYTES), 1.5)))


@area.should("fp16", "FP16 has no representation in JSON: an error, or an answer.")
def fp16(t: Target) -> None:
    request = t.request()
    entry = next((e for e in request["inputs"] if e["datatype"] in FLOATS), None)
    if entry is None:
        raise NotApplicable("the model has no input of floats")
    entry["datatype"] = "FP16"
    tolerated(t.infer(request))


@area.should("large-integers", "Integers beyond 2^53 keep all their digits.")
def large_integers(t: Target) -> None:
    tensor = t.first_input("INT64", "UINT64")
    tolerated(t.infer(_changed(t, tensor, 2**53 + 1)))


@area.should("small-floats", "A float that underflows in the datatype counts as zero.")
def small_floats(t: Target) -> None:
    tensor = t.first_input("FP32")
    if not t.is_deterministic():
        raise NotApplicable("the model answers the same request in different ways")
    same(t.outputs(_changed(t, tensor, 1e-300)), t.outputs(_changed(t, tensor, 0.0)))


@area.should("output-order-of-axes", "Outputs are in row-major order: of two equal rows, both have equal outputs.")
def output_order_of_axes(t: Target) -> None:
    row = t.batch(1)
    doubled = [Tensor(x.name, x.datatype, (2, *x.shape[1:]), x.elements * 2) for x in row]
    if not t.is_deterministic():
        raise NotApplicable("the model answers the same request in different ways")
    for output in t.outputs(t.request(doubled)):
        require(output.rows(0, 1).equals(output.rows(1, 2)), "equal rows", output.texts()[:8])
