"""Audit two models and write the page, the tables and the numbers into a folder."""

from __future__ import annotations

from pathlib import Path

from torch import nn

import frenemy
from frenemy.models.build import initialise
from frenemy.training.fit import fit
from frenemy.training.regime import Regime
from frenemy.training.standard import Standard


def main() -> None:
    """Compare a linear model before and after training; open example-report/report.html to look at it."""
    key, digits = frenemy.Key(0), frenemy.load("digits", examples=100)
    model = initialise(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), key)
    audits = [frenemy.audit(model, digits, threat="linf:0.1", steps=10, curve=4, name="untrained")]
    fit(Standard(), model, frenemy.load("digits", split="train"), key=key, regime=Regime(epochs=3, rate=1e-2))
    audits += [frenemy.audit(model, digits, threat="linf:0.1", steps=10, curve=4, name="trained")]
    for file in frenemy.publish(audits, Path("example-report")):
        print(file)


if __name__ == "__main__":
    main()
