"""Linear: one affine map, the model whose worst case is known in closed form."""

from __future__ import annotations

from typing import ClassVar, final

from torch import nn

from frenemy.card import Card
from frenemy.types import Inputs, Logits

__all__ = ["Linear"]


@final
class Linear(nn.Module):
    """One affine map of the flattened input.

    `logits = W x + b`

    Args:
        features: numbers in one input, at least 1; any shape with so many numbers is flattened.
        classes: logits a row, at least 2.
    """

    card: ClassVar[Card] = Card()

    def __init__(self, features: int = 784, classes: int = 10) -> None:
        super().__init__()
        self.features, self.classes = features, classes
        self.layer = nn.Linear(features, classes)

    def forward(self, x: Inputs) -> Logits:
        """Give the logits `(batch, classes)`."""
        logits: Logits = self.layer(x.flatten(1))
        return logits
