"""The gallery of broken and honest models: what is on record, and some of it audited again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import frenemy

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from gallery import EPS, Piece, broken, honest  # noqa: E402
from trust_gallery import fill, tables  # noqa: E402

ROWS: dict[str, dict[str, Any]] = json.loads((ROOT / "docs/results/trust.json").read_text())
PIECES: dict[str, Piece] = {piece.name: piece for piece in (*broken(), *honest())}


def test_no_broken_model_is_trusted_and_no_honest_one_is_refused() -> None:
    kinds = {name: row["kind"] for name, row in ROWS.items()}
    assert kinds == {piece.name: "broken" for piece in broken()} | {
        piece.name: "honest" for piece in honest()
    }
    verdicts = {
        kind: [row["trust"] for row in ROWS.values() if row["kind"] == kind] for kind in ("broken", "honest")
    }
    assert len(verdicts["broken"]) >= 8
    assert "ok" not in verdicts["broken"]
    assert "do not trust" not in verdicts["honest"]
    assert verdicts["honest"].count("ok") >= 4


def test_the_remedy_shows_what_the_naive_number_hid() -> None:
    """Every broken model looks better to hasty PGD than after its remedy; all but one with intervals apart."""
    rows = [row for row in ROWS.values() if row["kind"] == "broken"]
    assert all(row["mended"]["value"] < row["naive"]["value"] for row in rows)
    assert sum(row["mended"]["high"] < row["naive"]["low"] for row in rows) >= len(rows) - 1


def test_the_table_is_that_of_the_record() -> None:
    page = (ROOT / "docs/trust.md").read_text()
    assert fill(page, tables(ROWS)) == page


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name", ["scaled logits", "rounding", "drifting state", "perceptron, plain", "perceptron, robust"]
)
def test_the_verdict_stands(name: str) -> None:
    found = frenemy.audit(PIECES[name].make(), "digits", threat=f"linf:{EPS}")
    assert found.trust == ROWS[name]["trust"], [caveat.text for caveat in found.caveats]
    spent = found.cost.forwards + found.cost.backwards
    assert found.checking.forwards + found.checking.backwards < 0.05 * spent
