"""Attacks, audits and trainings on another device: they stay there, and find what they find on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from tests.elsewhere import PLACE, Elsewhere
from tests.oracles import net
from tests.scenes import PAIRS, around, batch_of, labelled, made, size_of
from torch import nn

import frenemy
from frenemy.catalog import catalog
from frenemy.data.batch import Batch
from frenemy.models.build import initialise
from frenemy.models.model import device_of
from frenemy.objectives.objective import Objective
from frenemy.objectives.surrogates import Margin
from frenemy.risks.boundary import boundary
from frenemy.risks.explored import learned
from frenemy.risks.genuine import genuine_accuracy
from frenemy.risks.sensible import sensible_risk
from frenemy.risks.transfer import transfer
from frenemy.rng import Key
from frenemy.training.engine import Engine
from frenemy.training.fit import Fitted, fit
from frenemy.training.named import recipe
from frenemy.training.regime import Regime

DEVICES = ["elsewhere", *(["cuda"] if torch.cuda.is_available() else [])]
WISHES = [
    pytest.param(frenemy.Untargeted(Margin()), id="enemy"),
    pytest.param(frenemy.Hypocritical(Margin()), id="friend", marks=pytest.mark.slow),
]


@contextmanager
def on(device: str) -> Iterator[torch.device]:
    """Be where the device is."""
    if device == "elsewhere":
        with Elsewhere():
            yield PLACE
    else:
        yield torch.device(device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_an_attack_finds_there_what_it_finds_here(name: str, kind: str, wish: Objective, device: str) -> None:
    model, shape = net(12, 4, Key(3)), (1, 3, 4)
    batch = labelled(batch_of(shape, 12), model)
    threat, attack = around(kind, size_of(kind, 12)), made(name, steps=5, restarts=2)
    here = attack(model, batch, threat=threat, objective=wish, key=Key(4))
    with on(device) as place:
        there = Batch(*(tensor.to(place) for tensor in (batch.x, batch.y, batch.index)))
        found = attack(model.to(place), there, threat=threat, objective=wish, key=Key(4))
        assert {field.device.type for field in (found.x, found.loss, found.success, found.step)} == {
            place.type
        }
        assert torch.equal(found.success.cpu(), here.success)
        torch.testing.assert_close(found.loss.cpu(), here.loss, rtol=1e-6, atol=1e-6)


def _shares(audit: frenemy.Audit) -> list[float]:
    return [audit[measure].value for measure in ("accuracy_clean", "accuracy_adversarial", "risk_reversible")]


def _regions(model: nn.Module, data: frenemy.Examples) -> list[float]:
    ball = frenemy.L2(1.0)

    def explored(eps: float) -> nn.Module:
        return learned(data, ball, eps, key=Key(1), steps=20)

    exact = genuine_accuracy(model, data, ball, [0.5, 1.0], key=Key(0))
    taught = genuine_accuracy(model, data, ball, [0.5], key=Key(0), explored=explored)
    return [one.genuine.value for one in (*exact, *taught)]


def _sensible(model: nn.Module, data: frenemy.Examples) -> list[float]:
    reference = initialise(_plain(), Key(1)).to(device_of(model))
    seen = sensible_risk(model, reference, data, threat=frenemy.Linf(0.1), key=Key(0))
    return [seen.standard.value, seen.sensible.value, seen.robust.value]


QUESTIONS: dict[str, Callable[[nn.Module, frenemy.Examples], list[float]]] = {
    "audit": lambda model, data: _shares(
        frenemy.audit(model, data, threat="linf:0.1", attacks="apgd(steps=10)", curve=2)
    ),
    "audit by labels": lambda model, data: _shares(
        frenemy.audit(
            model, data, threat="l2:0.5", access="labels", attacks="hopskipjump", queries=100, curve=0
        )
    ),
    "boundary": lambda model, data: boundary(model, data).distance.tolist(),
    "regions": _regions,
    "sensible": _sensible,
    "transfer": lambda model, data: [
        float(one.right.mean()) for one in transfer({"a": model, "b": model}, data, attack="pgd(steps=5)")
    ],
}


def _plain() -> nn.Module:
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10)]
    return initialise(nn.Sequential(*layers), Key(0)).eval()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered_there_as_here(question: str, device: str) -> None:
    data = frenemy.load("digits", examples=12)
    here = QUESTIONS[question](_plain(), data)
    with on(device) as place:
        there = QUESTIONS[question](_plain().to(place), data)
    assert there == pytest.approx(here, rel=1e-4 if device == "elsewhere" else 1e-2)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", catalog("training"))
def test_a_training_comes_there_to_the_weights_of_here(
    name: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frenemy.models.fast.FLOAT32", False)  # the kernels of elsewhere: not a bit differs
    off = 0.0 if device == "elsewhere" else 1e-2

    def trained(place: torch.device) -> Fitted:
        examples = frenemy.load("digits", split="train", examples=60)
        regime = Regime(epochs=2, batch_size=20, optimiser="sgd", rate=0.01, hold_out=20, augment="crop")
        return fit(
            recipe(name),
            _plain(),
            examples,
            key=Key(0),
            threat=frenemy.L2(0.5),
            regime=regime,
            engine=Engine(place),
        )

    here = trained(torch.device("cpu"))
    with on(device) as place:
        there = trained(place)
        weights = there.model.state_dict()
        assert {tensor.device.type for tensor in weights.values()} == {place.type}
        for part, tensor in here.model.state_dict().items():
            torch.testing.assert_close(weights[part].cpu(), tensor, rtol=off, atol=off / 10, msg=part)


def test_what_lives_here_and_there_does_not_meet() -> None:
    with Elsewhere():
        x = torch.ones(2, 3, device=PLACE)
        assert (x + 1).device == x.device
        assert (x.cpu() + torch.ones(3)).device.type == "cpu"
        assert x[torch.tensor([0])].device == x.device
        with pytest.raises(RuntimeError, match="elsewhere, got one of"):
            x + torch.ones(3)
        with pytest.raises(RuntimeError, match="elsewhere, got one of"):
            torch.ones(3)[torch.tensor([0], device=PLACE)]
        with pytest.raises(RuntimeError, match="numpy"):
            x.numpy()
        x.add_(1)
    assert x.tolist() == [[2.0, 2.0, 2.0]] * 2
