"""Masking: each mask is audited as the model that it makes, and the worst of several is counted by example."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import frenemy
from frenemy.data.digits import Digits
from frenemy.errors import UsageError
from frenemy.models.build import initialise
from frenemy.models.masked import Masked, Worn, joined
from frenemy.models.masks import _WISH, encoded
from frenemy.models.norms import norm_parameters
from frenemy.risks.masking import masking
from frenemy.rng import Key
from frenemy.training.fit import fit
from frenemy.training.regime import Regime
from frenemy.training.standard import Standard

ASKED: dict[str, Any] = {"threat": "linf:0.05", "attacks": "pgd(steps=3,loss=margin)"}


@pytest.fixture(scope="module")
def ends() -> tuple[nn.Module, nn.Module]:
    """Two models that are right on some digits, and differ in batch norm."""
    made = []
    for number in range(2):
        with torch.random.fork_rng(devices=[]):
            model = nn.Sequential(
                nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10)
            )
        initialise(model, Key(0))
        data = Digits("train")().take(slice(0, 400))
        fit(Standard(), model, data, key=Key(0), regime=Regime(epochs=4, batch_size=50, rate=0.01))
        with torch.no_grad():
            for parameter in norm_parameters(model):
                parameter.add_(Key(number).uniform(torch.arange(1), tuple(parameter.shape))[0] * 2 - 1)
        made.append(model)
    return made[0], made[1]


def test_every_mask_is_audited_as_the_model_that_it_makes(ends: tuple[nn.Module, nn.Module]) -> None:
    data = Digits("test")().take(slice(0, 40))
    found = masking(joined(*ends), 2, data, shares=(1.0, 0.0, 0.5), **ASKED)
    assert found.shares == (0.0, 0.5, 1.0)
    for place, model in ((0, ends[0]), (2, ends[1]), (1, Worn(joined(*ends), encoded(0.5, 2)))):
        own = frenemy.audit(model, data, objectives=("enemy",), curve=0, **ASKED)
        assert found.clean(place) == own["accuracy_clean"]
        assert found.robust(place) == own["accuracy_adversarial"]
        assert found.clean(place) == found.audits[place]["accuracy_clean"]
    stands = [
        all(audit.examples["untargeted_outcome"][row] == 2 for audit in found.audits) for row in range(40)
    ]
    assert found.worst.value == pytest.approx(np.mean(stands))
    assert found.worst.value < min(found.robust(place).value for place in range(3))
    assert found.apart == 0


def test_an_example_that_breaks_under_one_mask_counts_under_none(ends: tuple[nn.Module, nn.Module]) -> None:
    data = Digits("test")().take(slice(0, 20))
    loud = float(data.batch().x[7].double().sum())

    class Brittle(nn.Module):
        """Gives no number at one example, under the second mask alone."""

        def __init__(self, model: Masked) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.model(x)
            wish = _WISH.get()
            hit = (x.double().flatten(1).sum(1) - loud).abs() < 1e-9
            return torch.where(
                hit[:, None] & (wish is not None and bool(wish.mask[1] > 0.9)), torch.nan, logits
            )

    found = masking(Brittle(joined(*ends)), 2, data, shares=(0.0, 1.0), **ASKED)
    assert found.apart == 1
    assert int(data.index[7]) not in found.index.tolist()
    assert found.clean(0).n == found.robust(1).n == found.worst.n == 19


def test_a_stopped_sweep_goes_on(ends: tuple[nn.Module, nn.Module], tmp_path: Path) -> None:
    data = Digits("test")().take(slice(0, 20))

    def stop(what: str, share: float) -> None:
        if share > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        masking(joined(*ends), 2, data, shares=(0.0, 1.0), out=tmp_path, progress=stop, **ASKED)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("models/*/jobs/*")}
    assert before
    again = masking(joined(*ends), 2, data, shares=(0.0, 1.0), out=tmp_path, **ASKED)
    assert before.items() <= {f: f.stat().st_mtime_ns for f in tmp_path.glob("models/*/jobs/*")}.items()
    whole = masking(joined(*ends), 2, data, shares=(0.0, 1.0), **ASKED)
    assert np.array_equal(again.stands, whole.stands)


def test_what_cannot_be_is_said_in_a_sentence(ends: tuple[nn.Module, nn.Module]) -> None:
    data, both = Digits("test")().take(slice(0, 4)), joined(*ends)
    with pytest.raises(UsageError, match="expected at least one p"):
        masking(both, 2, data, shares=())
    with pytest.raises(UsageError, match="p to be from 0 to 1"):
        masking(both, 2, data, shares=(2.0,))
    with pytest.raises(UsageError, match="flatter a model, got pgd\\(loss=ce\\)"):
        masking(both, 2, data, shares=(0.0,), attacks="pgd(loss=ce)")
    with pytest.raises(UsageError, match="expected a mask of 2 numbers"):
        masking(both, 3, data, shares=(0.0,), **ASKED)
