"""Figures: lines and surfaces as SVG, as PDF and PNG, and on a page of their own."""

from __future__ import annotations

import io
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from tests.unit.reports.test_report_page import Seen

from frenemy.reports.panel import Line, Panel, drawn, round_steps
from frenemy.reports.paper import on_paper
from frenemy.reports.pictured import converged, surveyed
from frenemy.reports.relief import RAMP, Relief, relieved
from frenemy.risks.views import Convergence, Landscape

STEPS = np.arange(5.0)


def panel(*lines: Line, low: float | None = None) -> Panel:
    return Panel("a < b", "text", "step", "%", lines, low=low)


def relief(
    z: np.ndarray[tuple[int, ...], np.dtype[np.float64]], low: float = 0.0, high: float = 1.0
) -> Relief:
    return Relief(
        "a < b",
        "",
        "x",
        "y",
        "z",
        np.linspace(-1, 1, z.shape[0]),
        np.linspace(-1, 1, z.shape[1]),
        z,
        low,
        high,
    )


def paths(svg: str, kind: str) -> list[list[tuple[float, float]]]:
    """The points of every path whose class has this word."""
    found = []
    for node in ET.fromstring(svg).iter("path"):
        if kind in node.attrib["class"].split():
            parts = node.attrib["d"].removesuffix(" Z").removeprefix("M").split(" L")
            found.append([(float(a), float(b)) for a, b in (part.split() for part in parts)])
    return found


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 9))
@example(879609.9999999999, 1e-6, 6)
def test_round_steps_are_round_even_and_inside(low: float, length: float, most: int) -> None:
    steps = round_steps(low, low + length, most)
    assert len(steps) <= most + 1
    gaps = np.diff(steps)
    if len(steps) > 1:
        assert np.allclose(gaps, gaps[0], rtol=1e-6)
        mantissa = gaps[0] / 10 ** np.floor(np.log10(gaps[0]) + 1e-9)
        assert min(abs(mantissa - unit) for unit in (1, 2, 5, 10)) < 1e-3 * max(1, abs(low) / length)
    rounding = 1e-6 * length + 2 * np.spacing(abs(low) + length)
    assert all(low - rounding <= step <= low + length + rounding for step in steps)


def test_a_line_runs_from_corner_to_corner_and_breaks_where_it_has_no_height() -> None:
    rising = paths(drawn(panel(Line(STEPS, 10 * STEPS), low=0.0)), "faint")
    assert len(rising) == 1
    xs, ys = zip(*rising[0], strict=True)
    assert list(xs) == pytest.approx(np.linspace(xs[0], xs[-1], 5), abs=0.02)
    assert list(ys) == pytest.approx(np.linspace(ys[0], ys[-1], 5), abs=0.02)
    assert ys[0] > ys[-1]
    broken = paths(drawn(panel(Line(STEPS, np.array([1.0, 2.0, np.nan, 3.0, np.inf])))), "faint")
    assert [len(piece) for piece in broken] == [2, 1]
    long = paths(drawn(panel(Line(np.arange(5000.0), np.arange(5000.0)))), "faint")
    assert len(long[0]) <= 161
    assert long[0][-1] == pytest.approx((408.0, 26.0), abs=0.02)


@pytest.mark.parametrize("lines", [(), (Line(STEPS, np.full(5, 3.0)),), (Line(STEPS, np.full(5, np.nan)),)])
def test_a_panel_with_nothing_to_show_is_drawn_all_the_same(lines: tuple[Line, ...]) -> None:
    root = ET.fromstring(drawn(panel(*lines)))
    assert "a < b" in root.attrib["aria-label"]
    drawn_at = [node.attrib[word] for node in root.iter() for word in ("d", "x", "y") if word in node.attrib]
    assert drawn_at
    assert not any("nan" in place or "inf" in place for place in drawn_at)


