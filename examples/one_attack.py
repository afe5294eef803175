"""One attack, called by hand: settings in the constructor, data in the call, one row an example in what comes back."""

from __future__ import annotations

from torch import nn

import frenemy
from frenemy.attacks.attack import Status
from frenemy.models.build import initialise
from frenemy.training.fit import fit
from frenemy.training.regime import Regime
from frenemy.training.standard import Standard


def main() -> None:
    """Look for inputs that make a network answer 3, whatever they show."""
    key = frenemy.Key(0)
    model = initialise(nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)), key)
    fit(Standard(), model, frenemy.load("digits", split="train"), key=key, regime=Regime(epochs=5, rate=1e-2))
    batch = frenemy.load("digits", examples=8).batch()
    attack = frenemy.PGD(steps=20, restarts=2)
    threat = frenemy.L2(1.5)
    found = attack(
        model, batch, threat=threat, objective=frenemy.Targeted(3), key=frenemy.Key(0).fold("attack")
    )
    distance = threat.norm(found.x - batch.x)
    for row in range(len(batch)):
        print(
            f"example {int(batch.index[row]):4d}, a {int(batch.y[row])}: {Status(int(found.status[row])).name:9} "
            f"at distance {float(distance[row]):.2f} after {int(found.queries[row])} queries"
        )


if __name__ == "__main__":
    main()
