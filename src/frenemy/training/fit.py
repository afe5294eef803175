"""Fit: one loop for all recipes, which may be killed at any moment and goes on where it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from frenemy.data.examples import Examples
from frenemy.errors import ThreatError, UsageError
from frenemy.ledger import open_ledger
from frenemy.models.files import fingerprint
from frenemy.models.model import device_of
from frenemy.models.norms import norm_parameters, norms
from frenemy.rng import Key
from frenemy.threats.linf import Linf
from frenemy.threats.threat import Threat, meets, radii
from frenemy.training.checkpoint import read
from frenemy.training.engine import Engine
from frenemy.training.log import Logged
from frenemy.training.recipe import Recipe, prepared
from frenemy.training.regime import Regime
from frenemy.training.run import Run
from frenemy.training.watch import alarms

__all__ = ["CHECKPOINT", "Fitted", "asked", "fit"]

_ALIKE: Final = (
    "eps too large: the threat can turn every example into the middle of the box, so no model withstands it for more "
    "than one class; take a smaller eps, such as linf:8/255 for pictures in [0, 1]"
)

CHECKPOINT: Final = "checkpoint.safetensors"
"""The file in a run directory that a training goes on from."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A trained model and how it came about.

    Args:
        model: in evaluation mode, with the weights of the chosen epoch.
        epoch: that epoch, from 1.
        history: one entry an epoch: means of the losses, rates, accuracies on the held-out examples.
        alarms: what has gone wrong, a sentence each.
    """

    model: nn.Module
    epoch: int
    history: tuple[Mapping[str, Any], ...]
    alarms: tuple[str, ...]


def fit(
    recipe: Recipe,
    model: nn.Module,
    examples: Examples,
    *,
    key: Key,
    threat: Threat | None = None,
    regime: Regime | None = None,
    out: Path | None = None,
    engine: Engine | None = None,
    told: Callable[[str, float], None] | None = None,
    logged: Logged | None = None,
    save_every: float = 60.0,
) -> Fitted:
    r"""Minimise what a recipe sums, on the points that it looks at; train `model` in place.

    $$ \min_\theta \frac{1}{n} \sum_i \sum_t w_t \ell_t(\theta; x_i, y_i, v_i), \quad v_i \text{ found by the recipe} $$

    Args:
        recipe: a method of the folder `training`.
        model: trained in place and left in evaluation mode, on the device of `engine`. A recipe that `prepare`s a model
            of its own kind trains that one, and leaves this one as it is.
        examples: the training set.
        key: settles shuffling, augmentation, starts of the searches and dropout; the global generators are untouched.
        threat: what the perturber may do; None is an eps of 0.
        regime: epochs, rates, the choice of an epoch.
        out: run directory for the checkpoint; a run that was killed goes on from it to the same weights, bit for bit on
            one CPU. None keeps nothing.
        engine: where it runs; by default where the model stands, in this process alone.
        told: told of the progress, as `(what, share of all)`.
        logged: told of the entry of each epoch as it ends, in the first process; where a run goes on, of those before
            it first.
        save_every: seconds between checkpoints within an epoch (with several processes: none); each epoch ends in one.

    Returns:
        Fitted, with the model that was trained.

    Raises:
        UsageError: nothing is left to train on, or batch norm is to look at single rows, or to move alone where there
            is none.
        ThreatError: the threat leaves some example no point.
        DivergedError: a loss was not finite; the last checkpoint is kept.
        RunError: `out` holds a training with another recipe, regime, threat, key, data set or first weights, or cannot
            be written.

    Cost: an epoch is one forward and backward an example and term, plus the recipe's searches and the check of the
    held-out examples.
    """
    regime, where = regime or Regime(), engine or Engine(torch.device(device_of(model)))
    if regime.hold_out >= len(examples):
        raise UsageError(
            f"expected examples to train on, got {len(examples)} of which {regime.hold_out} are held out; "
            "hold out fewer or give more"
        )
    if regime.guard and not regime.hold_out:
        raise UsageError("expected held-out examples for a guard, got none; set hold_out")
    if regime.batch_size < where.world or len(examples) - regime.hold_out < where.world:
        raise UsageError(
            f"expected a row of each batch for each of {where.world} processes, got a batch_size of "
            f"{regime.batch_size} and {len(examples) - regime.hold_out} examples; take fewer processes"
        )
    threat = threat or Linf(0.0, examples.low, examples.high)
    alike = _possible(threat, examples)
    model = prepared(recipe, model)
    _normed(model, min(regime.batch_size, len(examples) - regime.hold_out), where.world, regime.only)
    model.to(where.device)
    with ExitStack() as stack:
        if out is not None and where.rank == 0:
            stack.enter_context(open_ledger(out, asked(recipe, model, examples, threat, regime, key)))
        file = out / CHECKPOINT if out is not None else None
        run = Run(recipe, model, examples, threat, regime, key, where, file, save_every)
        if file is not None and (kept := read(file)) is not None:
            run.resume(*kept)
        logged = logged if logged is not None and where.rank == 0 else lambda entry: None
        for entry in run.history:
            logged(entry)
        run.train(told or (lambda what, share: None), logged)
    held = run.held.y.bincount(minlength=1) if len(run.held) else torch.ones(1)
    said = alarms(run.history, float(held.max()) / max(float(held.sum()), 1.0))
    said += [_ALIKE] if alike else []
    model.load_state_dict(run.chosen())
    return Fitted(model.eval(), run.best_epoch, tuple(run.history), tuple(said))


def asked(
    recipe: Recipe, model: nn.Module, examples: Examples, threat: Threat, regime: Regime, key: Key
) -> dict[str, Any]:
    """All that decides the weights, as plain JSON; a run directory is bound to it."""
    eps = threat.eps.tolist() if isinstance(threat.eps, Tensor) else threat.eps
    return {
        "recipe": type(recipe).__name__,
        **_plain(recipe, ""),
        **_plain(regime, "regime "),
        "threat": [type(threat).__name__, eps],
        "data": [examples.name, len(examples), examples.checksum],
        "model": fingerprint(model),
        "key": key.value,
    }


def _normed(model: nn.Module, rows: int, world: int, only: str) -> None:
    """Refuse batches without statistics for batch norm, and to move batch norm where there is none."""
    if norms(model) and rows < 2 * world:
        raise UsageError(
            f"expected batches of {2 * world} rows or more for batch norm that trains, got {rows}; raise batch_size"
        )
    if only == "norms" and not any(parameter.requires_grad for parameter in norm_parameters(model)):
        raise UsageError(
            f"expected a model whose batch norm can move alone, got {type(model).__name__} without any; leave only out"
        )


def _possible(threat: Threat, examples: Examples) -> bool:
    """Refuse a threat that leaves some example no point; say whether it can make all of them alike."""
    alike = True
    for rows in torch.split(torch.arange(len(examples)), 4096):
        batch = examples.batch(rows)
        eps = radii(threat.eps, batch.x)
        empty = threat.empty(batch.x, eps).nonzero().flatten()
        if len(empty):
            raise ThreatError(
                f"expected a point of norm {float(eps[empty[0]]):g} inside the box for every example, got none for "
                f"example {int(batch.index[empty[0]])}; use a smaller eps"
            )
        alike = alike and meets(threat, batch.x)
    return alike


def _plain(settings: Any, prefix: str) -> dict[str, Any]:
    """A dataclass as JSON holds it."""
    return {
        prefix + name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(settings).items()
    }
