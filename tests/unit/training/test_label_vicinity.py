"""Methods of label and input vicinity, against plain Python, closed forms and one another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from frenemy.data.batch import Batch
from frenemy.data.examples import Examples
from frenemy.errors import DivergedError, UsageError
from frenemy.models.build import initialise
from frenemy.rng import Key
from frenemy.threats.linf import Linf
from frenemy.training.bilateral import Bilateral
from frenemy.training.cat import CAT
from frenemy.training.cure import CURE
from frenemy.training.engine import Engine
from frenemy.training.fit import fit
from frenemy.training.gaussian import Gaussian
from frenemy.training.inputgradient import InputGradient
from frenemy.training.labelsmoothing import LabelSmoothing
from frenemy.training.logitpairing import LogitPairing
from frenemy.training.memory import Memory
from frenemy.training.mixup import Mixup
from frenemy.training.pgdat import PGDAT
from frenemy.training.pose import Pose
from frenemy.training.recipe import Views, total
from frenemy.training.regime import Regime
from frenemy.training.sprout import SPROUT
from frenemy.training.stability import Stability
from frenemy.training.standard import Standard
from frenemy.training.step import Step
from frenemy.training.update import Perturbed, Sum
from frenemy.training.vicinity import dirichlet, mixed, onto_simplex, partners, smoothed

ROWS = 24


def some(rows: int = ROWS) -> Examples:
    index = torch.arange(rows)
    return Examples("some", Key(0).uniform(index, (1, 3, 4)), index % 3, ("a", "b", "c"), index=index)


def net() -> nn.Module:
    return initialise(nn.Sequential(nn.Flatten(), nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, 3)), Key(1))


def look(recipe: Any, model: nn.Module, memory: Memory, threat: Any, key: int = 3) -> tuple[Batch, Views]:
    batch = some().batch()
    with Pose(model)() as posed:
        return batch, recipe.views(posed, batch, threat=threat, memory=memory, key=Key(key))


def memory_of(recipe: Any) -> Memory:
    memory = Memory(some().index)
    if hasattr(recipe, "remember"):
        recipe.remember(memory, some(), ROWS)
    return memory


def weights_after(recipe: Any, threat: Any = None) -> dict[str, torch.Tensor]:
    regime = Regime(epochs=2, batch_size=8, select="last")
    return fit(recipe, net(), some(), key=Key(0), threat=threat, regime=regime).model.state_dict()


@pytest.mark.parametrize(
    ("recipe", "limit", "eps"),
    [
        (Gaussian(deviation=0.0), Standard(), 0.0),
        (LabelSmoothing(alpha=0.0), Standard(), 0.0),
        (Stability(alpha=0.0, forward="separate"), Standard(), 0.0),
        (InputGradient(lamb=0.0), Standard(), 0.0),
        (CURE(gamma=0.0), Standard(), 0.0),
        (SPROUT(deviation=0.0, shape=0.0, dirichlet=False), Standard(), 0.0),
        (LogitPairing(lamb=0.0, alpha=0.0, forward="separate"), PGDAT(), 0.1),
        (CAT(smoothing=0.0, margin=0.0), Standard(), 0.0),
        (CAT(adapt_eps=False, adapt_labels=False, margin=0.0), PGDAT(start="input"), 0.1),
    ],
    ids=lambda one: type(one).__name__,
)
def test_without_its_part_a_method_is_its_limit_bit_for_bit(recipe: Any, limit: Any, eps: float) -> None:
    mine, plain = weights_after(recipe, Linf(eps)), weights_after(limit, Linf(eps))
    assert all(torch.equal(value, plain[name]) for name, value in mine.items())


@given(
    st.lists(st.floats(0.02, 12), min_size=2, max_size=5),
    st.integers(0, 1000),
)
@settings(max_examples=25, deadline=None)
def test_draws_have_the_mean_and_covariance_of_the_dirichlet(c: list[float], seed: int) -> None:
    """004, eq. 5.7, with the concentration itself in the place of beta; within five standard errors."""
    n = 4_000
    concentration = torch.tensor([c]).expand(n, -1)
    drawn = dirichlet(concentration, torch.arange(n), Key(seed)).numpy()
    assert np.allclose(drawn.sum(1), 1)
    whole = sum(c)
    mean = np.array(c) / whole
    covariance = (np.diag(mean) - np.outer(mean, mean)) / (whole + 1)
    assert (np.abs(drawn.mean(0) - mean) <= 5 * np.sqrt(np.diag(covariance) / n) + 1e-9).all()
    products = (drawn - mean)[:, :, None] * (drawn - mean)[:, None, :]
    error = products.std(0) / math.sqrt(n)
    assert (np.abs(products.mean(0) - covariance) <= 6 * error + 1e-6).all()


def test_a_draw_depends_on_key_example_and_class_alone() -> None:
    c = torch.full((6, 3), 0.7)
    whole = dirichlet(c, torch.arange(6), Key(1))
    assert torch.equal(dirichlet(c[2:4], torch.arange(2, 4), Key(1)), whole[2:4])
    assert not torch.equal(dirichlet(c, torch.arange(6), Key(2)), whole)


def test_the_slope_of_beta_is_the_closed_form_and_that_of_reparametrised_draws() -> None:
    """(l_j - sum_k c_k l_k / c_0) / c_0, times alpha; and the mean of torch's own rsample gradients."""
    recipe, model = SPROUT(alpha=0.4, deviation=0.0, shape=0.0), net()
    memory = memory_of(recipe)
    memory.shared["beta"].copy_(torch.tensor([0.5, 1.5, 1.0]))
    batch, views = look(recipe, model, memory, Linf(0.0))
    total(recipe.terms(model, batch, views, memory), ROWS).backward()  # type: ignore[no-untyped-call]
    slope = views.labels["beta"].grad
    assert slope is not None
    beta = torch.tensor([0.5, 1.5, 1.0], dtype=torch.float64)
    c = 0.6 * one_hot(batch.y, 3).double() + 0.4 * beta
    losses = -model(batch.x).detach().double().log_softmax(1)
    whole = c.sum(1, keepdim=True)
    exact = 0.4 * (losses - (c * losses).sum(1, keepdim=True) / whole) / whole
    torch.testing.assert_close(slope, exact.mean(0), rtol=1e-5, atol=1e-7)
    leaf = beta.clone().requires_grad_()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        many = torch.distributions.Dirichlet(0.6 * one_hot(batch.y, 3).double() + 0.4 * leaf).rsample(
            (60_000,)
        )
    (many * losses).sum(2).mean().backward()
    assert leaf.grad is not None
    torch.testing.assert_close(leaf.grad, slope, rtol=0.03, atol=3e-4)


