"""The nearest boundary points, against closed forms for linear models and against the model itself."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.oracles import linear_net
from torch import Tensor, nn

from frenemy.data.examples import Examples
from frenemy.data.rules import Rules
from frenemy.errors import DataError, UsageError
from frenemy.models.linear import Linear
from frenemy.risks.borders import Borders
from frenemy.risks.boundary import boundary
from frenemy.rng import Key

NORMS = {"l2": 2.0, "linf": math.inf, "l1": 1.0}
INDEX = torch.arange(20)


def wide(x: Tensor, y: Tensor | None = None, classes: int = 3) -> Examples:
    """Examples in a box that is never in the way."""
    y = torch.zeros(len(x), dtype=torch.int64) if y is None else y
    names = tuple("abcdef"[:classes])
    return Examples("wide", x=x, y=y, classes=names, low=-100.0, high=100.0)


def nearest(model: Linear, x: Tensor, order: float, towards: int | None) -> Tensor:
    """Exact distances for an affine map: to each half-space `(w_k - w_c) x + b_k - b_c > 0`, by the dual norm.

    Towards one class of three the set is an intersection; its distance is at least the largest of these, and equal to
    it for two classes.
    """
    weight, bias = model.layer.weight.detach(), model.layer.bias.detach()
    with torch.no_grad():
        logits = model(x)
    own = logits.argmax(1)
    dual = {2.0: 2.0, math.inf: 1.0, 1.0: math.inf}[order]
    gaps = logits.gather(1, own[:, None]) - logits
    norms = torch.linalg.vector_norm(weight[own][:, None] - weight[None], dual, dim=2)
    far = torch.where(torch.arange(len(bias)) == own[:, None], math.inf, gaps / norms)
    return far.amin(1) if towards is None else torch.where(own == towards, far.amin(1), far[:, towards])


@pytest.mark.parametrize("norm", NORMS)
def test_distances_of_a_linear_model_are_exact(norm: str) -> None:
    model, x = linear_net(6, 3, Key(2)), Key(3).normal(INDEX, (6,))
    seen = boundary(model, wide(x), threat=f"{norm}:1000")
    expected = nearest(model, x, NORMS[norm], None).numpy()
    assert (seen.distance >= expected * (1 - 1e-5)).all(), "nothing is nearer than the boundary"
    np.testing.assert_allclose(seen.distance, expected, rtol=0.02)
    on_border(model, seen, NORMS[norm])


def on_border(model: nn.Module, seen: Borders, order: float) -> None:
    """The answer is another at each point, and the model's own a ten-thousandth of the way before it."""
    point, x = torch.tensor(seen.point), torch.tensor(seen.x)
    np.testing.assert_allclose(seen.point + seen.remover, seen.x, atol=1e-6)
    with torch.no_grad():
        there, here = model(point).argmax(1).numpy(), model(x).argmax(1).numpy()
        before = model(point.lerp(x, 1e-4)).argmax(1).numpy()
    np.testing.assert_array_equal(there, seen.after)
    np.testing.assert_array_equal(here, seen.before)
    assert (there != here).all()
    np.testing.assert_array_equal(before, here)
    far = torch.linalg.vector_norm((x - point).flatten(1), order, dim=1).numpy()
    np.testing.assert_allclose(far, seen.distance, rtol=1e-5)


def test_towards_a_class_is_the_boundary_of_that_class() -> None:
    """Whoever has the answer leaves it, all others come to it; with two classes both distances are exact."""
    model, x = linear_net(6, 2, Key(2)), Key(3).normal(INDEX, (6,))
    seen = boundary(model, wide(x, classes=2), towards="b")
    np.testing.assert_allclose(seen.distance, nearest(model, x, 2.0, 1).numpy(), rtol=0.02)
    assert ((seen.before == 1) != (seen.after == 1)).all()
    assert 0 < (seen.before == 1).sum() < len(x), "both kinds of example are there"
    three = linear_net(6, 3, Key(2))
    seen = boundary(three, wide(x), towards="c")
    assert ((seen.before == 2) | (seen.after == 2)).all()
    assert (seen.distance >= nearest(three, x, 2.0, 2).numpy() * (1 - 1e-5)).all()


def test_labels_alone_come_near(plain: nn.Module, few: Examples) -> None:
    """HopSkipJump, which sees labels, ends at most twice as far as searches that follow gradients."""
    some = few.take(slice(0, 6))
    led, asked = (boundary(plain, some, access=access) for access in ("gradients", "labels"))
    on_border(plain, led, 2.0)
    on_border(plain, asked, 2.0)
    assert (asked.distance >= 0.98 * led.distance).all()
    assert np.median(asked.distance / led.distance) < 2


def test_the_numbers_do_not_depend_on_the_batch_nor_on_a_stop(
    plain: nn.Module, few: Examples, tmp_path: Path
) -> None:
    one = boundary(plain, few, attacks="deepfool", batch_size=7, out=tmp_path)
    for other in (
        boundary(plain, few, attacks="deepfool", batch_size=64),
        boundary(plain, few, attacks="deepfool", batch_size=7, out=tmp_path),
    ):
        np.testing.assert_allclose(one.distance, other.distance, rtol=1e-3)
        np.testing.assert_array_equal(one.after, other.after)


def test_what_cannot_be_found_or_judged_is_said() -> None:
    x = Key(3).normal(INDEX, (6,))
    constant = linear_net(6, 3, Key(2))
    with torch.no_grad():
        constant.layer.weight.zero_()
    seen = boundary(constant, wide(x))
    assert not seen.found.any()
    np.testing.assert_array_equal(seen.point, seen.x)
    x[4, 2] = torch.nan
    seen = boundary(linear_net(6, 3, Key(2)), wide(x))
    assert seen.apart == 1
    assert 4 not in seen.index
    with pytest.raises(DataError, match="finite answer"):
        boundary(linear_net(6, 3, Key(2)), wide(torch.full_like(x, torch.nan)))


def test_a_short_look_finds_only_what_is_near() -> None:
    model, x = linear_net(6, 3, Key(2)), Key(3).normal(INDEX, (6,))
    expected = nearest(model, x, 2.0, None)
    eps = float(expected.median())
    seen = boundary(model, wide(x), threat=f"l2:{eps}")
    clear = ((expected - eps).abs() > 0.02 * eps).numpy()
    np.testing.assert_array_equal(seen.found[clear], (expected < eps).numpy()[clear])


def test_a_table_with_rules_is_refused_since_they_would_not_be_heeded() -> None:
    data = replace(wide(Key(3).normal(INDEX, (6,))), rules=Rules(columns=tuple("abcdef"), fixed=(0,)))
    with pytest.raises(UsageError, match="table without rules"):
        boundary(linear_net(6, 3, Key(2)), data)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"threat": "l0:3"}, "expected l2, linf or l1, got l0"),
        ({"threat": "spatial:30"}, "expected l2, linf or l1, got spatial"),
        ({"towards": "z"}, "expected one of the classes a, b, c, got 'z'"),
        ({"access": "labels", "attacks": "deepfool"}, "got DeepFool, which needs gradients"),
        ({"batch_size": 0}, "batch_size >= 1"),
    ],
)
def test_what_cannot_be_used_is_refused(more: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        boundary(linear_net(6, 3, Key(2)), wide(Key(3).normal(INDEX, (6,))), **more)  # type: ignore[arg-type]
