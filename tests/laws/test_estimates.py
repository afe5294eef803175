"""Laws of the numbers: intervals cover what they promise, and the identities of 000 hold without rounding."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from tests.oracles import exact, identities, wilson

from frenemy.risks.estimate import Estimate, difference, proportion
from frenemy.risks.measure import MEASURES, measure
from frenemy.risks.pool import OBJECTIVES, Pool

Point = tuple[int, int, int]
law = settings(max_examples=60, deadline=None)


@law
@given(st.integers(1, 3000), st.data())
def test_the_interval_is_wilsons(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    found = proportion(hits, n)
    assert (found.low, found.high) == pytest.approx(wilson(hits, n), abs=1e-12)
    assert found.value == hits / n
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.defined


@pytest.mark.parametrize("n", [50, 200, 1000])
def test_the_interval_covers_the_truth_19_times_in_20(n: int) -> None:
    """Exactly, by summing the binomial law; at a single share the coverage swings, so it is averaged over shares."""
    ends = [proportion(hits, n) for hits in range(n + 1)]
    low, high = np.array([e.low for e in ends]), np.array([e.high for e in ends])
    shares = np.linspace(0.005, 0.995, 199)
    covered = (low[None] <= shares[:, None]) & (shares[:, None] <= high[None])
    coverage = (stats.binom.pmf(np.arange(n + 1), n, shares[:, None]) * covered).sum(1)
    assert 0.93 <= coverage.mean() <= 0.97
    assert coverage.min() > 0.82


def test_the_interval_of_a_difference_is_newcombes() -> None:
    """Newcombe 1998, Table II, method 10: the examples (a), (c) and (g)."""
    for hits, n, other, m, ends in (
        (56, 70, 48, 80, (0.0524, 0.3339)),
        (6, 7, 2, 7, (0.0582, 0.8062)),
        (10, 10, 0, 20, (0.6791, 1.0)),
    ):
        found = difference(proportion(other, m), proportion(hits, n))
        assert (found.low, found.high) == pytest.approx(ends, abs=6e-5)
        assert found.value == pytest.approx(hits / n - other / m)


def test_the_interval_of_a_difference_covers_the_truth_19_times_in_20() -> None:
    n = 60
    ends = [proportion(hits, n) for hits in range(n + 1)]
    found = [[difference(one, other) for other in ends] for one in ends]
    low, high = (np.array([[getattr(e, end) for e in row] for row in found]) for end in ("low", "high"))
    coverage = []
    for one, other in np.random.default_rng(0).uniform(0.02, 0.98, (150, 2)):
        chance = np.outer(*(stats.binom.pmf(np.arange(n + 1), n, share) for share in (one, other)))
        coverage.append((chance * ((low <= other - one) & (other - one <= high))).sum())
    assert 0.93 <= np.mean(coverage) <= 0.97
    assert min(coverage) > 0.9


def test_the_difference_to_nothing_is_anything() -> None:
    found = difference(proportion(3, 4), proportion(0, 0))
    assert (found.low, found.high, found.n) == (-1.0, 1.0, 0)
    assert np.isnan(found.value)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
def test_more_confidence_is_a_wider_interval(confidence: float) -> None:
    inner, outer = proportion(30, 100, confidence), proportion(30, 100, confidence + 0.009)
    assert outer.low < inner.low < inner.high < outer.high
    expected = stats.binomtest(30, 100).proportion_ci(confidence, method="wilson")
    assert (inner.low, inner.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_over_no_examples_a_risk_is_undefined() -> None:
    nothing = proportion(0, 0)
    assert not nothing.defined
    assert np.isnan(nothing.value)
    assert (nothing.low, nothing.high) == (0.0, 1.0)
    assert str(nothing) == "undefined (n = 0)"
    assert str(proportion(1, 4)) == "25.0 [4.6, 69.9]"


@law
@given(st.integers(1, 200), st.data())
def test_an_accuracy_is_the_complement_of_its_risk(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    flipped, direct = proportion(hits, n).flip(), proportion(n - hits, n)
    assert (flipped.value, flipped.low, flipped.high) == pytest.approx(
        (direct.value, direct.low, direct.high), abs=1e-12
    )
    assert flipped.n == n


@st.composite
def pools(draw: st.DrawFn) -> tuple[Pool, list[Point], float]:
    """A model's answers, points found here and there, and a size."""
    n = draw(st.integers(1, 12))
    classes = st.integers(0, 2)
    labels = draw(st.lists(classes, min_size=n, max_size=n))
    clean = draw(
        st.sampled_from([labels, [(y + 1) % 3 for y in labels]]) | st.lists(classes, min_size=n, max_size=n)
    )
    points = draw(st.lists(st.tuples(st.integers(0, n - 1), classes, st.integers(0, 9)), max_size=20))
    pool = Pool(np.array(labels), np.array(clean))
    for point in points:
        tell(pool, point)
    return pool, points, draw(st.integers(0, 9)) / 1.0


