"""Audits of models and data that misbehave: what cannot be judged is set apart, the rest is as without it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar, Final

import numpy as np
import pytest
import torch
from tests.oracles import Scripted, identities, traces
from torch import Tensor, nn

from frenemy.attacks.attack import Attack, Found, Status
from frenemy.attacks.bim import BIM
from frenemy.attacks.pgd import PGD
from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.data.examples import Examples
from frenemy.errors import DataError, ModelError
from frenemy.models.answers import Answers
from frenemy.models.build import initialise
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.objectives.untargeted import Untargeted
from frenemy.risks.audit import audit
from frenemy.risks.judge import Judge
from frenemy.risks.result import Audit
from frenemy.rng import Key
from frenemy.threats.linf import Linf
from frenemy.threats.threat import Threat

QUICK: Final[dict[str, Any]] = {"threat": "linf:0.1", "effort": "quick", "steps": 3, "curve": 0}


def headline(found: Audit) -> dict[str, Any]:
    return {m.measure: m.estimate for m in found.measurements if m.role == "headline"}


def names(found: Audit) -> set[str]:
    return {caveat.name for caveat in found.caveats}


def outcomes(found: Audit, rows: Any = slice(None)) -> list[list[int]]:
    """The verdicts, in 60 rows."""
    wishes = ("untargeted", "hypocritical", "reversal")
    return [found.examples[f"{wish}_outcome"][rows].tolist() for wish in wishes]


@pytest.fixture(scope="module")
def honest(plain: nn.Module, few: Examples) -> Audit:
    return audit(plain, few, **QUICK)


def test_inputs_that_are_no_numbers_are_set_apart(plain: nn.Module, few: Examples, honest: Audit) -> None:
    x = few.x.clone()
    x[7, 0, 3, 3], x[20, 0, 0, 0] = math.nan, math.inf
    found = audit(plain, dataclasses.replace(few, x=x), **QUICK)
    assert np.flatnonzero(found.examples["set_apart"]).tolist() == [7, 20]
    assert found["risk_adversarial"].n == 58
    kept = found.examples["set_apart"] == ""
    assert outcomes(found, kept) == outcomes(honest, kept)
    assert any("2 examples were set apart because the input is not finite" in c.text for c in found.caveats)
    assert found.examples["untargeted_outcome"][7] == -1
    identities(headline(found))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("curve", [0, 2])
def test_answers_that_are_no_numbers_are_set_apart(
    plain: nn.Module, few: Examples, honest: Audit, bad: float, curve: int
) -> None:
    sick = few.x[[5, 31]]

    def model(x: Tensor) -> Tensor:
        near = (x[:, None] - sick).flatten(2).abs().amax(2).amin(1) < 0.25
        spoilt: Tensor = plain(x).clone()
        spoilt[near, 3] = bad
        return spoilt

    found = audit(model, few, **{**QUICK, "curve": curve})
    apart = found.examples["set_apart"] != ""
    assert np.flatnonzero(apart).tolist() == [5, 31]
    assert outcomes(found, ~apart) == outcomes(honest, ~apart) or curve
    assert found["risk_adversarial"].n == 58
    identities(headline(found))


def test_nothing_but_nan_leaves_nothing_to_say(few: Examples) -> None:
    found = audit(lambda x: x.flatten(1)[:, :10] * math.nan, few, **QUICK)
    assert not found["risk_natural"].defined
    assert not found["risk_adversarial"].defined
    assert "probabilities" not in names(found)
    assert (found.examples["set_apart"] == "the model's answer is not finite").all()


def test_a_point_that_is_not_allowed_never_counts(plain: nn.Module, few: Examples) -> None:
    """An attack that lies: it says success wherever it likes, with points far outside the set."""

    @dataclasses.dataclass(frozen=True)
    class Liar:
        card: ClassVar[Card] = Card()

        def __call__(
            self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
        ) -> Found:
            count = len(batch)
            ones, none = torch.ones(count, dtype=torch.int64), torch.zeros(count, dtype=torch.bool)
            return Found(
                x=1 - batch.x,
                loss=torch.full((count,), math.inf),
                success=~none,
                status=ones * Status.FOUND,
                step=ones,
                flat=none,
                forwards=ones,
                backwards=ones,
            )

    liar: Attack = Liar()
    judge = Judge(Answers(plain), fast=True, precision="float32", batch_size=16)
    batch = few.batch()
    clean = torch.as_tensor(judge.clean(batch)["logits"])
    result = judge.search(batch, clean, liar, Linf(0.1), Untargeted(), Key(0))
    assert result["claimed"].all()
    assert (result["outcome"] == Status.NOT_FOUND).all()
    assert (result["answer"] == -1).all()


def test_what_a_quick_way_claims_falsely_is_searched_again(plain: nn.Module, few: Examples) -> None:
    """A quick model that takes every small change for a success: its points fall through, others are searched for."""
    model, batch = Answers(plain), few.batch()
    seen = [batch.x]

    def hasty(x: Tensor) -> Tensor:
        logits: Tensor = plain(x)
        moved = torch.tensor([not bool((seen[0] == row).flatten(1).all(1).any()) for row in x])
        return torch.where(moved[:, None], -logits, logits)

    results = []
    every: list[list[Model]] = [[model], [hasty, model]]
    for ways in every:
        judge = Judge(model, fast=False, precision="float32", batch_size=64)
        judge.ways = ways
        clean = torch.as_tensor(judge.clean(batch)["logits"])
        attack = BIM(steps=10)
        results.append(judge.search(batch, clean, attack, Linf(0.15), Untargeted(), Key(0)))
    alone, after = results
    assert np.array_equal(after["outcome"], alone["outcome"])
    assert np.array_equal(after["answer"], alone["answer"])
    assert int(after["forwards"].sum()) > int(alone["forwards"].sum())


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 9, 14])
def test_an_error_that_passes_is_asked_again(plain: nn.Module, few: Examples, honest: Audit, at: int) -> None:
    model = Scripted(plain, lambda call, x: RuntimeError("hiccup") if call == at else None)
    found = audit(model, few, **QUICK)
    assert model.calls > 14
    assert outcomes(found) == outcomes(honest)
    assert (found.examples["set_apart"] == "").all()


def test_an_example_at_which_the_model_raises_is_set_apart_alone(
    plain: nn.Module, few: Examples, honest: Audit
) -> None:
    def sick(call: int, x: Tensor) -> Exception | None:
        near = (x - few.x[11]).flatten(1).abs().amax(1) < 0.11
        return ValueError("I do not like this one") if bool(near.any()) else None

    found = audit(Scripted(plain, sick), few, **QUICK)
    others = np.arange(60) != 11
    assert found.examples["set_apart"][11] == "the model raised an error"
    assert (found.examples["set_apart"][others] == "").all()
    assert outcomes(found, others) == outcomes(honest, others)
    assert any("ValueError: I do not like this one" in caveat.text for caveat in found.caveats)
    identities(headline(found))


def test_an_example_that_fails_only_under_attack_is_set_apart_too(
    plain: nn.Module, few: Examples, honest: Audit
) -> None:
    row = int(np.flatnonzero(honest.examples["untargeted_outcome"] != Status.ALREADY)[0])

    def sick(call: int, x: Tensor) -> Exception | None:
        gap = (x - few.x[row]).flatten(1).abs().amax(1)
        return ValueError("pushed") if bool(((gap > 0) & (gap < 0.11)).any()) else None

    found = audit(Scripted(plain, sick), few, **QUICK)
    others = np.arange(60) != row
    assert found.examples["set_apart"][row] == "the model raised an error"
    assert outcomes(found, others) == outcomes(honest, others)


def test_a_model_that_gives_up_after_its_first_answers_is_set_apart_whole(
    plain: nn.Module, few: Examples
) -> None:
    found = audit(Scripted(plain, lambda call, x: ValueError("enough") if call > 2 else None), few, **QUICK)
    assert (found.examples["set_apart"] == "the model raised an error").all()
    assert not found["risk_natural"].defined
    assert names(found) == {"set apart", "few examples"}


def test_a_model_that_always_raises_is_an_error(few: Examples) -> None:
    def broken(x: Tensor) -> Tensor:
        raise ZeroDivisionError("division by zero")

    with pytest.raises(ModelError, match="got an error at every one: ZeroDivisionError: division by zero"):
        audit(broken, few, **QUICK)


@pytest.mark.parametrize("most", [1, 9])
@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("no"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_when_memory_runs_out_the_batch_is_halved(
    plain: nn.Module, few: Examples, honest: Audit, most: int, error: Exception
) -> None:
    model = Scripted(plain, lambda call, x: error if len(x) > most else None)
    found = audit(model, few, **QUICK)
    assert outcomes(found) == outcomes(honest)
    assert (found.examples["set_apart"] == "").all()


def test_no_forward_is_larger_than_the_batch(plain: nn.Module, few: Examples) -> None:
    sizes: list[int] = []
    model = Scripted(plain, lambda call, x: sizes.append(len(x)))
    audit(model, few, **QUICK, batch_size=17)
    assert max(sizes) == 17
    assert sizes.count(17) > len(sizes) / 4


def test_a_model_in_training_mode_is_judged_in_evaluation_mode_and_put_back(few: Examples) -> None:
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Dropout(), nn.Linear(16, 10)
        )
    initialise(model, Key(3)).train()
    model(few.x)
    model[2].eval()
    before = traces(model)
    found = audit(model, few, **QUICK)
    assert traces(model) == before
    assert any("training mode" in note for note in found.notes)
    evaluated = audit(model.eval(), few, **QUICK)
    assert outcomes(evaluated) == outcomes(found)
    assert not any("training mode" in note for note in evaluated.notes)


def test_data_outside_their_box_or_of_other_classes_are_refused(plain: nn.Module, few: Examples) -> None:
    with pytest.raises(DataError, match="between 0 and 1, got values from 0 to 2 at example"):
        audit(plain, dataclasses.replace(few, x=2 * few.x), **QUICK)
    with pytest.raises(ModelError, match=r"a model with 11 classes .* got one with 10"):
        audit(plain, dataclasses.replace(few, classes=(*few.classes, "ten")), **QUICK)
    with pytest.raises(ModelError, match="at least one example"):
        audit(plain, few.take(slice(0, 0)), **QUICK)


def test_the_search_of_one_row_does_not_see_the_others(plain: nn.Module, few: Examples) -> None:
    """A judge asked about few rows says of them what it says of them among many."""
    attack, wish = PGD(steps=3), Untargeted()

    def judged(examples: Examples, batch_size: int) -> list[int]:
        judge = Judge(Answers(plain), fast=False, precision="float32", batch_size=batch_size)
        batch = examples.batch()
        clean = torch.as_tensor(judge.clean(batch)["logits"])
        outcome: list[int] = judge.search(batch, clean, attack, Linf(0.1), wish, Key(0))["outcome"].tolist()
        return outcome

    assert judged(few, 64)[40:44] == judged(few.take(slice(40, 44)), 3)
