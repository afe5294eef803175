"""Models whose published kind of number is wrong, honest ones beside them, and what repairs the measurement of each.

All of them answer scikit-learn's digits, 8 x 8 pixels in [0, 1], and are trained here in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from masks import (
    Behind,
    Drifting,
    Dropped,
    Near,
    Noise,
    Resize,
    Times,
    Winners,
    compressed,
    frozen,
    stepped,
    training,
)
from torch import nn

import frenemy
from frenemy.data.digits import Digits
from frenemy.models.bpda import BPDA
from frenemy.models.build import initialise
from frenemy.models.convnets import ConvNet
from frenemy.models.eot import EOT
from frenemy.models.linear import Linear
from frenemy.models.mlp import MLP
from frenemy.models.model import Model
from frenemy.models.resnets import ResNet18
from frenemy.training.demonstration import demonstration
from frenemy.training.fit import fit
from frenemy.training.pgdat import PGDAT
from frenemy.training.recipe import Recipe
from frenemy.training.regime import Regime
from frenemy.training.standard import Standard

__all__ = ["Piece", "broken", "honest"]

EPS: Final = 0.15


@dataclass(frozen=True)
class Piece:
    """A model of the gallery.

    Args:
        name: in a few words.
        why: what is wrong with its naive number, or what it is if it is honest.
        make: builds and trains it; every call gives a fresh one.
        remedy: what repairs the measurement, in words.
        mended: makes of a fresh model one that can be attacked well.
        how: attacks of the mended measurement.
        naive: makes of a fresh model what a hasty evaluation would attack.
    """

    name: str
    why: str
    make: Callable[[], Model]
    remedy: str = ""
    mended: Callable[[Any], Model] = lambda model: model
    how: dict[str, Any] = field(default_factory=lambda: {"attacks": "autoattack"})
    naive: Callable[[Any], Model] = lambda model: model


PLAIN: Final = Standard()


def trained(model: nn.Module, name: str, epochs: int = 20, recipe: Recipe = PLAIN) -> nn.Module:
    """Train on the digits, the same way every time."""
    key = frenemy.Key(0).fold(name)
    regime = Regime(epochs=epochs, batch_size=64, rate=3e-3)
    start = initialise(model, key.fold("weights"))
    return fit(recipe, start, Digits("train")(), key=key, threat=frenemy.Linf(EPS), regime=regime).model


def net(*, winners: float = 0.0, width: int = 128) -> nn.Module:
    """A perceptron of two layers, with the usual activation or with winners."""
    act = [Winners(winners) if winners else nn.ReLU() for _ in range(2)]
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, width), act[0], nn.Linear(width, width), act[1], nn.Linear(width, 10)
    )


def broken() -> Iterator[Piece]:
    """Models whose naive number is too good."""
    scores = {"attacks": "square(queries=5000)"}
    mean = {"attacks": "pgd(steps=40)", "losses": ["ce", "margin"]}
    bridge = {"attacks": "pgd(steps=40,restarts=3),square(queries=1000)", "losses": ["ce", "margin"]}
    yield Piece(
        "label smoothing",
        "trained on soft labels: the slope of cross-entropy points nowhere useful",
        lambda: trained(ConvNet(), "smooth", 60, Standard(smoothing=0.9)),
        "other losses, AutoAttack",
    )
    yield Piece(
        "scaled logits",
        "logits times 1,000: cross-entropy has no slope left in float32",
        lambda: Times(demonstration("digits-plain")).eval(),
        "losses without a scale, AutoAttack",
    )
    yield Piece(
        "rounding",
        "five grey levels in front: no gradient passes",
        lambda: Behind(stepped, trained(ConvNet(), "plain")).eval(),
        "BPDA, Square",
        lambda model: BPDA(model.front, model.model),
        bridge,
    )
    yield Piece(
        "compression",
        "rounded cosine coefficients in front, as in JPEG",
        lambda: Behind(compressed, trained(ConvNet(), "plain")).eval(),
        "BPDA, Square",
        lambda model: BPDA(model.front, model.model),
        bridge,
    )
    yield Piece(
        "random noise",
        "noise added at test time: every gradient is of another model",
        lambda: Behind(Noise(0.3), trained(ConvNet(), "plain")).eval(),
        "EOT",
        lambda model: EOT(model, 20),
        mean,
    )
    yield Piece(
        "random resize",
        "pictures enlarged and moved at random at test time",
        lambda: Behind(Resize(0.25), trained(ConvNet(), "plain")).eval(),
        "EOT",
        lambda model: EOT(model, 20),
        mean,
    )
    yield Piece(
        "k winners",
        "only the largest tenth of the units pass: the answer jumps",
        lambda: trained(net(winners=0.1, width=512), "winners", 40),
        "Square",
        how=scores,
    )
    yield Piece(
        "training mode",
        "attacked with dropout on",
        lambda: trained(Dropped(), "dropout", 40).train(),
        "evaluation mode, AutoAttack",
        naive=training,
    )
    yield Piece(
        "constant near the data",
        "the label of the nearest training picture while there is one near: no gradient there",
        lambda: Near(trained(ConvNet(), "plain"), 1.5).eval(),
        "Square",
        how=scores,
    )
    yield Piece(
        "drifting state",
        "subtracts the mean of what it was shown: the attack trains it",
        lambda: Drifting(trained(ConvNet(), "plain")).eval(),
        "its state frozen, AutoAttack",
        frozen,
    )


def honest() -> Iterator[Piece]:
    """Models whose number is what it seems."""
    yield Piece("small network, plain", "the demonstration's", lambda: demonstration("digits-plain"))
    yield Piece("small network, robust", "trained on PGD examples", lambda: demonstration("digits-robust"))
    yield Piece("perceptron, plain", "two hidden layers", lambda: trained(net(), "perceptron"))
    yield Piece(
        "perceptron, robust",
        "trained on PGD examples",
        lambda: trained(net(width=256), "perceptron", 30, PGDAT(steps=7)),
    )
    yield Piece("linear", "logistic regression", lambda: trained(Linear(64, 10), "linear"))
    yield Piece("wide perceptron", "one hidden layer", lambda: trained(MLP(64, (512,), 10), "wide"))
    yield Piece(
        "residual network",
        "ResNet-18, an eighth as wide",
        lambda: trained(ResNet18(width=8, channels=1), "residual", 6),
    )
