"""Train a small network on scikit-learn's digits with plain torch, then ask how it behaves when somebody pushes."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import frenemy


def trained() -> nn.Module:
    """Any module that gives logits will do; this one is trained for a second or two."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    batch = frenemy.load("digits", split="train").batch()
    for _ in range(60):
        optimiser.zero_grad()
        loss = cross_entropy(model(batch.x), batch.y)
        torch.autograd.backward(loss)
        optimiser.step()
    return model


def main() -> None:
    """Audit 100 test digits and print the numbers that matter."""
    digits = frenemy.load("digits", examples=100)
    found = frenemy.audit(trained(), digits, threat="linf:0.1", steps=20, curve=0)
    print(f"on clean inputs      {found['accuracy_clean']}")
    print(f"under an enemy       {found['accuracy_adversarial']}")
    print(f"with a false friend  {found['accuracy_hypocritical']}")
    print(f"answers that flip    {found['risk_reversible']}")
    for caveat in found.caveats:
        print(f"{caveat.name}: {caveat.text}")


if __name__ == "__main__":
    main()
