"""Errors of collectives."""

from __future__ import annotations

import pickle

from jsonnx.collective.protocol import CollectiveError
from jsonnx.render.explanations import explain


def test_an_error_has_an_explanation_and_can_be_sent_to_another_process() -> None:
    error = CollectiveError("rank 3 closed its connection", [3], "read the log")
    assert "worker" in explain(error.diagnostic.code)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.ranks, copy.diagnostic) == (str(error), (3,), error.diagnostic)
