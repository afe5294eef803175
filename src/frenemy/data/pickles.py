"""Read a pickled table of numbers without letting the pickle run anything."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from frenemy.errors import DataError

__all__ = ["unpickle"]


@final
class _Type:
    """Stands in for `numpy.dtype`: remembers its code and ignores the rest.

    No dataclass: with slots, those of Python before 3.11.4 put a `__setstate__` of their own in the place of ours.
    """

    __slots__ = ("code",)

    def __init__(self, code: object, align: object = 0, copy: object = 0) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Ignore byte order and padding, which single bytes do not have."""


@final
class _Array:
    """Stands in for a `numpy.ndarray` that is being rebuilt."""

    __slots__ = ("value",)

    def __init__(self, *_: object) -> None:
        self.value: NDArray[np.uint8] = np.empty(0, np.uint8)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_column, raw = state
        if not isinstance(kind, _Type) or kind.code not in ("u1", b"u1", "|u1", b"|u1"):
            raise pickle.UnpicklingError("an array of something else than unsigned bytes")
        flat = np.frombuffer(bytes(raw), np.uint8)
        self.value = flat.reshape(shape, order="F" if by_column else "C").copy(order="C")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
}


class _Reader(pickle.Unpickler):
    """An unpickler that knows the four names above, none of which does anything, and no others."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"a call of {module}.{name}")
        return _ALLOWED[module, name]


def unpickle(content: bytes, file: Path) -> dict[str, Any]:
    """Read a pickled dictionary of numbers, text, lists and arrays of bytes.

    Args:
        content: the pickle, as Python 2 or 3 wrote it.
        file: named in the message.

    Returns:
        The dictionary, its keys as text; arrays are uint8.

    Raises:
        DataError: the pickle is damaged, is no dictionary, or names anything that could run.
    """
    try:
        table = _Reader(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:
        raise DataError(
            f"expected plain numbers and text in {file}, got {str(error) or type(error).__name__}; nothing was run, "
            "so fetch the file again from its publisher"
        ) from error
    if not isinstance(table, dict):
        raise DataError(f"expected a dictionary in {file}, got {type(table).__name__}; fetch the file again")
    plain = {key.decode("latin-1") if isinstance(key, bytes) else str(key): table[key] for key in table}
    return {key: value.value if isinstance(value, _Array) else value for key, value in plain.items()}
