"""The loss over a plane through each input, against closed forms and against the model itself."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.oracles import linear_net
from torch import nn
from torch.nn.functional import cross_entropy

from frenemy.data.examples import Examples
from frenemy.errors import DataError, UsageError
from frenemy.models.model import Model
from frenemy.risks.landscape import landscape
from frenemy.risks.views import Landscape
from frenemy.rng import Key
from frenemy.threats.l1 import L1
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.threats.spatial import Spatial
from frenemy.threats.sphere import Sphere
from frenemy.threats.threat import Threat

EPS = 0.1


def surveyed(model: Model, data: Examples, **more: Any) -> Landscape:
    return landscape(model, data, **{"threat": Linf(EPS), "points": 5, **more})


@pytest.mark.parametrize(
    "threat", [Linf(EPS), L2(EPS), L1(EPS), Sphere(L2(EPS))], ids=lambda t: type(t).__name__
)
def test_the_margin_of_a_linear_model_is_a_plane(threat: Threat) -> None:
    """It rises by a times the dual norm of its slope along the gradient, by b <w, v> at random, and never bends."""
    model, index = linear_net(6, 2, Key(2)), torch.arange(20)
    x = Key(3).uniform(index, (6,))
    with torch.no_grad():
        logits = model(x)
        y, slope = logits.argmax(1), model.layer.weight[1] - model.layer.weight[0]
    seen = surveyed(model, Examples("linear", x=x, y=y, classes=("a", "b")), threat=threat, loss="margin")
    ball = getattr(threat, "ball", threat)
    lead = (logits[:, 0] - logits[:, 1]).abs()[:, None]
    along = (lead * 0 + ball.dual_norm(slope[None])) * torch.linspace(-EPS, EPS, 5)
    np.testing.assert_allclose(seen.loss[:, :, 2], (along - lead).numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(seen.plane[:, 0], ball.dual_norm(slope[None]).expand(20).numpy(), rtol=1e-5)
    assert np.abs(seen.bend).max() < 1e-5
    assert (np.abs(seen.plane[:, 1]) <= seen.plane[:, 0] * (1 + 1e-6)).all(), "no direction is steeper"
    assert seen.rise == pytest.approx(
        (float(seen.plane[:, 0].mean()) * EPS, float(seen.plane[:, 1].mean()) * EPS), abs=1e-5
    )


def test_every_height_is_the_loss_of_the_model_there(plain: nn.Module, few: Examples) -> None:
    seen = surveyed(plain, few, batch_size=7, span=2.0)
    plain.eval()
    x = few.x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cross_entropy(plain(x), few.y, reduction="sum"), x)
    key = Key(0).fold("landscape")
    v = torch.where(key.uniform(few.index, (1, 8, 8), torch.float32) < 0.5, -1.0, 1.0)
    assert seen.sizes == pytest.approx([-0.2, -0.1, 0, 0.1, 0.2])
    with torch.no_grad():
        for i, a in enumerate(seen.sizes):
            for j, b in enumerate(seen.sizes):
                loss = cross_entropy(
                    plain(few.x + float(a) * gradient.sign() + float(b) * v), few.y, reduction="none"
                )
                np.testing.assert_allclose(seen.loss[:, i, j], loss.numpy(), rtol=1e-3, atol=1e-4)


def test_models_are_compared_along_the_same_random_directions() -> None:
    """The slope of a linear model in the random direction is <w, v>: of two models opposed, once that and once less."""
    model, index = linear_net(6, 2, Key(2)), torch.arange(20)
    data = Examples("linear", x=Key(3).uniform(index, (6,)), y=index % 2, classes=("a", "b"))
    opposed = linear_net(6, 2, Key(2))
    with torch.no_grad():
        opposed.layer.weight.neg_()
    first, other = surveyed(model, data, loss="margin"), surveyed(opposed, data, loss="margin")
    np.testing.assert_allclose(first.plane[:, 1], -other.plane[:, 1], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(first.loss, surveyed(model, data, loss="margin", batch_size=3).loss)
    assert not np.allclose(first.plane, surveyed(model, data, loss="margin", seed=1).plane)


def test_a_run_goes_on_where_it_was(plain: nn.Module, few: Examples, tmp_path: Path) -> None:
    first = surveyed(plain, few, out=tmp_path)
    jobs = {file: file.stat().st_mtime_ns for file in tmp_path.glob("jobs/*")}
    again = surveyed(plain, few, out=tmp_path, batch_size=3)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.glob("jobs/*")} == jobs
    np.testing.assert_array_equal(first.loss, again.loss)


def test_what_is_not_finite_is_left_out_and_counted(plain: nn.Module, few: Examples) -> None:
    x = few.x.clone()
    x[3, 0, 0, 0] = math.nan
    seen = surveyed(plain, replace(few, x=x))
    assert (seen.apart, len(seen.loss)) == (1, 59)
    with pytest.raises(DataError, match="finite answers"):
        surveyed(plain, replace(few, x=torch.full_like(few.x, math.nan)))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"points": 4}, "odd number of points"),
        ({"points": 1}, "odd number of points"),
        ({"span": 0.0}, "span above 0"),
        ({"span": math.nan}, "span above 0"),
        ({"threat": Spatial()}, "no directions"),
        ({"loss": "no"}, "unknown loss"),
        ({"objective": "foe"}, "unknown objective"),
        ({"batch_size": 0}, "batch_size >= 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(plain: nn.Module, few: Examples, more: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        surveyed(plain, few, **more)


def test_probabilities_have_the_landscape_of_their_logits(plain: nn.Module, few: Examples) -> None:
    logits, soft = surveyed(plain, few), surveyed(lambda x: plain(x).softmax(1), few)
    np.testing.assert_allclose(soft.loss, logits.loss, rtol=1e-3, atol=1e-4)
