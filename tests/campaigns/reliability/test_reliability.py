"""Tests the table of docs/internals/reliability.md, and that a run of a check is recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from campaigns.reliability import run, table


def test_the_page_has_a_row_for_every_check() -> None:
    """Its counts may be older than the ledgers: `python -m campaigns.reliability.table`, in `tests`, renews them."""

    def checks(page: str) -> list[tuple[str, str]]:
        rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")]
        return [(row[0], row[-1]) for row in rows]

    assert checks(table.PAGE.read_text()) == checks(table.renewed_page())


@pytest.mark.parametrize(("status", "failed"), [(0, 0), (1, 1)])
def test_a_run_is_recorded(status: int, failed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "campaigns" / "sample_check.py").write_text(
        f"print('12 checks')\nprint('1,000 checks')\nraise SystemExit({status})\n"
    )
    (tmp_path / "ledger.json").write_text("{}")
    monkeypatch.setattr(run, "FILE", tmp_path / "ledger.json")
    monkeypatch.setattr(run, "TESTS", tmp_path)
    check = run.Check("sample", "sample_check --seed {seed} --seconds {seconds}", 1, r"^(?P<checks>[\d,]+) checks$")
    for count in (1, 2):
        assert run.run(check, 3, 1) == (status == 0)
        record = json.loads((tmp_path / "ledger.json").read_text())["sample"]
        assert (record["runs"], record["failed"], record["checks"]) == (count, count * failed, count * 1012)
    assert record["next_seed"] == run.FIRST_SEED + 2 * run.SEEDS_PER_RUN