@pytest.mark.parametrize("reading", ["text", "algorithm", "released"])
def test_the_readings_of_alpha_are_opposite_methods(reading: str) -> None:
    """With alpha 0.01 and beta 1 the label keeps .917, .101 (for 10 classes) or .55 of the mean."""
    index = torch.arange(ROWS)
    ten = Examples("ten", Key(0).uniform(index, (1, 3, 4)), index % 10, tuple("abcdefghij"), index=index)
    recipe, memory = SPROUT(reading=reading, deviation=0.0, shape=0.0), Memory(index)
    recipe.remember(memory, ten, ROWS)
    batch = ten.batch()
    c = recipe._concentrations(batch.y, batch.y, torch.ones(ROWS), memory.shared["beta"].double())["own"]
    kept = float((c / c.sum(1, keepdim=True)).gather(1, batch.y[:, None]).mean())
    assert kept == pytest.approx({"text": 0.9174, "algorithm": 0.1009, "released": 0.55}[reading], abs=1e-3)


def test_beta_climbs_and_keeps_its_sum_and_without_that_is_stopped() -> None:
    recipe, model = SPROUT(rate=5.0), net()
    memory = memory_of(recipe)
    for _ in range(20):
        batch, views = look(recipe, model, memory, Linf(0.0))
        before = total(recipe.terms(model, batch, views, memory), ROWS)
        before.backward()  # type: ignore[no-untyped-call]
        recipe.learn(memory, batch, views, Linf(0.0))
        assert float(memory.shared["beta"].sum()) == pytest.approx(3, rel=1e-5)
        assert float(memory.shared["beta"].min()) >= 1e-3 - 1e-9
    assert float(memory.shared["beta"].max()) > 1.01
    beta = memory.shared["beta"]
    assert recipe.relation(memory).tolist() == [[float(s * t) for t in beta] for s in beta]
    wild = SPROUT(rate=1e7, constrain=False, alpha=1.0)
    batch, views = look(wild, model, memory, Linf(0.0))
    total(wild.terms(model, batch, views, memory), ROWS).backward()  # type: ignore[no-untyped-call]
    with pytest.raises(DivergedError, match="expected a label distribution that stays"):
        wild.learn(memory, batch, views, Linf(0.0))


