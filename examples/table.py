"""Rows of features: every feature has its own box, and the model sees them in its own units."""

from __future__ import annotations

import torch
from torch import nn

import frenemy
from frenemy.models.build import initialise
from frenemy.training.fit import fit
from frenemy.training.regime import Regime
from frenemy.training.standard import Standard


def applicants(count: int, key: frenemy.Key) -> frenemy.Examples:
    """Make up people who ask for a loan: income in thousands, debt in thousands, years in the job."""
    people = torch.arange(count)
    draws = key.uniform(people, (3,))
    income, debt, years = 20 + 80 * draws[:, 0], 50 * draws[:, 1], 40 * draws[:, 2]
    repays = income - 1.2 * debt + 0.5 * years + 5 * key.fold("luck").normal(people, ()) > 35
    x = torch.stack([income, debt, years], dim=1)
    low, high = torch.tensor([20.0, 0.0, 0.0]), torch.tensor([100.0, 50.0, 40.0])
    # One eps for all features has a meaning only in a common unit: here, per cent of each feature's range.
    scale = (high - low) / 100
    return frenemy.Examples("loans", x / scale, repays.long(), ("no", "yes"), low / scale, high / scale)


def main() -> None:
    """Ask how many decisions turn when each number may be off by two per cent of its range."""
    key = frenemy.Key(0)
    model = initialise(nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 2)), key)
    fit(Standard(), model, applicants(2000, key.fold("train")), key=key, regime=Regime(epochs=8, rate=1e-2))
    found = frenemy.audit(model, applicants(300, key.fold("test")), threat="linf:2", steps=20, curve=0)
    for measure in ("accuracy_clean", "accuracy_adversarial", "accuracy_hypocritical", "risk_reversible"):
        print(f"{measure:22} {found[measure]}")


if __name__ == "__main__":
    main()
