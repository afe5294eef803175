"""Models whose published kind of number is wrong, honest ones beside them, and what repairs the measurement of each.

All of them answer scikit-learn's digits, 8 x 8 pixels in [0, 1], and are trained here in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn

import frenemy
from frenemy.attacks.pgd import PGD
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


def trained(model: nn.Module, name: str, epochs: int = 20, **how: Any) -> nn.Module:
    """Train on the digits, the same way every time."""
    key = frenemy.Key(0).fold(name)
    settings = {"batch_size": 64, "rate": 3e-3, **how}
    return fit(initialise(model, key.fold("weights")), Digits("train")(), key=key, epochs=epochs, **settings)


class Times(nn.Module):
    """The logits of a model, a thousandfold: cross-entropy saturates in float32."""

    def __init__(self, model: nn.Module, factor: float = 1000.0) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.factor * self.model(x)
        return logits


class Behind(nn.Module):
    """A model behind a front end."""

    def __init__(self, front: Callable[[Tensor], Tensor], model: nn.Module) -> None:
        super().__init__()
        self.front, self.model = front, model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(self.front(x))
        return logits


def stepped(x: Tensor) -> Tensor:
    """Five grey levels."""
    return (4 * x).round() / 4


def _cosines() -> Tensor:
    place = torch.arange(8, dtype=torch.float32)
    waves = torch.cos(math.pi * (2 * place[None] + 1) * place[:, None] / 16) / 2
    waves[0] /= math.sqrt(2)
    return waves


def compressed(x: Tensor) -> Tensor:
    """Each picture as JPEG would store it: an 8 x 8 cosine transform, its coefficients rounded to steps of a half."""
    waves = _cosines().to(x)
    stored = (2 * (waves @ x @ waves.T)).round() / 2
    return waves.T @ stored @ waves


class Noise:
    """Noise from a counter of its own, so that every call is another."""

    def __init__(self, scale: float) -> None:
        self.scale, self.calls = scale, 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        rows = torch.arange(len(x), device=x.device)
        return x + self.scale * frenemy.Key(self.calls).normal(rows, tuple(x.shape[1:]), x.dtype)


class Resize(Noise):
    """Each picture enlarged or made smaller, and moved, at random."""

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        draw = 2 * frenemy.Key(self.calls).uniform(torch.arange(len(x), device=x.device), (3,)) - 1
        zoom, none = 1 + self.scale * draw[:, 0], torch.zeros(len(x), device=x.device)
        rows = [
            torch.stack([zoom, none, 0.25 * draw[:, 1]], 1),
            torch.stack([none, zoom, 0.25 * draw[:, 2]], 1),
        ]
        grid = nn.functional.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
        return nn.functional.grid_sample(x, grid, align_corners=False)


class Winners(nn.Module):
    """Only the largest of all units of a layer pass (k-winners-take-all, Xiao et al. 2020)."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        least = x.topk(max(1, int(self.share * x.shape[1])), dim=1).values[:, -1:]
        return torch.where(x >= least, x, 0)


class Near(nn.Module):
    """Answers with the label of the nearest training picture while there is one near, else with a model."""

    def __init__(self, model: nn.Module, radius: float) -> None:
        super().__init__()
        known = Digits("train")().batch()
        self.model, self.radius = model, radius
        self.register_buffer("known", known.x.flatten(1))
        self.register_buffer("labels", nn.functional.one_hot(known.y, 10).float())

    def forward(self, x: Tensor) -> Tensor:
        distance, place = torch.cdist(x.flatten(1), self.get_buffer("known")).min(1)
        near = 10 * self.get_buffer("labels")[place]
        return torch.where((distance < self.radius)[:, None], near, self.model(x))


class Drifting(nn.Module):
    """Subtracts what it has learnt of the perturbations it was shown: the mean of all inputs so far."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.learns = model, True
        self.register_buffer("mean", torch.zeros(1, 1, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        mean = self.get_buffer("mean")
        logits: Tensor = self.model(x - mean)
        if self.learns:
            mean.lerp_(x.detach().mean(0, keepdim=True) - 0.3, 0.02)
        return logits


def frozen(model: Drifting) -> nn.Module:
    """The same without learning."""
    model.learns = False
    return model


class Dropped(nn.Module):
    """Drops half of the units by keys of its own, in training mode only."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, 256), nn.Linear(256, 10)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x.flatten(1)).relu()
        if self.training:
            self.calls += 1
            kept = frenemy.Key(self.calls).uniform(torch.arange(len(x), device=x.device), (256,)) < 0.3
            hidden = hidden * kept / 0.3
        logits: Tensor = self.last(hidden)
        return logits


def training(model: nn.Module) -> Model:
    """Ask it in training mode, whatever mode it is put in."""

    def ask(x: Tensor) -> Tensor:
        logits: Tensor = model.train()(x)
        return logits

    return ask


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
        lambda: trained(ConvNet(), "smooth", 60, smoothing=0.9),
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
    robust = {"attack": PGD(steps=7, step_size=0.25, early_stop=False), "threat": frenemy.Linf(EPS)}
    yield Piece("small network, plain", "the demonstration's", lambda: demonstration("digits-plain"))
    yield Piece("small network, robust", "trained on PGD examples", lambda: demonstration("digits-robust"))
    yield Piece("perceptron, plain", "two hidden layers", lambda: trained(net(), "perceptron"))
    yield Piece(
        "perceptron, robust",
        "trained on PGD examples",
        lambda: trained(net(width=256), "perceptron", 30, **robust),
    )
    yield Piece("linear", "logistic regression", lambda: trained(Linear(64, 10), "linear"))
    yield Piece("wide perceptron", "one hidden layer", lambda: trained(MLP(64, (512,), 10), "wide"))
    yield Piece(
        "residual network",
        "ResNet-18, an eighth as wide",
        lambda: trained(ResNet18(width=8, channels=1), "residual", 6),
    )
