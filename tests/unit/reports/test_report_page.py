"""The page says what was measured, lets nothing else run, and is all there is."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.reports.audits import bare, crowd, digits, empty, flat, named, single

from frenemy.errors import RunError, UsageError
from frenemy.reports.page import render
from frenemy.reports.publish import publish, republish
from frenemy.reports.record import records
from frenemy.risks.result import Audit, Caveat


class Seen(HTMLParser):
    """What a browser finds: elements with their attributes, the text of each kind, and what is left open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.setdefault(self.open[-1] if self.open else "", []).append(data)

    def count(self, tag: str) -> int:
        return sum(found == tag for found, _ in self.tags)

    @property
    def words(self) -> str:
        parts = (part for tag, parts in self.text.items() if tag not in ("script", "style") for part in parts)
        return " ".join(" ".join(parts).split())


def plain(page: str) -> str:
    """The page as running text."""
    return " ".join(re.sub(r"<[^>]*>", "", re.sub(r"<(style|script).*?</\1>", "", page, flags=re.S)).split())


CASES = {
    "one": (digits(),),
    "two": (digits(), digits("naive-mlp", right=104, left=0)),
    "edges": (empty(), bare(), single(), crowd(), flat()),
}


@pytest.mark.parametrize("audits", CASES.values(), ids=CASES)
def test_every_page_is_whole_and_loads_nothing(audits: tuple[Audit, ...]) -> None:
    page = render(audits)
    seen = Seen(page)
    assert seen.open == []
    assert render(audits) == page
    for tag, attributes in seen.tags:
        assert not {"style", "srcset", "action"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#")), tag
    assert "http://" not in page
    assert "https://" not in page
    anchors = [attributes["id"] for _, attributes in seen.tags if "id" in attributes]
    assert len(anchors) == len(set(anchors))
    assert "nan" not in seen.words.lower().split()


@pytest.mark.parametrize("audits", CASES.values(), ids=CASES)
def test_the_policy_names_the_hash_of_what_is_there(audits: tuple[Audit, ...]) -> None:
    page = render(audits)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.S)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.S)
    for kind, text in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src &#39;sha256-{digest}&#39;;" in policy
        assert text.isascii(), "a wrongly guessed encoding would change the hash"
    assert policy.startswith("default-src &#39;none&#39;; img-src data:;")
    assert "unsafe" not in policy


def test_the_headline_is_a_sentence() -> None:
    text = plain(render(CASES["two"]))
    assert (
        "standard-cnn is right on 97.2 % of clean inputs. An enemy who may change each pixel by up to 8/255 leaves "
        "3.1 %. A false friend with the same power makes it look like 99.8 %." in text
    )
    assert "naive-mlp is right on 10.4 % of clean inputs." in text
    text = plain(render([bare()]))
    assert "An enemy who may change each input value by up to 8/255 leaves 3.1 %." in text
    assert "makes it look like" not in text
    assert "no input could be judged" in plain(render([empty()]))


def test_caveats_stand_before_the_numbers_and_once() -> None:
    text = plain(render([digits()]))
    assert text.index("masked gradients") < text.index("accuracy on clean inputs") < text.index("Risks")
    both = plain(render(CASES["two"]))
    assert both.count("masked gradients") == 1
    assert both.index("masked gradients") < both.index("Side by side")
    assert both.count("few wrong inputs") == 2
    assert "No check of this audit raised a caveat." in plain(render([bare()]))


def test_undefined_and_not_measured_are_said() -> None:
    text = plain(render([single()]))
    assert "not measured" in text
    assert "undefined" in text


def test_the_results_are_inside() -> None:
    page = render(CASES["edges"])
    (data,) = re.findall(r'<script type="application/json" id="results">(.*?)</script>', page, re.S)
    assert json.loads(data) == records(CASES["edges"])


def test_rows_are_limited_and_the_rest_is_told() -> None:
    page = render([digits()])
    assert "The first 200 of 1,000 examples; the rest are in examples.npz" in plain(page)
    (table,) = re.findall(r'<table class="verdicts">(.*?)</table>', page, re.S)
    assert table.count("<tr>") == 201


@settings(max_examples=25, deadline=None)
@given(
    st.text(min_size=1, max_size=12).filter(lambda text: text.rstrip("\0"))  # NumPy drops NUL at the end
    | st.sampled_from(["</script><!--", "<script>", '"><img src=x onerror=f()>', "{{ 7*7 }}"])
)
def test_no_name_changes_the_page(text: str) -> None:
    seen, calm = Seen(render([named(text)])), Seen(render([named("calm")]))
    assert [tag for tag, _ in seen.tags if tag in ("script", "img", "b", "svg")] == [
        tag for tag, _ in calm.tags if tag in ("script", "img", "b", "svg")
    ]
    assert [sorted(names) for _, names in seen.tags] == [sorted(names) for _, names in calm.tags]
    assert seen.open == []


def test_a_name_that_is_no_unicode_still_makes_a_page() -> None:
    render([named("model-\udcff")]).encode("utf-8")


def test_no_audit_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one audit"):
        render([])


FILES = [
    "audit.json",
    "examples.npz",
    "pictures.npz",
    "report.html",
    "results.json",
    "searches.csv",
    "table.csv",
    "table.tex",
]


def test_publish_and_republish_give_the_same_bytes(tmp_path: Path) -> None:
    audits = (digits(), flat(), single())
    paths = publish(audits, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(before) == sorted(path.name for path in paths) == FILES
    for path in republish(tmp_path):
        path.write_bytes(b"spoiled")
    again = republish(tmp_path)
    assert sorted(path.name for path in again) == FILES[3:]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_name_that_is_no_unicode_is_published_and_found_again(tmp_path: Path) -> None:
    publish([digits("model-\udcff")], tmp_path)
    assert "report.html" in [path.name for path in republish(tmp_path)]


def test_republish_without_an_audit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="frenemy audit"):
        republish(tmp_path)


def test_reports_are_made_without_torch(tmp_path: Path) -> None:
    publish([digits()], tmp_path)
    names = [path.stem for path in (Path(__file__).parents[3] / "src/frenemy/reports").glob("[a-z]*.py")]
    assert {"record", "table", "svg", "curve", "gallery", "page", "publish"} <= set(names)
    code = (
        "import importlib, sys, pathlib\n"
        f"for name in {names!r}: importlib.import_module('frenemy.reports.' + name)\n"
        "from frenemy.reports.publish import republish\n"
        f"republish(pathlib.Path({str(tmp_path)!r}))\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_columns_of_other_kinds_are_shown() -> None:
    from dataclasses import replace

    columns = {
        "label": np.array(["a", "b"], object),
        "odd": np.array([True, False]),
        "low": np.array([np.inf, 1.5]),
    }
    text = plain(render([replace(digits(), examples=columns)]))
    assert "All 2 examples" in text
    assert "inf" in text.split("All 2 examples")[1]


def test_what_stands_between_backquotes_is_code_and_nothing_is_markup() -> None:
    """Also where a user's text holds tags, or one backquote alone."""
    texts = {"give `<b>--effort</b> thorough` more": 1, "a `lone one <i>": 0, "`a` and `b`": 2}
    for text, codes in texts.items():
        plain = single()
        page = Seen(render([replace(plain, caveats=(Caveat("name", text),), checks=(), command="")]))
        usual = Seen(render([replace(plain, caveats=(Caveat("name", "text"),), checks=(), command="")]))
        assert page.count("code") - usual.count("code") == codes
        assert page.count("b") == usual.count("b")
        assert page.count("i") == usual.count("i")
