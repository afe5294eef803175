"""`frenemy cite NAME ...`: BibTeX of the parts that were used."""

from __future__ import annotations

from frenemy.catalog import Part, catalog
from frenemy.cli.list import FOLDERS
from frenemy.errors import UsageError, nearest

__all__ = ["run"]


def run(argv: list[str]) -> int:
    """Print one BibTeX entry a name."""
    if not argv or argv in (["-h"], ["--help"]):
        print(
            "usage: frenemy cite NAME ...\n\nPrint the BibTeX of attacks, recipes, models, data sets and other parts."
        )
        return 0
    parts: dict[str, Part] = {}
    for folder in FOLDERS.values():
        parts |= catalog(folder)
    plain = {name: name.lower().replace("-", "").replace("_", "") for name in argv}
    for name, key in plain.items():
        if key not in parts:
            raise UsageError(f"unknown part '{name}'{nearest(key, parts)}")
    for key in dict.fromkeys(plain.values()):
        print(parts[key].card.bibtex(parts[key].name))
    return 0
