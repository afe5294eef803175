"""The table of the paper, in three forms, against numbers written by hand."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

import pytest
from rich.console import Console
from tests.unit.reports.audits import bare, crowd, digits, empty, named, single

from frenemy.reports.table import table_csv, table_tex, terminal
from frenemy.risks.result import Audit


def read(audits: Sequence[Audit]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table_csv(audits))))


def test_csv_holds_the_paper_s_columns() -> None:
    rows = read((digits(), digits("naive", right=104, left=0)))
    symbols = ["F", "D", "A", "R_nat", "R_adv", "R_adv|correct", "R_hyp", "R_rev", "R_rev|wrong"]
    parts = [f"{symbol}{part}" for symbol in symbols for part in ("", "_low", "_high", "_n")]
    assert list(rows[0]) == ["model", "data", "threat", *parts]
    assert [row["model"] for row in rows] == ["standard-cnn", "naive"]
    assert (rows[0]["F"], rows[0]["D"], rows[0]["A"]) == ("99.8000", "97.2000", "3.1000")
    assert (rows[0]["R_hyp"], rows[0]["R_hyp_n"]) == ("92.8571", "28")
    assert rows[0]["A_low"] == "2.1924"
    assert rows[1]["A_low"] == "0.0000"


def test_csv_tells_undefined_from_not_asked() -> None:
    nothing, enemy, one = read((empty(), bare(), single()))
    assert (nothing["D"], nothing["D_low"], nothing["D_high"], nothing["D_n"]) == (
        "undefined",
        "0.0000",
        "100.0000",
        "0",
    )
    assert (enemy["F"], enemy["F_n"], enemy["R_hyp"]) == ("", "", "")
    assert (one["R_hyp"], one["R_nat"]) == ("undefined", "")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_csv_gives_no_formula_away(text: str) -> None:
    assert read((digits(text),))[0]["model"] == f"'{text}"


def test_csv_quotes_what_would_break_it() -> None:
    text = 'a,b\n"c"'
    assert read((digits(text),))[0]["model"] == text


def test_tex_has_as_many_cells_as_heads() -> None:
    text = table_tex((digits(), bare(), empty()))
    rows = [line for line in text.split("\n") if line.endswith("\\\\")]
    assert {line.count(" & ") for line in rows} == {9}
    assert re.search(r"standard-cnn & 99\.8 & 97\.2 & 3\.1 & 2\.8 & 96\.9 & 96\.8 & 92\.9 &", text)
    assert "{\\scriptsize [96.0, 98.1]}" in text
    assert "nothing-judged & undefined" in text
    assert "enemy-only & -- & 97.2" in text
    for rule in ("\\toprule", "\\midrule", "\\bottomrule"):
        assert text.count(rule) == 1


def test_tex_escapes_names() -> None:
    text = table_tex((digits("[a]*\\x_{1}&2%$3#^~<b>\nc"),))
    wanted = (
        r"{[}a]{*}\textbackslash{}x\_\{1\}\&2\%\$3\#\textasciicircum{}\textasciitilde{}"
        r"\textless{}b\textgreater{} c & "
    )
    assert wanted in text


@pytest.mark.parametrize(
    "audits", [(digits(), bare()), (crowd(),), (empty(), single()), (named("[bold]x[/red]"),)]
)
def test_terminal_fits_eighty_columns(audits: tuple[Audit, ...]) -> None:
    console = Console(width=80, file=io.StringIO(), color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(terminal(audits))
    lines = capture.get().split("\n")
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert "…" not in text
    if audits[0].model == "standard-cnn":
        assert "accuracy under an enemy A 3.1 [2.2, 4.4] 1000" in text
        assert "hypocritical risk R_hyp 92.9 [77.4, 98.0] 28" in text
    if audits[0].model == "nothing-judged":
        assert "accuracy on clean inputs D undefined – 0" in text
    if audits[0].model.startswith("["):
        assert "[bold]x[/red] on" in text
