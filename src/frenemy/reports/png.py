"""Png: an input as a picture that a page can hold."""

from __future__ import annotations

import base64
import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["address", "image"]

_LARGEST: Final = 320


def image(array: NDArray[Any]) -> NDArray[np.float64] | None:
    """Give an input as `(height, width)` or `(height, width, 3)`; None if it is no image."""
    values = np.nan_to_num(np.asarray(array, dtype=np.float64))
    if values.size == 0 or values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[0] not in (1, 3)):
        return None
    if values.ndim == 2:
        return values
    return values[0] if len(values) == 1 else np.moveaxis(values, 0, -1)


def address(shown: NDArray[np.float64]) -> str:
    """Write an image with values in [0, 1] as the `data:` address of a PNG file."""
    picture = Image.fromarray(np.rint(255 * np.clip(shown, 0, 1)).astype(np.uint8))
    picture.thumbnail((_LARGEST, _LARGEST), Image.Resampling.BOX)
    memory = io.BytesIO()
    picture.save(memory, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(memory.getvalue()).decode("ascii")
