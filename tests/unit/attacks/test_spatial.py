"""Grid and worst-of-k on finite threats: the laws of the attacks, and brute force over all members."""

from __future__ import annotations

import dataclasses
import math
from typing import Final, TypeAlias

import pytest
import torch
from tests.oracles import Scripted, linear_net, randomness, traces
from torch import Tensor, nn

from frenemy.attacks.attack import Found, Status
from frenemy.attacks.fgsm import FGSM
from frenemy.attacks.grid import Grid
from frenemy.attacks.pgd import PGD
from frenemy.attacks.tries import Tries
from frenemy.attacks.worstofk import WorstOfK
from frenemy.data.batch import Batch
from frenemy.errors import ThreatError, UsageError
from frenemy.models.build import initialise
from frenemy.models.counted import Counted
from frenemy.models.model import Model
from frenemy.models.still import still
from frenemy.objectives.hypocritical import Hypocritical
from frenemy.objectives.objective import Objective
from frenemy.objectives.reversal import Reversal
from frenemy.objectives.surrogates import KL, Margin
from frenemy.objectives.targeted import Targeted
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.invariances import Invariances
from frenemy.threats.linf import Linf
from frenemy.threats.spatial import Spatial
from frenemy.threats.spec import spell

Attempt: TypeAlias = Grid | WorstOfK
SHAPE: Final = (3, 5, 4)
FAMILIES: Final[list[Spatial | Invariances]] = [Spatial(50, 1.5, 3, 3), Invariances()]
ATTACKS: Final[list[Attempt]] = [Grid(), WorstOfK(4)]
WISHES: Final[list[Objective]] = [
    Untargeted(),
    Untargeted(Margin()),
    Hypocritical(),
    Reversal(KL()),
    Targeted("runner-up", Margin()),
]
families = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: spell(family))
attacks = pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: type(attack).__name__)
wishes = pytest.mark.parametrize("wish", WISHES, ids=lambda wish: type(wish).__name__)
KEY: Final = Key(6)


def scene(rows: int = 20, dtype: torch.dtype = torch.float64) -> tuple[nn.Module, Batch]:
    """A linear model, and pictures with its own answers for labels but for every fifth."""
    model = linear_net(60, 3, Key(2), dtype)
    index = torch.arange(100, 100 + rows)
    x = Key(0).fold("x").uniform(index, SHAPE, dtype)
    with torch.no_grad():
        logits = model(x)
    wrong = torch.arange(rows) % 5 == 2
    return model, Batch(x, torch.where(wrong, logits.argmin(1), logits.argmax(1)), index)


def run(
    attack: Attempt,
    model: Model,
    batch: Batch,
    family: Spatial | Invariances,
    wish: Objective = WISHES[1],
    key: Key = KEY,
    **settings: bool | int | None,
) -> Found:
    attack = dataclasses.replace(attack, **settings)  # type: ignore[arg-type]
    return attack(model, batch, threat=family, objective=wish, key=key)


