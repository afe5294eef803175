"""Inputs and labels as NumPy arrays in one .npz file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frenemy.card import Card
from frenemy.data.archive import LIMIT, array_names, arrays
from frenemy.data.box import box
from frenemy.data.examples import Examples
from frenemy.errors import DataError

__all__ = ["Npz"]

_CHANNELS = (1, 3, 4)
_CLASSES = 100_000


@final
@dataclass(frozen=True, slots=True)
class Npz:
    """Read inputs and labels from an .npz file.

    Inputs are called `x_test` (or after another split), `test_images`, `x` or `images`, the first that is there;
    labels `y_test`, `test_labels`, `y` or `labels` accordingly. A file with plain `x` and `y` gives them for
    every split. `index_test` or `index` names the place of each row, `classes` the classes, in order.

    Args:
        path: the file.
        split: `test`, `train`, or whatever else follows the underscore.
        limit: the most bytes that the arrays may declare together.

    Returns:
        Images `(n, channels, height, width)`: uint8 read as x / 255, floats must lie in [0, 1]; channels may
        come last and a missing channel axis is added. Rows of features `(n, features)`: uint8 likewise, else
        float32 in natural units, where the box of each feature is its least and largest finite value.
        Whole labels keep their number; labels in text are numbered as in `classes`, else in
        sorted order.

    Raises:
        DataError: the file is missing, damaged, holds objects or too much, or its arrays do not fit.
    """

    path: str
    split: str = "test"
    limit: int = LIMIT

    card: ClassVar[Card] = Card(
        authors="Harris, Millman, van der Walt",
        title="Array programming with NumPy",
        year=2020,
        venue="Nature 585",
        link="arXiv:2006.10256",
    )

    def __call__(self) -> Examples:
        path, split = Path(self.path).expanduser(), self.split
        stored = array_names(path)
        pairs = (
            (f"x_{split}", f"y_{split}", f"index_{split}"),
            (f"{split}_images", f"{split}_labels", f"{split}_index"),
            ("x", "y", "index"),
            ("images", "labels", "index"),
        )
        chosen = next((names for names in pairs if {names[0], names[1]} <= stored), None)
        if chosen is None:
            raise DataError(
                f"expected arrays x_{split} and y_{split}, or x and y, in {path}, got "
                f"{', '.join(sorted(stored)) or 'no array'}; rename them, or ask for another split"
            )
        others = [name for name in stored if name.startswith("y_") or name.endswith("_labels")]
        found = arrays(path, sorted({*chosen, *others, "classes"} & stored), self.limit)
        x, (low, high) = _inputs(found[chosen[0]], f"{chosen[0]} of {path}")
        named = _texts(found["classes"]) if "classes" in found else ()
        same = [found[name] for name in others]
        y, classes = _labels(found[chosen[1]], same, named, f"{chosen[1]} of {path}")
        index = torch.from_numpy(found.get(chosen[2], np.arange(len(x))).reshape(-1).astype(np.int64))
        if len(index) != len(x):
            raise DataError(
                f"expected {len(x)} places in {chosen[2]} of {path}, got {len(index)}; save it again"
            )
        return Examples(path.name.removesuffix(".npz"), x, y, classes, low, high, index)


def _inputs(values: NDArray[Any], where: str) -> tuple[Tensor, tuple[float | Tensor, float | Tensor]]:
    if values.ndim < 2 or not values.size:
        raise DataError(
            f"expected rows of inputs in {where}, got shape {values.shape}; save (n, ...) with n > 0"
        )
    if values.dtype.kind not in "biuf" or (
        values.ndim > 2 and values.dtype.kind != "f" and values.dtype != np.uint8
    ):
        raise DataError(
            f"expected uint8 or floats in {where}, got {values.dtype}; save it as .astype('uint8') if it holds "
            "0..255, else as .astype('float32')"
        )
    pixels = values.dtype == np.uint8
    values = values if pixels else values.astype(np.float64)
    x = torch.from_numpy(np.ascontiguousarray(values))
    x = x if pixels else x.to(torch.float32)
    if x.ndim == 2:
        return x, (0.0, 1.0) if pixels else box(x)
    x = x.unsqueeze(1) if x.ndim == 3 else x
    if x.ndim == 4 and x.shape[1] not in _CHANNELS and x.shape[3] in _CHANNELS:
        x = x.permute(0, 3, 1, 2).contiguous()
    if not pixels and bool(((x < 0) | (x > 1)).any()):
        known = x[~x.isnan()]
        raise DataError(
            f"expected images in [0, 1] in {where}, got values from {float(known.min()):g} to "
            f"{float(known.max()):g}; save raw pixels as uint8, and let the model normalise"
        )
    return x, (0.0, 1.0)


def _labels(
    values: NDArray[Any], others: list[NDArray[Any]], named: tuple[str, ...], where: str
) -> tuple[Tensor, tuple[str, ...]]:
    if values.ndim != 1 and (values.ndim != 2 or values.shape[1] != 1):
        raise DataError(
            f"expected one label a row in {where}, got shape {values.shape}; take .argmax(1) of one-hot labels first"
        )
    same = [values, *(other for other in others if other.dtype.kind == values.dtype.kind and other.size)]
    if values.dtype.kind in "US":
        classes = named or tuple(sorted({text for other in same for text in _texts(other)}))
        places = {text: place for place, text in enumerate(classes)}
        if foreign := [text for text in _texts(values) if text not in places]:
            raise DataError(
                f"expected labels out of 'classes' in {where}, got '{foreign[0]}'; add it to 'classes'"
            )
        return torch.tensor([places[text] for text in _texts(values)], dtype=torch.int64), classes
    if values.dtype.kind == "f" and not bool((np.isfinite(values) & (values == np.floor(values))).all()):
        raise DataError(f"expected whole numbers from 0 in {where}, got fractions; save class numbers")
    if values.size and not -_CLASSES <= values.min() <= values.max() < _CLASSES:
        raise DataError(
            f"expected labels below {_CLASSES:,} in {where}, got {values.max()}; save class numbers"
        )
    top = max((int(other.max()) for other in same if other.size and other.max() < _CLASSES), default=0)
    y = torch.from_numpy(values.reshape(-1).astype(np.int64))
    return y, named or tuple(str(label) for label in range(max(top, 0) + 1))


def _texts(values: NDArray[Any]) -> tuple[str, ...]:
    words = values.reshape(-1).tolist()
    return tuple(word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word) for word in words)
