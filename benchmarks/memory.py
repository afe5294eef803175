"""Memory: how much more a call holds at its peak than the process held before."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median


def peak(run: Callable[[], object], warm: Callable[[], object]) -> float:
    """Peak memory of one call above what the process held before it, in MB (Linux: VmHWM).

    A smaller call comes first, and free heap is returned, so that only the call itself is seen.
    """
    warm()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    run()
    return round((_status("VmHWM") - before) / 1024, 1)


def alone(*words: str) -> float:
    """Median of five peaks, each printed by the script that runs, called with these words in a fresh process."""
    command = [sys.executable, sys.argv[0], *words]
    return median(
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(5)
    )


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))
