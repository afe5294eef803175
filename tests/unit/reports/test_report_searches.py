"""What each search was tried on and what fell to it, in three forms, against numbers written by hand."""

from __future__ import annotations

import csv
import io
import re

import pytest
from rich.console import Console
from tests.unit.reports.audits import bare, crowd, digits, empty, named, single

from frenemy.reports.page import render
from frenemy.reports.searches import searches, searches_csv, searches_page
from frenemy.risks.result import Audit


def shown(audit: Audit) -> str:
    """The table as a terminal of 80 columns shows it."""
    console = Console(width=80, file=io.StringIO(), color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(searches(audit))
    assert max(map(len, capture.get().split("\n"))) <= 80
    return " ".join(capture.get().split())


def test_the_terminal_says_who_was_tried_and_who_fell() -> None:
    text = shown(digits())
    assert "attack tried fell then % rows s" in text
    assert "standard-cnn, enemy: A PGD(steps=50, restarts=20) on ce 972 901 7.1 101,000 21.5" in text
    assert "PGD(steps=50, restarts=20) on margin 71 40 3.1 101,000 21.5" in text
    assert "standard-cnn, false friend: F BIM (not applicable)" in text
    assert "standard-cnn, reversal: R_rev Square(queries=200) 1,000 1 96.9 9 0.1" in text


@pytest.mark.parametrize("audit", [bare(), crowd(), empty(), single(), named("[bold]x[/red]")])
def test_the_terminal_takes_any_audit(audit: Audit) -> None:
    assert "…" not in shown(audit)
    assert "[bold]x[/red]" in shown(named("[bold]x[/red]"))


def test_csv_has_a_row_for_each_search() -> None:
    rows = list(csv.DictReader(io.StringIO(searches_csv((digits(), bare(), digits("=1+1"))))))
    assert len(rows) == 8
    first = rows[0]
    assert (first["model"], first["attack"]) == ("standard-cnn", "PGD(steps=50, restarts=20) on ce")
    assert (first["tried"], first["fell"], first["measure"], first["value"], first["n"]) == (
        *("972", "901", "accuracy_adversarial", "7.1000", "1000"),
    )
    assert (first["forwards"], first["backwards"], first["seconds"]) == ("51000", "50000", "21.500")
    assert (rows[2]["value"], rows[2]["state"]) == ("undefined", "not applicable")
    assert rows[4]["model"] == "'=1+1"


def test_the_page_says_what_was_run() -> None:
    rows = searches_page(digits())
    assert [row["who"] for row in rows] == ["nobody", "enemy", "enemy", "false friend", "reversal"]
    assert (rows[0]["attack"], rows[0]["left"]) == ("none", "D 97.2 %")
    assert (rows[1]["threat"], rows[1]["tried"], rows[1]["fell"]) == ("linf, 8/255", "972", "901")
    assert (rows[1]["left"], rows[3]["left"]) == ("A 7.1 %", "not applicable")
    text = " ".join(re.sub(r"<[^>]*>", " ", render([digits()])).split())
    assert "PGD(steps=50, restarts=20) on ce 972 901 A 7.1 % 51,000 50,000 21.5" in text
    assert [row["attack"] for row in searches_page(bare())] == ["none"]