def test_a_surface_is_as_high_as_it_is() -> None:
    """A patch rises with its corners; colours go from the lowest to the highest; what is behind comes first."""
    flat, high = relief(np.zeros((3, 3))), relief(np.ones((3, 3)))
    (low_patches, high_patches) = (paths(relieved(one), "patch") for one in (flat, high))
    assert len(low_patches) == len(high_patches) == 4
    for below, above in zip(low_patches, high_patches, strict=True):
        assert [y - 150 for _, y in below] == pytest.approx([y for _, y in above])
    depth = [max(y for _, y in patch) for patch in low_patches]
    assert depth[0] == min(depth)
    assert depth[-1] == max(depth)
    fills = [
        node.attrib["fill"] for node in ET.fromstring(relieved(high)).iter("path") if "fill" in node.attrib
    ]
    assert set(fills) == {RAMP[-1]}
    assert f'fill="{RAMP[0]}"' in relieved(flat)


def test_papers_are_papers_and_always_the_same(tmp_path: Path) -> None:
    figures: list[Panel | Relief] = [
        panel(Line(STEPS, STEPS)),
        relief(np.random.default_rng(0).random((5, 5))),
    ]
    pdf, png = on_paper(figures, tmp_path, "one")
    assert pdf.read_bytes().startswith(b"%PDF")
    with Image.open(io.BytesIO(png.read_bytes())) as image:
        assert image.size == (1360, 540)
        assert len(set(image.convert("L").resize((40, 20)).tobytes())) > 5
    again, _ = on_paper(figures, tmp_path, "two")
    assert again.read_bytes() == pdf.read_bytes()


def searched(reached: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], name: str = "net") -> Convergence:
    loss = np.cumsum(np.ones(reached.shape, np.float32), axis=2)
    settings = {"loss": "ce", "seed": 0}
    return Convergence(
        name,
        "digits",
        "linf:0.1",
        "untargeted",
        "PGD",
        np.arange(reached.shape[1]),
        loss,
        reached,
        0,
        settings,
    )


def test_a_search_that_rests_is_told_from_one_that_does_not(tmp_path: Path) -> None:
    rest, late = np.zeros((2, 10, 11), dtype=bool), np.zeros((2, 10, 11), dtype=bool)
    rest[:, :4, 2:] = True
    late[:, :4, 2:] = late[1, 5, 10:] = True
    told, files = converged([searched(rest, "<b>still</b>"), searched(late)], tmp_path, "frenemy converge")
    assert [file.name for file in files] == ["convergence.html", "convergence.pdf", "convergence.png"]
    assert "60.0 % [31.3, 83.2] after 2 runs of 10 steps" in told[0]
    assert told[0].endswith("The search has come to rest.")
    assert "reached 1 of 10 examples, and only the last run 1" in told[1]
    assert told[1].endswith("give it more steps and more runs.")
    page = Seen(files[0].read_text())
    assert page.open == []
    assert page.count("svg") == 4
    assert page.words.count("caution") == 1
    assert "<b>still</b>" in page.words
    assert not page.count("b")
    (policy,) = [tag[1]["content"] for tag in page.tags if "Content-Security-Policy" in tag[1].values()]
    assert str(policy).startswith("default-src 'none'")


def test_a_gradient_that_shows_no_way_is_named(tmp_path: Path) -> None:
    sizes = np.linspace(-0.1, 0.1, 5)
    along, beside = np.meshgrid(sizes, sizes, indexing="ij")
    made = {
        name: Landscape(
            name, "digits", "linf:0.1", "untargeted", "ce", np.array([7, 9]), sizes,
            np.stack([surface, surface + 1]).astype(np.float32), np.zeros((2, 2), np.float32), 0, {"seed": 0},
        )
        for name, surface in (("good", along), ("masked", 3 * beside))
    }  # fmt: skip
    told, files = surveyed(list(made.values()), tmp_path, "frenemy landscape")
    assert "rises by 0.1 along the gradient and by 0 in a random direction" in told[0]
    assert "does not show the way" not in told[0]
    assert told[1].endswith("the gradient does not show the way.")
    page = Seen(files[0].read_text())
    assert page.count("svg") == 6, "the mean and both examples of both models"
    assert page.words.count("Heights can be compared") == 6


def test_without_matplotlib_the_page_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    _, files = converged([searched(np.zeros((1, 3, 4), dtype=bool))], tmp_path, "frenemy converge")
    assert [file.name for file in files] == ["convergence.html"]
    assert "The same figures" not in files[0].read_text()
