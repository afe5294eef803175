"""What became of each example, on a linear model whose margins and distances are known in closed form."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.oracles import linear_net
from torch import Tensor, nn

from frenemy.attacks.attack import Status
from frenemy.data.examples import Examples
from frenemy.risks import conduct
from frenemy.risks.audit import audit
from frenemy.risks.inquiry import Inquiry
from frenemy.risks.result import Audit, Picture
from frenemy.risks.shown import extremes
from frenemy.rng import Key
from frenemy.threats.l2 import L2
from frenemy.threats.linf import Linf

ROWS, FEATURES = 60, 9


@pytest.fixture(scope="module")
def scene() -> tuple[nn.Module, Examples, Tensor, Tensor]:
    """A linear model of two classes, right at two thirds of the inputs; the leads of the labels, and its slope."""
    model, index = linear_net(FEATURES, 2, Key(5)), torch.arange(ROWS)
    x = Key(6).normal(index, (FEATURES,))
    with torch.no_grad():
        logits = model(x)
        y = torch.where(index % 3 == 0, logits.argmin(1), logits.argmax(1))
        lead = logits.gather(1, y[:, None]).squeeze(1) - logits.gather(1, 1 - y[:, None]).squeeze(1)
        slope = model.layer.weight[1] - model.layer.weight[0]
    examples = Examples("linear", x=x, y=y, classes=("a", "b"), low=-1e3, high=1e3)
    return model, examples, lead, slope


def size(lead: Tensor, slope: Tensor) -> float:
    """Between two of the distances at which the examples fall, near the median."""
    gap = (lead.abs() / slope.abs().sum()).sort().values
    return float(gap[ROWS // 2 - 1 : ROWS // 2 + 1].mean())


def searched(scene: tuple[nn.Module, Examples, Tensor, Tensor], **more: Any) -> Audit:
    model, examples, lead, slope = scene
    return audit(
        model, examples, threat=Linf(size(lead, slope), -1e3, 1e3), curve=0, losses=["margin"], **more
    )


def test_what_is_left_over_is_the_margin_in_closed_form(
    scene: tuple[nn.Module, Examples, Tensor, Tensor],
) -> None:
    """One step of the fast gradient method on a linear model moves the margin by eps |w|_1, up or down."""
    found, lead = searched(scene, attacks="fgsm"), scene[2].double().numpy()
    reach = size(*scene[2:]) * float(scene[3].abs().sum())
    right = lead > 0
    spare = {
        "untargeted": np.where(right, reach - lead, -lead),
        "hypocritical": np.where(right, lead, reach + lead),
        "reversal": reach - np.abs(lead),
    }
    for wish, wanted in spare.items():
        np.testing.assert_allclose(found.examples[f"{wish}_spare"], wanted, rtol=1e-3, atol=1e-3)
        outcome = found.examples[f"{wish}_outcome"]
        home = {"untargeted": ~right, "hypocritical": right, "reversal": np.zeros(ROWS, bool)}[wish]
        assert (outcome == np.where(home, 0, np.where(wanted > 0, 1, 2))).all()
        assert (found.examples[f"{wish}_attack"] != "").tolist() == (outcome == Status.FOUND).tolist()
    assert {*found.examples["untargeted_attack"]} == {"", "FGSM on margin"}
    flipped = found.examples["reversal_outcome"] == Status.FOUND
    assert (found.examples["reversal_attack"][flipped & right] == "FGSM on margin, for an enemy").all()
    assert (found.examples["reversal_attack"][flipped & ~right] == "FGSM on margin, for a false friend").all()


def test_who_did_it_is_who_did_it_first(scene: tuple[nn.Module, Examples, Tensor, Tensor]) -> None:
    found = searched(scene, attacks="square(queries=3),pgd(steps=8,random_start=no),square(queries=40)")
    for wish in ("untargeted", "hypocritical"):
        named = Counter(found.examples[f"{wish}_attack"].tolist())
        fell = {one.attack: one.fell for one in found.attempts if one.objective == wish}
        assert {name: named[name] for name in fell} == fell
        assert sum(count > 0 for count in fell.values()) > 1
        took = found.examples[f"{wish}_step"][
            found.examples[f"{wish}_attack"] == "PGD(steps=8, random_start=False, restarts=1) on margin"
        ]
        assert len(took) == 0 or took.min() >= 1
        blank = found.examples[f"{wish}_attack"] == ""
        assert (found.examples[f"{wish}_step"][blank] == -1).all()


def test_an_example_set_apart_has_no_fate(scene: tuple[nn.Module, Examples, Tensor, Tensor]) -> None:
    model, examples, *_ = scene
    x = examples.x.clone()
    x[4, 0] = math.nan
    found = searched((model, replace(examples, x=x), *scene[2:]), attacks="fgsm")
    assert found.examples["untargeted_attack"][4] == ""
    assert np.isnan(found.examples["untargeted_spare"][4])


def test_the_easiest_and_the_hardest_are_those_of_the_gaps(
    scene: tuple[nn.Module, Examples, Tensor, Tensor],
) -> None:
    """On a linear model the least L2 distance is the margin over the norm of its slope."""
    model, examples, lead, slope = scene
    gap = (lead.abs() / slope.norm()).numpy()
    threat = L2(float(np.median(gap)), -1e3, 1e3)
    found = audit(model, examples, threat=threat, curve=2, attacks="deepfool")
    for wish, some in (("untargeted", lead > 0), ("hypocritical", lead < 0)):
        rows = np.flatnonzero(some.numpy())
        order = rows[np.argsort(gap[rows])].tolist()
        shown = {rank: [p for p in found.pictures if (p.objective, p.rank) == (wish, rank)]
                 for rank in ("easiest", "hardest")}  # fmt: skip
        assert [p.index for p in shown["easiest"]] == order[:3]
        assert [p.index for p in shown["hardest"]] == order[: len(order) - 4 : -1]
        for picture in shown["easiest"]:
            assert picture.least == pytest.approx(gap[picture.index], rel=0.02)
            assert picture.distance == pytest.approx(picture.least, rel=0.02)
            assert picture.spare >= 0
            moved = np.linalg.norm(picture.perturbed - picture.clean)
            assert moved == pytest.approx(picture.distance, rel=1e-4)


def test_the_points_are_those_of_the_search(plain: nn.Module, few: Examples) -> None:
    """Found again alone, an example has the verdict, the step and the margin that it had in its batch."""
    found = audit(plain, few, threat="linf:0.12", curve=0, effort="quick")
    ranked = [picture for picture in found.pictures if picture.rank]
    assert {picture.rank for picture in ranked} == {"easiest", "hardest"}
    rows = {index: row for row, index in enumerate(found.examples["index"].tolist())}
    for picture in ranked:
        row, wish = rows[picture.index], picture.objective
        stood = found.examples[f"{wish}_outcome"][row] == Status.NOT_FOUND
        assert (picture.after == picture.before) == stood
        assert picture.spare == pytest.approx(float(found.examples[f"{wish}_spare"][row]), rel=1e-4, abs=1e-5)
        if not stood:
            assert picture.attack == found.examples[f"{wish}_attack"][row]
            assert picture.step == found.examples[f"{wish}_step"][row]
        with torch.no_grad():
            logits = plain.eval()(torch.from_numpy(picture.perturbed)[None])
        assert int(logits.argmax()) == picture.after


def test_looking_again_for_a_picture_changes_no_verdict(
    plain: nn.Module, few: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that fails only when it is asked once more, for a picture, has all its numbers by then."""

    def failing(inquiry: Inquiry, *more: Any) -> tuple[Picture, ...]:
        inquiry.apart[4] = "the model raised an error"
        return extremes(inquiry, *more)

    wanted = audit(plain, few, threat="linf:0.12", curve=0, effort="quick")
    monkeypatch.setattr(conduct, "extremes", failing)
    found = audit(plain, few, threat="linf:0.12", curve=0, effort="quick")
    assert found["risk_adversarial"] == wanted["risk_adversarial"]
    assert (found.examples["set_apart"] == "").all()
