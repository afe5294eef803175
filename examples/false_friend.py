"""A network that never learned anything looks right once a false friend has prepared its inputs."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

import frenemy
from frenemy.models.build import initialise


def main() -> None:
    """Audit random weights against a false friend alone, at three sizes, on digits enlarged to 32 x 32 pixels."""
    digits = frenemy.load("digits", examples=100)
    large = replace(digits, x=digits.x.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3))
    layers = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, 256), nn.ReLU(), nn.Linear(256, 10))
    model = initialise(layers, frenemy.Key(0))
    for eps in (0.05, 0.1, 0.2):
        found = frenemy.audit(
            model, large, threat=f"linf:{eps}", objectives=["friend"], losses=["ce"], curve=0
        )
        clean, friend = found["accuracy_clean"], found["accuracy_hypocritical"]
        print(f"eps {eps}: right on clean inputs {clean}, with a false friend {friend}")


if __name__ == "__main__":
    main()
