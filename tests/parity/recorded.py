"""What Keras said of the networks of `cases`, as `record_networks` wrote it."""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

from cases import Network

NETWORKS = Path(__file__).parent / "fixtures" / "networks.json"


def read_networks() -> dict[str, dict[str, Any]]:
    """By network: `of` which state of the case it is, the `output`'s digest and the `losses`."""
    return json.loads(NETWORKS.read_text())


def fingerprint(case: Network) -> str:
    """Tells a case from what it was before somebody changed it; how it is compared does not matter."""
    said = case.id, case.spec, case.target, case.integers, case.sizes, case.batch
    return blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=6).hexdigest()
