"""AdvProp, RobMask and fine-tuning of batch norm alone: what they sum, what they look through, and what moves."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.data.digits import Digits
from frenemy.data.examples import Examples
from frenemy.errors import UsageError
from frenemy.models.build import initialise
from frenemy.models.counted import Counted
from frenemy.models.masked import Masked, joined, share_of
from frenemy.models.masks import encoded
from frenemy.models.norms import norm_state
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.linf import Linf
from frenemy.training.advprop import AdvProp
from frenemy.training.climb import Climb
from frenemy.training.fit import fit
from frenemy.training.freeat import FreeAT
from frenemy.training.memory import Memory
from frenemy.training.pgdat import PGDAT
from frenemy.training.pose import Pose
from frenemy.training.recipe import Preset, Recipe, Views, total
from frenemy.training.regime import Regime
from frenemy.training.robmask import RobMask
from frenemy.training.standard import Standard
from frenemy.training.trades import TRADES

INDEX = torch.arange(16)


def plain(seed: int = 2) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))
    return initialise(model, Key(seed)).double()


def stirred(model: nn.Module) -> Any:
    """Bases that differ from each other in all that they have."""
    state = model.state_dict()
    with torch.no_grad():
        for name in norm_state(model):
            if state[name].is_floating_point():
                rows = torch.arange(len(state[name]))
                state[name].copy_(
                    Key(4).fold(name).uniform(rows, tuple(state[name].shape[1:]), torch.float64) + 0.5
                )
    return model


def batch_of() -> Batch:
    return Batch(Key(0).uniform(INDEX, (6,), torch.float64), INDEX % 3, INDEX)


def seen_at(p: float, batch: Batch, enemy: Tensor) -> Views:
    return Views({"clean": batch.x, "enemy": enemy}, {"p": torch.full((len(batch),), p, dtype=torch.float64)})


def slopes(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    names, weights = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, weights, allow_unused=True)
    return {n: torch.zeros_like(w) if g is None else g for n, w, g in zip(names, weights, found, strict=True)}


def test_at_p_of_nought_and_one_robmask_has_the_rescaling_parameters_of_advprop() -> None:
    """The losses of p = 0 at x and p = 1 at x' are AdvProp's two, and so are their gradients, bit for bit."""
    batch, enemy = batch_of(), batch_of().x + 0.1
    split = stirred(Masked(plain(), 2, "own").train())
    terms = AdvProp().terms(split, batch, Views({"clean": batch.x, "enemy": enemy}), Memory(INDEX))
    wanted = slopes(split, total(terms, len(batch)))
    shared = Masked(plain(), 2, "shared").train()
    shared.load_state_dict(
        {n: v for n, v in split.state_dict().items() if "running" not in n and "num" not in n}, strict=False
    )
    found = {name: torch.zeros_like(g) for name, g in wanted.items()}
    for p, x, name in ((0.0, batch.x, "clean"), (1.0, enemy, "enemy")):
        own = RobMask().terms(shared, batch, seen_at(p, batch, x), Memory(INDEX))["enemy"]
        assert torch.equal(own.loss, terms[name].loss)
        slope = slopes(shared, own.loss.sum() / len(batch))
        assert not bool(slope["model.1.weight"][1 - int(p)].any())
        assert not bool(slope["model.1.bias"][1 - int(p)].any())
        found = {name: found[name] + own_slope for name, own_slope in slope.items()}
    assert {name: g.shape for name, g in found.items()} == {name: g.shape for name, g in wanted.items()}
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-12, atol=1e-14)


def test_at_p_of_nought_and_one_robmask_has_not_the_statistics_of_advprop() -> None:
    """AdvProp's main statistics see clean rows alone; RobMask's one pair sees both. With `own` they are AdvProp's."""
    batch, enemy = batch_of(), batch_of().x + 5.0
    split, shared, own = (Masked(plain(), 2, kind).train() for kind in ("own", "shared", "own"))
    AdvProp().terms(split, batch, Views({"clean": batch.x, "enemy": enemy}), Memory(INDEX))
    for model in (shared, own):
        for p, x in ((0.0, batch.x), (1.0, enemy)):
            RobMask().terms(model, batch, seen_at(p, batch, x), Memory(INDEX))
    hidden: Any = plain()[0]  # type: ignore[index]
    means = torch.stack([hidden(x).mean(0) for x in (batch.x, enemy)]).detach()
    inner: list[Any] = [model.model[1] for model in (split, shared, own)]  # type: ignore[index]
    torch.testing.assert_close(inner[0].running_mean, 0.1 * means)
    torch.testing.assert_close(inner[1].running_mean, 0.9 * 0.1 * means[0] + 0.1 * means[1])
    assert inner[0].running_mean.shape == (2, 8) != inner[1].running_mean.shape
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(getattr(inner[2], name), getattr(inner[0], name))


