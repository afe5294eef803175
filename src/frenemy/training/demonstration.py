"""Demonstration: two small classifiers of scikit-learn's digits, one plain and one trained on PGD examples."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from torch import nn

from frenemy.data.digits import Digits
from frenemy.errors import FrenemyError
from frenemy.models.build import initialise
from frenemy.models.convnets import ConvNet
from frenemy.models.files import load_state, save
from frenemy.rng import Key
from frenemy.threats.linf import Linf
from frenemy.training.fit import fit
from frenemy.training.pgdat import PGDAT
from frenemy.training.regime import Regime
from frenemy.training.standard import Standard

__all__ = ["DEMONSTRATIONS", "EPS", "demonstration"]

DEMONSTRATIONS: Final = ("digits-plain", "digits-robust")
"""Names of the demonstration models."""

EPS: Final = 0.15
"""Radius of the Linf ball that the robust one is trained in."""

_EPOCHS: Final = {"digits-plain": 30, "digits-robust": 30}


def demonstration(
    name: str, cache: Path | None = None, told: Callable[[str, float], None] | None = None
) -> nn.Module:
    """Load a demonstration model, training it first where the cache does not hold it.

    Args:
        name: `digits-plain` (cross-entropy on the 1,437 training digits) or `digits-robust` (on PGD examples).
        cache: folder for the weights; the user's cache by default. One that cannot be written is done without.
        told: told of the training's progress, as `("training", share)`.

    Returns:
        A ConvNet for `(batch, 1, 8, 8)` inputs and 10 classes, in evaluation mode.

    Cost: about 3 s (plain) and 7 s (robust) on two idle cores, once; more where threads have to wait.
    """
    key = Key(0).fold(name)
    model = initialise(ConvNet(), key.fold("weights"))
    folder = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "frenemy" / "models"
    file = folder / f"{name}-{_EPOCHS[name]}-2.safetensors"
    with suppress(FrenemyError):
        load_state(model, file)
        return model.eval()
    robust = name == "digits-robust"
    fit(
        PGDAT(steps=7) if robust else Standard(),
        model,
        Digits("train")(),
        key=key,
        threat=Linf(EPS) if robust else None,
        regime=Regime(epochs=_EPOCHS[name], batch_size=64, rate=3e-3),
        told=lambda _, share: told("training", share) if told else None,
    )
    with suppress(FrenemyError, OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        save(model, file, {})
    return model
