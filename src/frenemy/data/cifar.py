"""CIFAR-10 and CIFAR-100, in the Python or the binary version or as arrays in an .npz file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from frenemy.card import Card
from frenemy.data.archive import array_names, arrays, opened
from frenemy.data.examples import Examples
from frenemy.data.pickles import unpickle
from frenemy.data.places import check_split, locate, verify
from frenemy.errors import DataError

__all__ = ["CIFAR10", "CIFAR100"]

_ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar.html"
_PIXELS = 3 * 32 * 32
_TOTAL = {"train": 50_000, "test": 10_000}
_TEN = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
_HUNDRED = {"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"}
_NAMES = "airplane automobile bird cat deer dog frog horse ship truck"


@final
@dataclass(frozen=True, slots=True)
class CIFAR10:
    """Read CIFAR-10: ten kinds of things in 32x32 colour pixels, 50,000 to train and 10,000 to test.

    Args:
        root: a folder to search before $FRENEMY_DATA and the user's cache.
        split: `train` or `test`.

    Returns:
        Inputs `(n, 3, 32, 32)` uint8, which read as x / 255. The Python version is held against its published
        checksums; the other forms have none, and a note says so. An .npz file holds `x_test` and `y_test` (or
        `x_train` and `y_train`), may be a subset, and then names the places of its rows in `index_test`.

    Raises:
        DataError: the files are missing, damaged, or not those of CIFAR-10.
    """

    root: str | None = None
    split: str = "test"

    card: ClassVar[Card] = Card(
        authors="Krizhevsky",
        title="Learning Multiple Layers of Features from Tiny Images",
        year=2009,
        venue="University of Toronto",
        link="https://www.cs.toronto.edu/~kriz/cifar.html",
    )

    def __call__(self) -> Examples:
        check_split(self.split)
        train = [name for name in _TEN if name.startswith("data")]
        stems = train if self.split == "train" else ["test_batch"]
        groups = [stems, [f"{stem}.bin" for stem in stems], ["cifar10.npz"], ["cifar10_lossless.npz"]]
        folders = ("cifar-10-batches-py", "cifar-10-batches-bin")
        paths = locate("cifar10", groups, self.root, folders=folders, address=_ADDRESS)
        return _read("cifar10", paths, self.split, _TEN, "labels", tuple(_NAMES.split()))


@final
@dataclass(frozen=True, slots=True)
class CIFAR100:
    """Read CIFAR-100 with its hundred fine labels: 32x32 colour pixels, 50,000 to train and 10,000 to test.

    Args:
        root: a folder to search before $FRENEMY_DATA and the user's cache.
        split: `train` or `test`.

    Returns:
        Inputs `(n, 3, 32, 32)` uint8, which read as x / 255; forms and checks as for `CIFAR10`. Classes are
        called by the names in `meta` or `fine_label_names.txt` beside the data, else by their number.

    Raises:
        DataError: the files are missing, damaged, or not those of CIFAR-100.
    """

    root: str | None = None
    split: str = "test"

    card: ClassVar[Card] = Card(
        authors="Krizhevsky",
        title="Learning Multiple Layers of Features from Tiny Images",
        year=2009,
        venue="University of Toronto",
        link="https://www.cs.toronto.edu/~kriz/cifar.html",
    )

    def __call__(self) -> Examples:
        check_split(self.split)
        groups = [[self.split], [f"{self.split}.bin"], ["cifar100.npz"]]
        folders = ("cifar-100-python", "cifar-100-binary")
        paths = locate("cifar100", groups, self.root, folders=folders, address=_ADDRESS)
        return _read("cifar100", paths, self.split, _HUNDRED, "fine_labels", _fine_names(paths[0].parent))


def _read(
    name: str,
    paths: tuple[Path, ...],
    split: str,
    digests: dict[str, str],
    key: str,
    classes: tuple[str, ...],
) -> Examples:
    if paths[0].suffix == ".npz":
        return _from_arrays(name, paths[0], split, classes)
    binary = ".bin" in paths[0].name
    each = _TOTAL[split] // len(paths)
    if binary:
        parts = [_from_binary(path, each, 1 if key == "fine_labels" else 0) for path in paths]
    else:
        parts = [_from_pickle(path, digests[path.name.removesuffix(".gz")], key, name) for path in paths]
    x, y = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    notes = (f"the binary files of {name} have no published checksum, so their pixels are unverified",)
    return Examples(name, x.reshape(-1, 3, 32, 32), y, classes, notes=notes if binary else ())


def _from_pickle(path: Path, digest: str, key: str, name: str) -> tuple[Tensor, Tensor]:
    with opened(path) as stream:
        content = stream.read(_TOTAL["train"] * (_PIXELS + 1024))
    verify(path, content, digest, f"npz:PATH after saving x and y as arrays (it is not {name})")
    table = unpickle(content, path)
    return torch.from_numpy(table["data"]), torch.tensor(table[key], dtype=torch.int64)


def _from_binary(path: Path, count: int, skipped: int) -> tuple[Tensor, Tensor]:
    width = skipped + 1 + _PIXELS
    with opened(path) as stream:
        content = stream.read(count * width + 1)
    if len(content) != count * width:
        size = f"{len(content):,}" if len(content) < count * width else "more"
        raise DataError(
            f"expected {count:,} records of {width} bytes ({count * width:,}) in {path}, got {size} bytes; "
            "the file is damaged or of another data set, fetch it again"
        )
    records = torch.frombuffer(bytearray(content), dtype=torch.uint8).reshape(count, width)
    return records[:, skipped + 1 :], records[:, skipped].to(torch.int64)


def _from_arrays(name: str, path: Path, split: str, classes: tuple[str, ...]) -> Examples:
    wanted = [f"x_{split}", f"y_{split}", f"index_{split}"]
    stored = array_names(path)
    if missing := [key for key in wanted[:2] if key not in stored]:
        raise DataError(
            f"expected the arrays {wanted[0]} and {wanted[1]} in {path}, got no {missing[0]}; "
            "name the arrays so, or read the file with npz:PATH"
        )
    found = arrays(path, [key for key in wanted if key in stored])
    pixels, labels = found[wanted[0]], found[wanted[1]].reshape(-1)
    if (
        pixels.dtype != np.uint8
        or pixels.shape[1:] not in ((32, 32, 3), (3, 32, 32))
        or labels.dtype.kind not in "iu"
    ):
        raise DataError(
            f"expected {wanted[0]} of {path} as uint8 (n, 32, 32, 3) with whole numbers in {wanted[1]}, got "
            f"{pixels.dtype} {pixels.shape} and {labels.dtype}; read the file with npz:PATH"
        )
    x = torch.from_numpy(pixels)
    x = x.permute(0, 3, 1, 2).contiguous() if x.shape[-1] == 3 else x
    y = torch.from_numpy(labels.astype(np.int64))
    index = torch.from_numpy(found.get(wanted[2], np.arange(len(x))).astype(np.int64).reshape(-1))
    if len(index) != len(x):
        raise DataError(
            f"expected {len(x)} places in {wanted[2]} of {path}, got {len(index)}; save the file again"
        )
    part = f"a subset: {len(x):,} of the {_TOTAL[split]:,}" if len(x) < _TOTAL[split] else f"all {len(x):,}"
    note = f"{part} {split} images of {name}, exact pixels as {path.name} has them, not checked by checksum"
    return Examples(name, x, y, classes, index=index, notes=(note,))


def _fine_names(folder: Path) -> tuple[str, ...]:
    meta, text = folder / "meta", folder / "fine_label_names.txt"
    if meta.is_file():
        with opened(meta) as stream:
            stored = unpickle(stream.read(1 << 20), meta).get("fine_label_names", ())
        names = tuple(word.decode("latin-1") if isinstance(word, bytes) else str(word) for word in stored)
    elif text.is_file():
        names = tuple(text.read_text(encoding="utf-8").split())
    else:
        return tuple(str(label) for label in range(100))
    if len(names) != 100:
        raise DataError(
            f"expected 100 class names beside the data in {folder}, got {len(names)}; fetch it again"
        )
    return names