def same(a: Found, b: Found) -> None:
    """The same verdicts, and the same points up to rounding."""
    for word in ("success", "status", "step", "flat"):
        assert torch.equal(getattr(a, word), getattr(b, word)), word
    torch.testing.assert_close(a.loss, b.loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(a.x, b.x, rtol=0, atol=1e-9)


def taken(found: Found, rows: Tensor | slice) -> Found:
    return Found(**{f.name: getattr(found, f.name)[rows] for f in dataclasses.fields(Found)[:-1]})


def tried_out(
    model: Model, batch: Batch, family: Spatial | Invariances, wish: Objective
) -> tuple[Tensor, Tensor]:
    """Loss and success of every member of every row, `(batch, count)`, by a loop over the rows."""
    losses, successes = [], []
    with torch.no_grad():
        goal = wish.goal(model(batch.x), batch.y)
        for row in range(len(batch)):
            copies = batch.x[row].expand(family.count, *SHAPE)
            logits = model(family.member(copies, torch.arange(family.count)))
            own = goal[row][None].expand(family.count, *goal.shape[1:])
            losses.append(wish.loss(logits, own))
            successes.append(wish.success(logits, own))
    return torch.stack(losses), torch.stack(successes)


@families
@wishes
def test_grid_finds_what_brute_force_finds(family: Spatial, wish: Objective) -> None:
    model, batch = scene()
    loss, success = tried_out(model, batch, family, wish)
    found = run(Grid(), model, batch, family, wish, early_stop=False)
    some, first = success.any(1), success.int().argmax(1)
    best = torch.where(success == some[:, None], loss, -math.inf).amax(1)
    assert torch.equal(found.success, some)
    torch.testing.assert_close(found.loss.double(), best, rtol=1e-5, atol=1e-6)
    assert torch.equal(found.step, torch.where(some, first, -1))
    assert torch.equal(found.status == Status.ALREADY, success[:, 0])
    assert found.forwards.tolist() == [family.count] * len(batch)
    quick = run(Grid(), model, batch, family, wish, batch_size=1)
    for word in ("success", "status", "step"):
        assert torch.equal(getattr(quick, word), getattr(found, word)), word
    assert torch.equal(quick.forwards, torch.where(some, first + 1, family.count))
    at_first = torch.where(some, loss.gather(1, first[:, None]).squeeze(1), best)
    torch.testing.assert_close(quick.loss.double(), at_first, rtol=1e-5, atol=1e-6)


@families
def test_scene_has_every_outcome(family: Spatial) -> None:
    model, batch = scene()
    for attack in ATTACKS:
        found = run(attack, model, batch, family)
        assert {*found.status.tolist()} == {Status.ALREADY, Status.FOUND, Status.NOT_FOUND}


@families
@attacks
@wishes
def test_the_point_is_a_member_and_the_report_is_true(
    family: Spatial, attack: Attempt, wish: Objective
) -> None:
    model, batch = scene(14)
    before = (batch.x.clone(), batch.y.clone(), batch.index.clone())
    settings: list[dict[str, bool | int]] = [{}, {"early_stop": False, "batch_size": 5}, {"batch_size": 3}]
    for setting in settings:
        counted = Counted(model)
        found = run(attack, counted, batch, family, wish, KEY, **setting)
        with torch.no_grad():
            goal = wish.goal(model(batch.x), batch.y)
            logits = model(found.x)
        assert bool(family.contains(found.x, batch.x, torch.ones(14, dtype=batch.x.dtype)).all())
        assert torch.equal(found.success, wish.success(logits, goal))
        torch.testing.assert_close(found.loss.double(), wish.loss(logits, goal), rtol=1e-5, atol=1e-6)
        assert torch.equal(found.success, found.status <= Status.FOUND)
        assert torch.equal(found.step >= 0, found.success)
        assert int(found.forwards.sum()) == counted.counts.forwards
        assert int(found.backwards.sum()) == counted.counts.backwards == 0
        assert found.x.dtype == batch.x.dtype
        assert not found.flat.any()
    assert all(torch.equal(a, b) for a, b in zip(before, (batch.x, batch.y, batch.index)))


@families
@attacks
@pytest.mark.parametrize("early_stop", [True, False])
def test_alone_is_as_in_company(family: Spatial, attack: Attempt, early_stop: bool) -> None:
    model, batch = scene()
    whole = run(attack, model, batch, family, early_stop=early_stop)
    for size in (1, 7, 64):
        same(run(attack, model, batch, family, early_stop=early_stop, batch_size=size), whole)
    for row in range(4):
        rows = slice(row, row + 1)
        same(run(attack, model, batch.rows(rows), family, early_stop=early_stop), taken(whole, rows))
    order = Key(8).permutation(20)
    mixed = run(attack, model, batch.rows(order), family, early_stop=early_stop, batch_size=4)
    same(mixed, taken(whole, order))
    other = run(attack, model, batch, family, early_stop=not early_stop)
    assert torch.equal(other.success, whole.success)
    assert torch.equal(other.step, whole.step)


def test_worst_of_k_grows_with_k_up_to_the_grid() -> None:
    model, batch = scene()
    for family in FAMILIES:
        grid = run(Grid(), model, batch, family, early_stop=False)
        last = torch.full_like(grid.loss, -math.inf)
        for k in (1, 2, 3, family.count - 1, family.count + 9):
            found = run(WorstOfK(k), model, batch, family, early_stop=False)
            assert found.forwards.tolist() == [1 + min(k, family.count - 1)] * len(batch)
            assert bool((found.success >= (last >= 0)).all())
            assert bool((found.loss >= last).all())
            last = found.loss
        same(dataclasses.replace(found, step=grid.step), grid)


def test_worst_of_k_draws_for_each_row_without_repetition() -> None:
    """The model remembers what it was shown: rows of one picture, so that members tell themselves apart."""
    family, k = FAMILIES[0], 6
    x = scene(1)[1].x.expand(40, *SHAPE)
    members = torch.cat([family.member(x[:1], torch.tensor([n])) for n in range(family.count)])
    seen: list[Tensor] = []

    def watching(rows: Tensor) -> Tensor:
        off = (rows[:, None] - members).abs().flatten(2).amax(2)
        assert bool((off.amin(1) < 1e-9).all())
        seen.append(off.argmin(1))
        return torch.tensor([[1.0, 0.0]], dtype=rows.dtype).repeat(len(rows), 1)

    batch = Batch(x, torch.zeros(40, dtype=torch.int64), torch.arange(40))
    run(WorstOfK(k), watching, batch, family)
    tried = torch.stack(seen[1:], dim=1)
    assert tried.shape == (40, k)
    assert all(len({*row}) == k and 0 not in row for row in tried.tolist())
    assert len({tuple(row) for row in tried.tolist()}) == 40
    counts = torch.bincount(tried.flatten(), minlength=family.count)[1:].double()
    expected = 40 * k / (family.count - 1)
    assert bool(((counts - expected).abs() < 5 * math.sqrt(expected)).all())
    seen.clear()
    run(WorstOfK(k), watching, batch, family, key=Key(7))
    assert not torch.equal(torch.stack(seen[1:], dim=1), tried)


def busy() -> nn.Sequential:
    """A model with much to lose: statistics, modes of its own, gradients, a frozen layer."""
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten())
        model.append(nn.Linear(80, 3))
    initialise(model, Key(1)).train()
    model[1].eval()
    model[4].weight.requires_grad_(False)
    for number, parameter in enumerate(model.parameters()):
        parameter.grad = torch.full_like(parameter, float(number)) if number % 2 else None
    return model


