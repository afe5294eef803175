"""DenseNet: every layer sees what all layers before it in its block gave, for small images."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from frenemy.card import Card
from frenemy.errors import ModelError
from frenemy.models.sizes import positive
from frenemy.types import Inputs, Logits

__all__ = ["DenseNet"]

_BLOCKS: dict[int, tuple[int, ...]] = {22: (3, 3, 3), 40: (6, 6, 6), 100: (16, 16, 16)}
_BLOCKS |= {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}


def _convolved(before: int, after: int, kernel: int) -> list[nn.Module]:
    return [
        nn.BatchNorm2d(before),
        nn.ReLU(),
        nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False),
    ]


@final
class _Layer(nn.Module):
    """`[x, H(x)]`: what came in, and `growth` new channels behind it (Huang et al. 2017, Equation 2).

    `H` is batch norm, ReLU, 1 x 1 convolution to `4 growth` channels, and the same with 3 x 3 to `growth`.
    """

    def __init__(self, before: int, growth: int) -> None:
        super().__init__()
        self.path = nn.Sequential(*_convolved(before, 4 * growth, 1), *_convolved(4 * growth, growth, 3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.path(x)], 1)


@final
class DenseNet(nn.Module):
    """The densely connected network for small images.

    One 3 x 3 convolution to `2 width` channels; four blocks of 6, 12, 24 and 16 layers (at depth 121), or three equal
    ones (up to depth 100), each layer of which adds `width` channels; between the blocks a 1 x 1 convolution that
    halves the channels, and a mean-pool that halves the image; then batch norm, ReLU, the mean over the image and one
    affine map.

    Args:
        channels: channels of an image, at least 1; height and width are free and need not be equal.
        classes: logits a row, at least 2.
        depth: 121, 169 or 201 layers with weights, as for ImageNet; 22, 40 or 100, the paper's nets for CIFAR.
        width: channels that each layer adds, the paper's growth rate k; at least 1.

    Cost: 888 million multiply-adds a 32 x 32 image at depth 121, 14 million at width 4; a forward copies what a
    block has so far at each layer, and keeps it for the backward pass.

    Raises:
        ModelError: there is no such depth.
    """

    card: ClassVar[Card] = Card(
        authors="Huang, Liu, van der Maaten, Weinberger",
        title="Densely Connected Convolutional Networks",
        year=2017,
        venue="CVPR",
        link="arXiv:1608.06993",
        place="Table 1 and Section 3, with bottlenecks and compression 0.5 (DenseNet-BC)",
        deviations=(
            "at depth 121 and more the stem is one 3 x 3 convolution of stride 1 without pooling, as is usual for "
            "32 x 32 images",
            "no dropout",
            "depth 22 is not in the paper; it is for small machines",
            "pools round up, so that images of any size pass",
            "weights start from the default law of PyTorch, not from He's normal law",
        ),
    )

    def __init__(self, channels: int = 3, classes: int = 10, depth: int = 121, width: int = 32) -> None:
        super().__init__()
        positive("DenseNet", channels=channels, width=width)
        if depth not in _BLOCKS:
            raise ModelError(
                f"expected a depth of 22, 40, 100, 121, 169 or 201, got {depth}; take one of them"
            )
        self.channels, self.classes, self.depth, self.width = channels, classes, depth, width
        self.stem = nn.Conv2d(channels, 2 * width, 3, padding=1, bias=False)
        layers: list[nn.Module] = []
        here = 2 * width
        for block, count in enumerate(_BLOCKS[depth]):
            if block:
                layers += [*_convolved(here, here // 2, 1), nn.AvgPool2d(2, ceil_mode=True)]
                here //= 2
            layers += [_Layer(here + n * width, width) for n in range(count)]
            here += count * width
        self.stages = nn.Sequential(*layers, nn.BatchNorm2d(here), nn.ReLU())
        self.head = nn.Linear(here, classes)

    def forward(self, x: Inputs) -> Logits:
        """Give the logits `(batch, classes)` of images `(batch, channels, height, width)`."""
        logits: Logits = self.head(self.stages(self.stem(x)).mean((2, 3)))
        return logits
