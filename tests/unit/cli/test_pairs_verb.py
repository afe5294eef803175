"""`frenemy pairs` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.unit.cli.conftest import Frenemy

from frenemy.data.find import load
from frenemy.risks.pairs import nearest_pairs


def test_the_pairs_of_digits(frenemy: Frenemy) -> None:
    said = frenemy("pairs", "--norm", "l2,linf", "--eps", "1.2,0.2")
    assert (said.code, said.err) == (0, "")
    out, found = Path("runs/pairs-digits-train"), nearest_pairs(load("digits", split="train"))
    (a, b), told = found.order[0], " ".join(said.out.split())
    places = found.pair[a, b]
    assert f"l2: the nearest examples of different classes are {a} (example {places[0]})" in told
    assert (
        f"and {b} (example {places[1]}), {found.distance[a, b]:.4g} apart; up to eps = {found.radius:.4g}"
        in told
    )
    assert f"With eps = 1.2, {found.pseudo(1.2)} of 1,437 examples" in told
    assert "With eps = 0.2 no example can be changed" in told
    first, second = json.loads((out / "pairs.json").read_text())
    assert (first["norm"], second["norm"]) == ("l2", "linf")
    assert first["least"] == float(found.gap.min())
    assert first["pseudo"] == found.pseudo(1.2)
    assert len(first["pairs"]) == 45
    assert first["pairs"][0] == {
        "classes": [str(a), str(b)],
        "distance": found.distance[a, b],
        "examples": places.tolist(),
    }
    page = (out / "pairs.html").read_text()
    assert page.count("<image ") == 2 * 2 * 5
    assert page.count('<th scope="row">') == 45
    assert "frenemy pairs --norm l2,linf --eps 1.2,0.2" in page
    assert all((out / f"pairs.{kind}").stat().st_size > 1000 for kind in ("pdf", "png"))


def test_a_norm_that_was_searched_before_is_not_searched_again(frenemy: Frenemy) -> None:
    assert frenemy("pairs", "--quiet", "--examples", 300).out == ""
    jobs = {file: file.stat().st_mtime_ns for file in Path("runs").glob("*/jobs/*")}
    assert len(jobs) == 1
    assert frenemy("pairs", "--norm", "l1,l2", "--examples", 300).code == 0
    later = {file: file.stat().st_mtime_ns for file in Path("runs").glob("*/jobs/*")}
    assert len(later) == 2
    assert later.items() > jobs.items()


def test_a_table_has_no_pictures_and_the_same_row_twice_is_told(frenemy: Frenemy) -> None:
    Path("rows.csv").write_text("a,b,kind\n0,1,x\n2,5,y\n0,1,y\n4,4,x\n")
    said = frenemy("pairs", "--data", "rows.csv", "--out", "run")
    assert "the same input: no classifier is right on both" in " ".join(said.out.split())
    page = Path("run/pairs.html").read_text()
    assert "<image " not in page
    assert "caution" in page


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--norm", "l3"), "unknown norm 'l3'"),
        (("--norm", ","), "expected --norm to be one or more words"),
        (("--norm", "l2,l1", "--eps", "1"), "expected --eps to be 2 numbers"),
        (("--eps", "-1"), "expected a size of 0 or larger"),
        (("--data", "nowhere"), "nowhere"),
        (("--examples", "1"), "expected examples of two classes or more in digits, got 1"),
        (("--model", "lenet"), "unknown option '--model'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(
    frenemy: Frenemy, words: tuple[str, str], sentence: str
) -> None:
    assert sentence in frenemy("pairs", *words).refusal


def test_an_input_that_is_not_finite_is_refused(frenemy: Frenemy) -> None:
    np.savez("bad.npz", x=np.array([[0.0], [np.nan]], np.float32), y=np.array([0, 1]))
    assert "bad" in frenemy("pairs", "--data", "bad.npz").refusal
