"""The recorded results of Keras for the networks of `cases`, written by `record_networks`."""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

from cases import Network

NETWORKS = Path(__file__).parent / "fixtures" / "networks.json"


def read_networks() -> dict[str, dict[str, Any]]:
    """Returns the results by network: the fingerprint `of` the case, the digest of the `output`, and the `losses`."""
    return json.loads(NETWORKS.read_text())


def fingerprint(case: Network) -> str:
    """Returns a hash of everything in a case that determines the results of Keras."""
    fields = case.id, case.spec, case.target, case.integers, case.sizes, case.batch
    return blake2b(json.dumps(fields, sort_keys=True).encode(), digest_size=6).hexdigest()
