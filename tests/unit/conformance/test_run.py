"""Verdicts, and answers as the client reads them."""

from __future__ import annotations

import pytest
from jsonnx.conformance.case import GRPC, Case, Level
from jsonnx.conformance.http_client import Answer, HttpClient, parse_answers
from jsonnx.conformance.run import Verdict, counts, run_case
from jsonnx.conformance.target import Signature, Target, error, rejected, tolerated
from jsonnx.conformance.tensors import TensorSpec
from jsonnx.conformance.verdicts import NotApplicable, Violation, require

TARGET = Target(HttpClient("http://127.0.0.1:9"), Signature("m", (), (TensorSpec("x", "FP32", (-1, 2)),), ()))


def _holds(target: Target) -> None:
    require(target.signature.name == "m", "m", target.signature.name)


def _violates(target: Target) -> None:
    target.http.last_sent = "GET v2"
    require(False, "status 200", 404)


def _does_not_apply(target: Target) -> None:
    raise NotApplicable("no text")


def _cannot_be_read(target: Target) -> None:
    {}["outputs"]


VERDICTS = [
    (Case("infer/a", Level.MUST, "A.", _holds), Verdict.HOLDS, False),
    (Case("infer/b", Level.MUST, "B.", _violates), Verdict.VIOLATED, True),
    (Case("infer/c", Level.SHOULD, "C.", _violates), Verdict.VIOLATED, False),
    (Case("infer/d", Level.MUST, "D.", _does_not_apply), Verdict.NOT_APPLICABLE, False),
    (Case("infer/e", Level.MUST, "E.", _cannot_be_read), Verdict.VIOLATED, True),
    (Case("binary/f", Level.EXTENSION, "F.", _violates, "binary_tensor_data"), Verdict.NOT_OFFERED, False),
    (Case("grpc/g", Level.MUST, "G.", _violates, GRPC), Verdict.NOT_OFFERED, False),
]


@pytest.mark.parametrize(("case", "verdict", "is_failure"), VERDICTS, ids=lambda value: getattr(value, "id", ""))
def test_a_case_has_a_verdict(case: Case, verdict: Verdict, is_failure: bool) -> None:
    result = run_case(case, TARGET)
    assert (result.verdict, result.is_failure) == (verdict, is_failure)


def test_a_violation_says_what_was_sent_expected_and_seen() -> None:
    document = run_case(VERDICTS[1][0], TARGET).document()
    assert document == {
        "id": "infer/b",
        "level": "must",
        "rule": "B.",
        "verdict": "violated",
        "sent": "GET v2",
        "expected": "status 200",
        "seen": "404",
    }


def test_verdicts_are_counted_by_area() -> None:
    table = counts(run_case(case, TARGET) for case, _, _ in VERDICTS)
    assert table["infer"] == {
        Verdict.HOLDS: 1,
        Verdict.VIOLATED: 3,
        Verdict.NOT_OFFERED: 0,
        Verdict.NOT_APPLICABLE: 1,
    }
    assert [*table] == ["infer", "binary", "grpc"]


def test_answers_are_read_one_after_the_other() -> None:
    first = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"
    second = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n3\r\nxyz\r\n0\r\n\r\n"
    found = parse_answers(first + second + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
    assert [(answer.status, answer.body) for answer in found] == [(200, b"ab"), (404, b"xyz")]
    assert found[1].headers["x-a"] == "b"
    assert parse_answers(b"garbage\r\n\r\n") == []


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"error": ""}', b'{"error": 3}', b'["error"]', b'{"error": "a", "b": NaN}']
)
def test_an_error_has_an_error_object(body: bytes) -> None:
    assert error(Answer(400, {}, b'{"error": "bad", "code": "x"}'), 400) == "bad"
    with pytest.raises(Violation):
        error(Answer(400, {}, body))


def test_statuses_are_told_apart() -> None:
    for answer in (Answer(200, {}, b'{"outputs": []}'), Answer(415, {}, b"")):
        tolerated(answer)
    for answer in (Answer(200, {}, b"{}"), Answer(500, {}, b""), Answer(302, {}, b"")):
        with pytest.raises(Violation):
            tolerated(answer)
    rejected(Answer(500, {}, b""))
    with pytest.raises(Violation):
        rejected(Answer(204, {}, b""))
