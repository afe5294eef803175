"""The page of `frenemy mask`: what is said, what is drawn, and a slider that turns, in a real browser."""

from __future__ import annotations

import csv
import html
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.unit.reports.audits import digits
from tests.unit.reports.test_browser import CHROMIUM, EVIL, dom

from frenemy.reports.swept import swept
from frenemy.risks.estimate import proportion
from frenemy.risks.result import Caveat
from frenemy.risks.sweep import Sweep

ROWS = 40


def sweep(stands: list[list[int]], right: int = ROWS, cautious: tuple[int, ...] = ()) -> Sweep:
    """Masks under which the examples of these places stand."""
    shares = tuple(k / max(len(stands) - 1, 1) for k in range(len(stands)))
    doubt = Caveat("one attack", "Only one was run.", "caution")
    audits = [
        replace(
            digits(),
            caveats=(doubt,) if k in cautious else (),
            trust="caution" if k in cautious else "ok",
            examples={"index": np.arange(ROWS + 2)},
        )
        for k in range(len(stands))
    ]
    held = np.zeros((len(stands), ROWS), dtype=bool)
    for row, places in zip(held, stands, strict=True):
        row[places] = True
    asked = {"masks": [[1 - p, p] for p in shares], "data": "d", "threat": "linf:0.1", "attacks": ["PGD"]}
    clean = np.repeat(np.arange(ROWS)[None] < right, len(stands), 0)
    return Sweep(shares, tuple(audits), np.arange(ROWS), clean, held, asked)


def test_what_is_said_is_what_was_measured(tmp_path: Path) -> None:
    found = sweep([[0, 1, 2, 3], [2, 3, 4], list(range(20))], right=30, cautious=(1, 2))
    told, files = swept(found, {"at p = 0": "a", "at p = 1": "b"}, tmp_path, "x")
    assert told[0].startswith(
        "p = 0: 75.0 % [59.8, 85.8] right untouched and 10.0 % [4.0, 23.1] under attack."
    )
    assert "p = 1: 75.0 % [59.8, 85.8] right untouched and 50.0 % [35.2, 64.8] under attack." in told[0]
    assert told[1].startswith("An enemy who may choose among these 3 masks too leaves 5.0 %")
    assert told[2:] == ["The numbers may be too good at p = 0.5, 1: one attack."]
    assert [file.name for file in files] == ["mask.html", "table.csv", "results.json"]
    numbers = json.loads((tmp_path / "results.json").read_text())
    worst = proportion(2, ROWS)
    assert numbers["worst"] == {"value": worst.value, "low": worst.low, "high": worst.high, "n": ROWS}
    assert numbers["apart"] == 2
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [row["robust"] for row in rows] == ["10.0000", "7.5000", "50.0000", "5.0000"]
    page = (tmp_path / "mask.html").read_text()
    assert "2 set apart" in page
    assert page.count('class="trust caution"') == 1 + 2
    assert "<span>p = 0: a</span><span>p = 1: b</span>" in page


@pytest.mark.parametrize("stands", [[[0]], [[], []], [list(range(ROWS))] * 21], ids=["one", "none", "many"])
def test_edges_are_drawn_within_the_drawing(tmp_path: Path, stands: list[list[int]]) -> None:
    told, _ = swept(sweep(stands, right=ROWS), {}, tmp_path, "x")
    assert len(told) == (1 if len(stands) == 1 else 2)
    page = (tmp_path / "mask.html").read_text()
    for text in re.findall(r"<svg [^>]*class=\"chart\".*?</svg>", page):
        for node in ET.fromstring(text).iter():
            for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", node.attrib.get("d", "")):
                assert 0 <= float(x) <= 420
                assert 0 <= float(y) <= 290
            assert 0 <= float(node.attrib.get("cx", 0)) <= 420
            assert 0 <= float(node.attrib.get("cy", 0)) <= 290


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_slider_turns_and_points_can_be_clicked(tmp_path: Path) -> None:
    """On a phone's width, under the page's own policy; names of files never run."""
    swept(sweep([[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]), {"at p = 0": EVIL, "at p = 1": "b"}, tmp_path, EVIL)
    page = (tmp_path / "mask.html").read_text()
    script = (
        "onload=()=>{const f=document.querySelector('iframe'),d=f.contentDocument,out=[];"
        "const now=()=>[...d.querySelectorAll('.stop')].filter(s=>!s.hidden).map(s=>s.querySelectorAll('.big')[2]"
        ".textContent).join()+'/'+d.querySelectorAll('.here').length;"
        "out.push(now());const i=d.querySelector('#dial');i.value=3;i.dispatchEvent(new Event('input'));"
        "out.push(now(),i.getAttribute('aria-valuetext').slice(0,5));"
        "d.querySelector('circle[data-stop=\"0\"]').dispatchEvent(new Event('click'));out.push(now());"
        "const e=d.documentElement;out.push(e.scrollWidth<=e.clientWidth,e.dataset.ready,e.dataset.foreign);"
        "document.title=out.join('|')}"
    )
    frame = f'<iframe width="390" height="800" srcdoc="{html.escape(page)}"></iframe>'
    found = dom(f"<!doctype html><meta charset=utf-8><script>{script}</script>{frame}", tmp_path)
    title = found.split("<title>")[1].split("</title>")[0]
    assert title.split("|") == [
        *("5.0 %/4", "10.0 %/4", "p = 1", "2.5 %/4", "true", "yes", ""),
    ]
