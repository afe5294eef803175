"""Attack after attack in one audit: who was tried, who fell, and what an attack of least distance gives the curve."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from tests.oracles import exact, linear_net
from torch import Tensor, nn

from frenemy.attacks.attack import Attack, Status
from frenemy.attacks.autoattack import AutoAttack
from frenemy.attacks.deepfool import DeepFool
from frenemy.attacks.square import Square
from frenemy.data.examples import Examples
from frenemy.errors import RunError
from frenemy.objectives.surrogates import Margin
from frenemy.objectives.untargeted import Untargeted
from frenemy.risks.audit import audit
from frenemy.risks.named import asked
from frenemy.risks.result import Audit
from frenemy.risks.search import Search
from frenemy.rng import Key
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf

QUICK: Final[dict[str, Any]] = {"threat": "linf:0.1", "curve": 0}
FOUR: Final[list[str | Attack | Search]] = ["fgsm", "pgd(steps=3)", DeepFool(), "square(queries=30)"]


def fell(found: Audit) -> list[bool]:
    """Which examples yield to an enemy."""
    return [outcome <= Status.FOUND for outcome in found.examples["untargeted_outcome"].tolist()]


@pytest.fixture(scope="module")
def several(plain: nn.Module, few: Examples) -> Audit:
    return audit(plain, few, **QUICK, attacks=FOUR, losses=["ce"])


@pytest.mark.parametrize(
    ("wish", "measure"),
    [
        ("untargeted", "accuracy_adversarial"),
        ("hypocritical", "accuracy_hypocritical"),
        ("reversal", "risk_reversible"),
    ],
)
def test_each_search_has_its_line_and_the_lines_add_up(several: Audit, wish: str, measure: str) -> None:
    lines = [one for one in several.attempts if one.objective == wish]
    assert [one.attack for one in lines] == [
        "FGSM on ce",
        "PGD(steps=3, restarts=1) on ce",
        "DeepFool(steps=50)",
        "Square(queries=30, restarts=1)",
    ]
    assert {one.measure for one in lines} == {measure}
    left = [one.estimate.value * 60 for one in lines]
    sign = -1 if wish == "untargeted" else 1
    for one, after, place in zip(lines, lines[1:], range(1, 9), strict=False):
        assert after.tried == one.tried - one.fell
        assert left[place] - left[place - 1] == pytest.approx(sign * after.fell)
    right = int((several.examples["clean_answer"] == several.examples["label"]).sum())
    if wish != "reversal":
        assert lines[0].tried == (right if wish == "untargeted" else 60 - right)
        assert left[0] == pytest.approx(right + sign * lines[0].fell)
    cost = next(m.cost for m in several.measurements if m.measure == measure and m.role == "headline")
    assert sum(one.cost.forwards for one in lines) == cost.forwards


def test_an_example_falls_if_any_attack_fells_it_in_any_order(plain: nn.Module, few: Examples) -> None:
    wanted: dict[str, Any] = {**QUICK, "objectives": ["enemy"]}
    forth, back = (audit(plain, few, **wanted, attacks=order, losses=["ce"]) for order in (FOUR, FOUR[::-1]))
    single = [audit(plain, few, **wanted, attacks=Search(asked(one)[0].attack, "ce")) for one in FOUR]
    assert fell(forth) == fell(back) == np.any([fell(one) for one in single], axis=0).tolist()
    assert len({sum(fell(one)) for one in single}) > 1


def test_an_ensemble_opened_says_what_the_ensemble_says(plain: nn.Module, few: Examples) -> None:
    attack = AutoAttack(steps=4, queries=20, targets=2)
    found = audit(plain, few, threat="linf:0.06", curve=0, attacks=attack, objectives=["enemy"], fast=False)
    key, wish = Key(0).fold("audit"), Untargeted(Margin())
    whole = attack(plain, few.batch(), threat=Linf(0.06), objective=wish, key=key)
    assert fell(found) == whole.success.tolist()
    assert [one.attack.partition(":")[0] for one in found.attempts] == ["AutoAttack"] * 4
    assert found.attempts[0].fell > 0


def linear_digits() -> tuple[nn.Module, Examples, Tensor]:
    """A linear model of two classes that is always right, and how far away its other answer is."""
    model, index = linear_net(64, 2, Key(5)), torch.arange(60)
    x = Key(6).uniform(index, (1, 8, 8))
    with torch.no_grad():
        logits = model(x.flatten(1))
        weight = model.layer.weight[1] - model.layer.weight[0]
    gap = (logits[:, 1] - logits[:, 0]).abs() / weight.norm()
    examples = Examples("linear", x=x, y=logits.argmax(1), classes=("a", "b"), low=-1e3, high=1e3)
    return nn.Sequential(nn.Flatten(), model), examples, gap


@pytest.mark.parametrize("attacks", ["deepfool", "fgsm,deepfool"])
def test_one_run_of_least_distance_gives_every_size(attacks: str) -> None:
    """On a linear model the accuracy at each size is the share of gaps above it, up to DeepFool's 2 per cent."""
    model, examples, gap = linear_digits()
    told: list[str] = []
    found = audit(
        model,
        examples,
        threat=L2(float(gap.median()), -1e3, 1e3),
        attacks=attacks,
        objectives=["enemy"],
        curve=8,
        progress=lambda what, share: told.append(what),
    )
    largest = next(curve for curve in found.curves if curve.kind == "largest")
    for size, estimate in zip(largest.eps, largest.accuracy, strict=True):
        least, most = (float((gap > size / slack).double().mean()) for slack in (0.999, 1.02))
        assert least - 1e-6 <= exact(estimate) <= most + 1e-6
    assert {curve.kind for curve in found.curves} == ({"largest", "exact"} if "," in attacks else {"largest"})
    assert told.count("curve: an enemy") <= (20 if "," in attacks else 2)
    assert largest.accuracy[4] == found["accuracy_adversarial"]
    inside = np.array(fell(found))
    assert found.attempts[-1].fell + found.attempts[0].fell * ("," in attacks) == inside.sum()
    distance = found.examples["untargeted_distance"]
    assert distance[inside].max() <= float(gap.median()) < np.nanmax(distance)
    assert all(picture.distance <= float(gap.median()) for picture in found.pictures if not picture.rank)


