"""Trust: the worst grade decides, every question is answered once, and the dear ones stay within their share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.oracles import backwards
from torch import Tensor, nn

from frenemy.attacks.pgd import PGD
from frenemy.data.examples import Examples
from frenemy.models.model import Model
from frenemy.risks.audit import audit
from frenemy.risks.estimate import Estimate, proportion
from frenemy.risks.inquiry import spread
from frenemy.risks.result import Audit, Caveat
from frenemy.risks.scrutiny import about_risks
from frenemy.risks.trust import QUESTIONS, Finding, checked, graded, gravest_first, verdict
from frenemy.rng import Key

QUICK: Final[dict[str, Any]] = {"threat": "linf:0.1", "effort": "quick", "curve": 0}
GRADES: Final = ("", "not run", "note", "caution", "doubt")

findings = st.lists(
    st.builds(Finding, st.sampled_from(list(QUESTIONS)), st.text(max_size=9), st.sampled_from(GRADES))
)


def states(found: Audit) -> dict[str, str]:
    return {check.name: check.state for check in found.checks}


@given(found=findings)
def test_the_worst_grade_decides(found: list[Finding]) -> None:
    grades = {finding.grade for finding in found}
    wanted = "do not trust" if "doubt" in grades else "caution" if "caution" in grades else "ok"
    assert verdict(gravest_first(found)) == wanted
    caveats = gravest_first(found)
    assert {c.name for c in caveats} == {f.name for f in found if f.grade not in ("", "not run")}
    assert len({c.name for c in caveats}) == len(caveats)


@given(found=findings)
def test_every_question_is_answered_once_by_its_gravest_finding(found: list[Finding]) -> None:
    checks = checked(found)
    assert [check.name for check in checks] == [name for name in QUESTIONS if name in {f.name for f in found}]
    order = ("not run", "passed", "note", "caution", "doubt")
    for check in checks:
        own = [finding.grade or "passed" for finding in found if finding.name == check.name]
        assert check.state == max(own, key=order.index)


@given(n=st.integers(1, 500), share=st.floats(0, 1))
def test_a_grade_needs_proof(n: int, share: float) -> None:
    hits = round(share * n)
    low = proportion(hits, n).low
    assert graded(hits, n, 0.1, 0.3) == ("doubt" if low > 0.3 else "caution" if low > 0.1 else "")
    assert graded(0, 0, 0.0, 0.0) == ""


@given(count=st.integers(1, 40), n=st.integers(0, 300))
def test_a_spread_reaches_from_end_to_end(count: int, n: int) -> None:
    rows = np.arange(n) * 3
    chosen = spread(rows, count)
    assert len(chosen) == min(count, n)
    assert len(set(chosen.tolist())) == len(chosen)
    assert set(chosen.tolist()) <= set(rows.tolist())
    if count > 1 and n:
        assert (chosen[0], chosen[-1]) == (rows[0], rows[-1])


def test_risks_that_contradict_each_other_are_said() -> None:
    numbers = {
        "accuracy_clean": Estimate(0.8, 0.7, 0.9, 10),
        "risk_natural": Estimate(0.2, 0.1, 0.3, 10),
        "risk_adversarial": Estimate(0.6, 0.5, 0.7, 10),
        "risk_adversarial_on_correct": Estimate(0.5, 0.4, 0.6, 8),
        "accuracy_hypocritical": Estimate(0.9, 0.8, 1.0, 10),
        "risk_hypocritical": Estimate(0.5, 0.4, 0.6, 2),
    }
    assert [finding.grade for finding in about_risks(numbers, True)] == [""]
    for word in ("risk_adversarial", "accuracy_hypocritical", "risk_natural"):
        wrong = {**numbers, word: Estimate(0.7, 0.6, 0.8, 10)}
        assert [finding.grade for finding in about_risks(wrong, True)] == ["doubt"]
        assert [finding.grade for finding in about_risks(wrong, False)] == ["not run"]


def test_an_honest_model_passes_every_check(plain: nn.Module, few: Examples) -> None:
    found = audit(plain, few, **QUICK)
    assert found.trust == "ok"
    assert set(states(found)) == set(QUESTIONS) - {"no gradients", "gradients mislead"}
    assert set(states(found).values()) <= {"passed", "note"}
    assert 0 < found.checking.forwards < found.cost.forwards


def test_checks_change_no_number(plain: nn.Module, few: Examples) -> None:
    """What they find is not counted: the search counts itself, and its attempts tell all that it did."""
    found = audit(plain, few, **QUICK, objectives=["enemy"])
    last = found.attempts[-1].estimate
    assert found["accuracy_adversarial"] == last


def optimising(model: nn.Module) -> Model:
    """Steps a little up its own confidence before it answers, as defences by purification do."""

    def answer(x: Tensor) -> Tensor:
        with torch.enable_grad():
            inner = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(model(inner).amax(1).sum(), inner)
        logits: Tensor = model(x + 1e-3 * slope.sign())
        return logits

    return answer


def neighbourly(model: nn.Module) -> Model:
    """Subtracts the mean of its batch, as batch norm in training mode would."""
    return lambda x: model(x - 0.5 * x.mean(0, keepdim=True))


def tiring(model: nn.Module) -> Model:
    """Answers a little less surely with every call after the first few."""
    calls = iter(range(10**9))

    def answer(x: Tensor) -> Tensor:
        logits: Tensor = model(x) * (1 - 1e-4 * max(0, next(calls) - 12))
        return logits

    return answer


def speckled(model: nn.Module) -> Model:
    """Adds noise that hangs on the input alone, in its last bits: the same every time, and rough everywhere."""

    def answer(x: Tensor) -> Tensor:
        logits: Tensor = model(x)
        rows = (x.detach().flatten(1).double().sum(1) * 1e9).long()
        return logits + 30 * Key(0).normal(rows, (logits.shape[1],), logits.dtype)

    return answer


def walled(model: nn.Module) -> Model:
    """Surer of its answer wherever its gradient would lead, by a term that gradients cannot see."""

    def answer(x: Tensor) -> Tensor:
        logits: Tensor = model(x)
        return logits.detach() + 0 * logits

    return answer


@pytest.mark.parametrize(
    ("spoil", "name", "states_"),
    [
        (backwards, "gradients do not predict", {"doubt"}),
        (backwards, "more room finds less", {"doubt", "caution"}),
        (backwards, "planted enemies are missed", {"doubt"}),
        (optimising, "optimises in its forward", {"doubt"}),
        (neighbourly, "answers depend on the batch", {"doubt"}),
        (tiring, "the model changed", {"doubt"}),
        (speckled, "unstable answers", {"caution"}),
        (walled, "zero gradients", {"doubt"}),
        (walled, "planted enemies are missed", {"doubt"}),
    ],
)
def test_what_cannot_be_believed_is_named(
    plain: nn.Module, few: Examples, spoil: Callable[[nn.Module], Model], name: str, states_: set[str]
) -> None:
    found = audit(spoil(plain), few, **QUICK)
    assert states(found)[name] in states_
    assert found.trust != "ok"


def test_a_search_that_is_too_short_is_named(plain: nn.Module, few: Examples) -> None:
    """One tiny step: a single large one beats it, and so does twice the same from new starts with all its room."""
    short = PGD(steps=1, step_size=0.01, random_start=False)
    found = audit(plain, few, threat="linf:0.2", curve=0, attacks=short, losses=["margin"])
    assert states(found)["one step beats many"] == "doubt"
    assert found.trust == "do not trust"


def test_a_model_in_training_mode_is_told(plain: nn.Module, few: Examples) -> None:
    try:
        found = audit(plain.train(), few, **QUICK)
    finally:
        plain.eval()
    assert states(found)["training mode"] == "caution"


def test_caveats_stand_once_with_the_gravest_first() -> None:
    found = [
        Finding("a", "one", "note", "mend"),
        Finding("b", "seen", "doubt", "mend"),
        Finding("c", "seen"),
        Finding("a", "two", "caution", "mend"),
        Finding("a", "three"),
    ]
    assert gravest_first(found) == (Caveat("b", "seen mend", "doubt"), Caveat("a", "two one mend", "caution"))
