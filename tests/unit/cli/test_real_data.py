"""Audits of real data, small ones: each data set and each kind of threat once, end to end."""

from __future__ import annotations

import csv
import gzip
import json
import os
from itertools import islice
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Frenemy

__all__: list[str] = []

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif("FRENEMY_DATA" not in os.environ, reason="FRENEMY_DATA names no folder of real data"),
]


def values() -> dict[str, float]:
    """Read the headline values that are defined."""
    rows = json.loads(Path("run/results.json").read_text())
    return {row["measure"]: row["value"] for row in rows if row["value"] is not None}


@pytest.mark.parametrize(
    "words",
    [
        "--data mnist --model lenet@0 --examples 10",
        "--data fashion-mnist --model mlp@0 --examples 20 --threat sphere-l2:1",
        "--data mnist --model linear@0 --examples 50 --threat l1:2 --steps 3",
        "--data cifar10 --model linear@0 --examples 20 --precision bfloat16 --threat l2:0.5",
        pytest.param("--data cifar10 --model resnet18@0 --examples 50 --steps 3", marks=pytest.mark.slow),
    ],
)
def test_a_small_audit_of_real_data(frenemy: Frenemy, words: str) -> None:
    said = frenemy("audit", "--steps", 1, "--curve", 0, "--out", "run", *words.split())
    assert (said.code, said.err) == (0, "")
    found = values()
    assert found["accuracy_clean"] == pytest.approx(1 - found["risk_natural"])
    if "sphere" not in words:
        assert found["accuracy_adversarial"] <= found["accuracy_clean"]


def test_a_real_table(frenemy: Frenemy) -> None:
    root = Path(os.environ["FRENEMY_DATA"], "tabular")
    tables = sorted([*root.rglob("*.csv"), *root.rglob("*.csv.gz")])
    assert tables
    table = next(path for path in tables if "phoneme" in path.name)
    opened = gzip.open if table.suffix == ".gz" else open
    with opened(table, "rt") as stream:
        assert len(next(islice(csv.reader(stream), 1, 2))) >= 2
    words = ("--model", "mlp@0", "--examples", 200, "--steps", 3, "--curve", 0, "--threat", "linf:0.5")
    assert frenemy("audit", "--data", table, "--out", "run", *words).code == 0
    assert values()["accuracy_adversarial"] <= values()["accuracy_clean"]