def test_p_frozen_at_one_never_trains_the_clean_basis_so_it_is_not_advprop() -> None:
    batch = batch_of()
    shared = stirred(Masked(plain(), 2, "shared").train())
    terms = RobMask().terms(shared, batch, seen_at(1.0, batch, batch.x), Memory(INDEX))
    assert not bool(slopes(shared, total(terms, 16))["model.1.weight"][0].any())
    split = stirred(Masked(plain(), 2, "own").train())
    both = AdvProp().terms(split, batch, Views({"clean": batch.x, "enemy": batch.x}), Memory(INDEX))
    assert bool(slopes(split, total(both, 16))["model.1.weight"][0].any())


def mixture(masked: Any, p: float) -> nn.Module:
    """The plain model whose batch norm is that of a mask, mixed by hand."""
    model: Any = plain()
    model[0], model[3] = copy.deepcopy(masked.model[0]), copy.deepcopy(masked.model[3])
    layer = masked.model[1]
    with torch.no_grad():
        for name in ("weight", "bias", "running_mean", "running_var"):
            value = getattr(layer, name)
            getattr(model[1], name).copy_(value if value.ndim == 1 else (1 - p) * value[0] + p * value[1])
    found: nn.Module = model
    return found


@pytest.mark.parametrize(
    "recipe", [RobMask(), RobMask(statistics="own"), AdvProp()], ids=["shared", "own", "advprop"]
)
def test_the_attack_looks_through_the_mask_that_is_trained(recipe: Any) -> None:
    """The points are those of the same climb on a plain model with that batch norm; another mask gives others."""
    batch, threat, key = batch_of(), Linf(0.2, -9.0, 9.0), Key(5)
    masked = stirred(recipe.prepare(plain()))
    with Pose(masked)() as posed:
        views = recipe.views(posed, batch, threat=threat, memory=Memory(INDEX), key=key)
    p = float(views.facts["p"][0]) if isinstance(recipe, RobMask) else 1.0
    size = 0.2 * p if isinstance(recipe, RobMask) else 0.2
    for share, same in ((p, True), (0.0, False)):
        model = mixture(masked, share)
        with Pose(model)() as posed:
            points = Climb(7, 0.2)(posed, batch, threat=threat.at(size), objective=Untargeted(), key=key)
        assert torch.allclose(points, views.x["enemy"], atol=1e-9) == same
    assert float((views.x["enemy"] - batch.x).abs().max()) == pytest.approx(size)


def test_the_strength_is_drawn_for_a_batch_and_evenly() -> None:
    batch, masked, memory = batch_of(), RobMask().prepare(plain()), Memory(INDEX)
    drawn = []
    for step in range(400):
        memory.step = step
        with Pose(masked)() as posed:
            views = RobMask(steps=0).views(posed, batch, threat=Linf(0.2, -9, 9), memory=memory, key=Key(6))
        drawn.append(float(views.facts["p"][0]))
        assert bool((views.facts["p"] == drawn[-1]).all())
        assert torch.equal(views.facts["eps"], 0.2 * views.facts["p"])
    assert stats.kstest(drawn, "uniform").pvalue > 0.01


