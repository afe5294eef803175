"""B: models. What is asked misbehaves."""

from __future__ import annotations

import copy
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tests.faults.kit import QUICK, apart, case, few, honest, plain, refused, said, same
from tests.oracles import Scripted
from torch import Tensor, nn

from frenemy.models.model import Model
from frenemy.risks.audit import audit
from frenemy.risks.result import Audit
from frenemy.rng import Key


def judged(model: Model, **how: Any) -> Audit:
    """The quick audit of a model."""
    return audit(model, few(), **{**QUICK, **how})


def caveats(found: Audit) -> set[str]:
    """The names of what is to be known."""
    return {caveat.name for caveat in found.caveats}


@case(18)
def left_in_training_mode(place: Path) -> str:
    """Judged in evaluation mode; every submodule's mode and every buffer as before, and said."""
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Dropout(), nn.Linear(64, 10)).train()
    model[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = judged(model)
    assert [part.training for part in model.modules()] == [True, True, True, False, True]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert "training mode" in caveats(found)
    return "fixed, flagged"


@case(19)
def gradients_of_the_user(place: Path) -> str:
    """Frozen parameters stay frozen, gradients that were there stay as they were."""
    model = copy.deepcopy(plain())
    first, *others = model.parameters()
    first.requires_grad_(False)
    for parameter in others:
        parameter.grad = torch.ones_like(parameter)
    same(judged(model))
    assert first.grad is None
    assert not first.requires_grad
    assert all(p.requires_grad and torch.equal(p.grad, torch.ones_like(p)) for p in others)  # type: ignore[arg-type]
    return "fixed"


@case(20)
def probabilities(place: Path) -> str:
    """Probabilities instead of logits: flagged, their logarithm is searched, A is that of the logits to 1 in 100."""
    found = judged(lambda x: plain()(x).softmax(1))
    assert "probabilities" in caveats(found)
    assert found.trust != "ok"
    lower = found["accuracy_adversarial"].value - honest()["accuracy_adversarial"].value
    assert abs(lower) < 0.01
    return "fixed, flagged"


@case(21)
def an_answer_in_a_box(place: Path) -> str:
    """A dictionary, a tuple, an object with .logits: the logits are found, and said."""
    for wrap in (lambda z: {"logits": z, "loss": z.sum()}, lambda z: (z, z.sum())):
        found = judged(lambda x, wrap=wrap: wrap(plain()(x)))
        same(found)
        assert any("logits are taken" in note for note in found.notes)
    return "fixed"


@case(22)
def no_path_for_gradients(place: Path) -> str:
    """No gradient path: attacks that need one are not applicable, Square runs, and it is flagged."""
    found = judged(lambda x: plain()(x).detach(), steps=None)
    assert "no gradients" in caveats(found)
    assert {one.state for one in found.attempts} == {"", "not applicable"}
    return "flagged"


@case(23)
def gradients_that_are_zero(place: Path) -> str:
    """Rounding in front: flagged, and the number is not to be trusted."""
    found = judged(lambda x: plain()((4 * x).round() / 4), steps=20)
    assert "zero gradients" in caveats(found)
    assert found.trust == "do not trust"
    return "flagged"


@case(24)
def answers_that_are_no_numbers(place: Path) -> str:
    """NaN logits at some inputs: never counted robust nor broken, and counted apart."""
    sick = few().x[[5, 31]]

    def model(x: Tensor) -> Tensor:
        near = (x[:, None] - sick).flatten(2).abs().amax(2).amin(1) < 0.25
        logits: Tensor = plain()(x).clone()
        logits[near, 3] = torch.nan
        return logits

    found = judged(model)
    assert apart(found) == [5, 31]
    assert found["risk_adversarial"].n == 58
    same(found, found.examples["set_apart"] == "")
    return "flagged: 2 set apart"


@case(25)
def random_at_test_time(place: Path) -> str:
    """A random model: flagged, averaging suggested, and the number not to be trusted."""
    calls = iter(range(10**9))
    found = judged(lambda x: plain()(x) + Key(next(calls)).normal(torch.arange(len(x)), (10,)))
    assert any(c.name == "random answers" and "EOT" in c.text for c in found.caveats)
    assert found.trust == "do not trust"
    return "flagged"


@case(26)
def gradients_of_its_own(place: Path) -> str:
    """A model that takes gradients while it answers: flagged, without touching any tracer."""

    def model(x: Tensor) -> Tensor:
        with torch.enable_grad():
            inner = x.detach().requires_grad_()
            plain()(inner).amax(1).sum().backward()
        logits: Tensor = plain()(x + 0 * inner.grad) if inner.grad is not None else plain()(x)
        return logits

    found = judged(model)
    assert "optimises in its forward" in caveats(found)
    plain().zero_grad(set_to_none=True)
    return "flagged"


@case(27)
def it_writes_into_its_input(place: Path) -> str:
    """A model that changes its input in place works on a copy; the data stay as they were, and it is said."""
    before = few().x.clone()

    def model(x: Tensor) -> Tensor:
        with torch.no_grad():
            x.mul_(1.0)
        logits: Tensor = plain()(x)
        return logits

    found = judged(model)
    assert torch.equal(few().x, before)
    assert any("in place" in note for note in found.notes)
    return "fixed"


@case(28)
def it_remembers(place: Path) -> str:
    """State between calls: flagged, and the number not to be trusted."""
    calls = iter(range(10**9))
    found = judged(lambda x: plain()(x) * (1 - 1e-4 * max(0, next(calls) - 12)))
    assert "the model changed" in caveats(found)
    assert found.trust == "do not trust"
    return "flagged"


@case(29)
def few_classes(place: Path) -> str:
    """Two classes: the margin stands in for the difference of logits ratio, and it is said. One class is refused."""
    import dataclasses

    two = dataclasses.replace(few(), y=few().y % 2, classes=("even", "odd"))
    both = lambda x: torch.stack([plain()(x)[:, k::2].logsumexp(1) for k in (0, 1)], 1)  # noqa: E731
    found = audit(both, two, threat="linf:0.1", curve=0, attacks="apgd(steps=3,loss=dlr)")
    assert "loss replaced" in caveats(found)
    with refused("at least 2 classes"):
        audit(lambda x: plain()(x)[:, :1], few(), **QUICK)
    return "fixed, flagged; one class refused"


@case(30)
def classes_that_do_not_fit(place: Path) -> str:
    """Another number of classes than the data have: refused, both named."""
    with refused("10 classes", "got one with 7"):
        judged(lambda x: plain()(x)[:, :7])
    return "refused"


@case(31)
def it_raises_now_and_then(place: Path) -> str:
    """A model that raises on one call is asked again; one that raises at some examples has these set apart."""
    same(judged(Scripted(plain(), lambda call, x: ValueError("moody") if call == 9 else None)))
    sick = few().x[13]

    def fault(call: int, x: Tensor) -> Exception | None:
        near = bool(((x - sick).flatten(1).abs().amax(1) < 0.25).any())
        return ZeroDivisionError("no") if near else None

    found = judged(Scripted(plain(), fault))
    assert apart(found) == [13]
    same(found, found.examples["set_apart"] == "")
    return "fixed; 1 set apart"


@case(32)
def it_hangs(place: Path) -> str:
    """A model that hangs at one example: that one is set apart after the time limit, the others are judged."""
    sick = few().x[40]

    def model(x: Tensor) -> Tensor:
        if bool(((x - sick).flatten(1).abs().amax(1) < 0.25).any()):
            time.sleep(60)
        logits: Tensor = plain()(x)
        return logits

    began = time.monotonic()
    found = judged(model, time_limit=0.3)
    assert time.monotonic() - began < 30
    assert apart(found) == [40]
    same(found, found.examples["set_apart"] == "")
    return "flagged: 1 set apart"


def _above_nine(error: RuntimeError, call: int, x: Tensor) -> RuntimeError | None:
    return error if len(x) > 9 else None


@case(33)
def memory_runs_out(place: Path) -> str:
    """Out of memory above nine rows: the batch is halved until it fits; the verdicts are those of large batches."""
    for error in (torch.OutOfMemoryError("no"), RuntimeError("DefaultCPUAllocator: can't allocate memory")):
        model = Scripted(plain(), partial(_above_nine, error))
        same(judged(model))
    return "fixed"


@case(34)
def on_no_device(place: Path) -> str:
    """A device there is none of: refused."""
    code, _, err = said("audit", "--device", "cuda:7", "--out", place / "x")
    assert code == 2, err
    assert "device" in err, err
    return "refused"
