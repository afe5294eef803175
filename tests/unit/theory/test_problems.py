"""What the sources say of their toy problems, and what follows from the formulas."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from frenemy.errors import UsageError
from frenemy.rng import Key
from frenemy.theory.alternating import Alternating
from frenemy.theory.circle import Circle
from frenemy.theory.disc import Disc
from frenemy.theory.halves import Halves
from frenemy.theory.intervals import Steps, Stretch, drawn
from frenemy.theory.intervals import told as told_of
from frenemy.theory.line import Line
from frenemy.theory.nine_squares import NineSquares
from frenemy.theory.separable import Separable
from frenemy.theory.softmargin import SoftMargin
from frenemy.theory.staircase import Staircase
from frenemy.theory.three_clusters import ThreeClusters
from frenemy.theory.tsipras import Tsipras

shares = st.floats(0.51, 0.99)


def told(problem: object) -> dict[str, float]:
    """The numbers of a problem, by name."""
    found = problem.quantities(10)  # type: ignore[attr-defined]
    return {one.name: one.closed_form for one in found}


@given(shares, st.integers(1, 400), st.floats(0.05, 2), st.floats(0, 300))
def test_who_errs_seldom_is_left_little(p: float, d: int, share: float, weight: float) -> None:
    """Theorem 2.1 of Tsipras et al., for every linear classifier and an enemy of 2 eta (kept below 1)."""
    eta = min(share / math.sqrt(d), 0.49)
    problem = Tsipras(p=p, d=d, eta=eta, eps=min(2 * eta, 0.99))
    natural = problem.accuracy(weight, 0.0)
    assert problem.accuracy(weight, 2 * eta) <= problem.bound(natural) + 1e-9


def test_the_bound_is_tight_where_the_first_feature_is_all() -> None:
    """With delta = 1 - p it allows p, which the first feature alone has."""
    problem = Tsipras(p=0.9)
    assert problem.bound(0.9) == pytest.approx(0.9)
    assert told(problem)["first feature, adversarial accuracy"] == 0.9


def test_the_averaging_classifier_of_the_slides() -> None:
    """eta = 3 / sqrt(d) gives more than 99 %, and less than 1 % under an enemy of 2 eta."""
    problem = Tsipras(d=400, eta=0.15, eps=0.3)
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
        Tsipras(eps=1.0)


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


@given(st.integers(2, 400), st.floats(4.0, 12.0), st.floats(0.5, 0.975))
@settings(max_examples=20, deadline=None)
def test_the_soft_margin_theorem(d: int, signal: float, p: float) -> None:
    """eta >= 4 / sqrt(d), p <= 0.975, eps = 2 eta: more than 99 % and less than 1 %; under the enemy p and p."""
    eta = signal / math.sqrt(d)
    if 2 * eta >= 1:
        return
    numbers = told(SoftMargin(p, d, eta, 2 * eta))
    assert numbers["standard SVM, natural accuracy"] > 0.99
    assert numbers["standard SVM, adversarial accuracy"] < 0.01
    assert numbers["standard SVM, squared weight of the weak features"] >= 1 / 2
    assert numbers["robust SVM, squared weight of the weak features"] == 0
    assert numbers["robust SVM, natural accuracy"] == numbers["robust SVM, adversarial accuracy"] == p


@pytest.mark.parametrize("eps", [0.0, 0.3, 0.8])
def test_no_weights_of_length_one_lose_less(eps: float) -> None:
    """Against all weights of three features, of either sign and not equal, by exact expectations."""
    problem = SoftMargin(p=0.9, d=2, eta=0.4, eps=eps)
    least = problem.loss(problem.angle(eps), eps)
    key = Key(7).uniform(torch.arange(4000), (3,), torch.float64).numpy() * 2 - 1
    for w in key / np.linalg.norm(key, axis=1, keepdims=True):
        mean, deviation = 0.4 * (w[1] + w[2]), math.hypot(w[1], w[2])
        lost = 0.0
        for share, sign in ((0.9, 1), (0.1, -1)):
            c = 1 - sign * w[0] + eps * np.abs(w).sum() - mean
            lost += share * (c * norm.cdf(c / deviation) + deviation * norm.pdf(c / deviation))
        assert lost >= least - 1e-12


@given(st.floats(0.01, 0.62), st.floats(0.01, 2.0))
@settings(max_examples=40, deadline=None)
def test_the_disc_from_every_point(a: float, r: float) -> None:
    for one in Disc(a, r).quantities(1_500):
        assert one.agrees, one


@given(st.floats(-90, 90), st.floats(-8, 8), st.floats(0, 6))
@settings(max_examples=60, deadline=None)
def test_two_rectangles_and_every_line(alpha: float, b: float, eps: float) -> None:
    for one in Separable(alpha, b, eps).quantities(2_000):
        assert one.agrees, one


def test_beyond_the_margin_no_line_keeps_all() -> None:
    """Upright up to 1.75, nothing lost; at 4 more than the half that one answer throughout would lose."""
    assert Separable().risk(0, 0, 1.75) == 0
    assert Separable().risk(0, 0, 4.0) == pytest.approx((4 - 1.75) / 4)
    tilts = [Separable().risk(alpha, b, 2.0) for alpha in range(-90, 91, 5) for b in np.linspace(-3, 3, 13)]
    assert min(tilts) > 0


@given(st.floats(0, 3))
@settings(max_examples=40, deadline=None)
def test_the_alternating_classes_at_every_size(eps: float) -> None:
    for one in Alternating(eps).quantities(2_000):
        assert one.agrees, one


def test_what_the_source_says_of_alternating_classes_and_what_it_does_not() -> None:
    exact = {eps: told(Alternating(eps))["exact norm, accuracy"] for eps in (1.0, 1.5, 2.0, 3.0)}
    assert exact == {1.0: 0, 1.5: 0.25, 2.0: 0, 3.0: 0.5}


def test_no_answers_outside_keep_the_alternating_classes_at_nought() -> None:
    """All answers on the cells of length 1/2 that sizes 3/2 and 2 can ask: none has accuracy 0 at both."""
    inside = (-1, -1, 1, 1, -1, -1, 1, 1)
    middles = np.arange(-2, 2, 0.5) + 0.25
    lowest = 1.0
    for outside in itertools.product((-1, 1), repeat=8):
        answers = np.array([*outside[:4], *inside, *outside[4:]])

        def says(x: np.ndarray, answers: np.ndarray = answers) -> np.ndarray:
            said: np.ndarray = answers[np.floor((x + 4) * 2).astype(int)]
            return said

        right = [
            np.mean((says(middles - eps) == says(middles)) & (says(middles + eps) == says(middles)))
            for eps in (1.5, 2.0)
        ]
        lowest = min(lowest, max(right))
    assert lowest > 0


def test_classifiers_on_a_line_are_checked() -> None:
    with pytest.raises(UsageError, match="expected finite borders that ascend"):
        Steps((1.0, 0.0), (1, -1, 1))
    with pytest.raises(UsageError, match="expected an answer of -1 or 1"):
        Steps((1.0,), (1,))
    with pytest.raises(UsageError, match="expected an interval with low below high"):
        Stretch(1.0, 1.0, 1)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_any_steps_on_any_intervals(data: st.DataObject) -> None:
    """Formula, integral and search agree for every piecewise constant classifier on unions of intervals."""
    ends = sorted(data.draw(st.lists(st.integers(-12, 12), min_size=4, max_size=8, unique=True)))
    pairs = list(zip(ends[::2], ends[1::2], strict=False))
    labels = [
        1,
        -1,
        *data.draw(st.lists(st.sampled_from([-1, 1]), min_size=len(pairs) - 2, max_size=len(pairs) - 2)),
    ]
    stretches = [Stretch(a / 4, b / 4, y) for (a, b), y in zip(pairs, labels, strict=True)]
    borders = sorted(data.draw(st.lists(st.integers(-20, 20), max_size=5, unique=True)))
    signs = data.draw(
        st.lists(st.sampled_from([-1, 1]), min_size=len(borders) + 1, max_size=len(borders) + 1)
    )
    rule = Steps(tuple(b / 4 + 1 / 64 for b in borders), tuple(signs))
    eps = data.draw(st.integers(0, 20)) / 8
    for one in told_of(rule, stretches, eps, drawn(stretches, Key(0), 1_000)):
        assert one.agrees, one


def test_a_border_between_the_points_of_a_grid_at_norm_nought() -> None:
    rule, stretches = Steps((1 / 64,), (-1, 1)), [Stretch(0.0, 0.75, 1), Stretch(1.0, 1.25, -1)]
    assert all(one.agrees for one in told_of(rule, stretches, 0.0, drawn(stretches, Key(0), 500)))
