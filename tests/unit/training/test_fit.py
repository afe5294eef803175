"""Fitting: the same key gives the same weights, a held-out part chooses the epoch, PGD examples make models hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from tests.oracles import randomness, traces
from torch import nn
from torch.nn.functional import cross_entropy

from frenemy.attacks.pgd import PGD
from frenemy.data.digits import Digits
from frenemy.data.examples import Examples
from frenemy.errors import UsageError
from frenemy.models.build import initialise
from frenemy.models.linear import Linear
from frenemy.models.mlp import MLP
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.linf import Linf
from frenemy.training.fit import fit

ATTACK = PGD(steps=5, step_size=0.3, early_stop=False)


def fresh(seed: int = 0) -> nn.Module:
    return initialise(MLP(64, (32,), 10), Key(seed))


def loss(model: nn.Module, examples: Examples) -> float:
    batch = examples.batch()
    with torch.no_grad():
        return float(cross_entropy(model(batch.x), batch.y))


def accuracy(model: nn.Module, examples: Examples, eps: float = 0.0) -> float:
    batch = examples.batch()
    found = PGD(steps=10, step_size=0.2)(model, batch, threat=Linf(eps), objective=Untargeted(), key=Key(9))
    return float((~found.success).float().mean())


def test_it_finds_the_minimum_that_is_known() -> None:
    """A linear model on a convex problem, against scikit-learn's solver."""
    examples = Digits("train")().take(slice(0, 40))
    keep = examples.take(examples.y < 3)
    keep = Examples("three", keep.x.flatten(1)[:, 18:22], keep.y, ("0", "1", "2"))
    x, y = keep.x.double().numpy(), keep.y.numpy()
    best = LogisticRegression(C=np.inf, max_iter=2000, tol=1e-8).fit(x, y)
    share = best.predict_proba(x)[np.arange(len(y)), y]
    known = float(-np.log(share).mean())
    model = initialise(Linear(4, 3), Key(0))
    assert loss(model, keep) > 1.3 * known
    fit(model, keep, key=Key(1), epochs=1500, batch_size=len(keep), rate=0.1)
    assert loss(model, keep) == pytest.approx(known, abs=2e-3)


@pytest.mark.parametrize("robust", [False, True])
def test_the_same_key_gives_the_same_weights_bit_for_bit(robust: bool) -> None:
    data = Digits("train")().take(slice(0, 200))
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 64, "hold_out": 40}
    if robust:
        settings |= {"attack": ATTACK, "threat": Linf(0.1)}
    first, again, other = fresh(), fresh(), fresh()
    draws = randomness()
    for model, key in ((first, Key(1)), (again, Key(1)), (other, Key(2))):
        fit(model, data, key=key, **settings)
    assert randomness() == draws
    weights = [torch.cat([p.flatten() for p in model.parameters()]) for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not first.training


def test_training_on_attacks_makes_a_model_hold() -> None:
    train, test = Digits("train")().take(slice(0, 700)), Digits("test")().take(slice(0, 200))
    settings: dict[str, Any] = {"key": Key(1), "epochs": 20, "batch_size": 64, "rate": 3e-3}
    plain = fit(fresh(), train, **settings)
    robust = fit(fresh(), train, **settings, attack=ATTACK, threat=Linf(0.15))
    assert accuracy(plain, test) > 0.85
    assert accuracy(robust, test, 0.15) > accuracy(plain, test, 0.15) + 0.15


def test_the_epoch_that_does_best_on_what_was_held_out_is_kept() -> None:
    """At a rate that makes epochs differ; held-out rows are the end of a keyed shuffle, and never trained on."""
    data, key = Digits("train")().take(slice(0, 160)), Key(3)
    held = data.take(key.fold("hold out").permutation(160)[-50:])
    told: list[tuple[int, float]] = []
    model = fit(
        fresh(),
        data,
        key=key,
        epochs=5,
        rate=0.05,
        batch_size=32,
        hold_out=50,
        progress=lambda *news: told.append(news),
    )
    assert [epoch for epoch, _ in told] == [1, 2, 3, 4, 5]
    shares = [share for _, share in told]
    assert float((model(held.x).argmax(1) == held.y).float().mean()) == pytest.approx(max(shares))
    spoilt = data.y.clone()
    spoilt[key.fold("hold out").permutation(160)[-50:]] = 0
    other = Examples("spoilt", data.x, spoilt, data.classes)
    one, two = (fit(fresh(), d, key=key, epochs=1, hold_out=50) for d in (data, other))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters()))


def test_without_a_held_out_part_there_is_no_accuracy_to_tell() -> None:
    told: list[float] = []
    fit(
        fresh(),
        Digits("train")().take(slice(0, 40)),
        key=Key(0),
        epochs=2,
        progress=lambda _, share: told.append(share),
    )
    assert np.isnan(told).all()
    assert len(told) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"hold_out": 40},
        {"hold_out": -1},
        {"attack": ATTACK},
        {"threat": Linf(0.1)},
        {"batch_size": 0},
        {"rate": 0.0},
        {"rate": -1.0},
        {"rate": float("nan")},
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(wrong: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"epochs": 1, **wrong}
    model = fresh()
    before = traces(model)
    with pytest.raises(UsageError, match="expected"):
        fit(model, Digits("train")().take(slice(0, 40)), key=Key(0), **settings)
    assert traces(model) == before
