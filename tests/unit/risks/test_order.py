"""The lexicographic order against that of Python's tuples, and against what 002 says of its own classifiers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frenemy.errors import UsageError
from frenemy.risks.estimate import Estimate, proportion
from frenemy.risks.order import lexicographic
from frenemy.theory.line import Line

levels = st.lists(st.sampled_from([0.0, 0.5, 0.75, 1.0]), min_size=1, max_size=6)


def known(values: list[float]) -> list[Estimate]:
    """Accuracies without doubt."""
    return [Estimate(value, value, value, 1) for value in values]


def told(first: list[float], second: list[float]) -> str:
    return lexicographic(range(len(first)), known(first), known(second)).relation


@given(levels, st.data())
def test_known_accuracies_are_ordered_as_tuples_are(first: list[float], data: st.DataObject) -> None:
    second = data.draw(st.permutations(first)) if data.draw(st.booleans()) else list(first)
    a, b = tuple(first), tuple(second)
    assert told(first, second) == ("better" if b > a else "worse" if b < a else "equal")
    order = lexicographic(range(len(a)), known(first), known(second))
    if a != b:
        assert a[int(order.eps)] != b[int(order.eps)]
        assert a[: int(order.eps)] == b[: int(order.eps)]
        assert len(order.differences) == order.eps + 1
    else:
        assert math.isnan(order.eps)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.data(), st.floats(0, 0.3))
def test_what_is_better_one_way_is_worse_the_other(
    first: list[int], data: st.DataObject, tolerance: float
) -> None:
    second = data.draw(st.lists(st.integers(0, 40), min_size=len(first), max_size=len(first)))
    one, other = ([proportion(hits, 40) for hits in counts] for counts in (first, second))
    there, back = (lexicographic(range(len(one)), *pair, tolerance) for pair in ((one, other), (other, one)))
    assert back.relation == {"better": "worse", "worse": "better"}.get(there.relation, there.relation)
    assert there.eps == back.eps or math.isnan(there.eps)


def test_more_examples_decide() -> None:
    """94 against 90 per cent: not known from 100 examples, known from 2,000."""
    eps = [0.0, 0.1]
    few = [[proportion(100, 100), proportion(n, 100)] for n in (90, 94)]
    found = lexicographic(eps, few[0], few[1], 0.05)
    assert (found.relation, found.eps) == ("undecided", 0.1)
    many = [[proportion(2000, 2000), proportion(20 * n, 2000)] for n in (90, 94)]
    found = lexicographic(eps, many[0], many[1], 0.01)
    assert (found.relation, found.eps) == ("better", 0.1)


def test_no_later_size_overrules_an_earlier_one_that_is_not_known() -> None:
    first = [proportion(95, 100), proportion(10, 100)]
    second = [proportion(94, 100), proportion(90, 100)]
    found = lexicographic([0.0, 0.1], first, second, 0.01)
    assert (found.relation, found.eps) == ("undecided", 0.0)
    assert lexicographic([0.1], first[1:], second[1:], 0.01).relation == "better"


@pytest.mark.parametrize(
    ("measure", "order"),
    [("exact norm, accuracy", ("f1", "f3", "f2")), ("genuine, exact norm, accuracy", ("f1", "f2", "f3"))],
)
def test_the_rules_of_002_in_its_own_order(measure: str, order: tuple[str, ...]) -> None:
    """f1 < f3 < f2 by LSR and f1 < f2 < f3 by LGR, on a grid; at the sizes where they part, no first difference."""
    grid = [k / 2 for k in range(17)]

    def accuracy(rule: str, sizes: list[float]) -> list[float]:
        found = [Line(rule, eps).quantities(1) for eps in sizes]
        return [one.closed_form for quantities in found for one in quantities if one.name == measure]

    for low, high in ((order[0], order[1]), (order[1], order[2]), (order[0], order[2])):
        assert told(accuracy(low, grid), accuracy(high, grid)) == "better"
    f1, f3 = (accuracy(rule, [0.0, 1e-3, 1e-6, 1e-9]) for rule in ("f1", "f3"))
    assert f1[0] == f3[0]
    assert all(a < b for a, b in zip(f1[1:], f3[1:], strict=True))


def test_by_standard_robustness_f2_and_f4_are_equal() -> None:
    grid = [k / 4 for k in range(33)]
    f2, f4 = ([Line(rule, eps).quantities(1)[2].closed_form for eps in grid] for rule in ("f2", "f4"))
    assert told(f2, f4) == "equal"


def test_what_cannot_be_compared_is_refused() -> None:
    one = known([1.0, 0.5])
    with pytest.raises(UsageError, match="as many accuracies as sizes, got 2 and 1 for 2"):
        lexicographic([0, 1], one, one[:1])
    with pytest.raises(UsageError, match="sizes that ascend"):
        lexicographic([1, 1], one, one)
    with pytest.raises(UsageError, match="tolerance of 0 or more"):
        lexicographic([0, 1], one, one, math.nan)
