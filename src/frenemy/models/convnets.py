"""LeNet and ConvNet: two convolutions, then fully connected layers; no batch norm."""

from __future__ import annotations

from typing import ClassVar, final

from torch import nn

from frenemy.card import Card
from frenemy.models.sizes import positive, room
from frenemy.types import Inputs, Logits

__all__ = ["ConvNet", "LeNet"]


@final
class LeNet(nn.Module):
    """The LeNet variant for MNIST: 5 x 5 convolutions of 32 and 64 channels, then 1024 neurons.

    `conv 5x5 (32), ReLU, max-pool 2, conv 5x5 (64), ReLU, max-pool 2, 1024, ReLU, classes`

    Args:
        channels: channels of an image, at least 1.
        side: height and width of an image in pixels, at least 4; 28 shrinks to 14 and then to 7.
        classes: logits a row, at least 2.

    Raises:
        ModelError: the image is too small to be halved twice.
    """

    card: ClassVar[Card] = Card(
        authors="Tao, Chen",
        title="With False Friends Like These, Who Can Have Self-Knowledge?",
        year=2020,
        venue="arXiv preprint",
        link="arXiv:2012.14738",
        place="Appendix A.2",
        deviations=(
            "the paper gives the sizes only; 5 x 5 kernels padded by 2 and max-pooling are chosen here",
        ),
    )

    def __init__(self, channels: int = 1, side: int = 28, classes: int = 10) -> None:
        super().__init__()
        self.channels, self.side, self.classes = channels, room(side, 4), classes
        self.features = nn.Sequential(
            nn.Conv2d(channels, 32, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.head = nn.Sequential(
            nn.Linear(64 * (side // 2 // 2) ** 2, 1024), nn.ReLU(), nn.Linear(1024, classes)
        )

    def forward(self, x: Inputs) -> Logits:
        """Give the logits `(batch, classes)` of images `(batch, channels, side, side)`."""
        logits: Logits = self.head(self.features(x).flatten(1))
        return logits


@final
class ConvNet(nn.Module):
    """A small convolutional net for small images, from 8 x 8 digits upwards.

    `conv 3x3 (width), ReLU, conv 3x3 (2 width), ReLU, max-pool 2, classes`

    Args:
        channels: channels of an image, at least 1.
        side: height and width of an image in pixels, at least 2.
        classes: logits a row, at least 2.
        width: channels of the first convolution, at least 1; the second has twice as many.

    Raises:
        ModelError: the image is too small to be halved, or the width is below 1.
    """

    card: ClassVar[Card] = Card()

    def __init__(self, channels: int = 1, side: int = 8, classes: int = 10, width: int = 16) -> None:
        super().__init__()
        positive("ConvNet", width=width)
        self.channels, self.side, self.classes, self.width = channels, room(side, 2), classes, width
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.head = nn.Linear(2 * width * (side // 2) ** 2, classes)

    def forward(self, x: Inputs) -> Logits:
        """Give the logits `(batch, classes)` of images `(batch, channels, side, side)`."""
        logits: Logits = self.head(self.features(x).flatten(1))
        return logits
