"""Drawings are well-formed, the same each time, and put the numbers where they belong."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as tree
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from tests.unit.reports.audits import bare, crowd, digits, empty, flat, single

from frenemy.reports.curve import bar, chart
from frenemy.reports.gallery import gallery, unit
from frenemy.reports.svg import element, line, number, write
from frenemy.reports.verdicts import verdicts
from frenemy.risks.estimate import proportion
from frenemy.risks.result import Picture


@given(st.text(), st.text())
def test_any_text_is_written_so_that_it_is_read_back(inside: str, name: str) -> None:
    parsed = tree.fromstring(write(element("text", inside, aria_label=name)))
    kept = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff]")
    if not re.search("[\ufffe\uffff]", inside + name):
        assert (parsed.text or "") == kept.sub("\ufffd", inside)
        assert list(parsed.attrib) == ["aria-label"]
        assert " ".join(parsed.attrib["aria-label"].split()) == " ".join(kept.sub("\ufffd", name).split())


def test_numbers_and_paths() -> None:
    assert [number(value) for value in (3.0, 0.5, -12.25, -0.001, 1 / 3, 100.0)] == [
        "3",
        "0.5",
        "-12.25",
        "0",
        "0.33",
        "100",
    ]
    assert line([(0, 1), (2.5, 3)], closed=True) == "M0 1 L2.5 3 Z"
    assert line([]) == ""


def points(svg: str, side: str) -> list[tuple[float, float]]:
    """Where the path of a line goes."""
    found = re.search(rf'class="line {side}" d="([^"]*)"', svg)
    assert found is not None
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", found[1])]


def test_a_curve_goes_through_its_numbers() -> None:
    audit = digits()
    drawn = chart([audit], "largest")
    assert drawn is not None
    curve = next(c for c in audit.curves if c.kind == "largest" and c.objective == "untargeted")
    clean = points(drawn.svg, "clean")
    left, right = clean[0][0], clean[1][0]
    grid = [float(y) for y in re.findall(r'class="grid" d="M[\d.]+ ([\d.]+)', drawn.svg)]
    bottom, top = max(grid), min(grid)
    for (x, y), eps, estimate in zip(points(drawn.svg, "enemy"), curve.eps, curve.accuracy, strict=True):
        assert x == pytest.approx(left + (right - left) * eps / curve.eps[-1], abs=0.01)
        assert y == pytest.approx(bottom + (top - bottom) * estimate.value, abs=0.01)
    assert "standard-cnn, enemy, linf 8/255: 5.9 % [4.6, 7.5], n = 1000" in drawn.svg
    assert drawn.names == ("enemy", "false friend")
    assert drawn.rows[0] == ("0", ("97.2 %", "97.2 %"))
    assert [size for size, _ in drawn.rows] == [
        "0",
        "1/255",
        "2/255",
        "4/255",
        "8/255",
        "12/255",
        "16/255",
        "24/255",
        "32/255",
    ]


def test_a_chart_is_xml_speaks_and_repeats() -> None:
    audits = [digits(), digits("<naive>", right=104, left=0)]
    for kind in ("largest", "exact"):
        drawn = chart(audits, kind)
        assert drawn is not None
        root = tree.fromstring(drawn.svg)
        assert root.attrib["role"] == "img"
        assert "<naive>, enemy: from 10.4 % at 0 to" in root.attrib["aria-label"]
        assert chart(audits, kind) == drawn
        assert [key.text for key in drawn.legend] == [
            "enemy",
            "false friend",
            "clean level",
            "standard-cnn",
            "<naive>",
        ]
        assert "style=" not in drawn.svg
        dashes = {
            path.attrib["stroke-dasharray"]
            for path in root.iter("path")
            if path.attrib["class"] == "line enemy"
        }
        assert len(dashes) == 2


def test_a_chart_without_numbers_is_not_drawn() -> None:
    assert chart([empty(), bare()], "largest") is None
    assert chart([], "largest") is None
    short = chart([single(), empty()], "exact")
    assert short is not None
    assert "nothing-judged" not in short.svg


def test_a_bar_reaches_from_low_to_high() -> None:
    estimate = proportion(31, 1000)
    reach = next(r for r in tree.fromstring(bar(estimate, "enemy")) if r.attrib["class"] == "reach enemy")
    assert float(reach.attrib["x"]) == pytest.approx(100 * estimate.low, abs=0.005)
    width = 100 * (estimate.high - estimate.low)
    assert float(reach.attrib["width"]) == pytest.approx(width, abs=0.005)
    assert [r.attrib["class"] for r in tree.fromstring(bar(proportion(0, 0), "enemy"))] == ["track"]


def pixels(address: str) -> NDArray[Any]:
    head, _, data = address.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_images_show_the_inputs_and_the_change_around_mid_grey() -> None:
    audit = digits()
    shown = gallery(audit)["hypocritical"][1]
    picture = [p for p in audit.pictures if p.objective == "hypocritical"][1]
    original, change, perturbed = map(pixels, shown.images)
    assert np.array_equal(original, np.rint(picture.clean[0] * 255))
    assert np.array_equal(perturbed, np.rint(picture.perturbed[0] * 255))
    delta = picture.perturbed[0] - picture.clean[0]
    assert set(np.unique(change[delta == 0])) <= {127, 128}
    assert (change[delta == delta.max()] == 255).all()
    assert float(shown.factor) == pytest.approx(0.5 / np.abs(delta).max(), abs=0.5)
    assert (shown.before.right, shown.after.right, shown.pixelated) == (False, True, True)
    assert shown.distance == "8/255"


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((5, 7), (5, 7)),
        ((1, 5, 7), (5, 7)),
        ((3, 5, 7), (5, 7, 3)),
        ((1, 1, 1), (1, 1)),
        ((3, 1, 1), (1, 1, 3)),
        ((3, 640, 320), (320, 160, 3)),
    ],
)
def test_images_of_any_form(shape: tuple[int, ...], seen: tuple[int, ...]) -> None:
    clean = np.full(shape, 0.25, np.float32)
    picture = Picture(0, 0, "untargeted", 0, 1, 0.5, clean, clean * 3)
    (shown,) = gallery(replace(digits(), pictures=(picture,)))["untargeted"]
    assert [pixels(address).shape for address in shown.images] == [seen] * 3
    assert [int(pixels(address).flat[0]) for address in shown.images] == [64, 255, 191]


def test_what_is_no_image_becomes_the_features_that_moved_most() -> None:
    audit = flat()
    shown, still = gallery(audit)["untargeted"][0], gallery(audit)["hypocritical"][0]
    delta = np.abs(audit.pictures[0].perturbed - audit.pictures[0].clean)
    assert shown.images == ()
    assert [change.feature for change in shown.changes] == [f"feature {i}" for i in np.argsort(-delta)[:6]]
    assert shown.moved == np.count_nonzero(delta)
    assert (still.changes, still.moved) == ((), 0)
    assert [unit(case) for case in (digits(), audit, bare())] == ["pixel", "feature", "input value"]


def test_verdicts_are_words_and_stop_at_the_limit() -> None:
    found = verdicts(digits(), limit=200)
    assert (found.total, len(found.rows)) == (1000, 200)
    names = [column.name for column in found.columns]
    assert names[:5] == ["example", "class", "clean answer", "set apart", "enemy outcome"]
    row = {name: cell.text for name, cell in zip(names, found.rows[2], strict=True)}
    assert row["enemy outcome"] == "not found"
    assert (row["enemy answer"], row["enemy loss"]) == ("✓ four", "–")
    assert row["enemy distance"] == "8/255"
    assert "false friend loss" in names
    numeric = {column.name for column in found.columns if column.numeric}
    assert {"example", "enemy loss", "enemy queries"} <= numeric
    assert numeric.isdisjoint({"class", "enemy answer", "set apart"})


def test_verdicts_of_nothing_and_of_numbered_outcomes() -> None:
    assert verdicts(bare()).rows == verdicts(empty()).rows == ()
    assert len(verdicts(single()).rows) == 1
    assert len(verdicts(crowd()).rows) == 200
    columns = {
        "label": np.array([1, 1]),
        "untargeted_outcome": np.array([1, 4]),
        "clean_answer": np.array([1, -1]),
    }
    rows = verdicts(replace(digits(), examples=columns)).rows
    assert [[cell.text for cell in row] for row in rows] == [
        ["one", "found", "✓ one"],
        ["one", "not finite", "no answer"],
    ]
