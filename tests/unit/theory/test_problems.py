"""What the sources say of their toy problems, and what follows from the formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from frenemy.errors import UsageError
from frenemy.theory.circle import Circle
from frenemy.theory.halves import Halves
from frenemy.theory.line import Line
from frenemy.theory.nine_squares import NineSquares
from frenemy.theory.robust_features import RobustFeatures
from frenemy.theory.staircase import Staircase
from frenemy.theory.three_clusters import ThreeClusters

shares = st.floats(0.51, 0.99)


def told(problem: object) -> dict[str, float]:
    """The numbers of a problem, by name."""
    found = problem.quantities(10)  # type: ignore[attr-defined]
    return {one.name: one.closed_form for one in found}


@given(shares, st.integers(1, 400), st.floats(0.05, 2), st.floats(0, 300))
def test_who_errs_seldom_is_left_little(p: float, d: int, share: float, weight: float) -> None:
    """Theorem 2.1 of Tsipras et al., for every linear classifier and an enemy of 2 eta (kept below 1)."""
    eta = min(share / math.sqrt(d), 0.49)
    problem = RobustFeatures(p=p, d=d, eta=eta, eps=min(2 * eta, 0.99))
    natural = problem.accuracy(weight, 0.0)
    assert problem.accuracy(weight, 2 * eta) <= problem.bound(natural) + 1e-9


def test_the_bound_is_tight_where_the_first_feature_is_all() -> None:
    """With delta = 1 - p it allows p, which the first feature alone has."""
    problem = RobustFeatures(p=0.9)
    assert problem.bound(0.9) == pytest.approx(0.9)
    assert told(problem)["first feature, adversarial accuracy"] == 0.9


def test_the_averaging_classifier_of_the_slides() -> None:
    """eta = 3 / sqrt(d) gives more than 99 %, and less than 1 % under an enemy of 2 eta."""
    problem = RobustFeatures(d=400, eta=0.15, eps=0.3)
    numbers = told(problem)
    assert numbers["averaging, natural accuracy"] == pytest.approx(norm.cdf(3))
    assert numbers["averaging, adversarial accuracy"] == pytest.approx(norm.cdf(-3))


@given(st.integers(1, 40))
def test_the_table_of_the_staircase(halves: int) -> None:
    numbers = told(Staircase(1 / (2 * halves)))
    assert numbers["Bayes, natural risk"] == pytest.approx(1 / 8)
    assert numbers["Bayes, hypocritical risk"] == 1
    assert numbers["all-one, natural risk"] == pytest.approx(3 / 8)
    assert numbers["all-one, hypocritical risk"] == 0


@given(st.floats(0.01, 3))
@settings(max_examples=60)
def test_the_staircase_for_every_size(eps: float) -> None:
    for one in Staircase(eps).quantities(4_000):
        assert one.agrees, one


@given(st.floats(0.02, 0.98), st.floats(0, 0.6))
def test_the_circle_is_the_same_from_above_and_from_below(b: float, eps: float) -> None:
    """Mirrored, positives below the line are those above it: the risks of b and of 1 - b add up over the plane."""
    one, other = Circle(b, eps), Circle(1 - b, eps)
    for problem in (one, other):
        assert all(quantity.agrees for quantity in problem.quantities(3_000))
    assert told(one)["recall"] + told(other)["recall"] == pytest.approx(1, abs=1e-9)


def test_precision_rises_and_recall_falls_with_the_threshold() -> None:
    numbers = [told(Circle(b)) for b in np.linspace(0.1, 0.85, 16)]
    assert (np.diff([one["recall"] for one in numbers]) < 0).all()
    precision = [one["precision"] for one in numbers]
    assert precision[0] < max(precision)


@given(shares, st.floats(0.001, 0.249))
def test_the_halves_as_derived_in_the_appendix(p: float, eps: float) -> None:
    problem = Halves(p, eps)
    bayes, robust = problem.risks(0.5), problem.risks(0.5 - eps)
    assert bayes == pytest.approx({"standard": 0, "robust": 2 * eps, "sensible": 0})
    assert robust["standard"] == pytest.approx(2 * (1 - p) * eps)
    assert robust["robust"] == pytest.approx(4 * (1 - p) * eps)
    assert bayes["robust"] - robust["robust"] == pytest.approx(eps * (4 * p - 2))


@given(shares, st.floats(0.001, 0.249), st.floats(0.01, 0.99))
def test_nobody_is_more_sensible_than_bayes_nor_more_robust_than_the_most_robust(
    p: float, eps: float, t: float
) -> None:
    problem = Halves(p, eps, t)
    risks = problem.risks(t)
    assert risks["standard"] <= risks["sensible"] + 1e-12
    assert risks["sensible"] <= risks["robust"] + 1e-12
    assert risks["robust"] >= problem.risks(0.5 - eps)["robust"] - 1e-12
    assert all(one.agrees for one in problem.quantities(2_000))


@given(shares, st.floats(0.001, 1 / 12))
@settings(max_examples=60, deadline=None)
def test_the_nine_squares_for_every_size(p: float, eps: float) -> None:
    """All three ways agree, and Corollary 2.1: who is sensible on what is seen errs less on what is not."""
    numbers = told(NineSquares(p, eps))
    assert all(one.agrees for one in NineSquares(p, eps).quantities(3_000))
    assert numbers["sensible, true standard risk"] < numbers["natural, true standard risk"]
    assert numbers["sensible, true standard risk"] <= numbers["robust, true standard risk"]


@given(st.floats(0, 1 / 12, exclude_min=True))
def test_the_sensible_rule_as_printed(eps: float) -> None:
    printed = max(0.0, 3 / 4 - 9 * (4 * eps**2 + 2 / 3 * eps))
    assert NineSquares(eps=eps).formulas["sensible, true standard risk"] == pytest.approx(printed, abs=1e-12)


@given(shares, st.floats(0.001, 1 / 12))
def test_no_threshold_is_more_robust_on_what_is_seen(p: float, eps: float) -> None:
    t = np.linspace(1 / 3, 2 / 3, 4001)
    left = np.clip(1 / 2 - np.maximum(t - eps, 5 / 12), 0, None)
    right = np.clip(np.minimum(t + eps, 7 / 12) - 1 / 2, 0, None)
    least = (4 * ((1 - p) * left + p * right)).min()
    assert least == pytest.approx(NineSquares(p, eps).formulas["robust, seen robust risk"], abs=4 / 12_000)


def test_where_a_regime_ends_it_is_said() -> None:
    with pytest.raises(UsageError, match="below 1/4"):
        Halves(eps=0.3)
    with pytest.raises(UsageError, match="neighbourhoods overlap"):
        NineSquares(eps=0.1)
    with pytest.raises(UsageError, match="flips the first feature"):
        RobustFeatures(eps=1.0)


@given(st.floats(0, 8), st.sampled_from(["f1", "f2", "f3", "f4"]))
@settings(max_examples=60, deadline=None)
def test_the_line_for_every_size_and_rule(eps: float, rule: str) -> None:
    for one in Line(rule, eps).quantities(2_000):
        assert one.agrees, one


@given(st.floats(0.001, 8))
def test_the_line_as_analysed_in_section_2(eps: float) -> None:
    """What 002 writes of f1 and f2, standard and genuine (Figures 7 and 8)."""
    one, two, three = (told(Line(rule, eps)) for rule in ("f1", "f2", "f3"))
    falls = min(eps, 1.0) / 2 + min(max(eps - 2, 0.0), 1.0) / 2
    assert one["exact norm, accuracy"] == pytest.approx(1 - falls)
    assert one["genuine, exact norm, accuracy"] == (0.75 if eps <= 1 else 1)
    back = min(max(eps - 5, 0.0), 1.0) / 2
    assert two["exact norm, accuracy"] == pytest.approx(max(2 - max(eps, 1), 0.0) + back)
    assert two["genuine, exact norm, accuracy"] == (0.75 if eps == 1 else 1 if eps <= 2 else 0.5)
    assert two["largest norm, accuracy"] == pytest.approx(three["largest norm, accuracy"])
    assert all(numbers["natural, accuracy"] == 1 for numbers in (one, two, three))


def test_at_one_the_middle_is_reached_twice() -> None:
    assert told(Line("f2", 1.0))["genuine, exact norm, accuracy"] == 0.75
    assert told(Line("f3", 1.0))["genuine, exact norm, accuracy"] == 0.75


def test_the_clusters_as_corrected() -> None:
    """With sigma 0.2 and gamma 8 the paper's 0.998 is Phi(3); its printed formula gives 0."""
    found = {one.name: one for one in ThreeClusters().quantities(10)}
    robust = found["upright line, robust risk"]
    assert robust.closed_form == pytest.approx(norm.cdf(3), abs=1e-12)
    assert robust.printed == pytest.approx(0, abs=1e-12)
    assert found["upright line, standard risk"].closed_form == pytest.approx(norm.cdf(-5))


@given(st.floats(0.5, 0.99))
@settings(max_examples=25, deadline=None)
def test_giving_up_the_lower_cluster_costs_its_share(p: float) -> None:
    """Standard risk (1 - p) / 2; the upper and the middle cluster stay out of reach (Figure 4c)."""
    numbers = told(ThreeClusters(p=p))
    assert numbers["line without the lower cluster, standard risk"] == pytest.approx((1 - p) / 2, abs=1e-6)
    assert numbers["line without the lower cluster, robust risk"] == pytest.approx((1 - p) / 2, abs=1e-6)


@given(st.floats(0.05, 0.95), st.floats(0.1, 2), st.floats(0.5, 9), st.floats(0, 9))
@settings(max_examples=40, deadline=None)
def test_the_clusters_for_all_parameters(p: float, sigma: float, m: float, gamma: float) -> None:
    for one in ThreeClusters(p, sigma, m, gamma).quantities(2_000):
        assert one.agrees, one
