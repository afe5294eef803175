"""Logit pairing both ways, penalties with curvature, HAT and its helper; and what is carried survives being killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.special import rel_entr
from torch import nn
from torch.nn.functional import cross_entropy

from frenemy.data.batch import Batch
from frenemy.data.digits import Digits
from frenemy.data.examples import Examples
from frenemy.errors import ModelError, RunError, UsageError
from frenemy.models.build import initialise
from frenemy.models.files import config_of, save
from frenemy.models.mlp import MLP
from frenemy.rng import Key
from frenemy.threats.linf import Linf
from frenemy.training.cat import CAT
from frenemy.training.cleanlogitpairing import CleanLogitPairing
from frenemy.training.cure import CURE
from frenemy.training.fit import fit
from frenemy.training.hat import HAT
from frenemy.training.logitpairing import LogitPairing
from frenemy.training.memory import Memory
from frenemy.training.pose import Pose
from frenemy.training.recipe import Recipe, Views
from frenemy.training.regime import Regime
from frenemy.training.sprout import SPROUT
from frenemy.training.stability import Stability
from frenemy.training.standard import Standard
from frenemy.training.substitute import Substitute
from frenemy.training.trades import TRADES

ROWS = 16


def some(rows: int = ROWS) -> Examples:
    index = torch.arange(rows)
    return Examples("some", Key(0).uniform(index, (1, 3, 4)), index % 3, ("a", "b", "c"), index=index)


def net(seed: int = 1, classes: int = 3) -> MLP:
    model = initialise(MLP(features=12, hidden=(9,), classes=classes), Key(seed))
    assert isinstance(model, MLP)
    return model


def kept(model: MLP, file: Path) -> str:
    save(model, file, config_of(model))
    return str(file)


def look(recipe: Any, model: nn.Module, memory: Memory, eps: float = 0.1) -> tuple[Batch, Views]:
    batch = some().batch()
    with Pose(model)() as posed:
        return batch, recipe.views(posed, batch, threat=Linf(eps), memory=memory, key=Key(3))


def memory_of(recipe: Any) -> Memory:
    memory = Memory(some().index)
    if hasattr(recipe, "remember"):
        recipe.remember(memory, some(), ROWS)
    return memory


def trained(recipe: Recipe, eps: float) -> dict[str, torch.Tensor]:
    regime = Regime(epochs=2, batch_size=8, select="last")
    return fit(recipe, net(), some(), key=Key(0), threat=Linf(eps), regime=regime).model.state_dict()


@pytest.mark.parametrize(
    ("recipe", "limit"),
    [
        (HAT(gamma=0.0), TRADES(beta=2.5)),
        (HAT(gamma=0.0, beta=0.0), Standard()),
        (CleanLogitPairing(lamb=0.0, deviation=0.0), Standard()),
    ],
    ids=lambda one: type(one).__name__,
)
def test_without_its_part_a_method_is_its_limit(recipe: Any, limit: Any) -> None:
    mine, plain = trained(recipe, 0.1), trained(limit, 0.1)
    assert all(torch.equal(value, plain[name]) for name, value in mine.items())


def test_pairs_of_logits_against_loops() -> None:
    clean, adversarial, model = CleanLogitPairing(lamb=2.0), LogitPairing(), net()
    memory = memory_of(clean)
    batch, views = look(clean, model, memory)
    z, place = model(views.x["noisy"]).detach(), views.labels["partner"].tolist()
    assert sorted(place) == list(range(ROWS))
    terms = clean.terms(model, batch, views, memory)
    losses = terms["pairing"].loss.detach()
    for row in range(ROWS):
        wanted = sum(float(z[row, k] - z[place[row], k]) ** 2 for k in range(3)) / 3
        assert float(losses[row]) == pytest.approx(wanted, rel=1e-5, abs=1e-9)
    assert terms["pairing"].weight == 2.0
    batch, views = look(adversarial, model, memory)
    here, there = (model(x).detach() for x in (batch.x, views.x["enemy"]))
    found = adversarial.terms(model, batch, views, memory)["pairing"].loss.detach()
    for row in range(ROWS):
        wanted = sum(float(here[row, k] - there[row, k]) ** 2 for k in range(3)) / 3
        assert float(found[row]) == pytest.approx(wanted, rel=1e-4, abs=1e-9)


def test_the_divergence_of_stability_is_scipys() -> None:
    recipe, model = Stability(alpha=0.3, deviation=0.5), net()
    batch, views = look(recipe, model, memory := memory_of(recipe))
    assert 0.3 < float((views.x["noisy"] - batch.x).std()) < 0.7
    p, q = (model(x).softmax(1).double().detach().numpy() for x in (batch.x, views.x["noisy"]))
    found = recipe.terms(model, batch, views, memory)["divergence"]
    assert found.weight == 0.3
    assert found.loss.detach().numpy() == pytest.approx(rel_entr(p, q).sum(1), rel=1e-4, abs=1e-7)


def test_the_curvature_of_a_logistic_loss_is_known() -> None:
    """The gradient is -sigma(-m) s w; along its sign, of length 1, the margin m falls by h |w|_1 / sqrt(n)."""
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).double()
    initialise(model, Key(4))
    x, y = some().x.double(), torch.arange(ROWS) % 2
    batch, recipe = Batch(x, y, torch.arange(ROWS)), CURE(h=1.5)
    memory = Memory(batch.index)
    views = recipe.views(model, batch, threat=Linf(0.0), memory=memory, key=Key(0))
    last = model[1]
    assert isinstance(last, nn.Linear)
    w = (last.weight[1] - last.weight[0]).detach()
    logits = model(x).detach()
    m = (2 * y - 1) * (logits[:, 1] - logits[:, 0])
    beyond = m - 1.5 * w.abs().sum() / 12**0.5
    wanted = ((torch.sigmoid(-beyond) - torch.sigmoid(-m)) * w.norm()).square()
    found = recipe.terms(model, batch, views, memory)["curvature"].loss
    assert float(wanted.min()) > 1e-4
    torch.testing.assert_close(found, wanted)


def test_hat_asks_a_helper_at_the_enemy_and_the_model_beyond_it(tmp_path: Path) -> None:
    """Each term against its formula, row by row; the helper is another net, from its file."""
    helper = net(8)
    with torch.no_grad():
        for parameter in helper.parameters():
            parameter.mul_(6.0)
    recipe, model = HAT(helper=kept(helper, tmp_path / "plain-net.safetensors"), h=2.5), net()
    memory = memory_of(recipe)
    batch, views = look(recipe, model, memory, eps=0.5)
    moved, said = views.x["moved"], helper(views.x["moved"]).argmax(1)
    assert torch.equal(views.labels["helper"], said)
    assert torch.equal(views.facts["helper differs"], (said != batch.y).float())
    assert bool((said != batch.y).any())
    assert bool((said != helper(batch.x).argmax(1)).any())
    terms = recipe.terms(model, batch, views, memory)
    losses = {name: term.loss.detach() for name, term in terms.items()}
    out = model(batch.x + 2.5 * (moved - batch.x)).log_softmax(1).detach()
    p, q = (model(x).softmax(1).double().detach().numpy() for x in (batch.x, moved))
    for row in range(ROWS):
        assert float(losses["helper"][row]) == pytest.approx(-float(out[row, said[row]]), rel=1e-5)
        divergence = float(rel_entr(p[row], q[row]).sum())
        assert float(losses["divergence"][row]) == pytest.approx(divergence, rel=1e-3, abs=1e-7)
    assert [term.weight for term in terms.values()] == [1.0, 2.5, 0.5]
    assert not any(p.requires_grad for p in memory.nets["helper"].parameters())


def test_the_perceptron_beside_hat_learns_plainly() -> None:
    """On the digits it comes near a plain perceptron of scikit-learn's, and never sees an enemy's point."""
    data, test = Digits("train")(), Digits("test")()
    recipe, memory = HAT(hidden=64, rate=3e-3), Memory(data.index)
    recipe.remember(memory, data, 64)
    for epoch in range(8):
        for rows in torch.split(Key(5).fold(epoch).permutation(len(data)), 64):
            recipe.learn(memory, data.batch(rows), Views({}), Linf(0.1))
    said = recipe._said(memory, test.x)
    assert float((said == test.y).double().mean()) > 0.9


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda folder: HAT(helper=str(folder / "no.safetensors")), ModelError, "which does not exist"),
        (
            lambda folder: HAT(helper=kept(net(2, 4), folder / "n.safetensors")),
            ModelError,
            "expected 3 logits",
        ),
        (lambda folder: HAT(beta=-1.0), UsageError, "expected beta to be from 0"),
        (lambda folder: HAT(hidden=0), UsageError, "expected hidden neurons and a rate above 0"),
        (lambda folder: CleanLogitPairing(lamb=-1.0), UsageError, "expected lamb to be from 0"),
    ],
)
def test_a_helper_that_cannot_help_is_refused(make: Any, error: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=said):
        fit(make(tmp_path), net(), some(), key=Key(0), threat=Linf(0.1), regime=Regime(epochs=1))


def test_a_memory_of_another_helper_is_refused() -> None:
    one, two = Memory(some().index), Memory(some().index)
    one.host("helper", net(1))
    two.host("helper", net(2))
    two.load(one.state())
    assert torch.equal(two.nets["helper"](some().x), net(1)(some().x))
    three = Memory(some().index)
    three.host("helper", net(1, 4))
    with pytest.raises(RunError, match="expected a memory of"):
        three.load(one.state())


@pytest.mark.parametrize(
    ("recipe", "more"),
    [
        (CAT(eta=0.2, steps=2), {}),
        (SPROUT(rate=5.0, alpha=0.3), {"perturb": 0.01}),
        (HAT(steps=2, hidden=16), {}),
        (HAT(steps=2, helper="file"), {}),
        (Substitute(teacher="file", rounds=2, every=1), {}),
    ],
    ids=lambda one: type(one).__name__ if not isinstance(one, dict) else "",
)
def test_a_killed_run_carries_on_what_it_remembers(recipe: Any, more: dict[str, Any], tmp_path: Path) -> None:
    """Killed within epochs; a helper's file that changes meanwhile changes nothing, for its weights are kept."""
    data = Digits("train")().take(slice(0, 100))
    file = tmp_path / "plain.safetensors"

    def wide(seed: int) -> MLP:
        model = initialise(MLP(features=64, hidden=(12,)), Key(seed))
        assert isinstance(model, MLP)
        return model

    kept(wide(8), file)
    for other in ("helper", "teacher"):
        if getattr(recipe, other, None) is not None:
            recipe = replace(recipe, **{other: str(file)})
    regime = Regime(epochs=3, batch_size=32, hold_out=20, select="last", **more)
    settings: dict[str, Any] = {"key": Key(1), "threat": Linf(0.1), "regime": regime}
    whole = fit(recipe, wide(3), data, **settings, out=tmp_path / "whole")
    for last in (4, 3, 10**6):
        told: list[str] = []

        def stop(what: str, share: float, last: int = last, told: list[str] = told) -> None:
            told.append(what)
            if len(told) > last:
                raise KeyboardInterrupt

        try:
            again = fit(recipe, wide(3), data, **settings, out=tmp_path / "again", told=stop, save_every=0.0)
        except KeyboardInterrupt:
            kept(wide(9), file)
            continue
        mine, theirs = (one.model.state_dict() for one in (again, whole))
        assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
    first, second = ((tmp_path / run / "checkpoint.safetensors").read_bytes() for run in ("whole", "again"))
    memories = [_memory(content) for content in (first, second)]
    assert memories[0].keys() == memories[1].keys()
    assert memories[0]
    assert all(torch.equal(value, memories[1][name]) for name, value in memories[0].items())
    changing = [value for name, value in memories[0].items() if name.split(".")[-1] in ("eps", "beta")]
    assert all(float(value.std()) > 0 for value in changing)


def _memory(content: bytes) -> dict[str, torch.Tensor]:
    from safetensors.torch import load

    return {name: value for name, value in load(content).items() if name.startswith("memory.")}


def test_the_loss_of_hats_helper_has_the_slope_of_its_label(tmp_path: Path) -> None:
    """Nothing flows into the label or into the enemy's point: the gradient is that of a plain cross-entropy."""
    recipe, model = HAT(helper=kept(net(7), tmp_path / "n.safetensors"), beta=0.0), net()
    memory = memory_of(recipe)
    batch, views = look(recipe, model, memory)
    weights = list(model.parameters())
    found = torch.autograd.grad(recipe.terms(model, batch, views, memory)["helper"].loss.sum(), weights)
    x = batch.x + recipe.h * (views.x["moved"] - batch.x)
    wanted = torch.autograd.grad(cross_entropy(model(x), views.labels["helper"], reduction="sum"), weights)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)
