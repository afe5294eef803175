"""ResNet18: the residual network of 18 layers, with the stem that small images need."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from frenemy.card import Card
from frenemy.models.sizes import positive
from frenemy.types import Inputs, Logits

__all__ = ["ResNet18"]


@final
class _Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut: `max(0, F(x) + s(x))` (He et al. 2016, Equations 1 and 2)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut = nn.Sequential()
        if before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.path(x) + self.shortcut(x))


@final
class ResNet18(nn.Module):
    """The residual network of 18 layers for small images.

    One 3 x 3 convolution, then four stages of two blocks with `width`, `2 width`, `4 width` and `8 width`
    channels, each stage but the first halving the image, then the mean over the image and one affine map.

    Args:
        channels: channels of an image, at least 1; height and width are free and need not be equal.
        classes: logits a row, at least 2.
        width: channels of the first stage, at least 1.

    Raises:
        ModelError: the width is below 1.
    """

    card: ClassVar[Card] = Card(
        authors="He, Zhang, Ren, Sun",
        title="Deep Residual Learning for Image Recognition",
        year=2016,
        venue="CVPR",
        link="arXiv:1512.03385",
        place="Table 1, 18-layer",
        deviations=(
            "the stem is one 3 x 3 convolution of stride 1 without pooling, as is usual for 32 x 32 images",
            "weights start from the default law of PyTorch, as in arXiv:2012.14738, not from He's normal law",
        ),
    )

    def __init__(self, channels: int = 3, classes: int = 10, width: int = 64) -> None:
        super().__init__()
        positive("ResNet18", width=width)
        self.channels, self.classes, self.width = channels, classes, width
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        stages = [
            nn.Sequential(_Block(before, after, stride), _Block(after, after, 1))
            for before, after, stride in (
                (width, width, 1),
                (width, 2 * width, 2),
                (2 * width, 4 * width, 2),
                (4 * width, 8 * width, 2),
            )
        ]
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(8 * width, classes)

    def forward(self, x: Inputs) -> Logits:
        """Give the logits `(batch, classes)` of images `(batch, channels, height, width)`."""
        logits: Logits = self.head(self.stages(self.stem(x)).mean((2, 3)))
        return logits
