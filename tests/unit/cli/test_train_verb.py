"""`frenemy train`, as people type it: a model that an audit reads, a page, sentences, and a run that goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Frenemy


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    return ["--examples", "120", "--epochs", "2", "--out", str(tmp_path / "run"), "--device", "cpu"]


def test_a_trained_model_is_read_by_an_audit(frenemy: Frenemy, words: list[str], tmp_path: Path) -> None:
    said = frenemy("train", "trades(beta=2,steps=2)", *words, "--perturb", "0.01")
    assert said.code == 0
    assert "Epoch" in said.out
    assert f"frenemy audit --model {tmp_path}/run/model.safetensors" in said.out.replace("\n", "")
    log = json.loads((tmp_path / "run" / "training.json").read_text())
    assert [entry["epoch"] for entry in log["history"]] == [1, 2]
    assert log["regime"]["perturb"] == 0.01
    assert set(log["history"][0]["losses"]) == {"clean", "divergence", "loss"}
    page = (tmp_path / "run" / "training.html").read_text()
    assert "How did the training go?" in page
    weights = str(tmp_path / "run" / "model.safetensors")
    judged = frenemy(
        "audit", "--model", weights, "--examples", "8", "--effort", "quick", "--out", str(tmp_path / "audit")
    )
    assert judged.code == 0
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    assert frenemy("train", "trades(beta=2,steps=2)", *words, "--perturb", "0.01").code == 0
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before
    changed = frenemy("train", "trades(beta=3,steps=2)", *words, "--perturb", "0.01")
    assert changed.code == 2
    assert "beta was 2.0 and is 3.0" in changed.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "expected a method after frenemy train"),
        ("trade", "unknown method 'trade'; did you mean 'trades'?"),
        ("trades(", "expected names of methods, got 'trades('"),
        ("trades(bet=1)", "unknown setting 'bet' of trades; did you mean 'beta'?"),
        ("trades(beta=six)", "expected beta of trades to be float"),
        ("trades(beta=-1)", "expected beta to be from 0"),
        ("pgdat(start=uniforn)", "unknown start 'uniforn'; did you mean 'uniform'?"),
        ("trades(forward=both)", "unknown forward 'both'"),
        ("pgdat,trades", "expected one method, got 2"),
        ("pgdat --epochs 0", "expected epochs to be at least 1"),
        ("pgdat --schedule cosin", "unknown schedule 'cosin'; did you mean 'cosine'?"),
        ("pgdat --milestones x", "expected --milestones to be epochs"),
        ("pgdat --hold-out 120", "expected examples to train on"),
        ("pgdat --threat linf:-1", "expected a size of 0 or larger"),
        ("pgdat --preset paper", "expected --data that pgdat has a preset for"),
        ("pgdat --model nonet", "unknown architecture 'nonet'"),
        ("pgdat --augment twist", "unknown augment 'twist'"),
        ("pgdat --threat sphere-l2:9", "got none for example"),
        ("freeat --perturb 0.1", "expected no weight perturbation"),
        ("pgdat --rate 1e30 --optimiser sgd", "expected a finite loss"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    frenemy: Frenemy, words: list[str], line: str, said: str
) -> None:
    method, *more = line.split() or [""]
    found = frenemy("train", *([method] if method else []), *words, *more)
    assert found.code == 2
    assert said in found.err
    assert "Traceback" not in found.err


def test_help_names_every_setting_of_a_regime(frenemy: Frenemy) -> None:
    said = frenemy("train", "--help").out
    for flag in ("--epochs", "--weight-decay", "--attack-precision", "--perturb", "--devices", "--preset"):
        assert f"\n  {flag} " in said
    assert max(len(line) for line in said.splitlines()) <= 80


def test_the_methods_are_listed_with_what_they_train_on(frenemy: Frenemy) -> None:
    said = frenemy("list", "recipes").out
    assert "vicinal risk" in said
    for name in ("Standard", "TRADES", "SENSE", "MMA"):
        assert said.count(f"\n{name} ") == 2
