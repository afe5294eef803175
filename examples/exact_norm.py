"""Accuracy by the size of the perturbation: anything up to the size, and exactly the size."""

from __future__ import annotations

from torch import nn

import frenemy
from frenemy.models.build import initialise
from frenemy.training.fit import fit
from frenemy.training.regime import Regime
from frenemy.training.standard import Standard


def main() -> None:
    """Draw the curves of a linear model as numbers; by exact norm a curve may rise."""
    key = frenemy.Key(0)
    model = initialise(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), key)
    fit(Standard(), model, frenemy.load("digits", split="train"), key=key, regime=Regime(epochs=3, rate=1e-2))
    digits = frenemy.load("digits", examples=100)
    found = frenemy.audit(
        model, digits, threat="l2:1", objectives=["enemy"], losses=["ce"], steps=20, curve=4
    )
    for curve in found.curves:
        print(f"{curve.threat}, {curve.kind} norm, under an enemy")
        for eps, accuracy in zip(curve.eps, curve.accuracy, strict=True):
            print(f"  {eps:.2f}  {accuracy}")


if __name__ == "__main__":
    main()
