"""Numbers in words, against sentences written by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.reports.audits import bare, digits

from frenemy.reports.words import class_name, headline, interval, percent, reach, share, size
from frenemy.risks.estimate import Estimate, proportion


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0"), (1.0, "100.0"), (0.9999, ">99.9"), (0.0001, "<0.1"), (0.972, "97.2"), (0.9994, "99.9")],
)
def test_share_never_rounds_to_all_or_nothing(value: float, text: str) -> None:
    assert share(value) == text


@pytest.mark.parametrize(
    ("eps", "text"),
    [
        (0.0, "0"),
        (8 / 255, "8/255"),
        (float(np.float32(8 / 255)), "8/255"),
        (0.2, "0.2"),
        (0.3, "0.3"),
        (1.0, "1"),
        (2.0, "2"),
        (0.123456, "0.1235"),
        (128 / 255, "128/255"),
        (1e-5, "1e-05"),
        (math.inf, "inf"),
    ],
)
def test_size(eps: float, text: str) -> None:
    assert size(eps) == text


@given(st.integers(1, 254))
def test_every_level_is_written_so_that_it_can_be_read(level: int) -> None:
    top, _, bottom = size(level / 255).partition("/")
    assert float(top) / float(bottom or 1) == pytest.approx(level / 255, rel=1e-9)


@pytest.mark.parametrize(
    ("threat", "eps", "text"),
    [
        ("linf", 8 / 255, "change each pixel by up to 8/255"),
        ("l2", 0.5, "move an input by up to 0.5 in the L2 norm"),
        ("sphere-l2", 0.5, "move an input by exactly 0.5 in the L2 norm"),
        ("sphere-linf", 0.1, "change each pixel by exactly 0.1 at the largest"),
        ("l0", 10.0, "change up to 10 pixels"),
        ("l0", 1.0, "change up to 1 pixel"),
        ("words", 3.0, "act within words of size 3"),
    ],
)
def test_reach(threat: str, eps: float, text: str) -> None:
    assert reach(threat, eps, "pixel") == text


def test_undefined_is_said_and_not_drawn_as_a_number() -> None:
    nothing = proportion(0, 0)
    assert (percent(nothing), interval(nothing)) == ("undefined", "–")
    assert percent(Estimate(math.nan, 0.0, 1.0, 5)) == "undefined"
    assert (percent(proportion(5, 5)), interval(proportion(0, 10))) == ("100.0 %", "[0.0, 27.8]")


def test_headline_is_not_the_curve() -> None:
    found = headline(digits(), "accuracy_adversarial")
    assert found is not None
    assert (found.role, found.eps) == ("headline", 8 / 255)
    assert headline(bare(), "accuracy_hypocritical") is None


def test_class_name() -> None:
    assert [class_name(("cat",), number) for number in (0, 1, -1, np.int64(0))] == [
        "cat",
        "class 1",
        "no answer",
        "cat",
    ]
