"""ResNeXt: residual blocks whose middle convolution is cut into groups, for small images."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from frenemy.card import Card
from frenemy.errors import ModelError
from frenemy.models.sizes import positive
from frenemy.types import Inputs, Logits

__all__ = ["ResNeXt"]


@final
class _Block(nn.Module):
    """`max(0, s(x) + sum_i T_i(x))` over `groups` paths (Xie et al. 2017, Equation 2 and Figure 3c).

    The paths are one 3 x 3 convolution in groups between two 1 x 1 convolutions; where the shape changes, `s` is a
    1 x 1 convolution.
    """

    def __init__(self, before: int, middle: int, after: int, stride: int, groups: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(before, middle, 1, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(),
            nn.Conv2d(middle, middle, 3, stride, padding=1, groups=groups, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(),
            nn.Conv2d(middle, after, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut = nn.Sequential()
        if before != after or stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.path(x) + self.shortcut(x))


@final
class ResNeXt(nn.Module):
    """The residual network with grouped convolutions of 9n + 2 layers for small images: `resnext29`.

    One 3 x 3 convolution of `width` channels, then three stages of n blocks. A block of the first stage squeezes to
    `cardinality` groups of `width` channels each and gives `expansion width` channels; each later stage doubles both
    and halves the image. Then the mean over the image and one affine map. The paper's 8 x 64d is the default,
    16 x 64d is `resnext(cardinality=16)`.

    Args:
        channels: channels of an image, at least 1; height and width are free and need not be equal.
        classes: logits a row, at least 2.
        depth: layers with weights, 9n + 2, from 11 to 200.
        cardinality: groups of a middle convolution, at least 1.
        width: channels of a group in the first stage, and of the stem, at least 1.
        expansion: how many times `width` a block of the first stage gives, at least 1.

    Cost: 5.4 billion multiply-adds a 32 x 32 image at depth 29, 8 x 64d, 1.4 billion at 2 x 64d; 22 million at
    2 x 8d.

    Raises:
        ModelError: there is no such depth.
    """

    card: ClassVar[Card] = Card(
        authors="Xie, Girshick, Dollar, Tu, He",
        title="Aggregated Residual Transformations for Deep Neural Networks",
        year=2017,
        venue="CVPR",
        link="arXiv:1611.05431",
        place="Section 5.3",
        deviations=(
            "a usual code for CIFAR (kuangliu/pytorch-cifar) lets the output of a block grow with the cardinality; "
            "its 4 x 64d of 27.1 million parameters is cardinality 4 with expansion 8, and its stem is 1 x 1; its "
            "2 x 64d is cardinality 2 here",
            "weights start from the default law of PyTorch, not from He's normal law",
        ),
    )

    def __init__(
        self,
        channels: int = 3,
        classes: int = 10,
        depth: int = 29,
        cardinality: int = 8,
        width: int = 64,
        expansion: int = 4,
    ) -> None:
        super().__init__()
        positive("ResNeXt", channels=channels, cardinality=cardinality, width=width, expansion=expansion)
        if depth % 9 != 2 or not 11 <= depth <= 200:
            raise ModelError(
                f"expected a depth of 9n + 2 from 11 to 200, got {depth}; take such as 20, 29, 38"
            )
        self.channels, self.classes, self.depth = channels, classes, depth
        self.cardinality, self.width, self.expansion = cardinality, width, expansion
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        blocks: list[nn.Module] = []
        before = width
        for stage in range(3):
            middle, after = cardinality * width * 2**stage, expansion * width * 2**stage
            for n in range((depth - 2) // 9):
                blocks.append(_Block(before, middle, after, 2 if stage and not n else 1, cardinality))
                before = after
        self.stages = nn.Sequential(*blocks)
        self.head = nn.Linear(before, classes)

    def forward(self, x: Inputs) -> Logits:
        """Give the logits `(batch, classes)` of images `(batch, channels, height, width)`."""
        logits: Logits = self.head(self.stages(self.stem(x)).mean((2, 3)))
        return logits
