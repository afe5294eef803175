"""`frenemy train`, as people type it: a model that an audit reads, a page, sentences, and a run that goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
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


def test_a_quiet_training_in_bfloat16_says_nothing(
    words: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture, frenemy: Frenemy
) -> None:
    """Also not through the engine, which has notices of its own."""
    said = frenemy("train", "standard", *words, "--precision", "bfloat16", "--quiet")
    assert (said.code, said.out, said.err, caplog.text) == (0, "", "", "")
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_the_log_for_tensorboard_stands_in_the_run(
    frenemy: Frenemy, words: list[str], tmp_path: Path
) -> None:
    assert frenemy("train", "standard", *words, "--log", "tensorboard").code == 0
    (file,) = (tmp_path / "run" / "tensorboard").iterdir()
    assert file.name.startswith("events.out.tfevents.")
    assert (
        "did you mean 'tensorboard'?" in frenemy("train", "standard", *words, "--log", "tensorbord").refusal
    )


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
        ("pgdat --only norms", "expected a model whose batch norm can move alone, got ConvNet without any"),
        ("pgdat --only norm", "unknown only 'norm'; did you mean 'norms'?"),
        ("pgdat --weights none.safetensors", "got 'none.safetensors' which does not exist"),
        ("pgdat --model linear@0 --weights a.safetensors", "expected --model to be an architecture beside"),
        ("advprop", "expected a model with batch norm, got ConvNet without any"),
        ("robmask(bases=0) --model cifarresnet", "expected from 1 to 64 bases, got 0"),
        ("robmask --model cifarresnet(depth=8,width=2) --batch-size 1", "expected batches of 2 rows or more"),
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


def test_batch_norm_alone_goes_on_from_weights(frenemy: Frenemy, words: list[str], tmp_path: Path) -> None:
    """Every other tensor of the file is as it was; and a method of another kind takes it from there."""
    net, begun = "cifarresnet(depth=8,width=2)", tmp_path / "run" / "model.safetensors"
    assert frenemy("train", "standard", *words, "--model", net).code == 0
    more = [*words[:4], "--device", "cpu", "--out"]
    for number, extra in enumerate(([], ["--model", "cifarresnet"], ["--model", net])):
        out = tmp_path / f"tuned{number}"
        given = ("--weights", begun, "--only", "norms", *extra)
        assert frenemy("train", "pgdat(steps=1)", *more, out, *given).code == 0
        one, other = load_file(begun), load_file(out / "model.safetensors")
        changed = {name for name in one if not torch.equal(one[name], other[name])}
        assert changed
        assert changed == {name for name in one if one[name].ndim < 2 and not name.startswith("head")}
    split = tmp_path / "split"
    assert frenemy("train", "advprop(steps=1)", *more, split, "--weights", begun).code == 0
    masked = split / "model.safetensors"
    assert load_file(masked)["model.stem.1.weight"].shape == (2, 2)
    assert frenemy("train", "advprop(steps=1)", *more, tmp_path / "on", "--weights", masked).code == 0
    refused = frenemy("train", "robmask(steps=1)", *more, tmp_path / "no", "--weights", masked)
    assert "expected a model of 2 bases with shared statistics, got one of 2 with own" in refused.refusal
    said = frenemy(
        "audit", "--model", masked, "--examples", 8, "--effort", "quick", "--out", tmp_path / "audit"
    )
    assert said.code == 0


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
