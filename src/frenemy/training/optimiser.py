"""Optimiser: made from a regime; what it keeps of the weights, as tensors by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from frenemy.training.regime import Regime

__all__ = ["load_optimiser", "optimiser", "optimiser_state"]


def optimiser(regime: Regime, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    """Make the optimiser that a regime asks for."""
    if regime.optimiser == "sgd":
        return torch.optim.SGD(
            parameters, lr=regime.rate, momentum=regime.momentum, weight_decay=regime.weight_decay
        )
    return torch.optim.Adam(parameters, lr=regime.rate, weight_decay=regime.weight_decay)


def optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimiser keeps of each parameter, `number.name` by number."""
    found: dict[str, Tensor] = {}
    for number, own in optimiser.state_dict()["state"].items():
        found |= {f"{number}.{name}": value for name, value in own.items() if isinstance(value, Tensor)}
    return found


def load_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Take `optimiser_state` back."""
    whole = optimiser.state_dict()
    kept: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        kept.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({**whole, "state": kept})
