"""`frenemy transfer` as a person types it."""

from __future__ import annotations

import dataclasses
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from tests.unit.cli.conftest import Frenemy

from frenemy.reports.crossed import crossed
from frenemy.risks.transfer import RANDOM
from frenemy.risks.views import Transfer

SMALL = (
    "--model",
    "linear@0,mlp@1,linear@2",
    "--device",
    "cpu",
    "--examples",
    12,
    "--attack",
    "pgd(steps=3)",
)


def test_the_matrix_of_three_models(frenemy: Frenemy) -> None:
    said = frenemy("transfer", *SMALL)
    assert (said.code, said.err) == (0, "")
    (out,) = Path("runs").glob("transfer-digits-linf-0.15-linear@0-mlp@1-linear@2*")
    assert all(f"figures: {out / name}" in said.out for name in ("transfer.html", "transfer.json"))
    enemy, friend = json.loads((out / "transfer.json").read_text())
    assert (enemy["objective"], friend["objective"]) == ("untargeted", "hypocritical")
    assert enemy["sources"]["mlp@1"] == "PGD(steps=3, restarts=1, early_stop=False) on ce"
    assert len(enemy["cells"]) == len(friend["cells"]) == 4 * 3
    for one, wrong in ((enemy, False), (friend, True)):
        for cell in one["cells"]:
            right = one["clean_right"][cell["target"]]
            assert cell["turned"]["n"] == (12 - right if wrong else right)
            assert cell["accuracy"]["n"] == 12
    page = (out / "transfer.html").read_text()
    assert page.count('<th scope="row">') == 2 * 4 * 3
    assert "frenemy transfer --model linear@0,mlp@1,linear@2" in page
    jobs = {file: file.stat().st_mtime_ns for file in out.glob("models/*/jobs/*")}
    assert jobs
    assert frenemy("transfer", *SMALL, "--quiet").out == ""
    assert {file: file.stat().st_mtime_ns for file in out.glob("models/*/jobs/*")} == jobs
    assert (out / "transfer.html").read_text().replace(" --quiet<", "<") == page


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--model", "linear@0"), "expected two models or more in --model, got 'linear@0'"),
        (("--objectives", "reversal"), "expected enemy or friend, got reversal"),
        (("--objectives", "foe"), "unknown objective 'foe'"),
        (("--attack", "pgd,square"), "expected one attack"),
        (("--attack", "jsma"), "expected an attack that can search linf"),
        (("--loss", "no"), "unknown loss 'no'"),
        (("--threat", "linf"), "expected a size"),
        (("--eps", "1"), "unknown option '--eps'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(
    frenemy: Frenemy, words: tuple[str, str], sentence: str
) -> None:
    small = {str(flag): value for flag, value in zip(SMALL[::2], SMALL[1::2], strict=True)}
    given = [part for pair in (small | dict([words])).items() for part in pair]
    assert sentence in frenemy("transfer", *given).refusal


def seen(right: list[list[list[bool]]], names: tuple[str, ...] = ("a<b", "c")) -> Transfer:
    clean = np.ones((len(names), len(right[0][0])), dtype=bool)
    settings = {
        "models": {
            name: dict.fromkeys(("model_sha256", "data_sha256", "access", "seed", "frenemy"), "")
            for name in names
        }
    }
    sources = (*names, RANDOM)
    index = np.arange(clean.shape[1])
    return Transfer(
        names, sources, sources, "d", "linf:1", "untargeted", index, clean, np.array(right), 0, (), settings
    )


def test_points_of_another_that_hurt_more_than_its_own_raise_a_doubt(tmp_path: Path) -> None:
    """`c` stands against its own points, yet falls to those of the other: its search was blind."""
    no, yes = [False] * 40, [True] * 40
    told, _ = crossed([seen([[no, no], [yes, yes], [yes, yes]])], tmp_path, "x")
    assert "points found on a<b: they break 100.0 %" in told[0]
    assert told[1].startswith("c: points of a<b break 100.0 %")
    assert "its own only 0.0 %" in told[1]
    assert 'class="trust caution"' in (tmp_path / "transfer.html").read_text()
    told, _ = crossed([seen([[no, no], [yes, no], [yes, yes]])], tmp_path, "x")
    assert len(told) == 1


def test_nothing_to_turn_is_shown_as_undefined(tmp_path: Path) -> None:
    one = seen([[[True] * 4] * 2] * 3)
    none = dataclasses.replace(one, clean=~one.clean)
    told, _ = crossed([none], tmp_path, "x")
    assert told == ["An enemy: no target gets an example right, so nothing can be told."]
    cells = json.loads((tmp_path / "transfer.json").read_text())[0]["cells"]
    assert {cell["turned"]["value"] for cell in cells} == {None}


@pytest.mark.parametrize("count", [2, 9])
def test_the_drawing_is_sound_and_every_cell_can_be_told_by_pointing(tmp_path: Path, count: int) -> None:
    names = tuple(f"a model with a long name, number {n}" for n in range(count))
    crossed([seen([[[True, False]] * count] * (count + 1), names)], tmp_path, "x")
    page = (tmp_path / "transfer.html").read_text()
    svg = ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    titles = [node.text or "" for node in svg.iter("title")]
    assert sum("on a model" in text for text in titles) == count * (count + 1)
    width, height = map(float, svg.attrib["viewBox"].split()[2:])
    for box in svg.iter("rect"):
        x, y, w, h = (float(box.attrib[name]) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