@given(st.lists(st.floats(-9, 9), min_size=2, max_size=7), st.floats(0, 0.3), st.floats(0, 5))
@settings(max_examples=60, deadline=None)
def test_the_projection_is_the_nearest_point(values: list[float], least: float, room: float) -> None:
    """Its sum and floor, and the condition of Karush, Kuhn and Tucker: one shift for all that are off the floor."""
    v = torch.tensor(values, dtype=torch.float64)
    total = least * len(v) + room
    found = onto_simplex(v, total, least)
    assert float(found.sum()) == pytest.approx(total, abs=1e-9)
    assert float(found.min()) >= least - 1e-12
    off = found > least + 1e-9
    if bool(off.any()):
        shifts = (v - found)[off]
        assert float(shifts.max() - shifts.min()) < 1e-9
        assert bool((v[~off] - least <= shifts.max() + 1e-9).all())


def test_beta_ends_where_the_expected_loss_is_largest_on_the_simplex() -> None:
    """By brute force over a grid; an ascent that rescales beta ends 0.1 below, between two classes."""
    recipe, model = SPROUT(alpha=0.5, deviation=0.0, shape=0.0, sample=False, rate=1.0), nn.Flatten()
    x = torch.tensor([[0.8, -1.4, -1.6], [-0.8, 4.0, -1.7], [2.9, -4.3, -0.7], [3.7, 0.3, 0.7]])
    batch = Batch(x, torch.tensor([0, 1, 0, 1]), torch.arange(4))
    hard, losses = one_hot(batch.y, 3).double(), -x.double().log_softmax(1)

    def value(beta: torch.Tensor) -> float:
        c = 0.5 * hard + 0.5 * beta
        return float(((c * losses).sum(1) / c.sum(1)).mean())

    memory = Memory(batch.index)
    memory.shared["beta"] = torch.ones(3)
    for _ in range(300):
        views = recipe.views(model, batch, threat=Linf(0.0), memory=memory, key=Key(0))
        total(recipe.terms(model, batch, views, memory), 4).backward()  # type: ignore[no-untyped-call]
        recipe.learn(memory, batch, views, Linf(0.0))
    ticks = torch.linspace(0.001, 2.998, 61, dtype=torch.float64)
    grid = [torch.stack([one, two, 3 - one - two]) for one in ticks for two in ticks if one + two < 2.9995]
    assert value(memory.shared["beta"].double()) >= max(value(beta) for beta in grid) - 1e-6


def test_perturbed_weights_do_not_count_the_slope_of_beta_twice() -> None:
    """The slope with which beta climbs is that of the last pull alone: at gamma 0 as without perturbation."""
    betas = []
    for update in (Sum(), Perturbed(0.0)):
        recipe, model = SPROUT(rate=0.5), net()
        memory = memory_of(recipe)
        moved = torch.optim.SGD(model.parameters(), lr=0.1)
        where = Engine(torch.device("cpu"))
        update(
            Step(recipe, model, moved, memory, some().batch(), ROWS, Linf(0.0), Key(3), Pose(model), where)
        )
        betas.append(memory.shared["beta"].clone())
    assert torch.equal(betas[0], betas[1])
    assert not torch.equal(betas[0], torch.ones(3))


