"""The fault plan under pytest: the same cases as `make faults`, each a test."""

from __future__ import annotations

from pathlib import Path

import pytest
import tests.faults.crashes
import tests.faults.files
import tests.faults.inputs
import tests.faults.models  # noqa: F401
from tests.faults.kit import CASES, NOT_YET, Case


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("one", CASES, ids=lambda one: f"{one.number}-{one.run.__name__}")
def test_a_fault_is_survived(one: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FRENEMY_DATA", raising=False)
    assert one.run(tmp_path)


def test_the_plan_is_whole() -> None:
    numbers = [one.number for one in CASES]
    assert sorted([*numbers, *NOT_YET]) == list(range(1, 51))
    assert all(one.promise for one in CASES)


def test_the_page_tells_of_every_case() -> None:
    page = (Path(__file__).parents[2] / "docs/faults.md").read_text()
    for one in CASES:
        assert f"| {one.number} | {one.promise} | " in page
    assert all(f"({number}" in page for number in NOT_YET)
    assert f"`{len(CASES)} of {len(CASES)} survived, nothing lost`" in page
