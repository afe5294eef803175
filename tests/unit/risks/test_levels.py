"""Points on the levels of an image file: against the nearest one by trying all, and against an outside recount."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from frenemy.data.examples import Examples
from frenemy.errors import UsageError
from frenemy.risks.audit import audit
from frenemy.risks.tidy import rounded
from frenemy.rng import Key
from frenemy.threats.l1 import L1
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.threats.threat import Threat


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([Linf, L2, L1]),
    st.floats(0.0, 0.7),
    st.integers(1, 3),
    st.integers(0, 2**31),
    st.booleans(),
)
def test_a_rounded_point_is_a_level_inside_and_the_nearest_of_a_cube(
    ball: type, eps: float, bits: int, seed: int, on: bool
) -> None:
    threat: Threat = ball(eps)
    index, top, size = torch.arange(6), 2**bits - 1, torch.full((6,), eps)
    origin = Key(seed).uniform(index, (2,))
    origin = (origin * top).round() / top if on else origin
    x = threat.sample(origin, index, Key(seed).fold("x"), size)
    point, inside = rounded(x, origin, threat, bits)
    assert torch.equal(point, (point.double() * top).round().div(top).float())
    assert torch.equal(inside, threat.contains(point, origin, size))
    grid = (
        torch.tensor(list(itertools.product(range(top + 1), repeat=2)), dtype=torch.float64).div(top).float()
    )
    for row in range(6):
        count = len(grid)
        allowed = threat.contains(grid, origin[row].expand(count, 2), torch.full((count,), eps))
        if on:
            assert bool(inside[row]), (
                "an input that is a level is one itself, so there always is one towards it"
            )
        if bool(inside[row]) or ball is Linf:
            assert bool(inside[row]) == bool(allowed.any())
        if ball is Linf and bool(inside[row]):
            far = (grid[allowed] - x[row]).abs()
            assert torch.allclose((point[row] - x[row]).abs().amax(), far.amax(1).min(), atol=2e-4)


@pytest.mark.slow
def test_what_survives_is_what_a_recount_says(plain: nn.Module, few: Examples) -> None:
    found = audit(
        plain,
        few,
        threat="linf:0.1",
        attacks="pgd(steps=20,early_stop=no)",
        losses=["ce"],
        curve=0,
        quantise=2,
    )
    fine = audit(
        plain,
        few,
        threat="linf:0.1",
        attacks="pgd(steps=20,early_stop=no)",
        losses=["ce"],
        curve=0,
        quantise=16,
    )
    for one in (found, fine):
        rows = {m.measure: m for m in one.measurements if m.role == "quantised"}
        assert set(rows) == {"accuracy_adversarial", "accuracy_hypocritical", "risk_reversible"}
        clean = one.examples["clean_answer"] == one.examples["label"]
        column = one.examples["untargeted_quantised"]
        assert rows["accuracy_adversarial"].estimate.value == pytest.approx((clean & (column != 1)).mean())
        assert one["accuracy_adversarial"].value <= rows["accuracy_adversarial"].estimate.value
        assert one["accuracy_hypocritical"].value >= rows["accuracy_hypocritical"].estimate.value
        (told,) = [caveat.text for caveat in one.caveats if caveat.name == "quantised"]
        assert f"{(column == 1).sum()} of {(column >= 0).sum()} successes of an enemy survive" in told
    assert np.array_equal(
        fine.examples["untargeted_quantised"] == 1, fine.examples["untargeted_quantised"] >= 0
    )
    assert (found.examples["untargeted_quantised"] == 0).any(), "four levels leave little of a change of 0.1"


def test_what_is_no_picture_is_refused(few: Examples) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(UsageError, match="from 1 to 16 bits"):
        audit(model, few, quantise=17)
    rows = Examples("rows", few.x.flatten(1), few.y, few.classes)
    with pytest.raises(UsageError, match="expected pictures in"):
        audit(model, rows, quantise=8)
