"""Fit: a plain loop for standard and for PGD training, enough for the models that show what an audit is."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from frenemy.attacks.attack import Attack
from frenemy.attacks.best import look
from frenemy.data.batch import Batch
from frenemy.data.examples import Examples
from frenemy.errors import UsageError
from frenemy.models.fast import Fast
from frenemy.models.still import still
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["fit"]


def fit(
    model: nn.Module,
    examples: Examples,
    *,
    key: Key,
    epochs: int,
    batch_size: int = 128,
    rate: float = 1e-3,
    smoothing: float = 0.0,
    hold_out: int = 0,
    attack: Attack | None = None,
    threat: Threat | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> nn.Module:
    r"""Minimise cross-entropy by Adam, on the inputs or on what an attack makes of them; train `model` in place.

    $$ \min_\theta E\, \ell(f_\theta(x'), y), \quad x' = x \text{ or } \arg\max_{x' \in S(x)} \ell(f_\theta(x'), y) $$

    Args:
        model: trained in place and left in evaluation mode.
        examples: the training set.
        key: settles shuffling and the attack's starts; the global generators are not read (dropout would be).
        epochs: passes over the data, at least 1.
        batch_size: rows a step; the last, short batch of an epoch is used too.
        rate: Adam's learning rate (000 A.2: 0.001, batch 128).
        smoothing: share in [0, 1) of each label that is spread evenly over all classes.
        hold_out: the last so many examples of a keyed shuffle are kept apart, and the epoch with the best accuracy on
            them is returned (000 A.2 holds out 1,000); with 0 the last epoch is.
        attack, threat: train on what `attack` finds under `threat` (Madry et al. 2018, eq. 2.1); both or none.
        progress: told of each epoch and of the held-out accuracy (NaN without).

    Returns:
        The same model.

    Cost: an epoch is one forward and backward an example, plus the attack's.
    """
    numbers = epochs >= 1 and batch_size >= 1 and 0 <= hold_out < len(examples) and 0 < rate < math.inf
    if not 0 <= smoothing < 1:
        raise UsageError(f"expected smoothing to be at least 0 and below 1, got {smoothing}")
    if not numbers or (attack is None) != (threat is None):
        raise UsageError(
            f"expected epochs >= 1, batch_size >= 1, rate > 0, hold_out below {len(examples)} and attack and threat "
            f"together, got epochs={epochs}, batch_size={batch_size}, rate={rate}, hold_out={hold_out}"
        )
    order = key.fold("hold out").permutation(len(examples))
    train, held = order[: len(examples) - hold_out], order[len(examples) - hold_out :]
    device = next(model.parameters()).device
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    best, best_state = -1.0, copy.deepcopy(model.state_dict())
    for epoch in range(epochs):
        shuffle = train[key.fold("shuffle").fold(epoch).permutation(len(train))]
        for step, rows in enumerate(torch.split(shuffle, batch_size)):
            batch = examples.batch(rows, device)
            if attack is not None and threat is not None:
                draw = key.fold("attack").fold(epoch).fold(step)
                x = attack(Fast(model), batch, threat=threat, objective=Untargeted(), key=draw).x
                batch = Batch(x, batch.y, batch.index)
            model.train()
            optimiser.zero_grad()
            cross_entropy(model(batch.x), batch.y, label_smoothing=smoothing).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        accuracy = _accuracy(model, examples.take(held), device) if hold_out else float("nan")
        if not hold_out or accuracy > best:
            best, best_state = accuracy, copy.deepcopy(model.state_dict())
        if progress is not None:
            progress(epoch + 1, accuracy)
    model.load_state_dict(best_state)
    return model.eval()


def _accuracy(model: nn.Module, examples: Examples, device: torch.device) -> float:
    with still(model):
        batch = examples.batch(device=device)
        return float((look(model, batch.x, 500).argmax(1) == batch.y).float().mean())
