"""`frenemy audit --access`, and a model behind an address that goes away: what a user sees, and what is kept."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.served import Server, served

from frenemy.cli.main import main
from frenemy.data.find import load

server = pytest.fixture(served)
USUAL = ["--data", "digits", "--examples", "24", "--curve", "0", "--quiet", "--effort", "quick"]


def nearest_mean(rows: list[Any]) -> dict[str, Any]:
    """Minus the squared distance from the mean of each class."""
    digits = load("digits", split="train").batch(slice(0, None))
    means = np.stack([digits.x[digits.y == k].flatten(1).mean(0).numpy() for k in range(10)])
    x = np.asarray(rows, dtype=np.float64).reshape(len(rows), 1, -1)
    return {"scores": (-np.square(x - means).sum(2)).tolist()}


def audited(out: Path, *more: str) -> int:
    return main(["audit", *USUAL, "--threat", "l2:1", "--out", str(out), *more])


def numbers(out: Path) -> dict[tuple[str, str], Any]:
    rows = json.loads((out / "results.json").read_text())
    return {(row["measure"], row["attack"]): (row["value"], row["cost"]["forwards"]) for row in rows}


@pytest.mark.parametrize(("access", "name"), [("labels", "HopSkipJump"), ("scores", "Square")])
def test_what_is_not_shown_is_not_searched(tmp_path: Path, access: str, name: str) -> None:
    assert audited(tmp_path, "--model", "mlp@0", "--access", access, "--queries", "60") == 0
    rows = [row for row in json.loads((tmp_path / "results.json").read_text()) if row["role"] == "search"]
    ran = [row for row in rows if row["tried"]]
    assert {row["attack"].split("(")[0] for row in ran} == {name}
    assert all("queries=60" in row["attack"] for row in ran)
    for row in ran:
        assert row["cost"]["forwards"] <= row["tried"] * (60 + 1)
    page = (tmp_path / "report.html").read_text()
    assert (f"Searches were to see {access} alone") in page
    assert ("What questions buy" in page) == (access == "labels")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--access", "labels", "--attack", "pgd"],
            "needs no scores or gradients, .* choose one of .*hopskipjump",
        ),
        (["--access", "labels", "--attack", "square"], "needs no scores or gradients"),
        (["--access", "labels", "--threat", "l1:3"], "expected l2 or linf for attacks by labels, got l1"),
        (["--access", "labels", "--steps", "9"], "an attack whose steps may be set, got hopskipjump"),
        (["--access", "none"], "access"),
        (["--queries", "0"], "queries"),
        (["--model", "http://127.0.0.1:9/nobody"], "see that the server runs"),
        (["--model", "onnx:nowhere.onnx"], "does not exist"),
    ],
)
def test_what_cannot_be_is_said(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    said: str,
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert audited(tmp_path, *(["--model", "mlp@0"] if "--model" not in words else []), *words) == 2
    error = capsys.readouterr().err
    assert re.search(said, error), error


def test_a_server_that_goes_away_ends_the_run_and_the_same_command_goes_on(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    server.answer = nearest_mean
    words = ["--model", server.address, "--access", "labels", "--queries", "40", "--examples", "80"]
    assert audited(tmp_path / "whole", *words) == 0
    asked, rows = len(server.requests), server.rows
    server.gone_after = asked + 4 * asked // 5
    assert audited(tmp_path / "cut", *words) == 3
    assert "run the same command again to go on" in capsys.readouterr().err
    assert not (tmp_path / "cut" / "results.json").exists()
    server.gone_after, before = None, server.rows
    assert audited(tmp_path / "cut", *words) == 0
    assert server.rows - before < 0.9 * rows
    assert numbers(tmp_path / "cut") == numbers(tmp_path / "whole")


def test_a_server_that_gives_labels_alone_is_searched_by_labels(server: Server, tmp_path: Path) -> None:
    server.answer = lambda rows: {"labels": np.argmax(nearest_mean(rows)["scores"], axis=1).tolist()}
    assert audited(tmp_path, "--model", server.address) == 0
    rows = [row for row in json.loads((tmp_path / "results.json").read_text()) if row["role"] == "search"]
    assert {row["attack"].split("(")[0] for row in rows if row["tried"]} == {"HopSkipJump"}
    assert "attacks that see labels only" in (tmp_path / "report.html").read_text()
