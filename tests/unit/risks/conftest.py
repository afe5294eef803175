"""A small honest classifier of digits and a few examples, for the tests of audits."""

from __future__ import annotations

import pytest
from torch import nn

from frenemy.data.digits import Digits
from frenemy.data.examples import Examples
from frenemy.models.build import initialise
from frenemy.models.mlp import MLP
from frenemy.rng import Key
from frenemy.training.fit import fit
from frenemy.training.regime import Regime
from frenemy.training.standard import Standard

__all__ = ["few", "plain"]


@pytest.fixture(scope="session")
def plain() -> nn.Module:
    """An MLP that gets some nine digits in ten right."""
    model = initialise(MLP(64, (24,), 10), Key(1))
    regime = Regime(epochs=3, batch_size=64, rate=3e-3)
    return fit(Standard(), model, Digits("train")(), key=Key(2), regime=regime).model


@pytest.fixture(scope="session")
def few() -> Examples:
    """The first 60 test digits."""
    return Digits("test")().take(slice(0, 60))
