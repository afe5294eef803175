"""Lexicographic updates: the projection against its optimality conditions, and what a step does to each loss."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from frenemy.data.batch import Batch
from frenemy.data.examples import Examples
from frenemy.errors import DivergedError, UsageError
from frenemy.models.build import initialise
from frenemy.rng import Key
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.training.alphamix import AlphaMix
from frenemy.training.engine import Engine
from frenemy.training.fit import fit
from frenemy.training.gem import multipliers
from frenemy.training.lexicographic import Lexicographic, combined
from frenemy.training.memory import Memory
from frenemy.training.olgrc import OLGRC
from frenemy.training.olsrc import OLSRC
from frenemy.training.perceptron import begin, improve, logits
from frenemy.training.pose import Pose
from frenemy.training.recipe import Term, Terms, Views
from frenemy.training.regime import Regime
from frenemy.training.step import Step

vectors = st.integers(2, 5).flatmap(
    lambda count: st.lists(
        st.lists(st.integers(-4, 4), min_size=4, max_size=4), min_size=count, max_size=count
    )
)


def projections(g: np.ndarray) -> np.ndarray:
    found: np.ndarray = g + multipliers(g @ g.T) @ g
    return found


@given(vectors)
@settings(max_examples=300, deadline=None)
def test_the_projection_meets_its_optimality_conditions(rows: list[list[int]]) -> None:
    """Feasible, multipliers not negative, none where its constraint is slack: KKT, which suffice for a convex QP.

    Small whole numbers make gradients that depend on one another common.
    """
    g = np.array(rows, dtype=float)
    v, z = multipliers(g @ g.T), projections(np.array(rows, dtype=float))
    assert (v >= 0).all()
    assert np.allclose(v, np.tril(v, -1))
    for t in range(len(g)):
        for k in range(t):
            assert z[t] @ g[k] >= -1e-6
            assert abs(v[t, k] * (z[t] @ g[k])) <= 1e-5 * (1 + v[t, k])


@given(vectors)
@settings(max_examples=100, deadline=None)
def test_no_set_of_active_constraints_comes_nearer(rows: list[list[int]]) -> None:
    """Brute force: project on every subset of the constraints as equations; the nearest feasible one is ours."""
    g = np.array(rows, dtype=float)
    t = len(g) - 1
    best = np.inf
    for size in range(t + 1):
        for active in itertools.combinations(range(t), size):
            a = g[list(active)]
            z = g[t] - np.linalg.pinv(a) @ (a @ g[t]) if size else g[t]
            if all(z @ g[k] >= -1e-9 for k in range(t)):
                best = min(best, float(np.linalg.norm(z - g[t])))
    assert float(np.linalg.norm(projections(g)[t] - g[t])) == pytest.approx(best, abs=1e-5)


@given(vectors, st.lists(st.floats(0.01, 1), min_size=5, max_size=5))
@settings(deadline=None)
def test_without_conflict_it_is_the_weighted_sum(rows: list[list[int]], shares: list[float]) -> None:
    g = np.abs(np.array(rows, dtype=float))
    weights = torch.tensor(shares[: len(g)])
    mine = combined(weights, torch.tensor(g))
    torch.testing.assert_close(mine, weights.double() @ torch.tensor(g))


def test_of_two_it_is_the_closed_form() -> None:
    g = np.array([[1.0, 0.0, 0.0], [-3.0, 1.0, 2.0]])
    np.testing.assert_allclose(projections(g), [[1, 0, 0], [0, 1, 2]])
    assert (multipliers(np.zeros((3, 3))) == 0).all()


class Quadratics:
    """Losses (w - c_t)^2 scaled, whose gradients are known: a recipe of three terms that look at no data."""

    card: Any = None
    presets: Any = {}

    def __init__(self, centres: list[list[float]], weights: list[float]) -> None:
        self.centres, self.weights = torch.tensor(centres, dtype=torch.float64), weights

    def views(self, model: Any, batch: Any, *, threat: Any, memory: Any, key: Any) -> Views:
        return Views({"clean": batch.x})

    def terms(self, model: Any, batch: Any, views: Views, memory: Any) -> Terms:
        gaps = ((model.weight[0] - self.centres) ** 2).sum(1)
        return {
            str(k): Term(gap.expand(len(batch)), weight)
            for k, (gap, weight) in enumerate(zip(gaps, self.weights, strict=True))
        }


def step_of(recipe: Any, model: nn.Module, rate: float = 1e-4, optimiser: Any = torch.optim.SGD) -> Step:
    rows = Examples("some", torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64), ("a", "b"))
    batch = rows.batch()
    return Step(
        recipe,
        model,
        optimiser(model.parameters(), lr=rate),
        Memory(rows.index),
        batch,
        len(batch),
        Linf(0.0),
        Key(0),
        Pose(model),
        Engine(torch.device("cpu")),
    )


def linear(start: list[float]) -> nn.Linear:
    model = nn.Linear(3, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([start]))
    return model


@given(
    st.lists(st.lists(st.floats(-2, 2), min_size=3, max_size=3), min_size=2, max_size=4),
    st.sampled_from([torch.optim.SGD, torch.optim.Adam]),
)
@settings(max_examples=80, deadline=None)
def test_a_step_never_raises_the_first_loss(centres: list[list[float]], optimiser: Any) -> None:
    """To first order: by plain descent when gradients are projected, by any optimiser when its step is."""
    place = "gradient" if optimiser is torch.optim.SGD else "step"
    model = linear([0.3, -0.2, 0.1])
    recipe = Quadratics(centres, [1 / len(centres)] * len(centres))
    gradient = 2 * (model.weight[0].detach() - recipe.centres[0])
    before = model.weight.detach().clone()
    Lexicographic(place)(step_of(recipe, model, optimiser=optimiser))
    moved = (model.weight.detach() - before)[0]
    assert float(moved @ gradient) <= 1e-12


def test_what_is_followed_of_a_loss_raises_none_before_it() -> None:
    """With all weight on the last of three, neither of the others rises."""
    centres = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-3.0, -3.0, 2.0]]
    model = linear([0.0, 0.0, 0.0])
    before = model.weight.detach().clone()
    Lexicographic()(step_of(Quadratics(centres, [1e-12, 1e-12, 1.0]), model))
    moved = (model.weight.detach() - before)[0]
    for centre in centres[:2]:
        assert float(moved @ (2 * (before[0] - torch.tensor(centre, dtype=torch.float64)))) <= 1e-12
    assert float(moved[2]) > 0


def test_adam_undoes_a_projected_gradient_and_not_a_projected_step() -> None:
    """What 002 suspects of its own order: rescaled coordinates turn the sum against the first loss."""
    centres, start = [[-0.5, 1.0, 0.0], [-2.0, -2.0, 0.0]], [0.0, 0.0, 0.0]
    recipe = Quadratics(centres, [0.5, 0.5])
    raised = {}
    for place in ("gradient", "step"):
        model = linear(start)
        gradient = 2 * (model.weight[0].detach() - recipe.centres[0])
        before = model.weight.detach().clone()
        Lexicographic(place)(step_of(recipe, model, optimiser=torch.optim.Adam))
        raised[place] = float((model.weight.detach() - before)[0] @ gradient)
    assert raised["gradient"] == pytest.approx(1e-4, rel=1e-3)  # Adam steps by the signs: (-1, -1) rate
    assert raised["step"] <= 1e-15


def some(rows: int = 24) -> Examples:
    index = torch.arange(rows)
    return Examples("some", Key(0).uniform(index, (1, 4, 5)), index % 3, ("a", "b", "c"), index=index)


def net() -> nn.Module:
    return initialise(nn.Sequential(nn.Flatten(), nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 3)), Key(1))


def test_without_conflict_olsrc_is_alpha_mix_at_an_exact_norm() -> None:
    """At eps 0 both losses have one gradient, and the weights come out the same up to rounding."""
    regime = Regime(epochs=3, batch_size=24, optimiser="sgd", momentum=0.0, rate=0.1, select="last")
    trained = [
        fit(recipe, net(), some(), key=Key(0), threat=Linf(0.0), regime=regime).model.state_dict()
        for recipe in (OLSRC(steps=1), AlphaMix(alpha=0.5))
    ]
    for name, value in trained[0].items():
        torch.testing.assert_close(value, trained[1][name])


@pytest.mark.parametrize(
    "recipe", [OLSRC(sizes=(0.5, 1.0), steps=2), OLGRC(sizes=(0.5, 1.0), steps=2, hidden=6)]
)
def test_a_killed_training_comes_to_the_same_weights(recipe: Any, tmp_path: Any) -> None:
    """The discriminator and its moments are in the checkpoint."""

    class Stop(Exception):
        pass

    def stopping(what: str, share: float) -> None:
        if share >= 0.5:
            raise Stop

    regime = Regime(epochs=4, batch_size=12, select="last")
    made: dict[str, Any] = {"key": Key(0), "threat": Linf(0.1), "regime": regime}
    whole = fit(recipe, net(), some(), **made).model.state_dict()
    with pytest.raises(Stop):
        fit(recipe, net(), some(), out=tmp_path, told=stopping, **made)
    again = fit(recipe, net(), some(), out=tmp_path, **made).model.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


def test_the_discriminator_learns_as_adam_of_pytorch_does() -> None:
    memory = Memory(torch.arange(3))
    begin(memory, 5, 7, 3)
    first, last = nn.Linear(5, 7), nn.Linear(7, 3)
    theirs = nn.Sequential(first, nn.LeakyReLU(0.2), last)
    with torch.no_grad():
        first.weight.copy_(memory.shared["w1"].T)
        last.weight.copy_(memory.shared["w2"].T)
        first.bias.zero_()
        last.bias.zero_()
    adam = torch.optim.Adam(theirs.parameters(), lr=0.01)
    x, y = Key(2).normal(torch.arange(11), (5,)), torch.arange(11) % 3
    for _ in range(20):
        loss = nn.functional.cross_entropy(theirs(x), y)
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        assert float(improve(memory, x, y, 0.01)) == pytest.approx(loss.item(), rel=1e-5)
    torch.testing.assert_close(logits(memory, x), theirs(x).detach(), rtol=1e-4, atol=1e-5)


def test_a_point_that_was_met_at_smaller_norms_is_left() -> None:
    """On a line whose part below 1 is known as met, the search at norm 1 from 0.5 goes to 1.5, whatever the loss."""
    memory = Memory(torch.arange(1))
    recipe = OLGRC(steps=6, step_size=1.5, hidden=64)
    x = Key(5).uniform(torch.arange(400), (1,)) * 6 - 3
    begin(memory, 1, 64, 2)
    for _ in range(400):
        improve(memory, x, (x[:, 0] > 1).long(), 0.02)
    model = nn.Linear(1, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        model.bias.zero_()
    batch = Batch(torch.full((8, 1), 0.5), torch.zeros(8, dtype=torch.int64), torch.arange(8))
    views = recipe.views(model, batch, threat=L2(1.0, -9.0, 9.0), memory=memory, key=Key(0))
    np.testing.assert_allclose(views.x["norm 1"][:, 0].numpy(), 1.5, atol=1e-5)
    np.testing.assert_allclose(views.x["most 1"][:, 0].numpy(), -0.5, atol=1e-5)
    np.testing.assert_allclose(views.x["least 1"][:, 0].numpy(), 1.5, atol=1e-5)
    assert bool((views.facts["unexplored 1"] > 0.5).all())


def test_unexplored_is_what_was_met_at_no_smaller_norm() -> None:
    """The classes of the discriminator are the input and the norms; those from the norm that is asked for on count."""
    recipe, memory = OLGRC(sizes=(0.5, 1.0), steps=1, hidden=6), Memory(torch.arange(24))
    recipe.remember(memory, some(), 24)
    batch = some().batch(torch.arange(24))
    views = recipe.views(net(), batch, threat=Linf(0.3), memory=memory, key=Key(0))
    for place, share in ((1, "0.5"), (2, "1")):
        shares = logits(memory, views.x[f"norm {share}"]).softmax(1)
        torch.testing.assert_close(views.facts[f"unexplored {share}"], shares[:, place:].sum(1))


def test_what_cannot_be_is_refused() -> None:
    for sizes in ((), (0.0, 1.0), (1.0, 0.5), (0.5, 1.5)):
        with pytest.raises(UsageError, match="expected sizes that ascend"):
            OLSRC(sizes=sizes)
    with pytest.raises(UsageError, match="expected sizes that differ in six digits"):
        OLGRC(sizes=(0.5, 0.5 + 1e-9))
    for maker in (OLSRC, OLGRC):
        with pytest.raises(UsageError, match="unknown project 'gradeint'"):
            maker(project="gradeint")
    with pytest.raises(UsageError, match="unknown project"):
        OLGRC(project="before")
    with pytest.raises(UsageError, match="expected hidden neurons"):
        OLGRC(hidden=0)
    with pytest.raises(DivergedError, match="expected a finite loss"):
        Lexicographic()(step_of(Quadratics([[float("nan")] * 3, [0.0] * 3], [0.5, 0.5]), linear([0.0] * 3)))
