"""Scaled: put the normalisation inside the model, so that inputs stay in natural units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from frenemy.errors import ModelError
from frenemy.models.model import Model

__all__ = ["Scaled"]


@final
class Scaled(nn.Module):
    """Subtract a mean and divide by a deviation, then ask `model`.

    `f(x) = model((x - mean) / std)`

    A threat of size `eps` is then in the units of `x` (images in [0, 1]), whatever the model was trained on.

    Args:
        model: takes normalised inputs; a module becomes a submodule, any other callable is kept as it is.
        mean: one number, or one for each entry of the first axis after the batch (each channel, each feature);
            kept in float32.
        std: as `mean`, above 0.

    Raises:
        ModelError: a number is not finite, `std` is not above 0, or there are not as many numbers as channels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: Model, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", _numbers("mean", mean))
        self.register_buffer("std", _numbers("std", std))
        if not bool((self.std > 0).all()):
            raise ModelError(f"expected std to be above 0, got {std}; give the deviation of each channel")
        if self.mean.numel() != 1 and self.std.numel() != 1 and len(self.mean) != len(self.std):
            raise ModelError(
                f"expected as many numbers in std as in mean, got {len(self.std)} and {len(self.mean)}; "
                "give one number each, or one a channel each"
            )

    def forward(self, x: Tensor) -> Any:
        """Give what the model gives at `(x - mean) / std`: its logits, or whatever holds them."""
        channels = x.shape[1] if x.ndim > 1 else 1
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if numbers.numel() not in (1, channels):
                raise ModelError(
                    f"expected {name} to be one number or {channels}, one a channel of inputs of shape "
                    f"{tuple(x.shape[1:])}, got {numbers.numel()}"
                )
        shape = (-1, *(1,) * (x.ndim - 2)) if x.ndim > 1 else (-1,)
        mean, std = (numbers.to(x.dtype).reshape(shape) for numbers in (self.mean, self.std))
        return self.model((x - mean) / std)


def _numbers(name: str, given: float | Sequence[float]) -> Tensor:
    numbers = torch.as_tensor(given, dtype=torch.float32).detach().flatten().clone()
    if numbers.numel() == 0 or not bool(numbers.isfinite().all()):
        raise ModelError(
            f"expected {name} to be finite numbers, got {given}; give one number, or one a channel"
        )
    return numbers
