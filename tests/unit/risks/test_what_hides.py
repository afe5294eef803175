"""Models and questions that make attacks look weak or numbers look good: each is named, or refused in a sentence."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Final

import pytest
import torch
from tests.oracles import backwards, exact, linear_net
from torch import Tensor, nn

from frenemy.attacks.attack import Found
from frenemy.attacks.pgd import PGD
from frenemy.card import Card
from frenemy.data.examples import Examples
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.surrogates import SURROGATES, CrossEntropy
from frenemy.risks.audit import audit
from frenemy.risks.result import Audit
from frenemy.rng import Key

QUICK: Final[dict[str, Any]] = {"threat": "linf:0.1", "curve": 0}


def names(found: Audit) -> set[str]:
    return {caveat.name for caveat in found.caveats}


def test_gradients_that_mislead_are_named(plain: nn.Module, few: Examples) -> None:
    wanted = {**QUICK, "objectives": ["enemy"]}
    found = audit(backwards(plain), few, **wanted, attacks="bim(steps=5),square(queries=100)")
    assert found.attempts[-1].fell > 3
    text = next(caveat.text for caveat in found.caveats if caveat.name == "gradients mislead")
    assert text.startswith(
        f"{found.attempts[-1].fell} examples fell to an enemy who sees scores only (Square"
    )
    for attacks in ("square(queries=100)", "square(queries=100),bim(steps=5)"):
        assert "gradients mislead" not in names(audit(backwards(plain), few, **wanted, attacks=attacks))


@pytest.mark.parametrize(
    ("attacks", "losses", "flagged"),
    [
        ("pgd(steps=2)", ["ce"], True),
        ("pgd(steps=2),bim(steps=2)", ["ce", "kl"], True),
        ("worstof(attacks=(bim(steps=2),fgsm))", ["ce"], True),
        ("pgd(steps=2)", ["ce", "margin"], False),
        ("pgd(steps=2)", ["margin"], False),
        ("pgd(steps=2),square(queries=3)", ["ce"], False),
        ("pgd(steps=2,loss=ce),deepfool", None, False),
        ("aimed(attack=fgsm,loss=ce)", None, True),
        ("aimed(attack=fgsm)", None, False),
    ],
)
def test_cross_entropy_alone_is_said(
    plain: nn.Module, few: Examples, attacks: str, losses: list[str] | None, flagged: bool
) -> None:
    some = few.take(slice(0, 6))
    found = audit(plain, some, **QUICK, attacks=attacks, losses=losses, objectives=["enemy"])
    assert ("cross-entropy only" in names(found)) == flagged


def two_classes() -> tuple[nn.Module, Examples]:
    """A model of two classes."""
    index = torch.arange(9)
    x = Key(6).uniform(index, (4,))
    return linear_net(4, 2, Key(5)), Examples("two", x=x, y=index % 2, classes=("a", "b"), low=0.0, high=1.0)


def test_a_loss_that_needs_more_classes_is_said() -> None:
    model, examples = two_classes()
    settings = {**QUICK, "objectives": ["enemy"]}
    assert "loss replaced" in names(audit(model, examples, **settings, attacks="fgsm", losses=["dlr"]))
    assert "loss replaced" not in names(audit(model, examples, **settings, attacks="fgsm"))
    found = audit(model, examples, **settings, attacks="autoattack(steps=2,queries=5)")
    (text,) = (caveat.text for caveat in found.caveats if caveat.name == "loss replaced")
    assert "With 2 classes" in text
    assert "AutoAttack" in text


@dataclasses.dataclass(frozen=True)
class Many:
    """A surrogate for eleven classes or more."""

    soft: bool = False

    def __call__(self, logits: Tensor, goal: Tensor) -> Tensor:
        return CrossEntropy()(logits, goal)

    def undefined(self, classes: int) -> bool:
        return classes < 11


def test_any_surrogate_may_say_that_it_is_undefined(
    plain: nn.Module, few: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SURROGATES, "many", Many())
    found = audit(plain, few.take(slice(0, 5)), **QUICK, attacks="fgsm(loss=many)", objectives=["enemy"])
    assert "loss replaced" in names(found)


def cut(model: nn.Module) -> Model:
    """Answers through which no gradient flows."""

    def answer(x: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = model(x)
        return logits

    return answer


def numpy(model: nn.Module) -> Model:
    """Answers made outside torch, which fail where a gradient is wanted."""
    return lambda x: torch.as_tensor(model(torch.as_tensor(x.numpy())).detach().numpy())


@pytest.mark.parametrize("way", [cut, numpy])
def test_without_gradients_the_others_run_and_it_is_said(plain: nn.Module, few: Examples, way: Any) -> None:
    found = audit(way(plain), few, **QUICK, attacks="pgd(steps=3),square(queries=60)")
    assert "no gradients" in names(found)
    states = {(one.attack, one.state, one.tried) for one in found.attempts if one.objective == "untargeted"}
    assert ("PGD(steps=3, restarts=1) on ce", "not applicable", 0) in states
    assert exact(found["risk_adversarial"]) > exact(found["risk_natural"])
    assert not {"zero gradients", "gradients mislead"} & names(found)
    usual = audit(way(plain), few.take(slice(0, 9)), **QUICK, effort="quick")
    assert {one.attack for one in usual.attempts if not one.state} == {"Square(queries=200, restarts=1)"}
    assert usual.cost.backwards == 0
    with pytest.raises(UsageError, match="needs no gradient"):
        audit(way(plain), few, **QUICK, attacks=PGD())


def test_a_model_that_trips_once_has_its_gradients(plain: nn.Module, few: Examples) -> None:
    calls: list[int] = []

    def moody(x: Tensor) -> Tensor:
        calls.append(len(x))
        if len(calls) == 1:
            raise RuntimeError("not yet")
        logits: Tensor = plain(x)
        return logits

    found = audit(moody, few.take(slice(0, 5)), **QUICK, attacks="fgsm")
    assert "no gradients" not in names(found)


@pytest.mark.parametrize("shape", ["constant", "zero gradient"])
def test_a_model_that_nothing_moves_is_no_robust_model(few: Examples, shape: str) -> None:
    fixed = torch.linspace(0, 1, 10)
    model: Model = {
        "constant": lambda x: fixed.expand(len(x), 10) + 0 * x.sum(),
        "zero gradient": lambda x: fixed + (x.flatten(1)[:, :10] * 4).round(),
    }[shape]
    found = audit(model, few, **QUICK, attacks="pgd(steps=3)")
    assert "zero gradients" in names(found)
    assert ("constant answers" in names(found)) == (shape == "constant")


@pytest.mark.parametrize("right", [True, False])
def test_one_example_is_enough(plain: nn.Module, few: Examples, right: bool) -> None:
    answers = plain(few.x[:1]).argmax(1)
    one = dataclasses.replace(few.take(slice(0, 1)), y=answers if right else (answers + 1) % 10)
    found = audit(plain, one, threat="linf:0.3", curve=0, steps=5)
    assert found["risk_natural"].n == 1
    assert found["risk_adversarial_on_correct"].defined == right
    assert found["risk_hypocritical"].defined != right
    enemy = [line for line in found.attempts if line.objective == "untargeted"]
    assert any(line.tried for line in enemy) == right
    assert exact(found["risk_adversarial"]) == (1 if not right else sum(line.fell for line in enemy))


def test_the_usual_effort_leaves_out_what_a_sphere_forbids(plain: nn.Module, few: Examples) -> None:
    found = audit(plain, few.take(slice(0, 9)), threat="sphere-l2:0.5", curve=0, steps=2)
    (text,) = (caveat.text for caveat in found.caveats if caveat.name == "left out")
    assert "DeepFool, Square" in text


@dataclasses.dataclass(frozen=True)
class Twice:
    """An attack that stands in no catalog."""

    times: int = 2
    card: ClassVar[Card] = PGD.card

    def __call__(self, model: Any, batch: Any, **more: Any) -> Found:
        return PGD(steps=self.times)(model, batch, **more)


def test_an_attack_from_elsewhere_may_be_audited(plain: nn.Module, few: Examples) -> None:
    found = audit(plain, few.take(slice(0, 9)), **QUICK, attacks=Twice(), losses=["ce"])
    assert found.attempts[0].attack == "Twice(times=2) on ce"