def test_in_a_training_every_batch_has_a_strength_of_its_own() -> None:
    """By the key of the epoch and the place of the batch in it, also where the run was taken up in between."""
    seen: list[float] = []

    class Watched:
        card: ClassVar[Card] = RobMask.card
        presets: ClassVar[Mapping[str, Preset]] = RobMask.presets

        def views(self, model: Any, batch: Batch, **more: Any) -> Views:
            views = RobMask(steps=0).views(model, batch, **more)
            seen.append(float(views.facts["p"][0]))
            return views

        def terms(self, *given: Any) -> Any:
            return RobMask().terms(*given)

    regime = Regime(epochs=2, batch_size=20)
    fit(Watched(), Masked(normed()), digits(60), key=Key(3), threat=Linf(0.1), regime=regime)
    keys = [Key(3).fold("attack").fold(epoch).fold(0).fold("p") for epoch in range(2)]
    assert seen == [float(key.uniform(torch.tensor([step]), ())[0]) for key in keys for step in range(3)]
    assert len(set(seen)) == 6


def test_a_clean_share_goes_through_the_mask_of_no_perturbation() -> None:
    batch = batch_of()
    masked = stirred(Masked(plain(), 2, "shared").train())
    views = seen_at(0.4, batch, batch.x + 0.1)
    terms = RobMask(clean=0.25).terms(masked, batch, views, Memory(INDEX))
    assert {name: term.weight for name, term in terms.items()} == {"enemy": 0.75, "clean": 0.25}
    wanted = cross_entropy(mixture(masked, 0.0).train()(batch.x), batch.y, reduction="none")
    torch.testing.assert_close(terms["clean"].loss, wanted)
    assert set(RobMask().terms(masked, batch, views, Memory(INDEX))) == {"enemy"}


def test_the_costs_are_those_of_the_cards() -> None:
    """RobMask asks one forward and backward less than AdvProp; with a clean share as many."""
    batch = batch_of()
    counts = []
    for recipe in (AdvProp(), RobMask(), RobMask(clean=0.5)):
        counted = Counted(recipe.prepare(plain()).eval())
        views = recipe.views(counted, batch, threat=Linf(0.1, -9, 9), memory=Memory(INDEX), key=Key(0))
        recipe.terms(counted, batch, views, Memory(INDEX))
        counts.append(counted.counts.forwards / len(batch))
    assert counts == [9, 8, 9]


