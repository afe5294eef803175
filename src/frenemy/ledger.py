"""Ledger: finished jobs on disk, so that a killed run goes on where it was and counts nothing twice.

A job is described by plain JSON values; the hash of the description names its file; its result, a few arrays, is
written once, to the side and renamed. A job done twice gives the same arrays, so it matters neither who does it nor
when.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from frenemy.errors import RunError
from frenemy.files import write_atomic

__all__ = ["Arrays", "Ledger", "canonical", "open_ledger"]

Arrays = dict[str, NDArray[Any]]

_DONE: Final = ("audit.json", "checkpoint.safetensors", "jobs/*.npz", "models/*/jobs/*.npz")
"""What shows that some work of a run is done."""

_PART: Final = f".{'?' * 16}.part"
"""What `write_atomic` leaves behind when it is killed."""


@final
class Ledger:
    """Results of jobs, kept in memory or in a run directory.

    Args:
        folder: where results are kept; None keeps nothing.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self.reused = 0

    def result(
        self,
        job: Mapping[str, Any],
        work: Callable[[], Arrays],
        lasting: Callable[[Arrays], bool] | None = None,
    ) -> Arrays:
        """Return the arrays of a job: read if it was done before, else worked out and written.

        A result file that cannot be read whole is worked out again; a result that is not `lasting`, such as a failure
        that may pass, is not written.
        """
        if self._folder is None:
            return work()
        text = canonical(job)
        file = self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.npz"
        known = _read(file, text)
        if known is not None:
            self.reused += 1
            return known
        arrays = work()
        if lasting is not None and not lasting(arrays):
            return arrays
        buffer = io.BytesIO()
        np.savez(buffer, job=np.array(_label(text, arrays)), **arrays)  # type: ignore[arg-type]
        write_atomic(file, buffer.getvalue())
        return arrays


@contextmanager
def open_ledger(out: Path | None, settings: Mapping[str, Any]) -> Iterator[Ledger]:
    """Open a run directory for one run: created if need be, locked while open, bound to one set of settings.

    A directory in which no job was finished may be bound anew.

    Args:
        out: the directory; None gives a ledger that keeps nothing.
        settings: everything that decides the numbers, as plain JSON values.

    Raises:
        RunError: the directory cannot be written, another run holds it, or it belongs to a run with other settings.
    """
    if out is None:
        yield Ledger()
        return
    try:
        (out / "jobs").mkdir(parents=True, exist_ok=True)
        lock = os.open(out / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise RunError(
            f"expected to write the run into '{out}', got: {error.strerror}; give another directory with --out"
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunError(
                f"expected '{out}' to be free, got a run that is still writing to it; wait for it or give another --out"
            ) from error
        for leftover in (*out.glob(_PART), *out.glob(f"jobs/{_PART}")):
            leftover.unlink(missing_ok=True)
        _bind(out, settings)
        yield Ledger(out / "jobs")
    finally:
        os.close(lock)


def canonical(value: Mapping[str, Any]) -> str:
    """Write JSON values in one way only: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _bind(out: Path, settings: Mapping[str, Any]) -> None:
    file, text = out / "run.json", canonical(settings)
    done = [found for what in _DONE for found in out.glob(what)]
    if not file.exists() or not done:
        write_atomic(file, text.encode())
        return
    try:
        before = json.loads(file.read_text())
        if not isinstance(before, dict):
            raise ValueError("no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(
            f"expected '{file}' to describe a run, got damaged JSON; give another --out"
        ) from error
    now = json.loads(text)
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if changed:
        what = ", ".join(f"{key} was {before.get(key)} and is {now.get(key)}" for key in changed[:3])
        raise RunError(f"expected '{out}' to hold the same run, got another one ({what}); give another --out")


def _read(file: Path, text: str) -> Arrays | None:
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile):
        return None
    return arrays if str(arrays.pop("job", "")) == _label(text, arrays) and arrays else None


def _label(text: str, arrays: Arrays) -> str:
    """Name the job and its arrays: a damaged zip can lose one without an error."""
    return "\n".join([text, *sorted(arrays)])
