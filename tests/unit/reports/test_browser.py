"""The page in a real browser: nothing foreign runs, our own script does, and a phone needs no sideways scroll."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.unit.reports.audits import bare, crowd, digits, empty, flat, named, single

from frenemy.reports.lesson import lesson
from frenemy.reports.page import render
from frenemy.theory.halves import Halves

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]

CALM = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--virtual-time-budget=4000",
]


def dom(page: str, directory: Path) -> str:
    """The document after its scripts have run."""
    file = directory / "page.html"
    file.write_bytes(page.encode())
    profile = f"--user-data-dir={directory / 'profile'}"
    command = [str(CHROMIUM), *CALM, profile, "--dump-dom", file.as_uri()]
    return subprocess.run(command, check=True, capture_output=True, timeout=60, text=True).stdout


EVIL = (
    "<script>document.documentElement.dataset.foreign=1</script>"
    '"><img src=x onerror="document.documentElement.dataset.foreign=1">\'>'
    "</script></title></style></pre><!--<svg onload=document.documentElement.dataset.foreign=1>"
)


@pytest.mark.parametrize("policy", [True, False], ids=["policy", "escapes alone"])
def test_names_never_run_and_our_script_does(tmp_path: Path, policy: bool) -> None:
    page = render([named(EVIL), named(EVIL + "2")])
    if not policy:
        page, removed = re.subn('<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
        assert removed == 1
    found = dom(page, tmp_path)
    assert "data-foreign" not in found
    assert 'data-ready="yes"' in found


def test_the_same_names_do_run_where_nothing_stops_them(tmp_path: Path) -> None:
    found = dom(f"<!doctype html><title>x</title><p>{EVIL}", tmp_path)
    assert 'data-foreign="1"' in found


def test_the_policy_stops_a_script_that_got_into_the_page(tmp_path: Path) -> None:
    page = render([digits()]).replace("<main>", f"<main>{EVIL.split('</script></title>')[0]}")
    found = dom(page, tmp_path)
    assert "data-foreign" not in found
    assert 'data-ready="yes"' in found


def test_a_phone_needs_no_sideways_scroll(tmp_path: Path) -> None:
    cases = ([digits(), digits("naive-mlp", right=104, left=0)], [empty(), bare(), single(), crowd(), flat()])
    frames = "".join(
        f'<iframe width="390" height="800" srcdoc="{html.escape(render(case))}"></iframe>' for case in cases
    )
    script = (
        "<script>onload=()=>{const w=[...document.querySelectorAll('iframe')].map(f=>"
        "f.contentDocument.documentElement.scrollWidth+'/'+f.contentDocument.documentElement.clientWidth+"
        "'/'+f.contentDocument.documentElement.dataset.ready);document.title=w.join(' ')}</script>"
    )
    found = dom(f"<!doctype html><meta charset=utf-8>{script}{frames}", tmp_path)
    title = found.split("<title>")[1].split("</title>")[0].split()
    assert len(title) == len(cases)
    for widths in title:
        scroll, client, ready = widths.split("/")
        assert int(scroll) == int(client) <= 390
        assert ready == "yes"


def test_search_and_sort_work(tmp_path: Path) -> None:
    script = (
        "onload=()=>{const d=document.querySelector('iframe').contentDocument,t=d.querySelector('.verdicts'),"
        "first=()=>t.tBodies[0].rows[0].cells[0].textContent,heads=t.querySelectorAll('th button'),out=[];"
        "heads[0].click();out.push(first());heads[0].click();out.push(first());"
        "const i=d.querySelector('input');i.value='found one';i.dispatchEvent(new Event('input'));"
        "out.push([...t.tBodies[0].rows].filter(r=>!r.hidden).length,d.querySelector('output').textContent);"
        "document.title=out.join('|')}"
    )
    frame = f'<iframe srcdoc="{html.escape(render([digits()]))}"></iframe>'
    found = dom(f"<!doctype html><meta charset=utf-8><script>{script}</script>{frame}", tmp_path)
    low, high, shown, said = found.split("<title>")[1].split("</title>")[0].split("|")
    assert (low, high) == ("0", "199")
    assert 0 < int(shown) < 200
    assert said == f"{shown} of 200 shown"


def test_a_slider_shows_one_picture_and_one_table_at_a_time(tmp_path: Path) -> None:
    """Moved to its right end it shows the last picture and numbers, and the needle there."""
    page = lesson([Halves()], tmp_path, "frenemy theory halves").read_text()
    moved = page.replace(
        'document.documentElement.dataset.ready = "yes";',
        'const range = document.querySelector("input[type=range]"); range.value = range.max; '
        'range.dispatchEvent(new Event("input")); document.documentElement.dataset.ready = "yes";',
    )
    for text, value, shift in ((page, "0.1", 0.09 / 0.23 * 370), (moved, "0.24", 370)):
        text = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
        found = dom(text, tmp_path)
        assert 'data-ready="yes"' in found
        for look in ("stop", "scroll stop"):
            frames = re.findall(rf'<div class="{look}"[^>]*>', found)
            assert len(frames) == 25
            assert sum("hidden" not in frame for frame in frames) == 1
        assert f"<output>{value}</output>" in found
        needles = re.findall(r'<path class="needle( here)?"[^>]* d="M([\d.]+)', found)
        assert len(needles) == 25
        (at,) = (float(x) for here, x in needles if here)
        assert at - float(needles[0][1]) == pytest.approx(shift, abs=0.1)


def test_a_page_of_theory_runs_under_its_own_policy(tmp_path: Path) -> None:
    found = dom(lesson([Halves()], tmp_path, EVIL).read_text(), tmp_path)
    assert 'data-ready="yes"' in found
    assert "data-foreign" not in found
