"""CIFARResNet: the residual networks of 6n + 2 layers for small images, with shortcuts that have no weights."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from frenemy.card import Card
from frenemy.models.sizes import positive, staged
from frenemy.types import Inputs, Logits

__all__ = ["CIFARResNet"]


@final
class _Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut without weights: `max(0, F(x) + s(x))`.

    `s` is the identity, or every second pixel with channels of zeros behind (He et al. 2016, option A).
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.more = after - before
        self.stride = 2 if self.more else 1
        self.path = nn.Sequential(
            nn.Conv2d(before, after, 3, self.stride, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )

    def forward(self, x: Tensor) -> Tensor:
        short = x[:, :, :: self.stride, :: self.stride]
        return torch.relu(self.path(x) + pad(short, (0, 0, 0, 0, 0, self.more)))


@final
class CIFARResNet(nn.Module):
    """The residual network of `depth = 6n + 2` layers for CIFAR-10: 20 to 110 and 1202 in the paper.

    One 3 x 3 convolution, then three stages of `n` blocks with `width`, `2 width` and `4 width` channels, the second
    and the third halving the image, then the mean over the image and one affine map. No shortcut has weights
    (option A).

    Args:
        channels: channels of an image, at least 1; height and width are free and need not be equal.
        classes: logits a row, at least 2.
        depth: layers with weights, `6n + 2`, from 8 to 1202.
        width: channels of the first stage, at least 1.

    Raises:
        ModelError: the depth is of another form, or the width is below 1.
    """

    card: ClassVar[Card] = Card(
        authors="He, Zhang, Ren, Sun",
        title="Deep Residual Learning for Image Recognition",
        year=2016,
        venue="CVPR",
        link="arXiv:1512.03385",
        place="Section 4.2, Table 6",
        deviations=(
            "the paper does not say on which side the channels of zeros of option A are put; here they come last",
            "weights start from the default law of PyTorch, not from He's normal law",
        ),
    )

    def __init__(self, channels: int = 3, classes: int = 10, depth: int = 20, width: int = 16) -> None:
        super().__init__()
        positive("CIFARResNet", width=width)
        blocks = staged("CIFARResNet", depth, 2, 1202, "20, 32, 44, 56 or 110")
        self.channels, self.classes, self.depth, self.width = channels, classes, depth, width
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        stages = [
            nn.Sequential(_Block(before, after), *(_Block(after, after) for _ in range(blocks - 1)))
            for before, after in ((width, width), (width, 2 * width), (2 * width, 4 * width))
        ]
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(4 * width, classes)

    def forward(self, x: Inputs) -> Logits:
        """Give the logits `(batch, classes)` of images `(batch, channels, height, width)`."""
        logits: Logits = self.head(self.stages(self.stem(x)).mean((2, 3)))
        return logits
