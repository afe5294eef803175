"""Laws of every attack in the folder: it leaves no trace, takes inputs as they come, and one bad row harms no other."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from tests.oracles import Scripted, net, randomness, traces
from tests.scenes import (
    ATTACKS,
    BALLS,
    FEW,
    GRADIENTS,
    NAMES,
    THREATS,
    WISHES,
    around,
    ball_of,
    batch_of,
    columns,
    kind_of,
    labelled,
    made,
    name_of,
    size_of,
)
from torch import Tensor, nn

from frenemy.attacks.attack import Found, Status
from frenemy.data.batch import Batch
from frenemy.errors import ThreatError, UsageError
from frenemy.models.build import initialise
from frenemy.models.model import Model
from frenemy.objectives.surrogates import Margin
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.threat import radii

SHAPE = (2, 3, 4)
every = pytest.mark.parametrize("name", NAMES)
pairs = pytest.mark.parametrize(("name", "kind"), FEW)
slopes = pytest.mark.parametrize(("name", "kind"), [turn for turn in FEW if name_of(turn) in GRADIENTS])
balls = pytest.mark.parametrize(("name", "kind"), [turn for turn in FEW if kind_of(turn) in BALLS])


def busy() -> nn.Sequential:
    """A model with much to lose: statistics, modes of its own, gradients, a frozen layer, a hook."""
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten()
        )
        model.append(nn.Linear(48, 3))
    initialise(model, Key(1)).train()
    model[1].eval()
    model[5].weight.requires_grad_(False)
    for number, parameter in enumerate(model.parameters()):
        parameter.grad = torch.full_like(parameter, float(number)) if number % 2 else None
    model[2].register_forward_hook(lambda module, args, output: None)
    return model


def run(name: str, model: Model, batch: Batch, kind: str, **settings: object) -> Found:
    threat = around(kind, size_of(kind, batch.x[0].numel() if len(batch) else 1))
    attack = made(name, **{"steps": 4, **settings})
    return attack(model, batch, threat=threat, objective=Untargeted(Margin()), key=Key(6))


def equal(a: Found, b: Found) -> None:
    """The same in every bit."""
    for name, values in columns(a).items():
        assert torch.equal(values, columns(b)[name]), name


@every
@pytest.mark.parametrize("fails_at", [None, 1, 2, 4])
def test_no_trace_is_left_on_the_model_or_on_any_generator(name: str, fails_at: int | None) -> None:
    model, batch = busy(), batch_of(SHAPE, 6, torch.float32)
    for index, parameter in enumerate(model.parameters()):
        parameter.grad = None if index % 2 else torch.full_like(parameter, 0.5)
    before, draws, inputs = traces(model), randomness(), batch.x.numpy().tobytes()
    calls = Scripted(lambda x: x, lambda call, x: KeyError("now") if call == fails_at else None)
    model.register_forward_pre_hook(lambda module, args: (calls(args[0]),))
    hooked = traces(model)
    raised = False
    for wish in WISHES:
        try:
            made(name, steps=3, restarts=2, early_stop=False)(
                model, batch, threat=around(ball_of(name), 0.5), objective=wish, key=Key(0)
            )
        except KeyError:
            raised = True
        assert traces(model) == hooked
    assert raised == (fails_at is not None)
    assert randomness() == draws
    assert batch.x.numpy().tobytes() == inputs
    assert {**hooked, "hooks": None} == {**before, "hooks": None}


@pairs
def test_inputs_may_lie_in_memory_as_they_like(name: str, kind: str) -> None:
    model, batch = net(24, 3, Key(2)), batch_of(SHAPE, 9)
    batch = labelled(batch, model)
    plain = run(name, model, batch, kind)
    last = batch.x.contiguous(memory_format=torch.channels_last)
    strided = torch.stack([batch.x, batch.x], dim=-1).flatten(-2)[..., ::2]
    for x in (last, strided, batch.x.clone().requires_grad_()):
        found = run(name, model, Batch(x, batch.y, batch.index), kind)
        equal(found, plain)
        assert not found.x.requires_grad
    assert run(name, model, Batch(last, batch.y, batch.index), kind).x.stride() == last.stride()
    expanded = Batch(batch.x[:1].expand(9, *SHAPE), batch.y[:1].expand(9), batch.index)
    copied = Batch(expanded.x.contiguous(), expanded.y.contiguous(), batch.index)
    equal(run(name, model, expanded, kind), run(name, model, copied, kind))


@pairs
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_taken_whatever_the_caller_switched_off(
    name: str, kind: str, dtype: torch.dtype
) -> None:
    model, batch = net(24, 3, Key(2), dtype), batch_of(SHAPE, 9, dtype)
    batch = labelled(batch, model)
    plain = run(name, model, batch, kind)
    with torch.no_grad():
        equal(run(name, model, batch, kind), plain)
        assert not torch.is_grad_enabled()
    with torch.inference_mode():
        inside = Batch(batch.x.clone(), batch.y.clone(), batch.index.clone())
        equal(run(name, model, inside, kind), plain)
        equal(run(name, model, batch, kind), plain)
        assert torch.is_inference_mode_enabled()
    assert plain.x.dtype == dtype


@slopes
@pytest.mark.parametrize("way", ["constant", "zero gradient", "no gradient path"])
def test_a_model_without_slope_is_called_flat(name: str, kind: str, way: str) -> None:
    batch = Batch(batch_of(SHAPE, 9).x, torch.arange(9) % 3, torch.arange(9))
    fixed = torch.tensor([0.3, 0.1, 0.2], dtype=torch.float64)
    curved = net(24, 3, Key(2))
    models: dict[str, Model] = {
        "constant": lambda x: fixed.expand(len(x), 3),
        "zero gradient": lambda x: fixed + 0 * x.flatten(1).sum(1, keepdim=True),
        "no gradient path": lambda x: curved(x.detach()),
    }
    model = models[way]
    found = run(name, model, batch, kind, early_stop=False)
    threat = around(kind, size_of(kind, 24))
    moved = Batch(found.x, batch.y, batch.index)
    assert bool(found.flat[found.status == Status.NOT_FOUND].all())
    assert bool((found.status == Status.NOT_FOUND).any())
    assert bool(threat.contains(moved.x, batch.x, radii(threat.eps, batch.x)).all())
    assert torch.equal(found.success, model(found.x).argmax(1) != batch.y)


@balls
def test_all_wrong_and_one_wrong(name: str, kind: str) -> None:
    batch, model = batch_of((6,), 12), net(6, 3, Key(2))
    batch = labelled(batch, model)
    right = model(batch.x).argmax(1)
    wrong = run(name, model, Batch(batch.x, (right + 1) % 3, batch.index), kind)
    assert bool((wrong.status == Status.ALREADY).all())
    assert torch.equal(wrong.x, batch.x)
    mixed = Batch(batch.x, torch.where(right == 1, (right + 1) % 3, right), batch.index)
    found = run(name, model, mixed, kind)
    assert torch.equal(found.status == Status.ALREADY, right == 1)


def ill(model: Model, sick: Tensor, bad: float) -> Model:
    """Answer `bad` in one logit wherever the first input is among `sick`."""

    def answer(x: Tensor) -> Tensor:
        logits = model(x)
        hit = (x.flatten(1)[:, :1] == sick.to(x)).any(1)
        spoilt = logits.clone()
        spoilt[hit, 1] = bad
        return spoilt

    return answer


@pairs
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_answer_that_is_not_finite_harms_only_its_own_row(name: str, kind: str, bad: float) -> None:
    batch, model = batch_of((6,), 12), net(6, 3, Key(2))
    batch = labelled(batch, model)
    plain = run(name, model, batch, kind, early_stop=False)
    sick = torch.arange(12) % 4 == 1
    found = run(name, ill(model, batch.x[sick, 0], bad), batch, kind, early_stop=False)
    assert torch.equal(found.status == Status.NOT_FINITE, sick)
    assert not found.success[sick].any()
    assert torch.equal(found.status[~sick], plain.status[~sick])
    torch.testing.assert_close(found.x[~sick], plain.x[~sick], rtol=0, atol=1e-9)


@pairs
def test_not_finite_on_the_way_ends_the_search_of_that_row(name: str, kind: str) -> None:
    """Finite at the clean inputs alone: only what succeeded there may be said to have."""
    batch, model = batch_of((6,), 12), net(6, 3, Key(2))
    batch = labelled(batch, model)

    def shy(x: Tensor) -> Tensor:
        clean = (x[:, None] == batch.x.to(x)).all(2).any(1)
        logits: Tensor = model(x)
        return logits.where(clean[:, None], torch.tensor(math.nan, dtype=x.dtype))

    found = run(name, shy, batch, kind)
    threat = around(kind, size_of(kind, 6))
    member = threat.contains(batch.x, batch.x, radii(threat.eps, batch.x))
    already = (model(batch.x).argmax(1) != batch.y) & member
    assert torch.equal(found.success, already)
    assert torch.equal(found.status == Status.ALREADY, already)
    assert bool((found.status[~already] == Status.NOT_FINITE).all())


@slopes
def test_a_gradient_that_is_not_finite_is_called_flat(name: str, kind: str) -> None:
    """The answers are finite and their slopes are not: what is not found may still be there."""
    batch, model = batch_of((6,), 12), net(6, 3, Key(2))
    batch = labelled(batch, model)

    def steep(x: Tensor) -> Tensor:
        logits: Tensor = model(x)
        return logits + 0 * (x - x.detach()).abs().sqrt().sum(1, keepdim=True)

    found = run(name, steep, batch, kind, early_stop=False)
    threat = around(kind, size_of(kind, 6))
    stands = threat.contains(found.x, batch.x, radii(threat.eps, batch.x))
    assert bool(stands.all())
    assert bool(found.flat[found.status == Status.NOT_FOUND].all())
    assert not (found.status == Status.NOT_FINITE).any()
    assert bool((found.status == Status.NOT_FOUND).any())


@every
def test_what_cannot_be_is_said_in_a_sentence(name: str) -> None:
    batch, model = batch_of((6,), 3), net(6, 3, Key(2))
    batch = labelled(batch, model)
    far = around(THREATS[-1], 99.0)
    able = ATTACKS[name].card.threats
    if not able or "sphere" in able:
        with pytest.raises(ThreatError, match="example 100; use a smaller eps"):
            made(name)(model, batch, threat=far, objective=WISHES[0], key=Key(0))
    else:
        with pytest.raises(UsageError, match=r"expected a threat that .* can search"):
            made(name)(model, batch, threat=far, objective=WISHES[0], key=Key(0))
    sizes = torch.tensor([0.1, 0.2])
    with pytest.raises(ThreatError, match="3 numbers, one a row"):
        made(name)(model, batch, threat=around(ball_of(name), sizes), objective=WISHES[0], key=Key(0))
    fields = {field.name for field in dataclasses.fields(ATTACKS[name])}
    for word, value in {"steps": -1, "restarts": 0, "step_size": -0.1, "batch_size": 0}.items():
        if word in fields:
            with pytest.raises(UsageError, match="expected"):
                made(name, **{word: value})(
                    model, batch, threat=around(ball_of(name), 0.1), objective=WISHES[0], key=Key(0)
                )