def tell(pool: Pool, point: Point) -> None:
    row, answer, distance = point
    pool.add(np.array([row]), np.array([answer]), np.array([float(distance)]))


def measured(pool: Pool, eps: float) -> dict[str, Estimate]:
    correct: NDArray[np.bool_] = pool.clean == pool.labels
    friend = pool.known("hypocritical", eps)
    return measure(
        correct,
        enemy=pool.known("untargeted", eps),
        friend=friend,
        changed=friend & ~correct,
        flipped=pool.known("reversal", eps),
    )


@law
@given(pools())
def test_the_identities_hold_on_any_points(found: tuple[Pool, list[Point], float]) -> None:
    pool, _, eps = found
    estimates = measured(pool, eps)
    assert set(estimates) == set(MEASURES)
    identities(estimates)


@law
@given(pools())
def test_each_measure_is_a_count(found: tuple[Pool, list[Point], float]) -> None:
    """By a loop over the points, against the definitions of 000, Section 3."""
    pool, points, eps = found
    labels, clean = pool.labels.tolist(), pool.clean.tolist()
    seen = [{clean[n]} | {a for row, a, d in points if row == n and d <= eps} for n in range(len(labels))]
    wrong = [n for n in range(len(labels)) if clean[n] != labels[n]]
    hits = {
        "risk_natural": (len(wrong), len(labels)),
        "risk_adversarial": (sum(bool(s - {y}) for s, y in zip(seen, labels)), len(labels)),
        "accuracy_hypocritical": (sum(y in s for s, y in zip(seen, labels)), len(labels)),
        "risk_hypocritical": (sum(labels[n] in seen[n] for n in wrong), len(wrong)),
        "risk_reversible": (sum(bool(s - {c}) for s, c in zip(seen, clean)), len(labels)),
        "risk_reversible_on_wrong": (sum(bool(seen[n] - {clean[n]}) for n in wrong), len(wrong)),
    }
    estimates = measured(pool, eps)
    for name, (count, n) in hits.items():
        assert estimates[name].n == n
        assert exact(estimates[name]) == (Fraction(count, n) if n else 0)


@law
@given(pools(), st.tuples(st.integers(0, 11), st.integers(0, 2), st.integers(0, 9)))
def test_a_point_more_never_makes_anything_safer(
    found: tuple[Pool, list[Point], float], point: Point
) -> None:
    pool, _, _ = found
    before = {wish: pool.distance[wish].copy() for wish in OBJECTIVES}
    row = point[0] % len(pool.labels)
    tell(pool, (row, *point[1:]))
    for wish in OBJECTIVES:
        assert (pool.distance[wish] <= before[wish]).all()
        elsewhere = np.arange(len(pool.labels)) != row
        assert (pool.distance[wish] == before[wish])[elsewhere].all()


@law
@given(pools(), st.randoms(use_true_random=False))
def test_the_order_of_points_does_not_matter(
    found: tuple[Pool, list[Point], float], shuffler: Random
) -> None:
    pool, points, _ = found
    again = Pool(pool.labels, pool.clean)
    for point in sorted(points, key=lambda _: shuffler.random()):
        tell(again, point)
    for wish in OBJECTIVES:
        assert (again.distance[wish] == pool.distance[wish]).all()


@pytest.mark.parametrize("right", [True, False])
def test_with_one_kind_of_example_the_other_risks_are_undefined(right: bool) -> None:
    labels = np.array([0, 1, 2])
    pool = Pool(labels, labels if right else (labels + 1) % 3)
    tell(pool, (1, 0, 2))
    estimates = measured(pool, 2.0)
    undefined = {name for name, estimate in estimates.items() if not estimate.defined}
    on_wrong = {"risk_hypocritical", "risk_hypocritical_changed", "risk_reversible_on_wrong"}
    assert undefined == (on_wrong if right else {"risk_adversarial_on_correct"})
    identities(estimates)


def test_a_measure_needs_its_verdicts() -> None:
    correct = np.array([True, False])
    assert set(measure(correct)) == {"accuracy_clean", "risk_natural"}
    assert "risk_reversible" in measure(correct, flipped=correct)
