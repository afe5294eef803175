"""`frenemy train` with methods of label and input vicinity, and with a helper from a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Frenemy


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    return [
        "--data",
        "digits",
        "--examples",
        "80",
        "--epochs",
        "1",
        "--out",
        str(tmp_path / "a-run"),
        "--quiet",
    ]


@pytest.mark.parametrize(
    ("method", "losses", "facts"),
    [
        ("gaussian(alpha=0.1)", {"noisy"}, set()),
        ("labelsmoothing", {"clean"}, set()),
        ("mixup", {"mixed"}, {"share"}),
        ("stability", {"clean", "divergence"}, set()),
        ("cat", {"soft", "margin"}, {"eps", "fell"}),
        ("cat(as_released=true)", {"soft", "margin"}, {"eps", "fell"}),
        ("sprout", {"mixed"}, {"share"}),
        ("sprout(reading=algorithm,deviation=0,shape=0)", {"mixed"}, set()),
        ("bilateral", {"enemy"}, set()),
        ("hat", {"clean", "divergence", "helper"}, {"helper differs"}),
        ("logitpairing", {"clean", "enemy", "pairing"}, set()),
        ("cleanlogitpairing", {"noisy", "pairing"}, set()),
        ("inputgradient", {"clean", "slope"}, set()),
        ("cure", {"clean", "curvature"}, set()),
    ],
)
def test_each_method_trains(
    frenemy: Frenemy, words: list[str], tmp_path: Path, method: str, losses: set[str], facts: set[str]
) -> None:
    assert frenemy("train", method, *words, "--device", "cpu").code == 0
    (entry,) = json.loads((tmp_path / "a-run" / "training.json").read_text())["history"]
    assert set(entry["losses"]) == losses | {"loss"}
    assert set(entry["facts"]) == facts
    assert (tmp_path / "a-run" / "model.safetensors").is_file()


def test_a_plain_model_helps_another(frenemy: Frenemy, words: list[str], tmp_path: Path) -> None:
    assert frenemy("train", "standard", *words).code == 0
    file = tmp_path / "a-run" / "model.safetensors"
    words[words.index(str(tmp_path / "a-run"))] = str(tmp_path / "helped")
    assert frenemy("train", f"hat(helper='{file}',steps=2)", *words).code == 0
    assert (tmp_path / "helped" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("cat(smoothing=1.2)", "expected smoothing to be from 0 to 1, got 1.2"),
        ("cat(eta=-1)", "expected eta to be from 0"),
        ("sprout(reading=tekst)", "unknown reading 'tekst'; did you mean 'text'?"),
        (
            "sprout(alpha=1,rate=1e9,constrain=false)",
            "expected a label distribution that stays, got a beta of",
        ),
        ("mixup(shape=0)", "expected a shape of the Beta distribution above 0"),
        ("gaussian(deviation=-1)", "expected deviation to be from 0"),
        ("bilateral(gamma=0)", "expected gamma to be above 0"),
        ("hat(helper='no-such.safetensors')", "got 'no-such.safetensors' which does not exist"),
        ("hat(helper=nothing)", "unknown architecture 'nothing'"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    frenemy: Frenemy, words: list[str], method: str, said: str
) -> None:
    found = frenemy("train", method, *words)
    assert found.code in (1, 2)
    assert said in " ".join(found.err.split())
    assert "Traceback" not in found.err