def test_attacks_belong_to_the_run(plain: nn.Module, few: Examples, tmp_path: Path) -> None:
    some, settings = few.take(slice(0, 9)), {**QUICK, "out": tmp_path}
    first = audit(plain, some, **settings, attacks="fgsm,square(queries=20)")
    jobs = {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("jobs/*")}
    again = audit(plain, some, **settings, attacks=["fgsm", "square(queries=20)"])
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("jobs/*")} == jobs
    assert again.attempts == first.attempts
    with pytest.raises(RunError, match="attacks was"):
        audit(plain, some, **settings, attacks="fgsm,square(queries=21)")


def test_an_effort_is_on_record(plain: nn.Module, few: Examples) -> None:
    found = audit(plain, few.take(slice(0, 5)), **QUICK, steps=2, objectives=["enemy"])
    assert found.settings["effort"] == "standard"
    assert [one.attack for one in found.attempts] == [
        "PGD(steps=2, restarts=1) on ce",
        "PGD(steps=2, restarts=1) on margin",
        "APGD(steps=2, restarts=1) on margin",
        "DeepFool(steps=2, early_stop=True)",
        "Square(queries=200, restarts=1)",
    ]
    assert found.settings["attacks"]["untargeted"][4] == repr(Square(queries=200))
    words = {m.attack for m in found.measurements if m.objective == "untargeted"}
    assert words == {
        "PGD(steps=2, restarts=1) on ce, margin; APGD(steps=2, restarts=1) on margin; "
        "DeepFool(steps=2, early_stop=True); Square(queries=200, restarts=1); worst of all"
    }
