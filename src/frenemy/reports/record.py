"""What is kept of an audit: results.json for programs; audit.json, examples.npz and pictures.npz for us."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import numpy as np
from numpy.typing import NDArray

from frenemy.errors import RunError
from frenemy.files import write_atomic
from frenemy.reports.arrays import pack, stack, unpack
from frenemy.risks.attempt import Attempt
from frenemy.risks.result import Audit, Measurement, Picture

__all__ = ["FORMAT", "load", "records", "results", "save"]

FORMAT = 4
"""Version of audit.json; a file of another version is refused."""
_FILES = ("examples.npz", "pictures.npz")
_AUDIT = {k: hint for k, hint in get_type_hints(Audit).items() if k not in ("examples", "pictures")}
_PICTURE = {k: hint for k, hint in get_type_hints(Picture).items() if k not in ("clean", "perturbed")}


def records(audits: Sequence[Audit]) -> list[dict[str, Any]]:
    """List every number of every audit, flat: one plain dictionary a measurement.

    Returns:
        Dictionaries with the keys model, data, measure, threat, eps, objective, attack, value, low, high, n, seed,
        cost (forwards, backwards, seconds), role, trust (the verdict on the audit), tried and fell, in this order; a
        number that is undefined or not finite is None. After the measurements of an audit stand its searches, role
        `search`: what was left after each, on how many examples it was tried and how many fell; elsewhere these two are
        None.
    """
    return [row for audit in audits for row in _rows_of(audit)]


def _rows_of(audit: Audit) -> list[dict[str, Any]]:
    asked = next((m for m in audit.measurements if m.role == "headline" and m.objective != "none"), None)
    threat, eps = (asked.threat, asked.eps) if asked else (audit.threat, math.nan)
    rows = [_row(audit, m, m.threat, m.eps, m.role) for m in audit.measurements]
    counts = [{"tried": int(one.tried), "fell": int(one.fell)} for one in audit.attempts]
    searched = [_row(audit, one, threat, eps, "search") for one in audit.attempts]
    return [*rows, *(row | count for row, count in zip(searched, counts, strict=True))]


def _row(audit: Audit, found: Measurement | Attempt, threat: str, eps: float, role: str) -> dict[str, Any]:
    return {
        "model": audit.model,
        "data": audit.data,
        "measure": found.measure,
        "threat": threat,
        "eps": _finite(eps),
        "objective": found.objective,
        "attack": found.attack,
        "value": _finite(found.estimate.value) if found.estimate.defined else None,
        "low": _finite(found.estimate.low),
        "high": _finite(found.estimate.high),
        "n": int(found.estimate.n),
        "seed": _plain(audit.settings.get("seed")),
        "cost": _plain(found.cost),
        "role": role,
        "trust": audit.trust,
        "tried": None,
        "fell": None,
    }


def results(audits: Sequence[Audit]) -> bytes:
    """Write `records` as strict JSON; the same audits give the same bytes."""
    return _json(records(audits))


def save(audits: Sequence[Audit], out: Path) -> list[Path]:
    """Keep audits whole, so that every report can be made from them again.

    audit.json holds every field but the arrays, a version, and SHA-256 sums of the other two; examples.npz the columns
    of `examples`, all audits on top of each other, with a column `model`; pictures.npz the pictures. A setting that
    is no plain JSON value is kept as text.

    Args:
        audits: at least one is expected, none is allowed.
        out: directory; it is made if missing.

    Returns:
        The three files, audit.json last.

    Raises:
        RunError: a file cannot be written.
    """
    examples = _stacked(audits)
    shown = {
        f"audit{a}_picture{p}_{side}": np.asarray(getattr(picture, side))
        for a, audit in enumerate(audits)
        for p, picture in enumerate(audit.pictures)
        for side in ("clean", "perturbed")
    }
    packed = dict(zip(_FILES, (pack(examples), pack(shown)), strict=True))
    page = {
        "format": FORMAT,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in packed.items()},
        "stacked": {name: [array.dtype.str, list(array.shape)] for name, array in examples.items()},
        "audits": [_shown(audit) for audit in audits],
    }
    packed["audit.json"] = _json(page)
    for name, data in packed.items():
        write_atomic(out / name, data)
    return [out / name for name in packed]


def load(out: Path) -> tuple[Audit, ...]:
    """Read back what `save` wrote.

    Raises:
        RunError: a file is missing, damaged, or of another version.
    """
    files = {name: _bytes(out / name) for name in ("audit.json", *_FILES)}
    try:
        page = json.loads(files["audit.json"])
        version = page["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(out / "audit.json", error) from error
    if version != FORMAT:
        newer = isinstance(version, int) and version > FORMAT
        fix = "update frenemy" if newer else "run the audit again"
        raise RunError(
            f"expected '{out / 'audit.json'}' to be of format {FORMAT}, got format {version!r}; {fix}"
        )
    try:
        for name in _FILES:
            if hashlib.sha256(files[name]).hexdigest() != page["sha256"][name]:
                raise ValueError(f"the SHA-256 of {name} is not the one in audit.json")
        return _audits(page, files)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise _damaged(out / "audit.json", error) from error


def _audits(page: dict[str, Any], files: Mapping[str, bytes]) -> tuple[Audit, ...]:
    declared = {name: (str(kind), tuple(shape)) for name, (kind, shape) in page["stacked"].items()}
    stacked = unpack(files["examples.npz"], declared)
    wanted = {
        f"audit{a}_picture{p}_{side}": (str(kind), tuple(shape))
        for a, raw in enumerate(page["audits"])
        for p, picture in enumerate(raw["pictures"])
        for side, (kind, shape) in picture["arrays"].items()
    }
    shown = unpack(files["pictures.npz"], wanted)
    audits, start = [], 0
    for a, raw in enumerate(page["audits"]):
        stop = start + raw["examples"]["rows"]
        columns = raw["examples"]["columns"]
        fields = {name: msgspec.convert(raw[name], hint, strict=False) for name, hint in _AUDIT.items()}
        pictures = tuple(
            _picture(picture, shown, f"audit{a}_picture{p}") for p, picture in enumerate(raw["pictures"])
        )
        examples = {name: stacked[name][start:stop].astype(np.dtype(kind)) for name, kind in columns.items()}
        audits.append(Audit(**fields, pictures=pictures, examples=examples))
        start = stop
    return tuple(audits)


def _picture(raw: dict[str, Any], shown: Mapping[str, NDArray[Any]], name: str) -> Picture:
    fields: dict[str, Any] = {
        field: msgspec.convert(raw[field], hint, strict=False) for field, hint in _PICTURE.items()
    }
    return Picture(**fields, clean=shown[f"{name}_clean"], perturbed=shown[f"{name}_perturbed"])


def _shown(audit: Audit) -> dict[str, Any]:
    plain = {name: _plain(getattr(audit, name)) for name in _AUDIT}
    plain["pictures"] = [
        {name: _plain(getattr(picture, name)) for name in _PICTURE}
        | {"arrays": {side: _form(getattr(picture, side)) for side in ("clean", "perturbed")}}
        for picture in audit.pictures
    ]
    columns = {name: _text(column).dtype.str for name, column in audit.examples.items()}
    plain["examples"] = {"rows": _rows(audit), "columns": columns}
    return plain


def _stacked(audits: Sequence[Audit]) -> dict[str, NDArray[Any]]:
    names = dict.fromkeys(name for audit in audits for name in audit.examples)
    taken = [{name: _text(column) for name, column in audit.examples.items()} for audit in audits]
    rows = [_rows(audit) for audit in audits]
    columns = {}
    if audits and "model" not in names:
        models = [np.full(count, audit.model) for count, audit in zip(rows, audits, strict=True)]
        columns["model"] = np.concatenate(models)
    return columns | {
        name: stack([(count, columns.get(name)) for count, columns in zip(rows, taken, strict=True)])
        for name in names
    }


def _rows(audit: Audit) -> int:
    return max((len(column) for column in audit.examples.values()), default=0)


def _text(column: NDArray[Any]) -> NDArray[Any]:
    """Text kept as objects becomes text of fixed width, so that no pickle is written."""
    return column.astype(np.str_) if column.dtype.hasobject else column


def _form(array: NDArray[Any]) -> list[Any]:
    return [np.asarray(array).dtype.str, list(np.shape(array))]


def _plain(value: Any) -> Any:
    """Turn a field into plain JSON values; what is not finite becomes the text nan, inf or -inf."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, str | int) else str(value)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode("ascii")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(
            f"expected the results of an audit in '{path.parent}', got no readable {path.name}; "
            "give the directory that `frenemy audit` wrote to"
        ) from error


def _damaged(path: Path, error: Exception) -> RunError:
    reason = " ".join(str(error).split()).rstrip(".")
    return RunError(f"expected '{path}' to be whole, got a damaged file ({reason}); run the audit again")
