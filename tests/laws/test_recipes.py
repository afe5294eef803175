"""Laws of every recipe in the folder; the file names none."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tests.oracles import randomness, traces
from torch import nn

from frenemy.catalog import catalog
from frenemy.data.batch import Batch
from frenemy.data.examples import Examples
from frenemy.models.build import initialise
from frenemy.models.masks import MaskedNorm
from frenemy.rng import Key
from frenemy.threats.l1 import L1
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf
from frenemy.threats.threat import Threat, radii
from frenemy.training.memory import Memory
from frenemy.training.pose import Pose
from frenemy.training.recipe import Learns, Recipe, Remembers, Terms, Views, prepared, total
from frenemy.training.regime import Regime

RECIPES = {name: part.load() for name, part in catalog("training").items()}
EPS = {"Linf": 0.1, "L2": 0.4, "L1": 1.0}
every = pytest.mark.parametrize("name", RECIPES)
attacking = pytest.mark.parametrize(
    "name", [name for name in RECIPES if RECIPES[name].card.vicinity[4] == "yes"]
)
calm = pytest.mark.parametrize("name", [name for name in RECIPES if RECIPES[name].card.vicinity[4] == "no"])
apart = pytest.mark.parametrize(
    "name", [name for name in RECIPES if not getattr(RECIPES[name], "blends", False)]
)
"""Recipes that attack; those that do not, whose points no threat bounds; those that do not mix examples of a batch."""
threats = pytest.mark.parametrize("kind", [Linf, L2, L1])


def net(dtype: torch.dtype = torch.float64) -> nn.Module:
    """A convolution, batch norm and a smooth bend, for pictures of 4 x 5."""
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Softplus(), nn.Flatten(), nn.Linear(60, 3)
        )
    return initialise(model, Key(1)).to(dtype)


def examples(rows: int = 12) -> Examples:
    index = torch.arange(50, 50 + rows)
    return Examples(
        "some", Key(0).uniform(index, (1, 4, 5)), torch.arange(rows) % 3, ("a", "b", "c"), index=index
    )


def batch_of(some: Examples, dtype: torch.dtype = torch.float64) -> Batch:
    batch = some.batch()
    return Batch(batch.x.to(dtype), batch.y, batch.index)


def memory_of(recipe: Recipe, some: Examples, epoch: int = 0) -> Memory:
    memory = Memory(some.index)
    if isinstance(recipe, Remembers):
        recipe.remember(memory, some, len(some))
    memory.epoch = epoch
    return memory


def look(recipe: Recipe, model: nn.Module, batch: Batch, threat: Threat, memory: Memory) -> Views:
    with Pose(model)() as posed:
        return recipe.views(posed, batch, threat=threat, memory=memory, key=Key(3))


@every
def test_the_card_says_what_a_recipe_is(name: str) -> None:
    recipe: Any = RECIPES[name]
    assert isinstance(recipe(), Recipe)
    assert len(recipe.card.vicinity) == 5
    assert recipe.card.vicinity[4] in ("yes", "no")
    assert recipe.presets
    for preset in recipe.presets.values():
        assert isinstance(recipe(**preset.recipe), Recipe)
        assert Regime(**preset.regime).epochs >= 1


@attacking
@threats
@pytest.mark.parametrize("epoch", [0, 30])
def test_every_view_is_in_the_set_or_within_the_reach_that_is_written(
    name: str, kind: Any, epoch: int
) -> None:
    """A recipe with an eps for each example may go as far as it says in `eps` or `margin`."""
    recipe: Recipe = RECIPES[name]()
    model, some = prepared(recipe, net()), examples()
    batch, eps = batch_of(some), EPS[kind.__name__]
    memory, threat = memory_of(recipe, some, epoch), kind(eps)
    for _ in range(2):
        views = look(recipe, model, batch, threat, memory)
        own = views.facts.get("eps", views.facts.get("margin"))
        size = radii(eps, batch.x) if own is None else own.clamp(min=eps)
        for x in views.x.values():
            assert bool(threat.contains(x, batch.x, size).all())
            assert x.dtype == batch.x.dtype
        total(recipe.terms(model, batch, views, memory), len(batch)).backward()  # type: ignore[no-untyped-call]
        if isinstance(recipe, Learns):
            recipe.learn(memory, batch, views, threat)


@calm
def test_no_threat_changes_what_does_not_attack(name: str) -> None:
    recipe, model, some = RECIPES[name](), net(), examples()
    batch = batch_of(some)
    none, large = (look(recipe, model, batch, Linf(eps), memory_of(recipe, some)) for eps in (0.0, 0.3))
    assert none.x.keys() == large.x.keys()
    assert all(torch.equal(x, large.x[word]) and x.dtype == batch.x.dtype for word, x in none.x.items())


@attacking
@pytest.mark.parametrize("epoch", [0, 30])
def test_at_eps_nought_every_view_is_the_input_bit_for_bit(name: str, epoch: int) -> None:
    recipe, some = RECIPES[name](), examples()
    model = prepared(recipe, net(torch.float32))
    batch = batch_of(some, torch.float32)
    views = look(recipe, model, batch, Linf(0.0), memory_of(recipe, some, epoch))
    assert all(torch.equal(x, batch.x) for x in views.x.values())


@every
def test_a_model_of_its_own_kind_is_made_beside_the_given_one_and_once(name: str) -> None:
    """It answers as the given one at first, which is left as it is; and made again it is itself."""
    recipe, model, batch = RECIPES[name](), net(), batch_of(examples())
    before = traces(model)
    made = prepared(recipe, model)
    assert prepared(recipe, made) is made
    torch.testing.assert_close(made.eval()(batch.x), model.eval()(batch.x))
    model.train()
    assert traces(model) == before


@every
def test_looking_leaves_no_trace(name: str) -> None:
    recipe, some = RECIPES[name](), examples()
    model = prepared(recipe, net())
    model.train()
    before, draws = traces(model), randomness()
    look(recipe, model, batch_of(some), Linf(0.1), memory_of(recipe, some))
    assert traces(model) == before
    assert randomness() == draws


@apart
def test_a_view_is_a_matter_of_its_own_row(name: str) -> None:
    """What lies in the batch beside it changes nothing, but for perturbations that go by the place in the batch."""
    recipe, some = RECIPES[name](), examples()
    model = prepared(recipe, net())
    batch = batch_of(some)
    whole = look(recipe, model, batch, Linf(0.1), memory_of(recipe, some, 30))
    part = look(recipe, model, batch.rows(slice(4, 9)), Linf(0.1), memory_of(recipe, some, 30))
    for word, x in whole.x.items():
        torch.testing.assert_close(part.x[word], x[4:9], rtol=0, atol=1e-9)
    for word, values in whole.facts.items():
        torch.testing.assert_close(part.facts[word], values[4:9], rtol=0, atol=1e-9)


def asked(name: str) -> tuple[nn.Module, Batch, Views, Any]:
    recipe, some = RECIPES[name](), examples()
    model = prepared(recipe, net())
    batch, memory = batch_of(some), memory_of(recipe, some, 30)
    views = look(recipe, model, batch, Linf(0.1), memory)
    model.train()

    def terms() -> Terms:
        found: Terms = recipe.terms(model, batch, views, memory)
        return found

    return model, batch, views, terms


@every
def test_terms_are_finite_losses_a_row(name: str) -> None:
    _, batch, _, terms = asked(name)
    for term in terms().values():
        assert term.loss.shape == batch.y.shape
        assert bool(term.loss.isfinite().all())
        assert bool((term.loss >= -1e-9).all())
        assert math.isfinite(term.weight)
        assert term.weight >= 0


@every
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    model, batch, _, terms = asked(name)
    weights = list(model.parameters())
    gradients = torch.autograd.grad(total(terms(), len(batch)), weights)
    direction = [
        Key(9).fold(n).normal(torch.zeros(1, dtype=torch.int64), tuple(p.shape), p.dtype)[0]
        for n, p in enumerate(weights)
    ]
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, direction, strict=True))
    values = []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            for weight, way in zip(weights, direction, strict=True):
                weight.add_(step * way)
            values.append(float(total(terms(), len(batch))))
    assert (values[0] - values[1]) / 2e-5 == pytest.approx(slope, rel=1e-5, abs=1e-7)


@every
def test_terms_are_a_pure_function_of_the_weights(name: str) -> None:
    model, _, _, terms = asked(name)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | MaskedNorm):
            module.momentum = 0.0
    first, again = terms(), terms()
    for word, term in first.items():
        assert torch.equal(again[word].loss, term.loss)