def normed(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(
            nn.Conv2d(1, 6, 3, stride=2),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(54, 16),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(16, 10),
        )
    return initialise(model, Key(seed))


def digits(rows: int = 300) -> Examples:
    return Digits("train")().take(slice(0, rows))


def test_with_no_weight_on_the_enemy_advprop_trains_its_main_batch_norm_as_plain_training_does() -> None:
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10)
        )
    initialise(model, Key(0))
    regime = Regime(epochs=3, batch_size=50, optimiser="sgd", rate=0.1)
    asked: dict[str, Any] = {"key": Key(1), "regime": regime, "threat": Linf(0.1)}
    split: Any = fit(AdvProp(weight=0.0, steps=1), model, digits(), **asked).model
    one: Any = fit(Standard(), model, digits(), **asked).model
    for name, value in one.state_dict().items():
        own = split.state_dict()[f"model.{name}"]
        torch.testing.assert_close(own[0] if own.ndim > value.ndim else own, value, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(split.model[2].running_mean[1], split.model[2].running_mean[0])


@pytest.mark.parametrize("recipe", [AdvProp(steps=2, deployed=1.0), RobMask(steps=2, deployed=1.0)])
def test_what_is_deployed_is_what_was_said_and_is_judged(recipe: Any) -> None:
    """The mask stands in the state; the model given is left alone; what is kept answers better than by chance."""
    model = normed()
    before = copy.deepcopy(model.state_dict())
    regime = Regime(epochs=6, batch_size=50, hold_out=60, rate=3e-3)
    fitted = fit(recipe, model, digits(700), key=Key(0), threat=Linf(0.1), regime=regime)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    trained: Any = fitted.model
    assert trained is not model
    assert share_of(trained) == 1.0
    assert trained.state_dict()["mask"].tolist() == [0.0, 1.0]
    chosen = fitted.history[fitted.epoch - 1]
    assert chosen["robust"] > 0.3
    again = fit(recipe, trained, digits(), key=Key(0), threat=Linf(0.1), regime=Regime(epochs=1))
    assert again.model is trained


@pytest.mark.parametrize(
    ("recipe", "more"),
    [
        (Standard(), {"weight_decay": 0.1, "optimiser": "sgd"}),
        (PGDAT(steps=2), {"average": "ema", "attack_mode": "train"}),
        (TRADES(steps=2), {}),
        (FreeAT(replays=2), {}),
        (AdvProp(steps=1), {"optimiser": "sgd"}),
        (RobMask(steps=1), {}),
    ],
    ids=lambda one: type(one).__name__ if not isinstance(one, dict) else "",
)
def test_only_batch_norm_moves_and_all_else_stays_bit_for_bit(recipe: Recipe, more: dict[str, Any]) -> None:
    """All of batch norm does move, unless its basis is never worn; and the model may be trained whole afterwards."""

    class Restless(nn.Module):
        """A buffer that is not batch norm's moves with every forward."""

        count: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(1))
            self.inner = normed()

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                self.count.add_(1)
            logits: Tensor = self.inner(x)
            return logits

    regime = Regime(epochs=1, batch_size=50, rate=0.01, only="norms", **more)
    begun: Any = recipe.prepare(Restless()) if hasattr(recipe, "prepare") else Restless()
    state = {name: value.clone() for name, value in begun.state_dict().items()}
    model = fit(recipe, begun, digits(100), key=Key(0), threat=Linf(0.1), regime=regime).model
    own = norm_state(model)
    assert len(own) == 10
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]) == (name not in own), name
    assert all(p.requires_grad for p in model.parameters())
    assert all(p.grad is None for n, p in model.named_parameters() if n not in own)


def test_fine_tuned_batch_norm_joins_its_beginning_and_perturbed_weights_spare_it() -> None:
    model = normed()
    before = copy.deepcopy(model)
    tuned = fit(
        PGDAT(steps=1),
        model,
        digits(100),
        key=Key(0),
        threat=Linf(0.1),
        regime=Regime(epochs=1, only="norms"),
    ).model
    both = joined(before.eval(), tuned)
    x = digits(9).batch().x
    assert torch.equal(both.wear(encoded(1.0, 2)).eval()(x), tuned(x))
    with pytest.raises(UsageError, match="expected no weight perturbation with only=norms"):
        fit(Standard(), normed(), digits(40), key=Key(0), regime=Regime(only="norms", perturb=0.1))


def test_perturbed_weights_leave_the_bases_of_masks_as_they_are() -> None:
    """The gradient is taken where the convolutions are perturbed and the `(bases, channels)` tables are not."""
    seen: list[dict[str, Tensor]] = []

    class Watched:
        card: ClassVar[Card] = RobMask.card
        presets: ClassVar[Mapping[str, Preset]] = RobMask.presets

        def views(self, model: Any, batch: Batch, **more: Any) -> Views:
            return RobMask(steps=0).views(model, batch, **more)

        def terms(self, model: Any, *rest: Any) -> Any:
            seen.append({name: p.detach().clone() for name, p in model.named_parameters()})
            return RobMask().terms(model, *rest)

    regime = Regime(epochs=1, batch_size=50, perturb=0.1)
    fit(Watched(), Masked(normed()), digits(50), key=Key(0), threat=Linf(0.1), regime=regime)
    first, second = seen
    moved = {name for name in first if not torch.equal(first[name], second[name])}
    assert moved == {"model.0.weight", "model.4.weight", "model.8.weight"}
