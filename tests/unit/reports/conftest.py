"""Lets the tests of this folder share `audits` by its full name, however pytest is started."""

from __future__ import annotations

import sys
from pathlib import Path

__all__: list[str] = []

_ROOT = str(Path(__file__).parents[3])
if _ROOT not in sys.path:
    sys.path.append(_ROOT)
