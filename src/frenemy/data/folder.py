"""Pictures in a folder for each class."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as pictures
from PIL.Image import Image, Resampling

from frenemy.card import Card
from frenemy.data.archive import LIMIT
from frenemy.data.examples import Examples
from frenemy.errors import DataError

__all__ = ["Folder"]

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_GREY = ("1", "L", "LA")
_DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


@final
@dataclass(frozen=True, slots=True)
class Folder:
    """Read pictures from one sub-folder a class, the classes and the pictures each in order of name.

    Pictures may lie at any depth below their class. What is no picture by its ending is passed over; a picture
    that cannot be decoded, or a link that leads out of the folder, is skipped and counted in a note.

    Args:
        path: the folder of class folders, or one above that has a sub-folder for each split.
        split: which of these sub-folders is read if `path` has them; otherwise without effect.
        resize: side of a square in pixels; the shorter side of each picture is brought to it and the middle cut
            out. Without it, all pictures must be of one size.
        pixels: the most pixels that one picture may have.
        limit: the most bytes that all pictures may take together.

    Returns:
        Inputs `(n, 1, height, width)` uint8 if all pictures are grey, else `(n, 3, height, width)`; they read as
        x / 255. Transparency is dropped.

    Raises:
        DataError: there is nothing to read, sizes differ, a picture has more than 8 bits a channel, or too many
            pixels.
    """

    path: str
    split: str = "test"
    resize: int | None = None
    pixels: int = 50_000_000
    limit: int = LIMIT

    card: ClassVar[Card] = Card(place="one folder of pictures a class")

    def __call__(self) -> Examples:
        if self.resize is not None and not 1 <= self.resize <= 4096:
            raise DataError(f"expected --resize from 1 to 4096, got {self.resize}; 32 or 224 are usual")
        root = Path(self.path).expanduser()
        if not root.is_dir():
            raise DataError(
                f"expected a folder with one sub-folder a class, got no folder at {root}; check the path"
            )
        root = root / self.split if _subfolders(root / self.split) else root
        classes = _subfolders(root)
        if not classes:
            raise DataError(
                f"expected one sub-folder a class in {root}, got none; put the pictures of each class into a "
                "folder of their own"
            )
        read, labels, links, corrupt = self._read(root, classes)
        if not read:
            raise DataError(
                f"expected pictures ({', '.join(_ENDINGS)}) in the class folders of {root}, got none that can be "
                "read; check the path"
            )
        grey = all(image.ndim == 2 for image in read)
        stack = [image[None] if grey else _colour(image) for image in read]
        x = torch.from_numpy(np.stack(stack))
        notes = [f"{corrupt} pictures could not be decoded and were skipped"] if corrupt else []
        notes += [f"{links} links lead out of the folder and were skipped"] if links else []
        notes += [f"pictures were brought to {self.resize}x{self.resize}"] if self.resize else []
        return Examples(root.name, x, torch.tensor(labels), tuple(classes), notes=tuple(notes))

    def _read(self, root: Path, classes: list[str]) -> tuple[list[NDArray[np.uint8]], list[int], int, int]:
        read: list[NDArray[np.uint8]] = []
        labels: list[int] = []
        links = corrupt = total = 0
        first: Path | None = None
        inside = Path(os.path.realpath(root))
        for label, name in enumerate(classes):
            for file in _pictures(root / name):
                if not Path(os.path.realpath(file)).is_relative_to(inside):
                    links += 1
                    continue
                image = self._decode(file) if file.is_file() else None
                if image is None:
                    corrupt += 1
                    continue
                first = first or file
                if read and image.shape[:2] != read[0].shape[:2]:
                    raise DataError(
                        f"expected all pictures of one size, got {_size(read[0])} in {first} and {_size(image)} in "
                        f"{file}; bring them to one size with --resize 32"
                    )
                total += image.shape[0] * image.shape[1] * 3
                if total > self.limit:
                    raise DataError(
                        f"expected at most {self.limit:,} bytes of pictures in {root}, got more; take a part of them, "
                        "or make them smaller with --resize"
                    )
                read.append(image)
                labels.append(label)
        return read, labels, links, corrupt

    def _decode(self, file: Path) -> NDArray[np.uint8] | None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with pictures.open(file, formats=_FORMATS) as image:
                    if image.width * image.height > self.pixels:
                        raise self._bomb(file, f"{image.width * image.height:,}")
                    if image.mode in _DEEP:
                        raise DataError(
                            f"expected at most 8 bits a channel, got mode {image.mode} in {file}; save it as 8-bit PNG"
                        )
                    image.load()
                    plain = image.convert("L" if image.mode in _GREY else "RGB")
            except DataError:
                raise
            except pictures.DecompressionBombError as error:
                raise self._bomb(file, "far more") from error
            except Exception:
                return None
        return np.asarray(plain if self.resize is None else _square(plain, self.resize), dtype=np.uint8)

    def _bomb(self, file: Path, got: str) -> DataError:
        return DataError(
            f"expected at most {self.pixels:,} pixels in a picture, got {got} in {file}; it may be made to fill the "
            "memory, so remove it or make it smaller"
        )


def _square(image: Image, side: int) -> Image:
    """Bring the shorter side of a Pillow image to `side` and cut out the middle, in one resampling."""
    short = min(image.size)
    left, top = (image.width - short) / 2, (image.height - short) / 2
    return image.resize((side, side), Resampling.BILINEAR, (left, top, left + short, top + short))


def _colour(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows = image[:, :, None].repeat(3, axis=2) if image.ndim == 2 else image
    return rows.transpose(2, 0, 1)


def _size(image: NDArray[np.uint8]) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"


def _subfolders(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    return sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _pictures(folder: Path) -> list[Path]:
    found = [Path(place) / name for place, _, names in os.walk(folder) for name in names]
    return sorted(path for path in found if path.suffix.lower() in _ENDINGS and not path.name.startswith("."))
