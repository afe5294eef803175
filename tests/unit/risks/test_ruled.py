"""Tables with rules: against all that may be done, tried out one by one; and for every attack, from outside."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.scenes import ATTACKS, made
from torch import Tensor, nn

from frenemy.attacks.others import Others
from frenemy.attacks.pgd import PGD
from frenemy.data.examples import Examples
from frenemy.data.rules import Rules
from frenemy.errors import UsageError
from frenemy.objectives.surrogates import Margin
from frenemy.objectives.untargeted import Untargeted
from frenemy.risks.audit import audit
from frenemy.risks.ruled import ruled
from frenemy.risks.search import fitted
from frenemy.risks.tidy import tidied
from frenemy.risks.transfer import transfer
from frenemy.rng import Key
from frenemy.threats.l0 import L0
from frenemy.threats.l1 import L1
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.threats.threat import Threat

COLUMNS = ("age", "income", "debts", "clerk", "nurse", "smith")
RULES = Rules(COLUMNS, (0,), (2,), (("job", (3, 4, 5)),), "people.yaml")
LOW, HIGH = torch.tensor([20.0, 0, 0, 0, 0, 0]), torch.tensor([60.0, 10, 7, 1, 1, 1])
WEIGHTS = torch.tensor([0.05, 0.6, -0.9, 0.0, 0.8, -1.1])
BALLS: dict[str, Any] = {"linf": Linf, "l2": L2, "l1": L1, "l0": L0}


class Score(nn.Module):
    """A linear score of a row: positive is yes."""

    def forward(self, x: Tensor) -> Tensor:
        """Two logits."""
        score = x @ WEIGHTS.to(x) - 3
        return torch.stack([-score, score], 1)


def people(count: int = 24) -> Examples:
    index = torch.arange(count)
    draws = Key(5).uniform(index, (4,))
    job = (draws[:, 3] * 3).long()
    jobs = torch.nn.functional.one_hot(job, 3).float()
    rows = torch.stack([20 + (draws[:, 0] * 5).floor(), 10 * draws[:, 1], (draws[:, 2] * 8).floor()], 1)
    x = torch.cat([rows, jobs], 1)
    y = (Score()(x)[:, 1] > 0).long()
    y[::7] = 1 - y[::7]
    return Examples("people", x, y, ("no", "yes"), LOW, HIGH, rules=RULES)


def reach(row: Tensor, norm: str, eps: float, sign: float) -> float:
    """The most `sign * score` that a row can be brought to, by trying all whole numbers and jobs."""
    best = -math.inf
    for debts, job in itertools.product(range(8), range(3)):
        step = torch.zeros(6)
        step[2] = debts - row[2]
        step[3:] = torch.nn.functional.one_hot(torch.tensor(job), 3).float() - row[3:]
        used = float(BALLS[norm](1.0).norm(step[None])[0])
        if used > eps + 1e-6:
            continue
        left = {
            "linf": eps,
            "l1": eps - used,
            "l2": math.sqrt(max(eps**2 - used**2, 0)),
            "l0": 99.0 if used + 1 <= eps else 0.0,
        }[norm]
        to = min(max(float(row[1]) + sign * left, 0.0), 10.0)
        step[1] = to - row[1]
        best = max(best, sign * float((row + step) @ WEIGHTS - 3))
    return best


def test_a_search_finds_all_that_can_be_done_in_a_cube() -> None:
    batch, threat = people(12).batch(), Linf(1.8, low=LOW, high=HIGH)
    found, lost = ruled(
        PGD(steps=20), Score(), batch, batch.y, RULES, threat=threat, objective=Untargeted(), key=Key(1)
    )
    could = [
        reach(row, "linf", 1.8, 1.0 if int(y) == 0 else -1.0) > 0
        for row, y in zip(batch.x, batch.y, strict=True)
    ]
    assert 0 < sum(could) < 12
    assert found.success.tolist() == could
    assert lost is not None
    assert not bool(lost.any())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("norm", "eps", "share"),
    [("linf", 1.8, 1.0), ("linf", 0.7, 1.0), ("l1", 3.0, 0.5), ("l2", 1.2, 0.9), ("l2", 2.2, 0.9)],
)
def test_an_audit_finds_what_can_be_done_and_nothing_else(norm: str, eps: float, share: float) -> None:
    data = people()
    found = audit(
        Score(),
        data,
        threat=f"{norm}:{eps}",
        objectives=["enemy", "friend"],
        attacks="pgd(steps=30)",
        losses=["ce"],
        curve=2,
    )
    clean = (Score()(data.x).argmax(1) == data.y).numpy()
    towards = [(1.0 if int(y) == 0 else -1.0) for y in data.y]
    broken = np.array([reach(row, norm, eps, s) > 0 for row, s in zip(data.x, towards, strict=True)]) & clean
    mended = (
        np.array([reach(row, norm, eps, -s) > 0 for row, s in zip(data.x, towards, strict=True)]) & ~clean
    )
    got = 0.0
    for measure, could, among in (
        ("risk_adversarial_on_correct", broken, clean),
        ("risk_hypocritical", mended, ~clean),
    ):
        assert found[measure].value <= could.sum() / among.sum() + 1e-9
        got += found[measure].value * among.sum()
    assert got >= share * (broken.sum() + mended.sum()) - 1e-9
    assert {curve.kind for curve in found.curves} == {"largest"}
    (told,) = [caveat.text for caveat in found.caveats if caveat.name == "rules"]
    assert (
        "could change to any number in its range: income; to whole numbers: debts; to another of its group: job"
        in told
    )
    assert "Held still: age." in told
    assert ("debts, job could not change either" in told) == (eps < 1)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(sorted(BALLS)),
    st.floats(0.1, 4),
    st.integers(0, 2**31),
    st.lists(st.floats(-1, 1), min_size=6, max_size=6),
)
def test_what_is_tidied_keeps_the_rules_and_stays_inside(
    norm: str, eps: float, seed: int, way: list[float]
) -> None:
    threat: Threat = BALLS[norm](eps, low=LOW, high=HIGH)
    data = people(8)
    size = torch.full((8,), eps)
    x = threat.retract(data.x + 3 * torch.tensor(way) * Key(seed).uniform(data.index, (6,)), data.x, size)
    neat = tidied(x, data.x, RULES, threat)
    assert bool(RULES.kept(neat, data.x).all())
    assert bool(threat.contains(neat, data.x, size).all())
    assert torch.equal(tidied(neat, data.x, RULES, threat), neat)


@pytest.mark.parametrize(
    "name",
    [name if name in ("pgd", "fmn") else pytest.param(name, marks=pytest.mark.slow) for name in ATTACKS],
)
def test_every_attack_keeps_them_and_says_what_an_outside_count_says(name: str) -> None:
    attack = made(name, steps=6, restarts=1)
    norms = [n for n in ("linf", "l2", "l1") if not attack.card.threats or n in attack.card.threats]
    data, objective = people(), Untargeted(Margin())
    batch, model = data.batch(), Score()
    attack = fitted(attack, others=Others(batch.x, batch.y), batch_size=16)
    for norm in norms:
        threat: Threat = BALLS[norm](1.6, low=LOW, high=HIGH)
        before = batch.x.clone()
        found, lost = ruled(
            attack, model, batch, batch.y, RULES, threat=threat, objective=objective, key=Key(0)
        )
        assert lost is not None
        assert torch.equal(batch.x, before)
        assert bool(RULES.kept(found.x, batch.x).all())
        assert bool(threat.contains(found.x, batch.x, torch.full((len(batch),), 1.6)).all())
        assert not bool((found.success & lost).any())
        assert bool(objective.success(model(found.x), batch.y)[found.success].all())
        alone, _ = ruled(
            attack,
            model,
            batch.rows(slice(3, 4)),
            batch.y[3:4],
            RULES,
            threat=threat,
            objective=objective,
            key=Key(0),
        )
        assert torch.allclose(alone.x, found.x[3:4], atol=1e-4)


def test_without_rules_an_attack_is_what_it_was() -> None:
    batch, threat = people().batch(), Linf(1.0, low=LOW, high=HIGH)
    how: dict[str, Any] = {"threat": threat, "objective": Untargeted(), "key": Key(1)}
    found, lost = ruled(PGD(steps=3), Score(), batch, batch.y, None, **how)
    assert lost is None
    assert torch.equal(found.x, PGD(steps=3)(Score(), batch, **how).x)


def test_spheres_are_refused_and_transfer_heeds_rules() -> None:
    data = people(10)
    with pytest.raises(UsageError, match="for a table with rules, got sphere"):
        audit(Score(), data, threat="sphere-l2:1")
    for one in transfer({"a": Score(), "b": Score()}, data, threat="linf:0.5", attack="pgd(steps=3)"):
        for s, t in itertools.product((0, 1), (0, 1)):
            assert one.rate(s, t) == one.rate(0, 0)
