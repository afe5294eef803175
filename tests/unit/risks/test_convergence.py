"""What a search writes down on its way, against a loop of our own and against closed forms."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.oracles import exact, linear_net
from torch import nn
from torch.nn.functional import cross_entropy

from frenemy.attacks.pgd import PGD
from frenemy.data.examples import Examples
from frenemy.errors import DataError, UsageError
from frenemy.objectives.untargeted import Untargeted
from frenemy.risks.convergence import converge
from frenemy.risks.views import Convergence
from frenemy.rng import Key
from frenemy.threats.linf import Linf

EPS = 0.1


def looked(model: nn.Module, data: Examples, **more: Any) -> Convergence:
    return converge(model, data, **{"threat": Linf(EPS), "steps": 7, "restarts": 3, **more})


def test_the_losses_are_those_of_a_loop_of_our_own(plain: nn.Module, few: Examples) -> None:
    seen = looked(plain, few, batch_size=17)
    assert seen.loss.shape == seen.reached.shape == (3, 60, 8)
    plain.eval()
    for run in range(3):
        key = Key(0).fold("converge").fold(run).fold("start").fold(0)
        x = Linf(EPS).sample(few.x, few.index, key, torch.full((60,), EPS))
        reached = plain(few.x).argmax(1) != few.y
        for step in range(8):
            x = x.detach().requires_grad_()
            logits = plain(x)
            loss = cross_entropy(logits, few.y, reduction="none")
            reached = reached | (logits.argmax(1) != few.y)
            np.testing.assert_allclose(seen.loss[run, :, step], loss.detach().numpy(), rtol=2e-3, atol=1e-4)
            assert (seen.reached[run, :, step] == reached.numpy()).mean() > 0.98
            (gradient,) = torch.autograd.grad(loss.sum(), x)
            stepped = x.detach() + 0.1 * EPS * gradient.sign()
            x = stepped.clamp(few.x - EPS, few.x + EPS).clamp(0, 1)


def test_on_a_linear_model_each_step_adds_what_it_must() -> None:
    """From the input, t steps of eps / 10 add min(t / 10, 1) eps |w|_1 to the margin."""
    model, index = linear_net(6, 2, Key(2)), torch.arange(30)
    x = Key(3).normal(index, (6,))
    with torch.no_grad():
        logits = model(x)
        slope = model.layer.weight[1] - model.layer.weight[0]
    y = logits.argmax(1)
    lead = (logits[:, 0] - logits[:, 1]).abs().double().numpy()
    data = Examples("linear", x=x, y=y, classes=("a", "b"), low=-99.0, high=99.0)
    seen = looked(model, data, threat=Linf(EPS, -99.0, 99.0), attack="bim", loss="margin", steps=14)
    gain = np.minimum(np.arange(15) / 10, 1) * EPS * float(slope.abs().sum())
    wanted = gain[None, :] - lead[:, None]
    assert len(seen.loss) == 1, "a search without a random start is run once"
    np.testing.assert_allclose(seen.loss[0], wanted, rtol=1e-4, atol=1e-4)
    sure = np.abs(wanted) > 1e-3
    assert (seen.reached[0] == (wanted > 0))[sure].all()
    assert seen.late == int(((wanted[:, 14] > 0) & (wanted[:, 11] <= 0)).sum()) == 0
    assert seen.last == 0


def test_more_runs_and_more_steps_never_leave_more(plain: nn.Module, few: Examples) -> None:
    enemy, friend = looked(plain, few), looked(plain, few, objective="friend")
    left = [[float(exact(enemy.accuracy(run, step))) for step in range(8)] for run in (1, 2, 3)]
    found = [[float(exact(friend.accuracy(run, step))) for step in range(8)] for run in (1, 2, 3)]
    assert (np.diff(left, axis=0) <= 0).all()
    assert (np.diff(left, axis=1) <= 0).all()
    assert (np.diff(found, axis=0) >= 0).all()
    assert (np.diff(found, axis=1) >= 0).all()
    single = PGD(steps=7)(
        plain,
        few.batch(),
        threat=Linf(EPS),
        objective=Untargeted(),
        key=Key(0).fold("converge").fold(0),
    )
    assert left[0][-1] == pytest.approx(1 - float(single.success.double().mean()))


def test_late_and_last_count_what_only_they_reached() -> None:
    reached = np.zeros((2, 4, 11), dtype=bool)
    reached[0, 0, 3:] = reached[0, 1, 9:] = reached[1, 1, 2:] = True
    reached[1, 2, 10:] = True
    seen = Convergence(
        "m", "d", "t", "untargeted", "a", np.arange(4), np.zeros((2, 4, 11), np.float32), reached, 0, {}
    )
    assert (seen.late, seen.last) == (1, 1)
    assert [float(exact(seen.accuracy(run))) for run in (1, 2)] == [0.5, 0.25]
    assert float(exact(seen.accuracy(2, 2))) == 0.75


def test_a_run_goes_on_where_it_was(plain: nn.Module, few: Examples, tmp_path: Path) -> None:
    first = looked(plain, few, out=tmp_path)
    jobs = {file: file.stat().st_mtime_ns for file in tmp_path.glob("jobs/*")}
    again = looked(plain, few, out=tmp_path)
    np.testing.assert_array_equal(first.loss, again.loss)
    np.testing.assert_array_equal(first.reached, again.reached)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.glob("jobs/*")} == jobs


def test_what_is_not_finite_is_left_out_and_counted(plain: nn.Module, few: Examples) -> None:
    x = few.x.clone()
    x[3, 0, 0, 0] = math.nan
    seen = looked(plain, replace(few, x=x))
    assert seen.apart == 1
    assert seen.index.tolist() == [index for index in few.index.tolist() if index != int(few.index[3])]
    np.testing.assert_allclose(seen.loss, np.delete(looked(plain, few).loss, 3, 1), rtol=1e-4, atol=1e-5)
    with pytest.raises(DataError, match="finite answers"):
        looked(plain, replace(few, x=torch.full_like(few.x, math.nan)))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"attack": "deepfool"}, "climbs a loss step by step"),
        ({"attack": "square"}, "climbs a loss step by step"),
        ({"attack": "pgd,bim"}, "climbs a loss step by step"),
        ({"attack": "pgd(steps=0)"}, "at least one step"),
        ({"attack": "apgd(shrinking=yes)"}, "leave shrinking off"),
        ({"loss": "no"}, "unknown loss"),
        ({"objective": "foe"}, "unknown objective"),
        ({"restarts": 0}, "restarts >= 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(plain: nn.Module, few: Examples, more: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        looked(plain, few, **more)


@pytest.mark.parametrize("attack", ["apgd", "mifgsm", "pgd(loss=dlr)"])
@pytest.mark.parametrize("objective", ["enemy", "friend", "reversal"])
def test_every_climber_can_be_watched(plain: nn.Module, few: Examples, attack: str, objective: str) -> None:
    seen = looked(plain, few, attack=attack, objective=objective, restarts=2)
    assert np.isfinite(seen.loss).all()
    assert seen.loss.shape[2] == 8
