"""Every attack on every device that is here: it stays there, and finds what it finds on the first."""

from __future__ import annotations

import pytest
import torch
from tests.oracles import net
from tests.scenes import PAIRS, around, batch_of, labelled, made, size_of

import frenemy
from frenemy.data.batch import Batch
from frenemy.objectives.objective import Objective
from frenemy.objectives.surrogates import Margin
from frenemy.rng import Key

DEVICES = [pytest.param("cpu", marks=pytest.mark.slow), *(["cuda"] if torch.cuda.is_available() else [])]
"""Where there is but the CPU, it is compared with itself, which can wait."""
WISHES = {"enemy": frenemy.Untargeted(Margin()), "friend": frenemy.Hypocritical(Margin())}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_an_attack_finds_there_what_it_finds_here(name: str, kind: str, wish: Objective, device: str) -> None:
    model, shape = net(12, 4, Key(3)), (1, 3, 4)
    batch = labelled(batch_of(shape, 12), model)
    there = Batch(*(tensor.to(device) for tensor in (batch.x, batch.y, batch.index)))
    threat, attack = around(kind, size_of(kind, 12)), made(name, steps=5, restarts=2)
    here = attack(model, batch, threat=threat, objective=wish, key=Key(4))
    found = attack(model.to(device), there, threat=threat, objective=wish, key=Key(4))
    assert {field.device.type for field in (found.x, found.loss, found.success, found.step)} == {device}
    assert torch.equal(found.success.cpu(), here.success)
    torch.testing.assert_close(found.loss.cpu(), here.loss, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_an_audit_says_there_what_it_says_here(device: str) -> None:
    model, data = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)), frenemy.load("digits")
    few = data.take(slice(0, 40))
    here = frenemy.audit(model, few, threat="linf:0.1", steps=5, curve=2)
    there = frenemy.audit(model.to(device), few, threat="linf:0.1", steps=5, curve=2)
    for measure in ("accuracy_clean", "accuracy_adversarial", "accuracy_hypocritical", "risk_reversible"):
        assert there[measure] == here[measure], measure
