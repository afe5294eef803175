"""Regime: how long and how fast a model is trained, and by what the best epoch is chosen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

from frenemy.errors import UsageError, nearest

__all__ = ["Regime"]

_CHOICES: Final = {
    "optimiser": ("adam", "sgd"),
    "schedule": ("constant", "step", "cosine", "one-cycle"),
    "augment": ("none", "flip", "crop", "crop-flip"),
    "select": ("robust", "clean", "last"),
    "average": ("none", "ema", "swa"),
    "attack_mode": ("eval", "train", "batch"),
    "attack_precision": ("float32", "bfloat16"),
    "only": ("all", "norms"),
}


@final
@dataclass(frozen=True, slots=True)
class Regime:
    """All that is not the recipe's.

    Args:
        epochs: passes over the data, at least 1; a recipe that replays batches makes as many moves a batch, and its
            papers count epochs divided by that.
        batch_size: rows a step, over all processes; the last, short batch of an epoch is used too, unless it is a
            single row and the model has batch norm.
        optimiser: `adam`, or `sgd` with `momentum`.
        rate: learning rate at its highest.
        momentum: of SGD, in [0, 1).
        weight_decay: L2 penalty as in both optimisers of PyTorch (coupled), 0 or more.
        schedule: `constant`; `step`, times `drop` at each of `milestones`; `cosine`, down to 0; `one-cycle`, from
            0 up to `rate` at `peak` and down to 0, linearly (the cyclic rate of Wong et al. 2020).
        milestones: epochs after which the rate drops.
        drop: factor in (0, 1].
        peak: share of the training in (0, 1) where the one cycle is highest.
        warm_up: epochs over which eps grows from 0 to its size, linearly in steps.
        augment: `flip` mirrors half of the pictures, `crop` shifts them by up to 4 pixels (padding with the lower end
            of the box), `crop-flip` does both; anew each epoch.
        perturb: gamma of adversarial weight perturbation, 0 for none.
        average: `ema` or `swa` of the weights.
        decay: of the `ema`.
        average_from: share of the training at which averaging begins.
        hold_out: so many training examples are kept apart to judge each epoch.
        select: which epoch is returned: the best on these by `robust` accuracy (by `clean` where eps is 0), the best
            by `clean` accuracy, or the `last`.
        check_steps: PGD steps by which robust accuracy is judged, for this choice alone.
        patience: stop after so many epochs without a better one; 0 never does.
        guard: stop when robust accuracy falls by more than this within an epoch, as in catastrophic overfitting, and
            return the epoch before; 0 never does.
        attack_mode: what batch norm does while the model is searched: `eval`, `train` or `batch` (see `Pose`).
        attack_precision: `bfloat16` searches the model in bfloat16; what is trained on stays float32.
        only: `norms` moves the rescaling parameters and running statistics of batch norm and nothing else (004, Table
            6.1); `all` moves all.

    Raises:
        UsageError: a setting is out of its range.
    """

    epochs: int = 30
    batch_size: int = 128
    optimiser: str = "adam"
    rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "constant"
    milestones: tuple[int, ...] = ()
    drop: float = 0.1
    peak: float = 0.4
    warm_up: int = 0
    augment: str = "none"
    perturb: float = 0.0
    average: str = "none"
    decay: float = 0.995
    average_from: float = 0.025
    hold_out: int = 0
    select: str = "robust"
    check_steps: int = 10
    patience: int = 0
    guard: float = 0.0
    attack_mode: str = "eval"
    attack_precision: str = "float32"
    only: str = "all"

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise UsageError(
                    f"unknown {name} '{getattr(self, name)}'{nearest(getattr(self, name), known)}"
                )
        within = {
            "epochs": (1, math.inf),
            "batch_size": (1, math.inf),
            "weight_decay": (0, math.inf),
            "warm_up": (0, math.inf),
            "perturb": (0, math.inf),
            "hold_out": (0, math.inf),
            "check_steps": (1, math.inf),
            "patience": (0, math.inf),
            "guard": (0, 1),
            "average_from": (0, 1),
        }
        for name, (low, high) in within.items():
            if not low <= getattr(self, name) <= high:
                what = f"at least {low}" if high == math.inf else f"from {low} to {high}"
                raise UsageError(f"expected {name} to be {what}, got {getattr(self, name)}")
        inner = {"rate": math.inf, "drop": 1.000001, "peak": 1.0}
        for name, high in inner.items():
            if not 0 < getattr(self, name) < high:
                raise UsageError(
                    f"expected {name} to be above 0 and below {high:g}, got {getattr(self, name)}"
                )
        if not 0 <= self.momentum < 1 or not 0 <= self.decay < 1:
            raise UsageError(
                f"expected momentum and decay from 0 to below 1, got {self.momentum} and {self.decay}"
            )

    def factor(self, progress: float) -> float:
        """What the rate is multiplied by at a share of the training in [0, 1]."""
        if self.schedule == "cosine":
            return (1 + math.cos(math.pi * progress)) / 2
        if self.schedule == "one-cycle":
            return progress / self.peak if progress < self.peak else (1 - progress) / (1 - self.peak)
        if self.schedule == "step":
            epoch = progress * self.epochs + 1e-9
            return self.drop ** sum(epoch >= mark for mark in self.milestones)
        return 1.0

    def grown(self, epoch: float) -> float:
        """The share of eps that is reached after so many epochs."""
        return 1.0 if self.warm_up == 0 else min(epoch / self.warm_up, 1.0)
