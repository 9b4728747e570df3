"""Clients of each kind, which count what they see and keep what is wrong."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from campaigns.server_load.requests import Request, malformed_http, malformed_message, rows_of
from jsonnx.conformance import protobuf
from jsonnx.conformance.cases.binary_tensors import outputs_of
from jsonnx.conformance.grpc_client import Failure, GrpcClient, parse_response
from jsonnx.conformance.http_client import Answer, HttpClient, excerpt, parse_answers
from jsonnx.conformance.target import parse_outputs
from jsonnx.conformance.verdicts import Violation

MAX_FINDINGS_OF_A_KIND = 10
MAX_TEXT_CHARACTERS = 1_000
PATIENCE_S = 0.3
"""How long a client waits for an answer before it closes its half of the connection."""
MAX_ANSWER_S = 60.0
SERVER_FAULTS = ("INTERNAL", "UNKNOWN", "DATA_LOSS")
RELOAD_PAUSE_S = 2.0


class Record:
    """What all clients saw."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.findings: list[str] = []
        self._lock = threading.Lock()

    def count(self, kind: str) -> None:
        with self._lock:
            self.counts[kind] += 1

    def find(self, kind: str, text: str) -> None:
        with self._lock:
            self.counts[f"FOUND {kind}"] += 1
            if self.counts[f"FOUND {kind}"] <= MAX_FINDINGS_OF_A_KIND:
                self.findings.append(f"{kind}: {ascii(text)[:MAX_TEXT_CHARACTERS]}")
                print(f"found {self.findings[-1]}", flush=True)


