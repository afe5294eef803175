"""`frenemy theory` as a person types it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Frenemy


def test_the_list_names_every_problem(frenemy: Frenemy) -> None:
    said = frenemy("theory", "list")
    assert said.code == 0
    assert all(name in said.out for name in ("circle", "halves", "line", "tsipras", "staircase"))


def test_the_numbers_stand_side_by_side(frenemy: Frenemy) -> None:
    said = frenemy("theory", "tsipras", "--d", "100", "--eta=3/10", "--eps", 0.6)
    assert (said.code, said.err) == (0, "")
    assert "Tsipras(p=0.95, d=100, eta=0.3, eps=0.6" in said.out
    assert said.out.count("0.001350") == 2
    assert "Tsipras et al. 2019" in " ".join(said.out.split())
    assert "do not agree" not in said.out


def test_as_json(frenemy: Frenemy) -> None:
    rows = json.loads(frenemy("theory", "staircase", "--json", "--n", 500).out)
    assert rows[0]["name"] == "Bayes, natural risk"
    for row in rows:
        assert {"name", "closed_form", "quadrature", "simulated", "low", "high"} <= row.keys()
        assert row["agrees"]
        assert row["low"] <= row["simulated"] <= row["high"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["halvs"], "did you mean 'halves'?"),
        (["halves", "--q", "1"], "unknown option '--q'"),
        (["halves", "p", "1"], "unknown option 'p'"),
        (["halves", "--p"], "expected a value after --p, got none"),
        (["halves", "--p", "one"], "expected --p to be a finite number, got 'one'"),
        (["halves", "--p", "1/0"], "expected --p to be a finite number"),
        (["halves", "--p", "2"], "expected p in (0.5, 1), got 2"),
        (["tsipras", "--p", "1"], "expected p in [0.5, 1), got 1"),
        (["tsipras", "--d", "1.5"], "expected --d to be a whole number"),
        (["line", "--rule", "f9"], "unknown rule 'f9'"),
        (["circle", "--n", "0"], "expected --n from 1"),
        (["list", "more"], "expected nothing after"),
        (["page", "--json"], "unknown option '--json'"),
        (["page", "--eps", "1"], "unknown option '--eps'"),
        (["page", "--n", "none"], "expected --n to be a whole number"),
    ],
)
def test_what_cannot_be_used_is_refused(frenemy: Frenemy, words: list[str], sentence: str) -> None:
    assert sentence in frenemy("theory", *words).refusal


def test_a_problem_is_drawn_with_a_parameter_to_move(frenemy: Frenemy) -> None:
    said = frenemy("theory", "halves", "--eps", 0.07, "--out", "here")
    assert said.out.rstrip().endswith("page  here/theory.html")
    page = Path("here/theory.html").read_text()
    assert page.count("<math") == 1
    pictures = re.findall('<div class="stop"[^>]*>', page)
    assert len(pictures) == 25
    assert sum("hidden" in one for one in pictures) == 24
    assert "<output>0.07</output>" in page
    assert "0.140000" in page  # robust risk of the Bayes rule, 2 eps
    assert "frenemy theory halves --eps 0.07 --out here" in page


def test_json_writes_a_page_only_where_one_is_asked_for(frenemy: Frenemy) -> None:
    frenemy("theory", "circle", "--json", "--n", 50)
    assert not list(Path().rglob("theory.html"))
    json.loads(frenemy("theory", "circle", "--json", "--n", 50, "--out", "there").out)
    assert Path("there/theory.html").exists()


def test_a_place_that_cannot_be_written_is_refused_after_the_numbers(frenemy: Frenemy) -> None:
    Path("file").write_text("")
    said = frenemy("theory", "circle", "--n", 50, "--out", "file/below")
    assert said.code == 2
    assert "precision" in said.out
    assert said.err.startswith("frenemy: error: ")
    assert "Traceback" not in said.err


def test_help(frenemy: Frenemy) -> None:
    assert frenemy("theory").out == frenemy("theory", "--help").out
    assert "Two classes on the two halves" in frenemy("theory", "halves", "--help").out