@pytest.mark.parametrize("recipe", [Mixup(), SPROUT()], ids=lambda one: type(one).__name__)
def test_mixtures_with_an_eps_for_each_example_are_refused(recipe: Any) -> None:
    with pytest.raises(UsageError, match=r"expected one eps for all with \w+, whose inputs belong to two"):
        look(recipe, net(), memory_of(recipe), Linf(torch.full((ROWS,), 0.1)))
    look(recipe, net(), memory_of(recipe), Linf(torch.tensor(0.1)))


def test_a_drawn_label_has_the_loss_of_the_draw_and_the_slope_of_the_mean() -> None:
    recipe, model = SPROUT(deviation=0.0, shape=0.0), net()
    memory = memory_of(recipe)
    batch, views = look(recipe, model, memory, Linf(0.0))
    losses = -model(batch.x).log_softmax(1)
    expected = (losses * views.labels["drawn own"]).sum(1)
    found = recipe.terms(model, batch, views, memory)["mixed"].loss
    torch.testing.assert_close(found, expected.to(found))


def test_mixtures_lie_between_two_examples_and_their_loss_is_that_of_the_mixed_label() -> None:
    recipe, model = Mixup(), net()
    batch, views = look(recipe, model, memory_of(recipe), Linf(0.0))
    place, share = partners(batch, Key(3).fold("partner")), mixed(batch, 1.0, Key(3).fold("share"))
    assert sorted(place.tolist()) == list(range(ROWS))
    weight = share[:, None, None, None]
    torch.testing.assert_close(views.x["mixed"], weight * batch.x + (1 - weight) * batch.x[place])
    label = share[:, None] * one_hot(batch.y, 3) + (1 - share[:, None]) * one_hot(batch.y[place], 3)
    wanted = cross_entropy(model(views.x["mixed"]), label, reduction="none")
    torch.testing.assert_close(recipe.terms(model, batch, views, memory_of(recipe))["mixed"].loss, wanted)


@given(st.floats(0.2, 5))
@settings(max_examples=10, deadline=None)
def test_shares_are_of_the_beta_distribution(shape: float) -> None:
    n = 4_000
    batch = Batch(torch.zeros(n, 1), torch.zeros(n, dtype=torch.int64), torch.arange(n))
    share = mixed(batch, shape, Key(4)).double().numpy()
    variance = 1 / (4 * (2 * shape + 1))
    assert abs(share.mean() - 0.5) < 5 * math.sqrt(variance / n)
    assert share.var() == pytest.approx(variance, rel=0.1)


@pytest.mark.parametrize("as_released", [False, True])
def test_the_eps_of_cat_goes_as_the_algorithm_says(as_released: bool) -> None:
    """Against plain Python, step by step: growth, reset or decay, and the cap, which no attack passes."""
    recipe, model = CAT(eta=0.3, steps=6, as_released=as_released), net()
    memory = memory_of(recipe)
    own = {place: place / (ROWS - 1) for place in range(ROWS)}
    assert bool((memory.of("eps", some().index) == 0).all())
    memory.put("eps", some().index, torch.tensor(list(own.values())))
    for step in range(9):
        batch, views = look(recipe, model, memory, Linf(0.25), key=step)
        with torch.no_grad():
            answers = model(views.x["enemy"]).argmax(1)
        far = (views.x["enemy"] - batch.x).abs().flatten(1).amax(1)
        for place in range(ROWS):
            grown = min(own[place] + 0.3, 1.0)
            assert float(far[place]) <= grown * 0.25 + 1e-6
            fell = int(answers[place]) != int(batch.y[place])
            own[place] = (grown if fell else grown - 0.3) if as_released else (0.0 if fell else grown)
        torch.testing.assert_close(memory.of("eps", batch.index), torch.tensor(list(own.values())))
        label = views.labels["soft"]
        torch.testing.assert_close(label.sum(1), torch.ones(ROWS, dtype=torch.float64))
        assert bool((label >= 0).all())
        kept = label.gather(1, batch.y[:, None])[:, 0]
        least = 1 - recipe.smoothing * torch.tensor(list(own.values()), dtype=torch.float64)
        assert bool((kept >= least - 1e-6).all())