class Client:
    """One client of a server, with random numbers of its own."""

    def __init__(self, http: HttpClient, grpc: GrpcClient, requests: Sequence[Request], record: Record, seed: int):
        self.http, self.grpc, self.requests, self.record = http, grpc, requests, record
        self.rng = random.Random(seed)

    def valid(self) -> None:
        """Sends a valid request, and compares its answer."""
        request, kind = self.rng.choice(self.requests), self.rng.choice(("JSON", "binary", "gRPC", "rows"))
        try:
            if kind == "rows":
                self._predict()
            else:
                outputs = {"JSON": self._json, "binary": self._binary, "gRPC": self._grpc}[kind](request)
                if not request.is_answered_by(outputs):
                    self.record.find("wrong answer", f"{kind} {request.inputs} {outputs}")
            self.record.count(f"valid {kind}")
        except Violation as violation:
            self.record.find("valid request failed", f"{kind} {request.model}: {violation}")

    def _json(self, request: Request) -> list:
        return parse_outputs(self.http.post(request.path[1:], request.body()))

    def _binary(self, request: Request) -> list:
        body, length = request.binary()
        headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(length)}
        return outputs_of(self.http.post(request.path[1:], body, headers))

    def _grpc(self, request: Request) -> list:
        return parse_response(self.grpc.call("ModelInfer", **request.message()))

    def _predict(self) -> None:
        rows = rows_of(self.rng)
        answer = self.http.post("predict/colours", rows)
        if answer.status != 200:
            raise Violation("status 200", str(answer))
        found = answer.json().get("predictions")
        alone = [self.http.post("predict/colours", row).json() for row in rows[:1]]
        labels = [entry["kind"]["label"] for entry in found]
        if len(labels) != len(rows) or labels[:1] != [one["prediction"]["kind"]["label"] for one in alone]:
            self.record.find("wrong answer", f"{rows} {labels} {alone}")

    def malformed(self) -> None:
        """Sends a malformed request, and checks that its answer is an error, a right answer or a closed connection."""
        request = self.rng.choice(self.requests)
        if self.rng.random() < 0.15:
            self._malformed_call(request)
            return
        sent = malformed_http(request, self.rng)
        try:
            answers, is_closed = self._exchange(sent)
        except OSError as error:
            self.record.find("no connection", f"{error}: {excerpt(sent)}")
            return
        if not answers:
            self.record.count("malformed: closed" if is_closed else "malformed: silent")
            if not is_closed:
                self.record.find("no end", excerpt(sent))
        for answer in answers:
            self.check(sent, answer)

    def _malformed_call(self, request: Request) -> None:
        sent = malformed_message(request, self.rng)
        answer = self.grpc.send("ModelInfer", sent)
        if isinstance(answer, Failure):
            self.record.count(f"malformed gRPC: {answer.code}")
            is_undecodable = answer.details.startswith("Exception deserializing")
            if answer.code in SERVER_FAULTS and not is_undecodable:
                self.record.find("gRPC fault", f"{answer}: {sent!r}")
            return
        self.record.count("malformed gRPC: OK")
        try:
            parse_response(protobuf.decode(protobuf.INFER_RESPONSE, answer))
        except Violation as violation:
            self.record.find("gRPC answer", f"{violation}: {sent!r}")

    def _exchange(self, sent: bytes) -> tuple[list[Answer], bool]:
        """The answers to raw bytes, and whether the server closed the connection."""
        data = b""
        with self.http.connect() as connection:
            connection.settimeout(PATIENCE_S)
            with suppress(OSError):
                connection.sendall(sent)
            for patience_s in (PATIENCE_S, MAX_ANSWER_S):
                connection.settimeout(patience_s)
                try:
                    while chunk := connection.recv(65_536):
                        data += chunk
                    return parse_answers(data), True
                except TimeoutError:
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_WR)
                except OSError:  # the server has reset the connection, since it did not read all
                    return parse_answers(data), True
        return parse_answers(data), False

    def check(self, sent: bytes, answer: Answer) -> None:
        """Records an answer to a malformed request, and what is wrong with it."""
        self.record.count(f"malformed: {answer.status}")
        if answer.status >= 500 and answer.status not in (501, 503):
            self.record.find("status 5xx", f"{answer} for {excerpt(sent)}")
        if answer.status >= 400 and sent[:5] != b"HEAD ":
            try:
                is_error = isinstance(json.loads(answer.body).get("error"), str)
            except (ValueError, AttributeError):
                is_error = False
            if not is_error:
                self.record.find("no error object", f"{answer} for {excerpt(sent)}")

    def aborted(self) -> None:
        """Leaves in the midst of a request, or before its answer."""
        body = self.rng.choice(self.requests).body()
        request = self.http.head("POST", "v2/models/pictures/infer", f"Content-Length: {len(body)}") + body
        with suppress(OSError), self.http.connect() as connection:
            connection.sendall(request[: self.rng.randrange(len(request) + 1)])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # resets when closed
        self.record.count("aborted")

    def slow(self) -> None:
        """Sends a valid request in small pieces, and reads its answer likewise."""
        request = self.rng.choice(self.requests)
        body = request.body()
        sent = self.http.head("POST", request.path[1:], f"Content-Length: {len(body)}", "Connection: close") + body
        size, data = max(1, len(sent) // 20), b""
        try:
            with self.http.connect() as connection:
                for start in range(0, len(sent), size):
                    connection.sendall(sent[start : start + size])
                    time.sleep(0.1)
                while chunk := connection.recv(100):
                    data += chunk
            if not request.is_answered_by(parse_outputs(parse_answers(data)[0])):
                self.record.find("wrong answer", f"slow {request.inputs} {data!r}")
        except (OSError, LookupError, Violation) as error:
            self.record.find("slow client failed", repr(error))
        self.record.count("slow")

    def reload(self) -> None:
        """Reloads a model."""
        name = self.rng.choice(self.requests).model
        answer = self.http.post(f"v2/repository/models/{name}/load", {})
        if answer.status != 200:
            self.record.find("reload failed", str(answer))
        self.record.count("reload")
        time.sleep(RELOAD_PAUSE_S)
