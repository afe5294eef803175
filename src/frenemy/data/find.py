"""From a word on the command line to a data set."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from frenemy.catalog import catalog
from frenemy.data.examples import Examples
from frenemy.errors import DataError, nearest

__all__ = ["load"]

_OTHER_NAMES = {"csv": "table"}


def load(
    spec: str,
    *,
    data_dir: str | None = None,
    split: str = "test",
    examples: int | None = None,
    **settings: Any,
) -> Examples:
    """Read the data set that `spec` names.

    A reader in the folder is known by its class name, without regard to case, hyphens and underscores; the
    fields it has without default come from the text after the colon.

    Args:
        spec: a name (`digits`, `mnist`, `fashion-mnist`, `cifar10`, `cifar100`), a reader and its path
            (`npz:PATH`, `csv:PATH`, `folder:PATH`, `idx:IMAGES,LABELS`), or a path alone: a file that ends in
            .npz, .csv or .csv.gz, or a folder.
        data_dir: a folder to search before $FRENEMY_DATA and the user's cache; named data sets only.
        split: `train` or `test`, where the reader knows splits.
        examples: keep the first so many, at least 1; all if None.
        settings: further fields of the reader, such as `resize` or `target`; None leaves the default.

    Raises:
        DataError: nothing is called so, a setting is not the reader's, there are fewer examples than asked for,
            or the reader refuses the data.
    """
    name, text = _resolve(spec)
    reader = catalog("data")[name].load()
    fields = {field.name: field for field in dataclasses.fields(reader)}
    needed = [field.name for field in fields.values() if field.default is dataclasses.MISSING]
    given = {
        "root": data_dir,
        "split": split,
        **{key: value for key, value in settings.items() if value is not None},
    }
    if foreign := sorted(key for key in settings if key in given and (key not in fields or key in needed)):
        raise DataError(f"expected settings of '{name}', got '{foreign[0]}'{nearest(foreign[0], fields)}")
    found: Examples = reader(
        **_parts(name, needed, text), **{key: value for key, value in given.items() if key in fields}
    )()
    if examples is None:
        return found
    if not 1 <= examples <= len(found):
        raise DataError(
            f"expected from 1 to {len(found)} examples of {found.name}, got {examples}; ask for fewer, or leave it out"
        )
    return found.take(slice(0, examples))


def _resolve(spec: str) -> tuple[str, str | None]:
    """Split a word into the name of a reader and the text it reads from, if any."""
    known = catalog("data")
    head, colon, tail = spec.partition(":")
    if (name := _plain(head)) in known:
        return name, tail if colon else None
    low = spec.lower()
    if low.endswith(".npz"):
        return "npz", spec
    if low.endswith((".csv", ".csv.gz")):
        return "table", spec
    if spec and Path(spec).expanduser().is_dir():
        return "folder", spec
    names = {*known, *_OTHER_NAMES}
    raise DataError(f"unknown data '{spec}', and no folder, .npz or .csv file{nearest(_plain(head), names)}")


def _plain(word: str) -> str:
    plain = word.lower().replace("-", "").replace("_", "")
    return _OTHER_NAMES.get(plain, plain)


def _parts(name: str, needed: list[str], text: str | None) -> dict[str, str]:
    parts = text.split(",", max(len(needed) - 1, 0)) if text and needed else [text] if text else []
    if len(parts) != len(needed) or not all(parts):
        form = f"{name}:{','.join(field.upper() for field in needed)}" if needed else name
        raise DataError(f"expected {form}, got '{name}{'' if text is None else f':{text}'}'; write it so")
    return dict(zip(needed, parts, strict=True))