@families
@attacks
@pytest.mark.parametrize("fails_at", [None, 1, 2, 4])
def test_no_trace_is_left(family: Spatial, attack: Attempt, fails_at: int | None) -> None:
    model, batch = busy(), scene(6, torch.float32)[1]
    calls = Scripted(lambda x: x, lambda call, x: KeyError("now") if call == fails_at else None)
    model.register_forward_pre_hook(lambda module, args: (calls(args[0]),))
    before, draws, inputs = traces(model), randomness(), batch.x.numpy().tobytes()
    raised = False
    for wish in WISHES:
        try:
            run(attack, model, batch, family, wish, early_stop=False)
        except KeyError:
            raised = True
        assert traces(model) == before
    assert raised == (fails_at is not None)
    assert randomness() == draws
    assert batch.x.numpy().tobytes() == inputs


@families
@attacks
def test_inputs_come_as_they_like(family: Spatial, attack: Attempt) -> None:
    model, batch = scene(9)
    plain = run(attack, model, batch, family)
    last = batch.x.contiguous(memory_format=torch.channels_last)
    strided = torch.stack([batch.x, batch.x], dim=-1).flatten(-2)[..., ::2]
    for x in (last, strided, batch.x.clone().requires_grad_()):
        found = run(attack, model, Batch(x, batch.y, batch.index), family)
        same(found, plain)
        assert not found.x.requires_grad
        assert found.x.stride() == x.stride() or x is strided
    with torch.inference_mode():
        inside = Batch(batch.x.clone(), batch.y.clone(), batch.index.clone())
        same(run(attack, model, inside, family), plain)
    empty = run(attack, model, batch.rows(slice(0, 0)), family)
    assert empty.x.shape == (0, *SHAPE)
    small, rows = scene(9, torch.float32)
    assert run(attack, small, rows, family).x.dtype == torch.float32


