"""An audit of an honest model: the numbers belong together, and say what its table says."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from tests.oracles import exact, identities, randomness, traces
from torch import nn

import frenemy
from frenemy.attacks.attack import Status
from frenemy.data.examples import Examples
from frenemy.errors import UsageError
from frenemy.models.files import config_of, save
from frenemy.risks.audit import audit
from frenemy.risks.curves import grid
from frenemy.risks.result import Audit
from frenemy.rng import Key
from frenemy.threats.linf import Linf

QUICK: Final[dict[str, Any]] = {"threat": "linf:0.1", "effort": "quick", "steps": 5, "curve": 4}
SPHERES: Final = ("sphere-linf:0.1", "sphere-l2:0.5", "sphere-l1:3")


@pytest.fixture(scope="module")
def found(plain: nn.Module, few: Examples) -> Audit:
    return audit(plain, few, **QUICK)


def test_a_model_in_words_is_the_model(found: Audit, plain: nn.Module, few: Examples, tmp_path: Path) -> None:
    save(plain, tmp_path / "net.safetensors", config_of(plain))
    said = audit(str(tmp_path / "net.safetensors"), few, **QUICK)
    assert said.model == "net"
    assert [m.estimate for m in said.measurements] == [m.estimate for m in found.measurements]


def headline(found: Audit) -> dict[str, frenemy.Estimate]:
    return {m.measure: m.estimate for m in found.measurements if m.role == "headline"}


def verdicts(found: Audit) -> dict[str, list[Any]]:
    """Every column but those that float with the batch."""
    return {
        name: values.tolist()
        for name, values in found.examples.items()
        if name.endswith(("index", "label", "answer", "apart", "outcome"))
    }


def recount(found: Audit) -> dict[str, tuple[int, int]]:
    """Count the headline again, from the table alone."""
    table = found.examples
    judged = table["set_apart"] == ""
    wrong = judged & (table["clean_answer"] != table["label"])
    within = {
        wish: np.isin(table[f"{wish}_outcome"], (Status.ALREADY, Status.FOUND))
        for wish in ("untargeted", "hypocritical", "reversal")
    }
    sets = {
        "risk_natural": (wrong, judged),
        "risk_adversarial": (within["untargeted"], judged),
        "risk_adversarial_on_correct": (within["untargeted"], judged & ~wrong),
        "accuracy_hypocritical": (within["hypocritical"], judged),
        "risk_hypocritical": (within["hypocritical"], wrong),
        "risk_reversible": (within["reversal"], judged),
        "risk_reversible_on_wrong": (within["reversal"], wrong),
    }
    return {name: (int((hit & of).sum()), int(of.sum())) for name, (hit, of) in sets.items()}


def test_the_identities_hold_on_a_real_audit(found: Audit) -> None:
    identities(headline(found))
    assert 0 < exact(found["risk_natural"]) < exact(found["risk_adversarial"]) < 1
    assert exact(found["risk_hypocritical"]) > 0


def test_the_table_says_what_the_headline_says(found: Audit) -> None:
    for name, (hits, n) in recount(found).items():
        assert found[name].n == n
        assert found[name].value == hits / n


def test_the_answers_of_the_table_are_what_its_outcomes_say(found: Audit) -> None:
    table = found.examples
    for wish, wants in (("untargeted", "label"), ("hypocritical", "label"), ("reversal", "clean_answer")):
        hit = np.isin(table[f"{wish}_outcome"], (Status.ALREADY, Status.FOUND))
        agrees = table[f"{wish}_answer"] == table[wants]
        assert (agrees[hit] == (wish == "hypocritical")).all()
        near = table[f"{wish}_distance"][hit]
        assert (near <= 0.1).all()
        assert ((near == 0) == (table[f"{wish}_outcome"][hit] == Status.ALREADY)).all()


@pytest.mark.parametrize("kind", ["none wrong", "all wrong"])
def test_the_identities_hold_where_a_side_is_empty(plain: nn.Module, few: Examples, kind: str) -> None:
    answers = plain(few.x).argmax(1)
    if kind == "none wrong":
        examples = few.take(answers == few.y)
    else:
        examples = dataclasses.replace(few, y=(answers + 1) % 10)
    found = audit(plain, examples, **{**QUICK, "curve": 0})
    identities(headline(found))
    undefined = found["risk_hypocritical" if kind == "none wrong" else "risk_adversarial_on_correct"]
    assert not undefined.defined
    assert found.curves == ()


def test_curves_rise_and_fall_one_way_and_meet_the_headline(found: Audit) -> None:
    kinds = {(curve.objective, curve.kind): curve for curve in found.curves}
    assert len(kinds) == 4
    for (objective, kind), curve in kinds.items():
        assert list(curve.eps) == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
        assert curve.accuracy[0] == found["accuracy_clean"]
        assert {point.n for point in curve.accuracy} == {60}
        values = [point.value for point in curve.accuracy]
        if kind == "largest":
            assert values == sorted(values, reverse=objective == "untargeted")
            name = "accuracy_adversarial" if objective == "untargeted" else "accuracy_hypocritical"
            assert curve.accuracy[2] == found[name]
            assert all(
                (a.value <= b.value) if objective == "untargeted" else (a.value >= b.value)
                for a, b in zip(curve.accuracy[1:], kinds[objective, "exact"].accuracy[1:])
            )


@pytest.mark.parametrize("points", [1, 2, 3, 4, 6, 10, 14])
def test_the_grid_goes_to_twice_eps_and_meets_eps(points: int) -> None:
    for eps in (0.1, 0.3, 8 / 255, 1e-3, 7.7):
        sizes = grid(eps, points)
        assert len(sizes) == points + 1
        assert sizes[0] == 0
        assert sizes[-1] == 2 * eps
        assert points % 2 or sizes[points // 2] == eps
        assert list(sizes) == sorted(sizes)
    assert grid(0.1, 0) == grid(0.0, 8) == ()


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("batch_size", [7, 128])
def test_neither_the_batch_nor_the_kernels_change_a_verdict(
    plain: nn.Module, few: Examples, found: Audit, fast: bool, batch_size: int
) -> None:
    again = audit(plain, few, **QUICK, fast=fast, batch_size=batch_size)
    assert verdicts(again) == verdicts(found)
    assert headline(again) == headline(found)
    assert [curve.accuracy for curve in again.curves] == [curve.accuracy for curve in found.curves]


def test_the_same_seed_gives_the_same_numbers_and_leaves_no_trace(
    plain: nn.Module, few: Examples, found: Audit
) -> None:
    before, draws = traces(plain), randomness()
    again = audit(plain, few, **QUICK)
    assert traces(plain) == before
    assert randomness() == draws
    for name, values in found.examples.items():
        assert np.array_equal(values, again.examples[name], equal_nan=values.dtype.kind == "f"), name


def test_any_order_of_examples_gives_the_same_verdicts(plain: nn.Module, few: Examples) -> None:
    order = Key(4).permutation(60)
    first, mixed = (audit(plain, e, **{**QUICK, "curve": 0}) for e in (few, few.take(order)))
    table = {name: np.asarray(values)[order.numpy()].tolist() for name, values in verdicts(first).items()}
    assert verdicts(mixed) == table
    assert headline(mixed) == headline(first)


@pytest.mark.parametrize("threat", SPHERES)
def test_on_a_sphere_every_point_counts_at_its_own_norm(plain: nn.Module, few: Examples, threat: str) -> None:
    found = audit(plain, few, **{**QUICK, "threat": threat, "curve": 2})
    eps = float(threat.split(":")[1])
    assert found.threat == f"{threat.split(':')[0]}:{eps:g}"
    assert exact(found["risk_adversarial"]) > 0
    for name, (hits, n) in recount(found).items():
        assert found[name].n == n
        assert exact(found[name]) * n == hits
    for wish in ("untargeted", "hypocritical", "reversal"):
        distance = found.examples[f"{wish}_distance"]
        near = distance[np.isfinite(distance)]
        assert near == pytest.approx(np.full_like(near, eps), rel=1e-4)
        assert not (found.examples[f"{wish}_outcome"] == Status.ALREADY).any()
    exact_norm = {curve.objective: curve for curve in found.curves if curve.kind == "exact"}
    assert exact_norm["untargeted"].accuracy[1] == found["accuracy_adversarial"]


def test_examples_that_a_sphere_does_not_reach_count_for_nothing(plain: nn.Module, few: Examples) -> None:
    """Of the grey input no corner is farther than 0.5; of every other example one is."""
    x = few.x.clone()
    x[3] = 0.5
    found = audit(plain, dataclasses.replace(few, x=x), **{**QUICK, "threat": "sphere-linf:0.6", "curve": 0})
    assert found["risk_adversarial"].n == 59
    assert found["risk_natural"].n == 59
    for name, (hits, n) in recount(found).items():
        assert found[name].n == n
        assert exact(found[name]) * n == hits


def test_size_nought_asks_nothing_of_the_model(plain: nn.Module, few: Examples) -> None:
    found = audit(plain, few, **{**QUICK, "threat": "linf:0"})
    assert exact(found["risk_adversarial"]) == exact(found["risk_natural"])
    assert exact(found["risk_hypocritical"]) == exact(found["risk_reversible"]) == 0
    assert found.curves == ()
    identities(headline(found))


def test_searching_in_bfloat16_is_confirmed_in_float32(plain: nn.Module, few: Examples) -> None:
    found = audit(plain, few, **{**QUICK, "curve": 0}, precision="bfloat16")
    identities(headline(found))
    assert exact(found["risk_adversarial"]) > exact(found["risk_natural"])


def test_only_what_was_asked_is_measured(plain: nn.Module, few: Examples) -> None:
    found = audit(plain, few, **{**QUICK, "curve": 2}, objectives=["enemy"])
    assert set(headline(found)) == {
        "accuracy_clean",
        "risk_natural",
        "accuracy_adversarial",
        "risk_adversarial",
        "risk_adversarial_on_correct",
    }
    assert {curve.objective for curve in found.curves} == {"untargeted"}
    with pytest.raises(KeyError, match="no measure 'risk_reversible'"):
        found["risk_reversible"]


def test_the_threat_may_be_given_as_one(plain: nn.Module, few: Examples) -> None:
    by_word, by_hand = (
        audit(plain, few, **{**QUICK, "curve": 0, "threat": threat}) for threat in ("linf:0.1", Linf(0.1))
    )
    assert headline(by_word) == headline(by_hand)
    assert by_word.settings == by_hand.settings


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"threat": "lin:0.1"}, "did you mean 'linf'"),
        ({"threat": Linf(torch.tensor([0.1, 0.2]))}, "expected one eps for an audit, got 2"),
        ({"objectives": ["enmy"]}, "did you mean 'enemy'"),
        ({"losses": []}, "at least one loss"),
        ({"losses": ["cee"]}, "did you mean 'ce'"),
        ({"precision": "float16"}, "unknown precision 'float16'"),
        ({"curve": -1}, "expected curve >= 0"),
        ({"batch_size": 0}, "batch_size >= 1"),
        ({"curve_examples": 0}, "curve_examples >= 1"),
        ({"steps": -1}, "expected steps >= 0"),
        ({"restarts": 0}, "restarts >= 1"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    plain: nn.Module, few: Examples, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        audit(plain, few, **{**QUICK, **wrong})
