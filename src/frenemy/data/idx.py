"""MNIST, Fashion-MNIST and any other pair of IDX files, compressed with gzip or not."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor

from frenemy.card import Card
from frenemy.data.archive import LIMIT, opened
from frenemy.data.examples import Examples
from frenemy.data.places import check_split, locate, verify
from frenemy.errors import DataError

__all__ = ["FashionMNIST", "Idx", "MNIST"]

_MNIST = {
    "train": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "test": (
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}
_FASHION = {
    "train": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    "test": (
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}
_CLOTHES = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"


@final
@dataclass(frozen=True, slots=True)
class MNIST:
    """Read MNIST: handwritten digits of 28x28 grey pixels, 60,000 to train and 10,000 to test.

    Args:
        root: a folder to search before $FRENEMY_DATA and the user's cache.
        split: `train` or `test`.

    Returns:
        Inputs `(n, 1, 28, 28)` uint8, which read as x / 255; the content is held against its published
        checksum.

    Raises:
        DataError: the files are missing, damaged, or not those of MNIST.
    """

    root: str | None = None
    split: str = "test"

    card: ClassVar[Card] = Card(
        authors="LeCun, Bottou, Bengio, Haffner",
        title="Gradient-based learning applied to document recognition",
        year=1998,
        venue="Proceedings of the IEEE 86(11)",
        link="http://yann.lecun.com/exdb/mnist",
    )

    def __call__(self) -> Examples:
        check_split(self.split)
        address = "https://storage.googleapis.com/cvdf-datasets/mnist/"
        files = _find("mnist", self.root, self.split, ("MNIST/raw",), address)
        return _pair("mnist", *files, tuple("0123456789"), _MNIST[self.split])


@final
@dataclass(frozen=True, slots=True)
class FashionMNIST:
    """Read Fashion-MNIST: ten kinds of clothes in 28x28 grey pixels, 60,000 to train and 10,000 to test.

    Args:
        root: a folder to search before $FRENEMY_DATA and the user's cache.
        split: `train` or `test`.

    Returns:
        Inputs `(n, 1, 28, 28)` uint8, which read as x / 255; the content is held against its published
        checksum.

    Raises:
        DataError: the files are missing, damaged, or not those of Fashion-MNIST.
    """

    root: str | None = None
    split: str = "test"

    card: ClassVar[Card] = Card(
        authors="Xiao, Rasul, Vollgraf",
        title="Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms",
        year=2017,
        link="arXiv:1708.07747",
    )

    def __call__(self) -> Examples:
        check_split(self.split)
        folders = ("fashion_mnist", "FashionMNIST/raw")
        address = "https://github.com/zalandoresearch/fashion-mnist"
        files = _find("fashion-mnist", self.root, self.split, folders, address)
        return _pair("fashion-mnist", *files, tuple(_CLOTHES.split(",")), _FASHION[self.split])


@final
@dataclass(frozen=True, slots=True)
class Idx:
    """Read any pair of IDX files of unsigned bytes, such as those of KMNIST or EMNIST.

    Args:
        images: the file of inputs, `(n, height, width)`, `(n, channels, height, width)` or `(n, features)`.
        labels: the file of labels, `(n,)`.

    Returns:
        Inputs uint8, which read as x / 255, with a channel axis where the file has none; classes are called by
        their number, from 0 to the largest label.

    Raises:
        DataError: a file is missing or damaged, or the two do not fit.
    """

    images: str
    labels: str

    card: ClassVar[Card] = Card(
        authors="LeCun, Cortes, Burges",
        title="The MNIST database of handwritten digits",
        year=1998,
        link="http://yann.lecun.com/exdb/mnist",
        place="the IDX file format",
    )

    def __call__(self) -> Examples:
        images = Path(self.images).expanduser()
        return _pair(images.name.split(".")[0], images, Path(self.labels).expanduser(), (), None)


def _find(
    name: str, root: str | None, split: str, folders: tuple[str, ...], address: str
) -> tuple[Path, Path]:
    stem = "train" if split == "train" else "t10k"
    groups = [(f"{stem}-images{dot}idx3-ubyte", f"{stem}-labels{dot}idx1-ubyte") for dot in "-."]
    images, labels = locate(name, groups, root, folders=folders, address=address)
    return images, labels


def _pair(
    name: str, images: Path, labels: Path, classes: tuple[str, ...], digests: tuple[str, str] | None
) -> Examples:
    x = _read(images, (2, 3, 4), digests and digests[0])
    y = _read(labels, (1,), digests and digests[1]).to(torch.int64)
    if len(x) != len(y):
        raise DataError(
            f"expected one label for each of the {len(x)} inputs of {images}, got {len(y)} in {labels}; "
            "take both files from one data set and split"
        )
    x = x.unsqueeze(1) if x.ndim == 3 else x
    return Examples(name, x, y, classes or tuple(str(label) for label in range(int(y.max()) + 1)))


def _read(path: Path, ranks: tuple[int, ...], digest: str | None) -> Tensor:
    with opened(path) as stream:
        magic = stream.read(4)
        if len(magic) < 4 or magic[:3] != b"\x00\x00\x08" or magic[3] not in ranks:
            wanted = " or ".join(f"0x{0x800 + rank:08x}" for rank in ranks)
            raise DataError(
                f"expected {path} to be an IDX file of bytes that starts with {wanted}, got 0x{magic.hex()}; "
                "check that images and labels are not exchanged, or fetch it again"
            )
        sizes = stream.read(4 * magic[3])
        if len(sizes) < 4 * magic[3]:
            raise DataError(
                f"expected the header of {path} to name {magic[3]} sizes, got its end; fetch it again"
            )
        shape = struct.unpack(f">{magic[3]}I", sizes)
        count = math.prod(shape)
        if count > LIMIT:
            raise DataError(
                f"expected at most {LIMIT:,} bytes, got {path} which declares {count:,}; split it"
            )
        body = stream.read(count + 1)
    if len(body) != count:
        size = f"{len(body):,}" if len(body) < count else "more"
        raise DataError(
            f"expected {count:,} bytes after the header of {path}, got {size}; the file is damaged, fetch it again"
        )
    if digest is not None:
        verify(path, magic + sizes + body, digest, "idx:IMAGES,LABELS")
    if not count:
        raise DataError(f"expected at least one example in {path}, got none; fetch the file again")
    return torch.frombuffer(bytearray(body), dtype=torch.uint8).reshape(shape)
