"""PreActResNet18 and WideResNet: residual networks whose blocks normalise before they convolve."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, final

from torch import Tensor, nn

from frenemy.card import Card
from frenemy.models.sizes import positive, staged
from frenemy.types import Inputs, Logits

__all__ = ["PreActResNet18", "WideResNet"]


def _active(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())


@final
class _Block(nn.Module):
    """`s(x) + F(a(x))` with `a` batch norm and ReLU (He et al. 2016, Identity Mappings, Equation 5, Figure 4e).

    The shortcut `s` is the identity. Where the channels change it is a 1 x 1 convolution of `a(x)`, and in the first
    block of a network it is `a(x)` itself: there the activation stands before the split (their Section 4, and its
    appendix).
    """

    def __init__(self, before: int, after: int, stride: int, first: bool = False) -> None:
        super().__init__()
        self.shared = first or before != after
        self.active = _active(before)
        self.path = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
            _active(after),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
        )
        self.shortcut = nn.Sequential()
        if before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        active = self.active(x)
        y: Tensor = self.path(active) + self.shortcut(active if self.shared else x)
        return y


def _stages(widths: tuple[int, ...], blocks: int) -> nn.Sequential:
    """Stages of so many blocks; `widths` begins with the stem's. Every stage but the first halves the image."""
    stages = []
    for n, (before, after) in enumerate(pairwise(widths)):
        rest = [_Block(after, after, 1) for _ in range(blocks - 1)]
        stages.append(nn.Sequential(_Block(before, after, 1 if n == 0 else 2, first=n == 0), *rest))
    return nn.Sequential(*stages)


@final
class PreActResNet18(nn.Module):
    """The residual network of 18 layers with activations before the weights, for small images.

    One 3 x 3 convolution, then four stages of two blocks with `width`, `2 width`, `4 width` and `8 width` channels,
    each stage but the first halving the image, then batch norm, ReLU, the mean over the image and one affine map.

    Args:
        channels: channels of an image, at least 1; height and width are free and need not be equal.
        classes: logits a row, at least 2.
        width: channels of the first stage, at least 1.

    Raises:
        ModelError: the width is below 1.
    """

    card: ClassVar[Card] = Card(
        authors="He, Zhang, Ren, Sun",
        title="Identity Mappings in Deep Residual Networks",
        year=2016,
        venue="ECCV",
        link="arXiv:1603.05027",
        place="Equation 5, Figure 4e",
        deviations=(
            "the paper has no net of 18 layers; the layers are those of ResNet-18 with a stem of one 3 x 3 "
            "convolution, as is usual in adversarial training",
            "weights start from the default law of PyTorch, not from He's normal law",
        ),
    )

    def __init__(self, channels: int = 3, classes: int = 10, width: int = 64) -> None:
        super().__init__()
        positive("PreActResNet18", width=width)
        self.channels, self.classes, self.width = channels, classes, width
        self.stem = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.stages = _stages((width, width, 2 * width, 4 * width, 8 * width), 2)
        self.last = _active(8 * width)
        self.head = nn.Linear(8 * width, classes)

    def forward(self, x: Inputs) -> Logits:
        """Give the logits `(batch, classes)` of images `(batch, channels, height, width)`."""
        logits: Logits = self.head(self.last(self.stages(self.stem(x))).mean((2, 3)))
        return logits


@final
class WideResNet(nn.Module):
    """The wide residual network WRN-`depth`-`widen`: few layers of `depth = 6n + 4`, many channels.

    One 3 x 3 convolution of `width` channels, then three stages of `n` blocks with `k`, `2 k` and `4 k` channels,
    `k = width widen`, the second and the third halving the image, then batch norm, ReLU, the mean over the image and
    one affine map.

    Args:
        channels: channels of an image, at least 1; height and width are free and need not be equal.
        classes: logits a row, at least 2.
        depth: layers with weights, the shortcuts of the three stages among them: `6n + 4`, from 10 to 1000.
        widen: how many times as wide as a usual residual network, at least 1.
        width: channels of the stem, at least 1.

    Raises:
        ModelError: the depth is of another form, or another setting is below 1.
    """

    card: ClassVar[Card] = Card(
        authors="Zagoruyko, Komodakis",
        title="Wide Residual Networks",
        year=2016,
        venue="BMVC",
        link="arXiv:1605.07146",
        place="Table 1, block B(3, 3)",
        deviations=(
            "without dropout, as most of the paper's results and all of adversarial training's",
            "weights start from the default law of PyTorch, not from He's normal law",
        ),
    )

    def __init__(
        self, channels: int = 3, classes: int = 10, depth: int = 28, widen: int = 10, width: int = 16
    ) -> None:
        super().__init__()
        positive("WideResNet", widen=widen, width=width)
        blocks = staged("WideResNet", depth, 4, 1000, "16, 28, 34 or 40")
        self.channels, self.classes = channels, classes
        self.depth, self.widen, self.width = depth, widen, width
        wide = width * widen
        self.stem = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.stages = _stages((width, wide, 2 * wide, 4 * wide), blocks)
        self.last = _active(4 * wide)
        self.head = nn.Linear(4 * wide, classes)

    def forward(self, x: Inputs) -> Logits:
        """Give the logits `(batch, classes)` of images `(batch, channels, height, width)`."""
        logits: Logits = self.head(self.last(self.stages(self.stem(x))).mean((2, 3)))
        return logits
