"""Attack one network and judge another: how many points carry over, for an enemy and for a false friend."""

from __future__ import annotations

from torch import nn

import frenemy
from frenemy.models.build import initialise
from frenemy.risks.transfer import transfer
from frenemy.training.fit import fit
from frenemy.training.regime import Regime
from frenemy.training.standard import Standard


def trained(width: int, seed: int) -> nn.Module:
    """A small network of digits, trained for a second or two."""
    key = frenemy.Key(seed)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
    regime = Regime(epochs=4, rate=3e-3)
    digits = frenemy.load("digits", split="train")
    return fit(Standard(), initialise(layers, key), digits, key=key, regime=regime).model


def main() -> None:
    """Print the share of the examples that each network gets right (wrong) which the points of each turn."""
    models = {
        "narrow": trained(16, 0),
        "wide": trained(64, 1),
        "untrained": initialise(trained(16, 2), frenemy.Key(3)),
    }
    digits = frenemy.load("digits", examples=100)
    for found in transfer(models, digits, threat="linf:0.1", attack="pgd(steps=20)"):
        print(found.objective)
        for s, source in enumerate(found.sources):
            for t, target in enumerate(found.models):
                print(f"  {source:13} on {target:9}  {found.rate(s, t)}")


if __name__ == "__main__":
    main()
