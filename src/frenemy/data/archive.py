"""Open compressed files without trusting what they declare: sizes are checked before anything is read."""

from __future__ import annotations

import gzip
import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from frenemy.errors import DataError

__all__ = ["LIMIT", "array_names", "arrays", "opened"]

LIMIT = 4 << 30
"""Bytes that one data set may take in memory unless the reader is told otherwise."""

_DAMAGE = (OSError, EOFError, zlib.error)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading, through gzip if it starts as gzip does.

    Raises:
        DataError: the file is missing, or turns out to be cut short or damaged while it is read.
    """
    if not path.is_file():
        raise DataError(f"expected a file, got nothing at {path}; check the path")
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if zipped:
                with gzip.open(raw) as stream:
                    yield cast(IO[bytes], stream)
            else:
                yield raw
    except _DAMAGE as error:
        raise _damaged(path, error) from error


def array_names(path: Path) -> frozenset[str]:
    """Name the arrays in an .npz file."""
    with _unzipped(path) as archive:
        return frozenset(name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy"))


def arrays(path: Path, names: Sequence[str], limit: int = LIMIT) -> dict[str, NDArray[Any]]:
    """Read arrays of plain numbers or text from an .npz file; no pickle is ever opened.

    Every header is read, and the sizes it declares are held against the zip's own and against `limit`, before
    the first array is allocated.

    Raises:
        DataError: the file is damaged, an array holds objects, a declared size is false, or all arrays
            together pass `limit` bytes.
    """
    with _unzipped(path) as archive:
        total = sum(_declared(path, archive, name) for name in names)
        if total > limit:
            raise DataError(
                f"expected the arrays of {path} to take at most {limit:,} bytes, got {total:,} declared; "
                "split the file, or raise the reader's limit"
            )
        found = {}
        for name in names:
            with archive.open(f"{name}.npy") as member:
                found[name] = np.lib.format.read_array(member, allow_pickle=False)
        return found


@contextmanager
def _unzipped(path: Path) -> Iterator[zipfile.ZipFile]:
    if not path.is_file():
        raise DataError(f"expected an .npz file, got nothing at {path}; check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (*_DAMAGE, zipfile.BadZipFile, RuntimeError, ValueError) as error:
        raise _damaged(path, error) from error


def _declared(path: Path, archive: zipfile.ZipFile, name: str) -> int:
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"array '{name}' has format version {version}")
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(member)
        start = member.tell()
    if dtype.hasobject or dtype.kind not in "biufUS":
        raise DataError(
            f"expected numbers or text in array '{name}' of {path}, got dtype {dtype}; "
            "save it again with a plain dtype such as uint8 or float32"
        )
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or start + size != info.file_size:
        raise DataError(
            f"expected array '{name}' of {path} to take the {size:,} bytes its header declares, got "
            f"{info.file_size - start:,}; the file is damaged or made to mislead, so save it again"
        )
    return size


def _damaged(path: Path, error: Exception) -> DataError:
    reason = str(error).rstrip(".") or type(error).__name__
    return DataError(
        f"expected a whole file, got {path} which cannot be read ({reason}); fetch or save it again"
    )
