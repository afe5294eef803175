"""What an audit leaves behind and shows: files for programs, words for people, the same ones every time."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.cli.conftest import Frenemy
from tests.unit.cli.models_of_users import written

from frenemy.data.find import load
from frenemy.risks.measure import MEASURES
from frenemy.training import demonstration

__all__: list[str] = []


def headlines(out: str = "run") -> list[dict[str, Any]]:
    """The headline numbers of results.json."""
    rows: list[dict[str, Any]] = json.loads(Path(out, "results.json").read_text())
    return [row for row in rows if row["role"] == "headline"]


FIELDS = ["model", "data", "measure", "threat", "eps", "objective", "attack"]
FIELDS += ["value", "low", "high", "n", "seed", "cost", "role", "trust", "tried", "fell"]


def test_results_have_the_fields_and_the_measures(audit: Frenemy) -> None:
    assert audit("--curve", 2, "--seed", 7).code == 0
    rows = json.loads(Path("run/results.json").read_text())
    headline = [row for row in rows if row["role"] == "headline"]
    assert all(list(row) == FIELDS for row in rows)
    assert {row["role"] for row in rows} == {"headline", "curve", "search"}
    assert {row["measure"]: row["objective"] for row in headline} == dict(MEASURES)
    assert {row["seed"] for row in rows} == {7}
    assert {(row["model"], row["data"]) for row in rows} == {("linear@0", "digits")}
    for row in headline:
        assert (row["threat"], row["eps"]) == (("none", 0) if row["objective"] == "none" else ("linf", 0.15))
        assert set(row["cost"]) == {"forwards", "backwards", "seconds"}
        if row["value"] is not None:
            assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1


def test_the_identities_of_the_paper_hold_on_what_is_written(audit: Frenemy) -> None:
    assert audit("--model", "mlp@1", "--examples", 60, "--steps", 3).code == 0
    rows = {row["measure"]: row for row in headlines()}
    nat, n = rows["risk_natural"]["value"], rows["risk_natural"]["n"]
    on_correct = rows["risk_adversarial_on_correct"]["value"] or 0.0
    on_wrong = rows["risk_reversible_on_wrong"]["value"] or 0.0
    assert rows["risk_adversarial"]["value"] == pytest.approx(nat + (1 - nat) * on_correct)
    assert rows["risk_reversible"]["value"] == pytest.approx((1 - nat) * on_correct + nat * on_wrong)
    assert rows["accuracy_clean"]["value"] == pytest.approx(1 - nat)
    assert rows["risk_adversarial_on_correct"]["n"] + rows["risk_hypocritical"]["n"] == n == 60


def test_examples_have_a_row_each(audit: Frenemy) -> None:
    assert audit("--model", "linear@0,linear@1").code == 0
    with np.load("run/examples.npz", allow_pickle=False) as columns:
        assert columns["model"].tolist() == ["linear@0"] * 20 + ["linear@1"] * 20
        places = load("digits").index[:20].tolist()
        assert columns["index"].tolist() == places * 2
        for wish in ("untargeted", "hypocritical", "reversal"):
            for part in ("outcome", "answer", "loss", "distance", "queries"):
                assert columns[f"{wish}_{part}"].shape == (40,)


def test_tables_and_page_say_the_same_as_the_results(audit: Frenemy) -> None:
    assert audit().code == 0
    rows = {row["measure"]: row for row in headlines()}
    with Path("run/table.csv").open() as stream:
        (cells,) = csv.DictReader(stream)
    assert float(cells["D"]) == pytest.approx(100 * rows["accuracy_clean"]["value"], abs=1e-3)
    assert float(cells["A"]) == pytest.approx(100 * rows["accuracy_adversarial"]["value"], abs=1e-3)
    assert "\\toprule" in Path("run/table.tex").read_text()
    page = Path("run/report.html").read_text()
    assert "linear@0" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_the_seed_settles_every_number(audit: Frenemy) -> None:
    def numbers(out: str, *words: object) -> list[object]:
        assert audit("--out", out, "--model", "mlp@0", "--steps", 2, "--threat", "l2:0.3", *words).code == 0
        rows = headlines(out)
        return [(row["measure"], row["value"], row["cost"]["forwards"]) for row in rows]

    assert numbers("a") == numbers("b", "--batch-size", 7)


def test_the_screen_is_plain_text_of_80_columns(audit: Frenemy, tmp_path: Path) -> None:
    file = Path(written("probabilities", tmp_path)).rename(
        "a_net_whose_name_is_rather_long_but_still_sensible.py"
    )
    said = audit("--model", f"linear@0,{file}:make", "--threat", "sphere-linf:0.1")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line.isprintable() for line in lines)
    assert lines[-1] == "report: run/report.html"
    for word in ("accuracy on clean inputs", "adversarial risk", "R_hyp", "sphere-linf:0.1"):
        assert word in said.out


def test_a_long_path_is_not_broken(audit: Frenemy) -> None:
    out = "/".join(["a_directory_with_a_name"] * 6)
    assert audit("--out", out).out.splitlines()[-1] == f"report: {out}/report.html"


def test_quiet_says_nothing(audit: Frenemy) -> None:
    said = audit("--quiet")
    assert (said.code, said.out, said.err) == (0, "", "")
    assert Path("run/report.html").exists()


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("--threat linf:8/255", "digits-linf-8-255-linear@0-examples-9-steps-1-curve-0"),
        ("--seed 3 --no-fast", "digits-linf-0.15-linear@0-examples-9-seed-3-steps-1-curve-0-no-fast"),
        ("--batch-size 5 --device cpu", "digits-linf-0.15-linear@0-examples-9-steps-1-curve-0"),
    ],
)
def test_the_usual_directory_is_named_after_what_is_asked(frenemy: Frenemy, words: str, place: str) -> None:
    small = "--model linear@0 --examples 9 --steps 1 --curve 0"
    said = frenemy("audit", *small.split(), *words.split())
    assert said.out.splitlines()[-1] == f"report: runs/{place}/report.html"
    long = "--losses ce,margin,kl,ce,margin --objectives enemy,friend,reversal,untargeted"
    frenemy("audit", *small.split(), *words.split(), *long.split())
    assert all(len(path.name) <= 100 for path in Path("runs").iterdir())
    assert len(list(Path("runs").iterdir())) == 2


def test_no_fast_and_bfloat16_are_judged_in_float32(audit: Frenemy) -> None:
    values = {}
    for words in ("--fast", "--no-fast", "--precision bfloat16"):
        assert audit(*words.split(), "--out", words[2:], "--model", "mlp@0", "--losses", "ce").code == 0
        rows = headlines(words[2:])
        values[words] = {row["measure"]: row["value"] for row in rows}
    assert len({found["risk_natural"] for found in values.values()}) == 1
    assert values["--fast"] == pytest.approx(values["--no-fast"], abs=0.06)


def test_the_demonstration_is_trained_once(
    frenemy: Frenemy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []
    monkeypatch.setattr(demonstration, "fit", lambda model, *words, **more: trained.append(more["threat"]))
    for out in ("one", "two"):
        said = frenemy("audit", "--examples", 5, "--steps", 1, "--curve", 0, "--losses", "ce", "--out", out)
        assert (said.code, said.err) == (0, "")
        assert said.out.index("digits-plain on digits,") < said.out.index("digits-robust on digits,")
        assert len(trained) == 2
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 2


def test_the_record_says_what_survives_rounding(audit: Frenemy) -> None:
    said = audit("--quantise", 8)
    assert said.code == 0
    assert "Rounded to multiples of 1/255 inside the threat" in " ".join(said.out.split())
    rows = [row for row in json.loads(Path("run/results.json").read_text()) if row["role"] == "quantised"]
    assert {row["measure"] for row in rows} == {
        "accuracy_adversarial",
        "accuracy_hypocritical",
        "risk_reversible",
    }
    assert "successes of an enemy survive" in Path("run/report.html").read_text()
    assert "--quantise to be a whole number of 1 or more" in audit("--quantise", "0").refusal
