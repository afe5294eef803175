"""Ways to make a bad model look robust: what stands in the gallery, each in a few lines."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

import frenemy
from frenemy.data.digits import Digits
from frenemy.models.model import Model


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
