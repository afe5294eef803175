"""Heap: let the C library keep the memory that tensors free, instead of giving it back and asking for it again."""

from __future__ import annotations

import os
import sys
from typing import Final

__all__ = ["keep"]

_MOST: Final = 2**31 - 1
_TRIM, _PAD, _MAPPED = -1, -2, -4
"""How glibc's `mallopt` calls the share of free memory that it holds, what it asks for beforehand, and its mappings."""


def keep() -> bool:
    """Keep freed memory for the next tensors, for the rest of this process; say whether that is so now.

    glibc asks the system for each big block, gives it back as soon as it is free, and the system clears every page of
    the next one anew: a seventh of the CPU time of PGD on a narrow ResNet (256 pictures of 32 x 32; 95 s and 82 s,
    685 and 720 MB at most). The command line does this by itself; a program that uses frenemy decides for its own
    process.

    Nothing changes where the C library is another, or where the environment settles how glibc allocates
    (`MALLOC_...`, `GLIBC_TUNABLES`).
    """
    import ctypes

    chosen = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if not sys.platform.startswith("linux") or chosen:
        return False
    setting = getattr(ctypes.CDLL(None), "mallopt", None)
    if setting is None:
        return False
    return all([setting(_MAPPED, 0), setting(_TRIM, _MOST), setting(_PAD, 64 << 20)])
