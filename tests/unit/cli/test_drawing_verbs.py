"""`frenemy converge`, `frenemy landscape` and `frenemy boundary` as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.unit.cli.conftest import Frenemy

SMALL = ("--model", "linear@0,mlp@1", "--device", "cpu", "--examples", 12)
FEW = {"converge": ("--steps", 4, "--restarts", 2), "landscape": ("--points", 5)}
PAGES = {"converge": "convergence", "landscape": "landscape"}


@pytest.mark.parametrize("verb", FEW)
def test_the_figures_of_two_models(frenemy: Frenemy, verb: str) -> None:
    said = frenemy(verb, *SMALL, *FEW[verb])
    assert (said.code, said.err) == (0, "")
    (out,) = Path("runs").glob(f"{verb}-digits-linf-0.15-linear@0-mlp@1*")
    written = [out / f"{PAGES[verb]}.{kind}" for kind in ("html", "pdf", "png")]
    assert all(f"figures: {file}" in said.out for file in written)
    assert all(file.stat().st_size > 1000 for file in written)
    assert said.out.startswith("linear@0: ")
    page = written[0].read_text()
    assert f"frenemy {verb} --model linear@0,mlp@1" in page
    jobs = {file: file.stat().st_mtime_ns for file in out.glob("models/*/jobs/*")}
    assert jobs
    assert frenemy(verb, *SMALL, *FEW[verb], "--quiet").out == ""
    assert {file: file.stat().st_mtime_ns for file in out.glob("models/*/jobs/*")} == jobs
    assert written[0].read_text().replace(" --quiet<", "<") == page


@pytest.mark.parametrize("verb", FEW)
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--threat", "linf"), "expected"),
        (("--objective", "foe"), "unknown objective 'foe'"),
        (("--loss", "no"), "unknown loss 'no'"),
        (("--model", "no@1"), "no"),
        (("--examples", "0"), "whole number of 1 or more"),
        (("--speed", "1"), "unknown option '--speed'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(
    frenemy: Frenemy, verb: str, words: tuple[str, str], sentence: str
) -> None:
    assert sentence in frenemy(verb, "--device", "cpu", *words).refusal


def test_each_verb_refuses_what_it_alone_takes(frenemy: Frenemy) -> None:
    assert "climbs a loss step by step" in frenemy("converge", "--attack", "square").refusal
    assert "odd number of points" in frenemy("landscape", "--points", "6").refusal
    assert "span above 0" in frenemy("landscape", "--span", "0").refusal


def test_a_directory_belongs_to_one_question(frenemy: Frenemy) -> None:
    assert frenemy("landscape", *SMALL, *FEW["landscape"], "--out", "run").code == 0
    assert "run" in frenemy("converge", *SMALL, *FEW["converge"], "--out", "run").refusal


@pytest.mark.parametrize("verb", FEW)
def test_help_names_every_option(frenemy: Frenemy, verb: str) -> None:
    said = frenemy(verb, "--help")
    assert said.code == 0
    assert all(word in said.out for word in ("--model", "--threat", "--examples", "--objective", "--out"))


def test_the_boundary_of_two_models_in_pictures_and_numbers(frenemy: Frenemy) -> None:
    """The points that are kept are points of the models' boundaries; the same command again asks nothing."""
    words = ("boundary", *SMALL, "--attack", "deepfool")
    said = frenemy(*words)
    assert (said.code, said.err) == (0, "")
    (out,) = Path("runs").glob("boundary-digits-l2-linear@0-mlp@1*")
    page = (out / "boundary.html").read_text()
    assert "frenemy boundary --model linear@0,mlp@1" in page
    assert page.count("data:image/png") == 2 * 3 * 6
    told = json.loads((out / "boundary.json").read_text())
    arrays = np.load(out / "boundary.npz")
    assert [one["model"] for one in told] == ["linear@0", "mlp@1"]
    for one in told:
        assert one["found"] == one["n"] == 12
        far = np.sqrt(np.square(arrays[f"{one['model']}.remover"]).reshape(12, -1).sum(1))
        np.testing.assert_allclose([row["distance"] for row in one["examples"]], far, rtol=1e-4)
        assert all(row["answer"] != row["becomes"] for row in one["examples"])
    jobs = {file: file.stat().st_mtime_ns for file in out.glob("models/*/jobs/*")}
    assert frenemy(*words).code == 0
    assert {file: file.stat().st_mtime_ns for file in out.glob("models/*/jobs/*")} == jobs


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--threat", "l0"), "expected l2, linf or l1, got l0"),
        (("--threat", "l3"), "unknown threat 'l3'"),
        (("--towards", "ten"), "expected one of the classes"),
        (("--attack", "no"), "unknown attack 'no'"),
        (("--access", "labels", "--attack", "ddn"), "hopskipjump needs labels alone"),
    ],
)
def test_what_has_no_boundary_to_find_is_refused(
    frenemy: Frenemy, words: tuple[str, ...], sentence: str
) -> None:
    assert sentence in frenemy("boundary", "--device", "cpu", "--model", "linear@0", *words).refusal
