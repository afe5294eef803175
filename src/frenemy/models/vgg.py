"""VGG16: thirteen convolutions with batch norm and one affine map, as small images need it."""

from __future__ import annotations

from typing import ClassVar, Final, final

from torch import nn

from frenemy.card import Card
from frenemy.models.sizes import positive
from frenemy.types import Inputs, Logits

__all__ = ["VGG16"]

_STAGES: Final = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))
"""Channels of each stage in widths, and convolutions in it (configuration D)."""


@final
class VGG16(nn.Module):
    """The plain network of sixteen layers in the form for CIFAR-10, with batch norm: fourteen layers have weights.

    Five stages of 2, 2, 3, 3 and 3 convolutions 3 x 3, each followed by batch norm and ReLU, with `width`, `2 width`,
    `4 width`, `8 width` and `8 width` channels; each stage ends with max-pooling that halves the image. Then the mean
    over what is left, one pixel for images of 32 x 32, and one affine map.

    Args:
        channels: channels of an image, at least 1; height and width are free and need not be equal.
        classes: logits a row, at least 2.
        width: channels of the first stage, at least 1.

    Raises:
        ModelError: the width is below 1.
    """

    card: ClassVar[Card] = Card(
        authors="Simonyan, Zisserman",
        title="Very Deep Convolutional Networks for Large-Scale Image Recognition",
        year=2015,
        venue="ICLR",
        link="arXiv:1409.1556",
        place="Table 1, configuration D",
        deviations=(
            "batch norm after each convolution, and one affine map for the three layers of neurons, as is usual for "
            "32 x 32 images",
            "a side that is odd is halved upwards, so that images of 28 x 28 and smaller fit; multiples of 32 see no "
            "difference",
            "weights start from the default law of PyTorch, not from a normal law",
        ),
    )

    def __init__(self, channels: int = 3, classes: int = 10, width: int = 64) -> None:
        super().__init__()
        positive("VGG16", width=width)
        self.channels, self.classes, self.width = channels, classes, width
        layers: list[nn.Module] = []
        before = channels
        for times, convolutions in _STAGES:
            for _ in range(convolutions):
                layers += [
                    nn.Conv2d(before, times * width, 3, padding=1),
                    nn.BatchNorm2d(times * width),
                    nn.ReLU(),
                ]
                before = times * width
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(8 * width, classes)

    def forward(self, x: Inputs) -> Logits:
        """Give the logits `(batch, classes)` of images `(batch, channels, height, width)`."""
        logits: Logits = self.head(self.layers(x).mean((2, 3)))
        return logits
