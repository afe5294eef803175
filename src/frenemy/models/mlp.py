"""MLP: fully connected layers with ReLU between them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, final

from torch import nn

from frenemy.card import Card
from frenemy.types import Inputs, Logits

__all__ = ["MLP"]


@final
class MLP(nn.Module):
    """Fully connected layers with ReLU between them, on the flattened input.

    `h_0 = x, h_k = max(0, W_k h_{k-1} + b_k), logits = W_last h + b_last`

    The defaults are the "four-layer" perceptron for MNIST of Appendix A.2, which counts the input as a layer.

    Args:
        features: numbers in one input, at least 1; any shape with so many numbers is flattened.
        hidden: neurons of each hidden layer, each at least 1; empty gives a linear model.
        classes: logits a row, at least 2.
    """

    card: ClassVar[Card] = Card(
        authors="Tao, Chen",
        title="With False Friends Like These, Who Can Have Self-Knowledge?",
        year=2020,
        venue="arXiv preprint",
        link="arXiv:2012.14738",
        place="Appendix A.2",
    )

    def __init__(self, features: int = 784, hidden: Sequence[int] = (768, 768), classes: int = 10) -> None:
        super().__init__()
        self.features, self.hidden, self.classes = features, tuple(hidden), classes
        sizes = (features, *self.hidden)
        layers = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(sizes)]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], classes))

    def forward(self, x: Inputs) -> Logits:
        """Give the logits `(batch, classes)`."""
        logits: Logits = self.layers(x.flatten(1))
        return logits
