"""Where data sets lie on this machine, and whether a file is the published one; nothing is ever downloaded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from frenemy.errors import DataError, nearest

__all__ = ["check_split", "data_dirs", "locate", "verify"]


def data_dirs(data_dir: str | None = None) -> list[Path]:
    """List the folders that are searched, in order: `data_dir`, $FRENEMY_DATA, the user's cache.

    Raises:
        DataError: `data_dir` is given and is no folder.
    """
    if data_dir is not None and not Path(data_dir).expanduser().is_dir():
        raise DataError(f"expected --data-dir to be a folder, got '{data_dir}'; make it, or mend the path")
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    named = (data_dir, os.environ.get("FRENEMY_DATA"), f"{cache}/frenemy/data")
    return [Path(text).expanduser() for text in named if text]


def locate(
    name: str,
    files: Sequence[Sequence[str]],
    data_dir: str | None = None,
    *,
    folders: Sequence[str] = (),
    address: str,
) -> tuple[Path, ...]:
    """Find the files of a data set in one folder.

    Each folder of `data_dirs` is looked at in turn, first its sub-folders `name` and `folders`, then itself;
    a file may carry a further `.gz`.

    Args:
        name: sub-folder of the data set, and what messages call it.
        files: alternatives, best first; each a list of files that belong together.
        data_dir: a folder to look in before all others.
        folders: further sub-folders that other programs use.
        address: where a person gets the files.

    Returns:
        One path for each file of the first alternative that is complete.

    Raises:
        DataError: no folder holds all files of an alternative.
    """
    roots = data_dirs(data_dir)
    subs = [name, *folders, *(f"{name}/{folder}" for folder in folders), "."]
    fullest: tuple[list[str], Path] = ([], roots[0] / name)
    for place in (root / sub for root in roots for sub in subs):
        for group in files:
            found = {file: path for file in group if (path := _present(place, file)) is not None}
            if len(found) == len(group):
                return tuple(found.values())
            if len(found) > len(fullest[0]):
                fullest = (list(found), place)
    got = f"only {_listed(fullest[0])} in {fullest[1]}" if fullest[0] else "none of them"
    wanted = ", or ".join(_listed(group) for group in files)
    raise DataError(
        f"expected the files of {name} ({wanted}) under {_listed([str(root) for root in roots])}, got {got}; "
        f"get them from {address} and put them into {fullest[1]}, or name another folder with --data-dir"
    )


def verify(file: Path, content: bytes, digest: str, other: str) -> None:
    """Hold the content of `file` against its published checksum.

    Args:
        file: named in the message.
        content: the bytes, after any gzip.
        digest: MD5 (32 hexadecimal digits) or SHA-256 (64).
        other: how to read the file if it is another data set on purpose, such as `idx:IMAGES,LABELS`.

    Raises:
        DataError: the checksums differ.
    """
    kind = "md5" if len(digest) == 32 else "sha256"
    got = hashlib.new(kind, content, usedforsecurity=False).hexdigest()
    if got != digest:
        raise DataError(
            f"expected {file} to hold the published content ({kind} {digest}), got {kind} {got}; fetch it again, "
            f"or read it as other data with {other}"
        )


def check_split(split: str) -> None:
    """Refuse a split other than `train` and `test`."""
    if split not in ("train", "test"):
        raise DataError(
            f"expected the split to be train or test, got '{split}'{nearest(split, ('train', 'test'))}"
        )


def _present(place: Path, file: str) -> Path | None:
    return next((path for path in (place / file, place / f"{file}.gz") if path.is_file()), None)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
