"""Planted: the enemy is certainly there, a readout sees it alone, and an attack that works finds it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from frenemy.attacks.pgd import PGD
from frenemy.data.batch import Batch
from frenemy.models.model import Model
from frenemy.risks.planted import Planted, plant
from frenemy.rng import Key
from frenemy.threats.linf import Linf

GUESSES = 8


def scores(logits: Tensor, readouts: Tensor) -> Tensor:
    """The readout of each row in double precision, for `(draws, n, classes)`."""
    return (logits.double() * readouts[:, :-1].double()).sum(-1) + readouts[:, -1].double()


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 12), scale=st.floats(1e-2, 1e3))
def test_one_point_stands_out_and_the_others_do_not(seed: int, classes: int, scale: float) -> None:
    key, n, draws = Key(seed), 5, 24
    index = torch.arange(n)
    clean = scale * key.fold("clean").normal(index, (classes,))
    around = clean + scale * torch.stack([key.fold(draw).normal(index, (classes,)) for draw in range(draws)])
    readouts, able, lucky = plant(clean, around)
    score = scores(around, readouts)
    seen = score[:-GUESSES]
    for row in index[able].tolist():
        assert int((seen[:, row] > 0).sum()) == 1
        assert float(seen[:, row].max()) == pytest.approx(0.25, abs=0.02), (
            "a quarter of the lead is left above"
        )
    guessed = (score[-GUESSES:] > 0).double().mean(0)
    assert torch.allclose(guessed[able], lucky[able])


def test_where_answers_do_not_vary_nothing_can_be_planted() -> None:
    clean = Key(0).normal(torch.arange(3), (4,))
    around = clean.expand(24, 3, 4).clone()
    around[:, 2] += Key(1).normal(torch.arange(24), (4,))
    _, able, _ = plant(clean, around)
    assert able.tolist() == [False, False, True]


def test_an_attack_that_works_finds_all_and_one_that_is_led_astray_none() -> None:
    """A linear model: the readout is linear in the input, and a corner of the ball reaches its highest value."""
    weights = Key(0).normal(torch.arange(16), (5,))
    index = torch.arange(12)
    x, eps = 0.5 + 0.1 * Key(1).normal(index, (16,)), 0.1

    def model(x: Tensor) -> Tensor:
        return x @ weights

    threat = Linf(eps, -10.0, 10.0)
    around = torch.stack(
        [model(x + eps * Key(2).fold(draw).normal(index, (16,)).sign()) for draw in range(24)]
    )
    readouts, able, _ = plant(model(x), around)
    best = scores(model(x), readouts) + eps * (readouts[:, :-1] @ weights.T).abs().sum(1)
    assert bool(able.all())
    assert bool((best > 0).all()), "the planted point is one of the corners"
    batch, planted = Batch(x, index, index), Planted(readouts)
    attack = PGD(steps=10, step_size=0.5)
    found = attack(model, batch, threat=threat, objective=planted, key=Key(3))
    assert bool(found.success.all())
    astray: Model = lambda x: model(x).detach() - model(x) + model(x).detach()  # noqa: E731
    lost = PGD(steps=10, step_size=0.5, random_start=False)(
        astray, batch, threat=threat, objective=planted, key=Key(3)
    )
    assert not bool(lost.success.any())
