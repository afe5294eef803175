"""Attacks by name, on the command line and in YAML: what was asked for is what was run, and is on record."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import Frenemy
from tests.unit.cli.models_of_users import GOOD

from frenemy.cli.settings import entries
from frenemy.errors import UsageError

__all__: list[str] = []


@pytest.fixture
def audit(frenemy: Frenemy) -> Frenemy:
    """Call a small audit of 20 digits with attacks as they come."""
    small = ("--model", "linear@0", "--examples", 20, "--curve", 0, "--effort", "quick", "--out", "run")
    return lambda *words: frenemy("audit", *small, *words)


def searched(out: str = "run") -> list[dict[str, Any]]:
    """The searches of results.json."""
    rows: list[dict[str, Any]] = json.loads(Path(out, "results.json").read_text())
    return [row for row in rows if row["role"] == "search"]


def names(out: str = "run") -> list[str]:
    """The enemy's attacks, in their order."""
    return [row["attack"] for row in searched(out) if row["objective"] == "untargeted"]


def test_named_attacks_are_run_and_shown(audit: Frenemy) -> None:
    said = audit("--attack", "bim(steps=2,loss=margin),fgsm", "--losses", "ce")
    assert (said.code, said.err) == (0, "")
    assert names() == ["BIM(steps=2) on margin", "FGSM on ce"]
    assert "BIM(steps=2) on margin" in said.out
    assert "linear@0, enemy: A" in said.out
    with Path("run/searches.csv").open() as stream:
        assert [row["attack"] for row in csv.DictReader(stream)][:2] == names()
    assert "BIM(steps=2) on margin" in Path("run/report.html").read_text()


def test_each_search_is_tried_on_what_the_ones_before_left(audit: Frenemy) -> None:
    assert audit("--attack", "fgsm,pgd(steps=5)", "--model", "mlp@1", "--objectives", "enemy").code == 0
    rows = searched()
    for before, after in itertools.pairwise(rows):
        assert before["tried"] - before["fell"] == after["tried"]
        assert after["value"] <= before["value"]
    headline = json.loads(Path("run/results.json").read_text())
    assert rows[-1]["value"] == next(r["value"] for r in headline if r["measure"] == "accuracy_adversarial")


@pytest.mark.parametrize(
    ("effort", "first"), [("quick", "PGD(steps=20, restarts=1) on ce"), ("standard", "PGD(steps=50")]
)
def test_an_effort_is_what_it_says(frenemy: Frenemy, effort: str, first: str) -> None:
    words = ("--model", "linear@0", "--examples", 9, "--curve", 0, "--objectives", "enemy", "--out", "run")
    assert frenemy("audit", *words, "--effort", effort).code == 0
    assert names()[0].startswith(first)
    assert ("Square(queries=200, restarts=1)" in names()) == (effort == "standard")
    settings = json.loads(Path("run/audit.json").read_text())["audits"][0]["settings"]
    assert settings["effort"] == effort


def test_the_attack_belongs_to_the_run(audit: Frenemy) -> None:
    assert audit("--attack", "fgsm", "--quiet").code == 0
    assert "attack was fgsm and is bim" in audit("--attack", "bim").refusal
    assert "effort was quick and is standard" in audit("--attack", "fgsm", "--effort", "standard").refusal
    assert audit("--attack", "fgsm", "--quiet").code == 0


@pytest.mark.parametrize(
    "text",
    [
        "attack: bim(steps=2,loss=margin),fgsm",
        "attack: ['bim(steps=2,loss=margin)', fgsm]",
        "attack: [{name: bim, steps: 2, loss: margin}, fgsm]",
        "attack:\n- {name: bim, steps: 2, loss: margin}\n- name: fgsm\n",
    ],
)
def test_yaml_names_attacks_in_any_way(audit: Frenemy, text: str) -> None:
    Path("c.yaml").write_text(text)
    assert audit("--config", "c.yaml", "--objectives", "enemy").code == 0
    assert names() == ["BIM(steps=2) on margin", "FGSM on ce", "FGSM on margin"]
    printed = audit("--config", "c.yaml", "--print-config").out
    Path("d.yaml").write_text(printed)
    assert audit("--config", "d.yaml", "--print-config").out == printed


def test_yaml_may_write_one_mapping_or_attacks_in_attacks() -> None:
    for text, said in (
        ("attack: {name: pgd, step-size: 0.25, random_start: no}", "pgd(step-size=0.25,random_start=no)"),
        ("attack: {attacks: [pgd, {name: fgsm}], name: worstof}", "worstof(attacks=(pgd,fgsm(),))"),
        ("attack: {name: pgd, loss: 'a, b'}", "pgd(loss='a, b')"),
    ):
        Path("c.yaml").write_text(text)
        assert entries(Path("c.yaml"), ["attack"], ["attack"]) == {"attack": said}


@pytest.mark.parametrize(
    "text",
    ["attack: {steps: 3}", "attack: {[a]: 1, name: pgd}", "attack: &a [pgd]\nout: *a", "attack: " + "[" * 99],
)
def test_a_mapping_that_names_no_attack_is_refused(text: str) -> None:
    Path("c.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"; "):
        entries(Path("c.yaml"), ["attack", "out"], ["attack"])


FIXED = GOOD.replace("self.affine(self.flatten(x))", "{}")
MODELS = {
    "no gradient": FIXED.format("self.affine(self.flatten(x.detach()))"),
    "numpy": FIXED.format("self.affine(torch.as_tensor(self.flatten(x).numpy()))"),
    "zero gradient": FIXED.format("self.affine(self.flatten((8 * x).round() / 8))"),
    "constant": FIXED.format("torch.arange(10.0).expand(len(x), 10) + 0 * x.sum()"),
    "random": FIXED.format("self.affine(self.flatten(x)) + torch.rand(len(x), 10)"),
}


@pytest.mark.parametrize(
    ("kind", "caveat"),
    [
        ("no gradient", "no gradients."),
        ("numpy", "no gradients."),
        ("zero gradient", "zero gradients."),
        ("constant", "constant answers."),
        ("random", "random answers."),
    ],
)
def test_a_model_that_hides_is_named(audit: Frenemy, tmp_path: Path, kind: str, caveat: str) -> None:
    (tmp_path / "net.py").write_text(MODELS[kind])
    said = audit("--model", f"{tmp_path}/net.py:make", "--objectives", "enemy", "--steps", 6)
    assert (said.code, said.err) == (0, "")
    assert caveat in said.out
    if caveat == "no gradients.":
        assert names()[-1] == "Square(queries=200, restarts=1)"
        assert "(not applicable)" in " ".join(said.out.split())
        (tmp_path / "out").mkdir()
        refusal = audit("--model", f"{tmp_path}/net.py:make", "--attack", "pgd", "--out", "other").refusal
        assert "expected an attack that needs no gradient" in refusal
        assert "square" in refusal
