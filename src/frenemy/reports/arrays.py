"""Named arrays in one file: a zip of `.npy` members that numpy's `load` reads, without pickles or dates."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["pack", "stack", "unpack"]

_DATE = (1980, 1, 1, 0, 0, 0)
_HEADER = 1 << 16


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Write arrays as the bytes of an `.npz` file; the same arrays give the same bytes."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", _DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return memory.getvalue()


def unpack(data: bytes, expected: Mapping[str, tuple[str, tuple[int, ...]]]) -> dict[str, NDArray[Any]]:
    """Read the bytes that `pack` wrote, and nothing that was not expected.

    Args:
        data: bytes of an `.npz` file.
        expected: for each array its dtype (as numpy writes it, such as `<f4`) and its shape; the size that the
            file declares is held against it before the array is read.

    Raises:
        ValueError: the bytes are no such file, or an array is missing or of another dtype, shape or size.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name, (kind, shape) in expected.items():
                dtype = np.dtype(kind)
                extra = archive.getinfo(f"{name}.npy").file_size - dtype.itemsize * int(
                    np.prod(shape, dtype=object)
                )
                if dtype.hasobject or not 0 < extra < _HEADER:
                    raise ValueError(f"array '{name}' does not have the declared size")
                with archive.open(f"{name}.npy") as file:
                    arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
                if arrays[name].dtype != dtype or arrays[name].shape != shape:
                    raise ValueError(f"array '{name}' is not {kind} of shape {shape}")
    except (zipfile.BadZipFile, KeyError, TypeError, EOFError) as error:
        raise ValueError(str(error).strip("'\"") or type(error).__name__) from error
    return arrays


def stack(columns: list[tuple[int, NDArray[Any] | None]]) -> NDArray[Any]:
    """Put one column's pieces on top of each other.

    Args:
        columns: for each piece its number of rows and its values, `(rows,)`, or None where it has none: its rows
            are then NaN, -1, False or empty text, as the other pieces are fractions, integers, flags or text.
    """
    present = [piece for _, piece in columns if piece is not None]
    dtype = np.result_type(*present)
    blank: dict[str, Any] = {"f": np.nan, "c": np.nan, "i": -1, "U": "", "S": b""}
    fill = blank.get(dtype.kind, 0)
    return np.concatenate(
        [np.full(rows, fill, dtype) if piece is None else piece.astype(dtype) for rows, piece in columns]
    )
