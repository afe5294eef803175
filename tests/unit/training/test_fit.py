"""Fitting: known minima, the same weights from the same key, from a killed run, and from several processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import torch
from sklearn.linear_model import LogisticRegression
from tests.oracles import randomness, traces
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from frenemy.attacks.pgd import PGD
from frenemy.data.digits import Digits
from frenemy.data.examples import Examples
from frenemy.errors import DivergedError, RunError, UsageError
from frenemy.models.build import initialise
from frenemy.models.linear import Linear
from frenemy.models.mlp import MLP
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.linf import Linf
from frenemy.training.advprop import AdvProp
from frenemy.training.alphamix import AlphaMix
from frenemy.training.fit import CHECKPOINT, fit
from frenemy.training.freeat import FreeAT
from frenemy.training.iaat import IAAT
from frenemy.training.pgdat import PGDAT
from frenemy.training.recipe import Recipe
from frenemy.training.regime import Regime
from frenemy.training.robmask import RobMask
from frenemy.training.standard import Standard
from frenemy.training.trades import TRADES


def fresh(seed: int = 0) -> nn.Module:
    return initialise(MLP(64, (32,), 10), Key(seed))


def normed() -> nn.Module:
    """Batch norm, and dropout, which draws."""
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 10)
        )
    return initialise(model, Key(0))


def digits(rows: int) -> Examples:
    return Digits("train")().take(slice(0, rows))


def weights(model: nn.Module) -> Tensor:
    return torch.cat([values.double().flatten() for values in model.state_dict().values()])


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
    examples = digits(40)
    keep = examples.take(examples.y < 3)
    keep = Examples("three", keep.x.flatten(1)[:, 18:22], keep.y, ("0", "1", "2"))
    x, y = keep.x.double().numpy(), keep.y.numpy()
    best = LogisticRegression(C=np.inf, max_iter=2000, tol=1e-8).fit(x, y)
    known = float(-np.log(best.predict_proba(x)[np.arange(len(y)), y]).mean())
    model = initialise(Linear(4, 3), Key(0))
    assert loss(model, keep) > 1.3 * known
    fit(Standard(), model, keep, key=Key(1), regime=Regime(epochs=500, batch_size=len(keep), rate=0.3))
    assert loss(model, keep) == pytest.approx(known, abs=2e-3)


def test_a_plain_run_is_the_loop_that_everybody_writes() -> None:
    """SGD with momentum and weight decay, step by step, in torch alone."""
    data, key = digits(50), Key(1)
    regime = Regime(
        epochs=4,
        batch_size=20,
        optimiser="sgd",
        rate=0.1,
        weight_decay=1e-3,
        schedule="step",
        milestones=(2,),
    )
    model, other = fresh(), fresh()
    fit(Standard(), model, data, key=key, regime=regime)
    order = key.fold("hold out").permutation(50)
    optimiser = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    for epoch in range(4):
        optimiser.param_groups[0]["lr"] = 0.1 if epoch < 2 else 0.01
        for rows in torch.split(order[key.fold("shuffle").fold(epoch).permutation(50)], 20):
            optimiser.zero_grad()
            batch = data.batch(rows)
            cross_entropy(other(batch.x), batch.y).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    torch.testing.assert_close(weights(model), weights(other), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("recipe", [Standard(), PGDAT(steps=3)], ids=lambda one: type(one).__name__)
def test_the_same_key_gives_the_same_weights_bit_for_bit(recipe: Recipe) -> None:
    data, draws = digits(200), randomness()
    models = [normed(), normed(), normed()]
    for model, key in zip(models, (Key(1), Key(1), Key(2)), strict=True):
        fit(
            recipe,
            model,
            data,
            key=key,
            threat=Linf(0.1),
            regime=Regime(epochs=2, batch_size=64, hold_out=40),
        )
        assert not model.training
    assert randomness() == draws
    assert torch.equal(weights(models[0]), weights(models[1]))
    assert not torch.equal(weights(models[0]), weights(models[2]))


def test_training_on_attacks_makes_a_model_hold() -> None:
    train, test = digits(700), Digits("test")().take(slice(0, 200))
    regime = Regime(epochs=20, batch_size=64, rate=3e-3)
    plain = fit(Standard(), fresh(), train, key=Key(1), regime=regime).model
    robust = fit(PGDAT(steps=5), fresh(), train, key=Key(1), threat=Linf(0.15), regime=regime).model
    assert accuracy(plain, test) > 0.85
    assert accuracy(robust, test, 0.15) > accuracy(plain, test, 0.15) + 0.15


def test_the_epoch_that_does_best_on_what_was_held_out_is_kept() -> None:
    """At a rate that makes epochs differ; held-out rows are the end of a keyed shuffle, and never trained on."""
    data, key = digits(160), Key(3)
    held = data.take(key.fold("hold out").permutation(160)[-50:])
    regime = Regime(epochs=5, rate=0.05, batch_size=32, hold_out=50)
    fitted = fit(Standard(), fresh(), data, key=key, regime=regime)
    shares = [entry["clean"] for entry in fitted.history]
    assert [entry["epoch"] for entry in fitted.history] == [1, 2, 3, 4, 5]
    assert accuracy(fitted.model, held) == pytest.approx(max(shares))
    assert fitted.epoch == 1 + shares.index(max(shares))
    spoilt = data.y.clone()
    spoilt[key.fold("hold out").permutation(160)[-50:]] = 0
    other = Examples("spoilt", data.x, spoilt, data.classes)
    short = Regime(epochs=1, hold_out=50)
    one, two = (fit(Standard(), fresh(), d, key=key, regime=short).model for d in (data, other))
    assert torch.equal(weights(one), weights(two))


@pytest.mark.parametrize(
    ("recipe", "more"),
    [
        (Standard(), {"average": "ema", "decay": 0.9, "augment": "crop"}),
        (TRADES(steps=2, beta=2.0), {"optimiser": "sgd", "perturb": 0.01}),
        (PGDAT(steps=2), {"attack_mode": "train"}),
        (FreeAT(replays=2), {"average": "swa", "average_from": 0.3}),
        (IAAT(steps=2, warm_up=1), {"warm_up": 2}),
        (AdvProp(steps=2), {"average": "ema", "decay": 0.9}),
        (RobMask(steps=2, bases=3), {"optimiser": "sgd"}),
        (PGDAT(steps=2), {"only": "norms"}),
    ],
    ids=lambda one: type(one).__name__ if not isinstance(one, dict) else "",
)
def test_a_killed_run_goes_on_to_the_same_weights_bit_for_bit(
    recipe: Recipe, more: dict[str, Any], tmp_path: Path
) -> None:
    """Killed in the middle of an epoch, again in another, and once more at the end."""
    data = digits(150)
    regime = Regime(epochs=4, batch_size=32, hold_out=30, **more)
    settings: dict[str, Any] = {"key": Key(1), "threat": Linf(0.1), "regime": regime}
    whole = fit(recipe, normed(), data, **settings)
    for last in (6, 5, 10**6, 1):
        told: list[str] = []

        def stop(what: str, share: float, last: int = last, told: list[str] = told) -> None:
            told.append(what)
            if len(told) > last:
                raise KeyboardInterrupt

        model = normed()
        try:
            again = fit(recipe, model, data, **settings, out=tmp_path, told=stop, save_every=0.0)
        except KeyboardInterrupt:
            continue
        assert torch.equal(weights(again.model), weights(whole.model))
        timeless = [{k: v for k, v in e.items() if k != "seconds"} for e in again.history]
        assert timeless == [{k: v for k, v in e.items() if k != "seconds"} for e in whole.history]
        assert again.epoch == whole.epoch


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"recipe": AlphaMix(alpha=0.4)}, "alpha was 0.5 and is 0.4"),
        ({"recipe": Standard()}, "recipe was AlphaMix and is Standard"),
        ({"regime": Regime(epochs=3)}, "regime epochs was 1 and is 3"),
        ({"threat": Linf(0.2)}, "threat was"),
        ({"key": Key(5)}, "key was"),
        ({"data": digits(59)}, "data was"),
        ({"model": fresh(7)}, "model was"),
    ],
)
def test_another_training_in_the_same_directory_is_refused_by_name(
    changed: dict[str, Any], named: str, tmp_path: Path
) -> None:
    usual: dict[str, Any] = {
        "recipe": AlphaMix(),
        "model": fresh(),
        "data": digits(60),
        "threat": Linf(0.1),
        "regime": Regime(epochs=1),
        "key": Key(0),
    }

    def run(recipe: Recipe, model: nn.Module, data: Examples, **more: Any) -> None:
        fit(recipe, model, data, out=tmp_path, **more)

    run(**{**usual, "model": fresh()})
    before = (tmp_path / CHECKPOINT).read_bytes()
    with pytest.raises(RunError, match=named):
        run(**{**usual, "model": fresh(), **changed})
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    (tmp_path / CHECKPOINT).write_bytes(before[:-9])
    with pytest.raises(RunError, match="expected a whole checkpoint"):
        run(**{**usual, "model": fresh()})


def test_a_loss_that_is_not_finite_ends_the_training_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    data = digits(64)
    y, regime = Linf(0.1), Regime(epochs=50, rate=1e30, batch_size=16, optimiser="sgd")
    with pytest.raises(DivergedError, match=r"expected a finite loss, got enemy .*; use a lower rate"):
        fit(PGDAT(steps=1), fresh(), data, key=Key(0), threat=y, regime=regime, out=tmp_path, save_every=0.0)
    with safetensors.safe_open(tmp_path / CHECKPOINT, framework="pt") as file:
        assert json.loads(file.metadata()["training"])["step"] > 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"hold_out": 40}, "expected examples to train on, got 40"),
        ({"guard": 0.2}, "expected held-out examples for a guard"),
        ({"augment": "crop"}, "expected pictures"),
        ({"only": "norms"}, "expected a model whose batch norm can move alone, got MLP"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(wrong: dict[str, Any], said: str) -> None:
    data, model = digits(40), fresh()
    flat = Examples("flat", data.x.flatten(1), data.y, data.classes)
    before = traces(model)
    with pytest.raises(UsageError, match=said):
        fit(Standard(), model, flat, key=Key(0), regime=Regime(epochs=1, **wrong))
    assert traces(model)["values"] == before["values"]


@pytest.mark.parametrize(
    ("recipe", "regime", "said"),
    [
        (FreeAT(), Regime(perturb=0.1), "its own way"),
        (IAAT(), Regime(attack_mode="batch"), "leave the search one by one"),
        (AdvProp(), Regime(), "expected a model with batch norm, got MLP"),
        (RobMask(), Regime(), "expected a model with batch norm, got MLP"),
    ],
)
def test_what_does_not_go_together_is_refused(recipe: Recipe, regime: Regime, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        fit(recipe, fresh(), digits(40), key=Key(0), regime=regime)


@pytest.mark.parametrize("recipe", [Standard(), RobMask()], ids=["plain", "masked"])
def test_batch_norm_of_single_rows_is_refused(recipe: Recipe) -> None:
    for rows, size in ((40, 1), (1, 8)):
        with pytest.raises(UsageError, match="expected batches of 2 rows or more for batch norm"):
            fit(recipe, normed(), digits(rows), key=Key(0), regime=Regime(batch_size=size))


def test_a_lone_last_row_is_left_out_where_batch_norm_needs_company() -> None:
    regime = Regime(epochs=1, batch_size=32)
    one = fit(Standard(), normed(), digits(65), key=Key(0), regime=regime)
    assert one.history[0]["losses"]["clean"] == pytest.approx(one.history[0]["losses"]["loss"])
    assert fit(Standard(), fresh(), digits(65), key=Key(0), regime=regime).epoch == 1


def test_patience_ends_a_training_that_gets_no_better() -> None:
    regime = Regime(epochs=60, rate=0.01, batch_size=32, hold_out=60, patience=3)
    fitted = fit(Standard(), fresh(), digits(200), key=Key(0), regime=regime)
    assert len(fitted.history) == fitted.epoch + 3 < 60
