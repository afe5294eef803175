"""SmallCNN and CapacityCNN: the nets that adversarial training on MNIST is reported with; no batch norm."""

from __future__ import annotations

from typing import ClassVar, Final, final

from torch import nn

from frenemy.card import Card
from frenemy.errors import ModelError
from frenemy.models.sizes import positive, room
from frenemy.types import Inputs, Logits

__all__ = ["CapacityCNN", "SmallCNN"]

_MOST: Final = 16
"""Greatest capacity: weights double twice with each step, and a capacity in a file may be any number."""


@final
class SmallCNN(nn.Module):
    """The MNIST net of TRADES: four convolutions without padding, then two hidden layers of 200 neurons.

    `conv 3x3 (w), conv 3x3 (w), max-pool 2, conv 3x3 (2w), conv 3x3 (2w), max-pool 2, 200, 200, classes`

    with ReLU after each convolution and hidden layer. A side of 28 shrinks to 26, 24, 12, 10, 8 and 4.

    Args:
        channels: channels of an image, at least 1.
        side: height and width of an image in pixels, at least 16.
        classes: logits a row, at least 2.
        width: channels `w` of the first convolution, at least 1.

    Raises:
        ModelError: the image is too small for the convolutions, or the width is below 1.
    """

    card: ClassVar[Card] = Card(
        authors="Zhang, Yu, Jiao, Xing, Ghaoui, Jordan",
        title="Theoretically principled trade-off between robustness and accuracy",
        year=2019,
        venue="ICML",
        link="arXiv:1901.08573",
        place="Section 5, the net for MNIST",
        deviations=(
            "the dropout of 0.5 after the first hidden layer of the released code is left out, so that a row's "
            "logits depend on the row alone in training too",
            "weights start from the default law of PyTorch; the released code draws the convolutions by He's "
            "normal law and starts the last layer at 0",
        ),
    )

    def __init__(self, channels: int = 1, side: int = 28, classes: int = 10, width: int = 32) -> None:
        super().__init__()
        positive("SmallCNN", width=width)
        self.channels, self.side, self.classes, self.width = channels, room(side, 16), classes, width
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 3),
            nn.ReLU(),
            nn.Conv2d(width, width, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3),
            nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        left = ((side - 4) // 2 - 4) // 2
        self.head = nn.Sequential(
            nn.Linear(2 * width * left**2, 200),
            nn.ReLU(),
            nn.Linear(200, 200),
            nn.ReLU(),
            nn.Linear(200, classes),
        )

    def forward(self, x: Inputs) -> Logits:
        """Give the logits `(batch, classes)` of images `(batch, channels, side, side)`."""
        logits: Logits = self.head(self.features(x).flatten(1))
        return logits


@final
class CapacityCNN(nn.Module):
    """A net whose size is one number: each step of `capacity` doubles the kernels and the neurons.

    `conv 5x5 (2^(d-1)), ReLU, max-pool 2, conv 5x5 (2^d), ReLU, max-pool 2, 2^(d+4), ReLU, classes`

    with `d` the capacity. Capacity 2 is the smallest net of Madry et al. 2018, Figure 4 (2 and 4 kernels, 64
    neurons), and capacity `d` is that net with everything `2^(d-2)` times as wide. By 001, capacities 1 and 2 may be
    too small for natural training on MNIST, and 1 to 3 collapse in adversarial training at Linf 0.3.

    Args:
        channels: channels of an image, at least 1.
        side: height and width of an image in pixels, at least 4; 28 shrinks to 14 and then to 7.
        classes: logits a row, at least 2.
        capacity: `d`, from 1 to 16; the weights grow about fourfold with each step.

    Raises:
        ModelError: the image is too small to be halved twice, or the capacity is not in this range.
    """

    card: ClassVar[Card] = Card(
        authors="Kim, Wang",
        title="Robust sensible adversarial learning of deep neural networks for image classification",
        year=2022,
        venue="arXiv preprint",
        link="arXiv:2205.10457",
        place="Section 5.2, Figure 7; Madry et al. 2018 (arXiv:1706.06083), Figure 4",
        deviations=(
            "the paper does not say how borders are treated; the convolutions are padded by 2 here, as in the nets "
            "of Madry et al.",
            "the paper names no usual capacity; the default 4 is the least that does not collapse there",
        ),
    )

    def __init__(self, channels: int = 1, side: int = 28, classes: int = 10, capacity: int = 4) -> None:
        super().__init__()
        if not 1 <= capacity <= _MOST:
            raise ModelError(f"expected capacity of CapacityCNN to be 1 to {_MOST}, got {capacity}; take 4")
        self.channels, self.side, self.classes, self.capacity = channels, room(side, 4), classes, capacity
        first, second, neurons = 2 ** (capacity - 1), 2**capacity, 2 ** (capacity + 4)
        self.features = nn.Sequential(
            nn.Conv2d(channels, first, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(first, second, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.head = nn.Sequential(
            nn.Linear(second * (side // 2 // 2) ** 2, neurons), nn.ReLU(), nn.Linear(neurons, classes)
        )

    def forward(self, x: Inputs) -> Logits:
        """Give the logits `(batch, classes)` of images `(batch, channels, side, side)`."""
        logits: Logits = self.head(self.features(x).flatten(1))
        return logits
