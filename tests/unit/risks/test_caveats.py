"""Caveats: a model that cannot be believed is named, an honest one is left in peace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from frenemy.data.examples import Examples
from frenemy.models.model import Model
from frenemy.risks.audit import audit
from frenemy.risks.result import Audit
from frenemy.rng import Key

QUICK: Final[dict[str, Any]] = {"threat": "linf:0.1", "effort": "quick", "curve": 0}


def names(found: Audit) -> set[str]:
    return {caveat.name for caveat in found.caveats}


def test_an_honest_model_has_no_caveats_but_its_few_examples(plain: nn.Module, few: Examples) -> None:
    honest = audit(plain, few, **QUICK)
    assert all(caveat.grade == "note" for caveat in honest.caveats)
    assert honest.trust == "ok"
    assert (honest.examples["set_apart"] == "").all()


def softly(model: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda x: model(x).softmax(1)


def randomly(model: nn.Module) -> Callable[[Tensor], Tensor]:
    calls = iter(range(10**6))

    def answer(x: Tensor) -> Tensor:
        noise = Key(next(calls)).normal(torch.arange(len(x)), (10,))
        logits: Tensor = model(x) + 0.5 * noise
        return logits

    return answer


def stepwise(model: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda x: model((8 * x).round() / 8)


@pytest.mark.parametrize(
    ("spoil", "caveat"),
    [(softly, "probabilities"), (randomly, "random answers"), (stepwise, "zero gradients")],
)
def test_a_model_that_cannot_be_believed_is_named(
    plain: nn.Module, few: Examples, spoil: Callable[[nn.Module], Model], caveat: str
) -> None:
    found = audit(spoil(plain), few, **QUICK)
    assert caveat in names(found)
    assert found.trust != "ok"


def test_probabilities_are_judged_like_the_logits_they_came_from(
    plain: nn.Module, few: Examples, tmp_path: Path
) -> None:
    """Their logarithm is searched, and searched again by a run that goes on from what another had finished."""
    logits = audit(plain, few, **QUICK)
    for _ in range(2):
        found = audit(softly(plain), few, **QUICK, name="soft", out=tmp_path)
        assert [m.estimate for m in found.measurements] == [m.estimate for m in logits.measurements]
        assert [c.name for c in found.caveats if c.grade == "caution"].count("probabilities") == 1
        for wish in ("untargeted", "hypocritical", "reversal"):
            np.testing.assert_allclose(
                found.examples[f"{wish}_spare"], logits.examples[f"{wish}_spare"], rtol=1e-3, atol=1e-3
            )


def test_one_loss_alone_is_said(plain: nn.Module, few: Examples) -> None:
    assert "cross-entropy only" in names(audit(plain, few, **{**QUICK, "losses": ["ce"]}))
    assert "cross-entropy only" not in names(audit(plain, few, **{**QUICK, "losses": ["margin"]}))


@pytest.mark.parametrize(("threat", "alike"), [("linf:0.5", True), ("linf:0.49", False), ("l2:4", True)])
def test_a_threat_that_makes_all_examples_alike_is_said(
    plain: nn.Module, few: Examples, threat: str, alike: bool
) -> None:
    """The middle of 64 pixels is at most 4 away in L2; whatever the model says there is one answer for all."""
    found = audit(plain, few, **{**QUICK, "threat": threat})
    assert ("eps too large" in names(found)) is alike
    kept = next(m.estimate.value for m in found.measurements if m.measure == "accuracy_adversarial")
    assert not alike or kept <= few.y.bincount().max() / len(few)