def test_the_ablations_of_cat() -> None:
    model = net()
    whole = CAT(adapt_eps=False, adapt_labels=False, margin=0.0)
    memory = memory_of(whole)
    batch, views = look(whole, model, memory, Linf(0.1))
    plain = PGDAT(start="input").views(model, batch, threat=Linf(0.1), memory=memory, key=Key(3))
    torch.testing.assert_close(views.x["enemy"], plain.x["enemy"])
    found = whole.terms(model, batch, views, memory)["soft"].loss
    torch.testing.assert_close(found, cross_entropy(model(plain.x["enemy"]), batch.y, reduction="none"))
    memory = memory_of(hard := CAT(adapt_labels=False))
    _, views = look(hard, model, memory, Linf(0.1))
    assert torch.equal(views.labels["soft"].argmax(1), batch.y)
    assert bool((views.labels["soft"].amax(1) == 1).all())


def test_labels_of_bilateral_sum_to_one_and_spare_the_most_confusing_class() -> None:
    """Against the formula of the source, class by class."""
    recipe = Bilateral(beta=4.0, gamma=0.02)
    v = -torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.1, 0.2, 0.3, 0.4]], dtype=torch.float64).log()
    y = torch.tensor([0, 3])
    found = recipe.label(v, y)
    share = 1 / (1 + 4.0 / 3)
    for row in range(2):
        others = [k for k in range(4) if k != int(y[row])]
        low = min(float(v[row, k]) for k in others)
        mean = sum(float(v[row, k]) for k in others) / 3
        for k in others:
            wanted = share / 3 * (float(v[row, k]) - low + 0.02) / (mean - low + 0.02)
            assert float(found[row, k]) == pytest.approx(wanted)
        assert float(found[row, y[row]]) == pytest.approx(1 - share)
    torch.testing.assert_close(found.sum(1), torch.ones(2, dtype=torch.float64))


def test_penalties_on_a_linear_model_are_known() -> None:
    """The squared gradient of softplus(-m) with two logits is (sigma(-m) |w|)^2; a linear loss has no curvature."""
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).double()
    x, y = some().x.double(), torch.arange(ROWS) % 2
    batch = Batch(x, y, torch.arange(ROWS))
    memory = Memory(batch.index)
    recipe = InputGradient()
    views = recipe.views(model, batch, threat=Linf(0.0), memory=memory, key=Key(0))
    found = recipe.terms(model, batch, views, memory)["slope"].loss
    last = model[1]
    assert isinstance(last, nn.Linear)
    way = last.weight[1] - last.weight[0]
    margin = (2 * y - 1) * (model(x)[:, 1] - model(x)[:, 0])
    torch.testing.assert_close(found, (torch.sigmoid(-margin) * way.norm()).square())
    cure = CURE(h=1e-6)
    views = cure.views(model, batch, threat=Linf(0.0), memory=memory, key=Key(0))
    assert cure.terms(model, batch, views, memory)["curvature"].loss.max().item() < 1e-10
    torch.testing.assert_close(
        (views.x["beside"] - x).flatten(1).norm(dim=1), torch.full((ROWS,), 1e-6).double()
    )


def test_smoothed_labels() -> None:
    found = smoothed(torch.tensor([0, 2]), 3, torch.tensor([0.3, 0.6]), 1 / 3)
    torch.testing.assert_close(found, torch.tensor([[0.8, 0.1, 0.1], [0.2, 0.2, 0.6]], dtype=torch.float64))


@pytest.mark.parametrize(
    "make",
    [
        lambda: CAT(smoothing=1.2),
        lambda: SPROUT(alpha=-0.1),
        lambda: SPROUT(reading="text book"),
        lambda: Gaussian(alpha=2.0),
        lambda: Mixup(shape=-1.0),
        lambda: LogitPairing(lamb=-1.0),
        lambda: CURE(gamma=float("nan")),
        lambda: Bilateral(beta=-1.0),
        lambda: Bilateral(gamma=0.0),
    ],
)
def test_settings_out_of_range_are_refused(make: Any) -> None:
    with pytest.raises(UsageError, match=r"expected|unknown"):
        make()
