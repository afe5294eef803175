"""Files that are whole or not there: every write goes to a neighbour first and is then renamed."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from frenemy.errors import RunError

__all__ = ["write_atomic"]


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader finds the old file or the new one, never a part of it.

    The bytes go to a new file in the same directory, are forced to disk, and the file is renamed over `path`;
    after a crash or a full disk `path` is what it was before. Missing parent directories are made.

    Args:
        path: the file to make or to replace.
        data: all that it shall hold.

    Raises:
        RunError: the directory cannot be made, or the file cannot be written or replaced.
    """
    beside = path.parent / f".{secrets.token_hex(8)}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        _settle(path.parent)
    except OSError as error:
        raise RunError(
            f"expected to write '{path}', got '{error.strerror or error}'; "
            "free some space or choose a directory that you may write to"
        ) from error
    finally:
        with suppress(OSError):
            beside.unlink()


def _settle(directory: Path) -> None:
    """Force the rename itself to disk, where the system can."""
    if os.name == "posix":
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