@families
@attacks
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_answer_that_is_not_finite_harms_only_its_own_row(
    family: Spatial, attack: Attempt, bad: float
) -> None:
    model, batch = scene(12)
    sick = torch.arange(12) % 4 == 1

    def ill(x: Tensor) -> Tensor:
        logits: Tensor = model(x).clone()
        logits[(x[:, None] == batch.x[sick]).flatten(2).all(2).any(1), 1] = bad
        return logits

    def shy(x: Tensor) -> Tensor:
        clean = (x[:, None] == batch.x).flatten(2).all(2).any(1)
        logits: Tensor = model(x)
        return logits.where(clean[:, None], torch.tensor(bad, dtype=x.dtype))

    plain = run(attack, model, batch, family, early_stop=False)
    found = run(attack, ill, batch, family, early_stop=False)
    assert torch.equal(found.status == Status.NOT_FINITE, sick)
    same(taken(found, ~sick), taken(plain, ~sick))
    already = plain.status == Status.ALREADY
    on_the_way = run(attack, shy, batch, family)
    assert torch.equal(on_the_way.success, already)
    assert bool((on_the_way.status[~already] == Status.NOT_FINITE).all())


def test_a_family_of_one_is_the_input_alone() -> None:
    model, batch = scene()
    for attack in ATTACKS:
        found = run(attack, model, batch, Spatial(30, 3, 1, 1), early_stop=False)
        assert torch.equal(found.x, batch.x)
        assert found.forwards.tolist() == [1] * len(batch)
        assert {*found.status.tolist()} == {Status.ALREADY, Status.NOT_FOUND}


@attacks
def test_what_cannot_be_is_said_in_a_sentence(attack: Attempt) -> None:
    model, batch = scene(3)
    with pytest.raises(UsageError, match=r"can search \(spatial, invariances\), got Linf"):
        attack(model, batch, threat=Linf(0.1), objective=WISHES[0], key=KEY)
    table = Batch(torch.rand(3, 5), batch.y, batch.index)
    for family in FAMILIES:
        with pytest.raises(ThreatError, match=r"expected pictures .* got shape \(3, 5\)"):
            run(attack, lambda x: torch.zeros(len(x), 3), table, family)
    with pytest.raises(UsageError, match="batch_size to be at least 1, got 0"):
        run(attack, model, batch, FAMILIES[0], batch_size=0)


def test_worst_of_none_is_refused() -> None:
    with pytest.raises(UsageError, match="expected k to be at least 1, got 0"):
        WorstOfK(0)


def test_tries_need_members() -> None:
    model, batch = scene(3)
    tries = Tries(lambda index, count: index[:, None], True, None)
    with pytest.raises(UsageError, match=r"members to try \(spatial, invariances\), got Linf"):
        tries(model, batch, threat=Linf(0.1), objective=WISHES[0])


@families
def test_attacks_that_follow_a_gradient_are_refused_and_leave_no_trace(family: Spatial) -> None:
    model, batch = busy(), scene(4, torch.float32)[1]
    with still(model), torch.no_grad():
        batch = Batch(batch.x, model(batch.x).argmax(1), batch.index)
    before = traces(model)
    for attack in (PGD(steps=2), FGSM()):
        with pytest.raises(UsageError, match="use grid or worstofk"):
            attack(model, batch, threat=family, objective=Untargeted(Margin()), key=KEY)
        assert traces(model) == before
